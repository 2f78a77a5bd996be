//! Checks the names of the problem types against the IANA registry.

use assay_proto::ProblemType;

/// RFC 8555 section 6.7: "Servers MUST NOT use the ACME URN namespace for
/// errors not listed in the appropriate IANA registry". This list holds the
/// types of RFC 8555 section 9.7.4 and the one that the device-attest draft
/// adds.
const REGISTERED: &[&str] = &[
    "accountDoesNotExist",
    "alreadyRevoked",
    "badCSR",
    "badNonce",
    "badPublicKey",
    "badRevocationReason",
    "badSignatureAlgorithm",
    "caa",
    "compound",
    "connection",
    "dns",
    "externalAccountRequired",
    "incorrectResponse",
    "invalidContact",
    "malformed",
    "orderNotReady",
    "rateLimited",
    "rejectedIdentifier",
    "serverInternal",
    "tls",
    "unauthorized",
    "unsupportedContact",
    "unsupportedIdentifier",
    "userActionRequired",
    "badAttestationStatement",
];

#[test]
fn every_problem_type_is_registered() {
    for kind in ProblemType::ALL {
        assert!(REGISTERED.contains(&kind.name()), "{}", kind.name());
        assert_eq!(
            kind.urn(),
            format!("urn:ietf:params:acme:error:{}", kind.name())
        );
    }
}
