use assay_ca::Issuer;

/// The CAs of the devices that are loaded, by [`Issuer::id`]. One of them
/// issues; certificates of every one can be fetched, and an issuance that was
/// begun under one ends under it.
pub struct Issuers {
    issuing: Issuer,
    others: Vec<Issuer>,
}

/// An issuer was given twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CA {0} is there twice")]
pub struct RepeatedIssuer(
    /// The CA's name.
    pub String,
);

impl Issuers {
    /// The CA that issues, alone.
    #[must_use]
    pub fn single(issuing: Issuer) -> Self {
        Self {
            issuing,
            others: Vec::new(),
        }
    }

    /// The CA that issues, and others that did.
    ///
    /// # Errors
    /// [`RepeatedIssuer`].
    pub fn new(issuing: Issuer, others: Vec<Issuer>) -> Result<Self, RepeatedIssuer> {
        let mut issuers = Self::single(issuing);
        for other in others {
            if issuers.get(other.id()).is_some() {
                return Err(RepeatedIssuer(other.name().to_owned()));
            }
            issuers.others.push(other);
        }
        Ok(issuers)
    }

    /// The CA that issues.
    #[must_use]
    pub fn issuing(&self) -> &Issuer {
        &self.issuing
    }

    /// The CA with this id, where it is loaded.
    #[must_use]
    pub fn get(&self, id: [u8; 32]) -> Option<&Issuer> {
        self.all().find(|issuer| issuer.id() == id)
    }

    /// Whether a signer of theirs may block.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.all().any(Issuer::may_block)
    }

    fn all(&self) -> impl Iterator<Item = &Issuer> {
        std::iter::once(&self.issuing).chain(&self.others)
    }
}
