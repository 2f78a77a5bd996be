//! Checks before a server starts whether a CA and a profile can issue.

use assay_ca::{Issuer, LeafTemplate, LeafUsage, PrepareError, SerialNumber, SubjectAltName};

use super::certificate::{names, recordable, subject};
use crate::{
    domain::DeviceFacts,
    error::Error,
    profile::{Profile, TemplateValues},
    sha256,
};

/// A P-256 key without a known private key: the generator of the group.
pub(super) const SAMPLE_SPKI: [u8; 91] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1,
    0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d,
    0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe,
    0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b,
    0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

/// Checks that certificates of this profile can be built under this issuer, for
/// an Apple device's usual serial number and UDID.
///
/// # Errors
/// When they cannot, for the author of the profile.
pub fn try_profile(issuer: &Issuer, profile: &Profile) -> Result<(), Error> {
    let facts = DeviceFacts {
        serial: Some("C02ABCDEFGHJ".to_owned()),
        udid: Some("00008112-001A2B3C4D5E6F70".to_owned()),
        ..DeviceFacts::default()
    };
    let attested = TemplateValues {
        facts: &facts,
        spki_sha256: &sha256(&SAMPLE_SPKI),
    };
    let not_before = issuer.not_before();
    let leaf = LeafTemplate {
        spki_der: SAMPLE_SPKI.to_vec(),
        subject: subject(profile, &attested)?,
        names: names(profile, &[], &attested)?,
        not_before,
        not_after: issuer.not_after().min(not_before + 1),
        usage: LeafUsage::ClientAuth,
    };
    match issuer.prepare(&leaf, SerialNumber::from_random([1; 16])) {
        // Names that come from an order are not available here.
        Err(PrepareError::NoName) => Ok(()),
        prepared => recordable(prepared).map(drop),
    }
}

/// Checks that a CA may issue TLS server certificates, apart from the names.
///
/// # Errors
/// When it may not, for the operator.
pub fn try_server_certificates(issuer: &Issuer) -> Result<(), PrepareError> {
    let not_before = issuer.not_before();
    let leaf = LeafTemplate {
        spki_der: SAMPLE_SPKI.to_vec(),
        subject: Vec::new(),
        names: vec![SubjectAltName::Dns("localhost".to_owned())],
        not_before,
        not_after: issuer.not_after().min(not_before + 1),
        usage: LeafUsage::ServerAuth,
    };
    let prepared = issuer.prepare(&leaf, SerialNumber::from_random([1; 16]));
    prepared.map(drop)
}
