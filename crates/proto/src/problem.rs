use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::WireIdentifier;

/// The namespace of ACME's error types (RFC 8555 section 6.7).
const NAMESPACE: &str = "urn:ietf:params:acme:error:";

/// Declares the enum of problem types from one table: variant, name within the
/// ACME namespace, HTTP status. This is the only place that gives a type its
/// name and its status.
macro_rules! problem_types {
    ($( $(#[$doc:meta])* $variant:ident = $name:literal, $status:literal; )*) => {
        /// The error types of RFC 8555 section 6.7 and of the drafts that Assay
        /// implements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemType {
            $( $(#[$doc])* $variant, )*
        }

        impl ProblemType {
            /// All types.
            pub const ALL: &[Self] = &[ $( Self::$variant, )* ];

            /// The name without the namespace, for example `badCSR`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// The HTTP status of a response with this type, unless the RFC
            /// requires another status for the request.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $( Self::$variant => $status, )* }
            }
        }
    };
}

problem_types! {
    /// The request names an account that does not exist.
    AccountDoesNotExist = "accountDoesNotExist", 400;
    /// The certificate is already revoked.
    AlreadyRevoked = "alreadyRevoked", 400;
    /// The attestation statement is unacceptable (device-attest draft).
    BadAttestationStatement = "badAttestationStatement", 400;
    /// The CSR is unacceptable.
    BadCsr = "badCSR", 400;
    /// The anti-replay nonce is unacceptable; the response carries a fresh one.
    BadNonce = "badNonce", 400;
    /// The JWS was signed by a key that the server does not support.
    BadPublicKey = "badPublicKey", 400;
    /// The revocation reason is not allowed.
    BadRevocationReason = "badRevocationReason", 400;
    /// The JWS was signed with an algorithm that the server does not support.
    BadSignatureAlgorithm = "badSignatureAlgorithm", 400;
    /// Several things are wrong: see the subproblems.
    Compound = "compound", 400;
    /// A contact of the account is invalid.
    InvalidContact = "invalidContact", 400;
    /// The request is malformed.
    Malformed = "malformed", 400;
    /// The order is not ready to be finalized.
    OrderNotReady = "orderNotReady", 403;
    /// The client exceeded a rate limit.
    RateLimited = "rateLimited", 429;
    /// The server will not issue for this identifier.
    RejectedIdentifier = "rejectedIdentifier", 403;
    /// The server had an internal error.
    ServerInternal = "serverInternal", 500;
    /// The client lacks authorization.
    Unauthorized = "unauthorized", 403;
    /// A contact uses an unsupported scheme.
    UnsupportedContact = "unsupportedContact", 400;
    /// An identifier is of a type that the server does not know.
    UnsupportedIdentifier = "unsupportedIdentifier", 400;
    /// The user must visit the `instance` URL first.
    UserActionRequired = "userActionRequired", 403;
}

impl ProblemType {
    /// The type as a URN, for example `urn:ietf:params:acme:error:badCSR`.
    #[must_use]
    pub fn urn(self) -> String {
        format!("{NAMESPACE}{}", self.name())
    }

    /// The type that `urn` names, if this server knows it.
    #[must_use]
    pub fn from_urn(urn: &str) -> Option<Self> {
        let name = urn.strip_prefix(NAMESPACE)?;
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl Serialize for ProblemType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{NAMESPACE}{}", self.name()))
    }
}

impl<'de> Deserialize<'de> for ProblemType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let urn = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_urn(&urn).ok_or_else(|| D::Error::custom(format_args!("unknown type {urn}")))
    }
}

/// A problem document (RFC 7807), with the members of RFC 8555 section 6.7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The error type.
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// For humans: what is wrong and what to do.
    pub detail: String,
    /// The HTTP status code.
    pub status: u16,
    /// The URL to visit, with `userActionRequired` (section 7.3.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The supported JWS algorithms, with `badSignatureAlgorithm` (section
    /// 6.2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<String>,
    /// Errors of single identifiers (section 6.7.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subproblems: Vec<Subproblem>,
}

/// An error of one identifier (RFC 8555 section 6.7.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subproblem {
    /// The error type.
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// For humans: what is wrong.
    pub detail: String,
    /// The identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<WireIdentifier>,
}

impl Subproblem {
    /// A problem with `identifier`. An identifier that exceeds the maximum
    /// length is left out, so that a response does not grow with the request.
    #[must_use]
    pub fn with(kind: ProblemType, detail: impl Into<String>, identifier: &WireIdentifier) -> Self {
        Self {
            kind,
            detail: detail.into(),
            identifier: identifier.is_of_legal_length().then(|| identifier.clone()),
        }
    }
}

impl Problem {
    /// The media type of a problem document.
    pub const MEDIA_TYPE: &str = "application/problem+json";

    /// A problem of `kind` with its default status.
    #[must_use]
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            status: kind.status(),
            instance: None,
            algorithms: Vec::new(),
            subproblems: Vec::new(),
        }
    }

    /// Replaces the HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfcs_sample_of_subproblems() {
        // RFC 8555 section 6.7.1, with a status added and the DNS names
        // unchanged.
        let json = r#"{
            "type": "urn:ietf:params:acme:error:malformed",
            "detail": "Some of the identifiers requested were rejected",
            "status": 400,
            "subproblems": [
                {
                    "type": "urn:ietf:params:acme:error:malformed",
                    "detail": "Invalid underscore in DNS name \"_example.org\"",
                    "identifier": { "type": "dns", "value": "_example.org" }
                },
                {
                    "type": "urn:ietf:params:acme:error:rejectedIdentifier",
                    "detail": "This CA will not issue for \"example.net\"",
                    "identifier": { "type": "dns", "value": "example.net" }
                }
            ]
        }"#;
        let problem: Problem = serde_json::from_str(json).unwrap();
        assert_eq!(problem.kind, ProblemType::Malformed);
        assert_eq!(problem.subproblems[1].kind, ProblemType::RejectedIdentifier);
        let again: serde_json::Value = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            again,
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
    }

    #[test]
    fn a_subproblem_repeats_identifiers_of_legal_length_only() {
        let of = |kind: usize, value: usize| {
            let identifier = WireIdentifier {
                kind: "k".repeat(kind),
                value: "v".repeat(value),
            };
            let kind = ProblemType::Malformed;
            Subproblem::with(kind, "why", &identifier).identifier
        };
        for (kind, value, repeated) in [
            (64, 256, true),
            (65, 256, false),
            (64, 257, false),
            (20, 190_000, false),
        ] {
            assert_eq!(of(kind, value).is_some(), repeated, "{kind} {value}");
        }
    }

    #[test]
    fn names_are_unique_and_come_back() {
        for kind in ProblemType::ALL {
            assert_eq!(ProblemType::from_urn(&kind.urn()), Some(*kind));
        }
        assert_eq!(
            ProblemType::from_urn("urn:ietf:params:acme:error:foo"),
            None
        );
    }

    #[test]
    fn the_table_of_statuses() {
        let with_status = |status| {
            ProblemType::ALL
                .iter()
                .filter(move |kind| kind.status() == status)
                .map(|kind| kind.name())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            with_status(403),
            [
                "orderNotReady",
                "rejectedIdentifier",
                "unauthorized",
                "userActionRequired"
            ]
        );
        assert_eq!(with_status(429), ["rateLimited"]);
        assert_eq!(with_status(500), ["serverInternal"]);
        assert_eq!(with_status(400).len() + 6, ProblemType::ALL.len());
    }
}
