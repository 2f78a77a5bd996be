use assay_ca::Issuer;

/// The loaded CAs for device certificates, by [`Issuer::id`]. One of them
/// issues. The certificates of all can be fetched, and an issuance that began
/// under one of them completes under it.
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
    /// Returns only the issuing CA.
    #[must_use]
    pub fn single(issuing: Issuer) -> Self {
        Self {
            issuing,
            others: Vec::new(),
        }
    }

    /// Returns the issuing CA and others that issued before.
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

    /// Returns the CA that issues.
    #[must_use]
    pub fn issuing(&self) -> &Issuer {
        &self.issuing
    }

    /// Returns the CA with this ID, if it is loaded.
    #[must_use]
    pub fn get(&self, id: [u8; 32]) -> Option<&Issuer> {
        self.all().find(|issuer| issuer.id() == id)
    }

    /// Whether signing may block for any of them.
    #[must_use]
    pub fn may_block(&self) -> bool {
        self.all().any(Issuer::may_block)
    }

    fn all(&self) -> impl Iterator<Item = &Issuer> {
        std::iter::once(&self.issuing).chain(&self.others)
    }
}
