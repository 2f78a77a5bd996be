/// A signature algorithm that an account key or a certificate key may use
/// (RFC 7518 section 3.1, RFC 8037 section 3.1).
///
/// RFC 8555 section 6.2: "An ACME server MUST implement the "ES256" signature
/// algorithm \[RFC7518\] and SHOULD implement the "EdDSA" signature algorithm
/// using the "Ed25519" variant". MAC algorithms and `none` are not in this
/// enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `EdDSA`, with Ed25519 only.
    EdDsa,
    /// `ES256`: ECDSA with P-256 and SHA-256.
    Es256,
    /// `ES384`: ECDSA with P-384 and SHA-384.
    Es384,
    /// `ES512`: ECDSA with P-521 and SHA-512.
    Es512,
    /// `RS256`: RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// Every supported algorithm, most recommended first: the content of the
    /// `algorithms` member that RFC 8555 section 6.2 demands with a
    /// `badSignatureAlgorithm` problem.
    pub const ALL: [Self; 5] = [
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
        Self::Rs256,
    ];

    /// The value of the `alg` header parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm with this `alg` value, compared case-sensitively
    /// (RFC 7515 section 4.1.1).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == name)
    }
}
