//! Certification requests.

use assay_ca::{Csr, CsrError, RequestedNames};
use der::{Decode, Reader, SliceReader, asn1::AnyRef};
use x509_cert::name::Name as DistinguishedName;

use super::{
    InspectError,
    json::{Content, Name, Request},
    words,
};

/// Reports on a CSR in DER. One that breaks a rule is shown with its subject
/// and key alone: its names are not read then.
///
/// # Errors
/// Not even subject and key can be decoded.
pub(super) fn report(der: &[u8]) -> Result<Content, InspectError> {
    let request = match Csr::parse(der) {
        Ok(csr) => Request {
            subject: csr.names().subject.clone(),
            key: words::key(csr.spki_der()),
            spki_sha256: hex::encode(csr.spki_sha256()),
            accepted: true,
            names: Some(names(csr.names())),
            wants_ca: Some(csr.names().wants_ca),
            fault: None,
        },
        Err(error) => refused(der, error).map_err(|_| InspectError::Csr(error))?,
    };
    Ok(Content::Csr { request })
}

fn refused(der: &[u8], error: CsrError) -> der::Result<Request> {
    let (request, _) = AnyRef::from_der_partial(der)?;
    let info = AnyRef::decode(&mut SliceReader::new(request.value())?)?;
    let mut fields = SliceReader::new(info.value())?;
    // The version.
    AnyRef::decode(&mut fields)?;
    let subject = fields.tlv_bytes()?;
    let subject = DistinguishedName::from_der(subject).map_or_else(
        |_| format!("#{}", hex::encode(subject)),
        |name| name.to_string(),
    );
    let spki = fields.tlv_bytes()?;
    Ok(Request {
        subject,
        key: words::key(spki),
        spki_sha256: words::sha256(spki),
        accepted: false,
        names: None,
        wants_ca: None,
        fault: Some(error.to_string()),
    })
}

fn names(requested: &RequestedNames) -> Vec<Name> {
    let of_kind = |kind, values: &[String]| -> Vec<Name> {
        let name = |value: &String| Name {
            kind,
            value: value.clone(),
        };
        values.iter().map(name).collect()
    };
    let ips: Vec<_> = requested.ips.iter().map(ToString::to_string).collect();
    let others: Vec<_> = (requested.others > 0)
        .then(|| requested.others.to_string())
        .into_iter()
        .collect();
    let permanent_identifiers = requested
        .permanent_identifiers
        .iter()
        .map(|name| words::permanent_identifier(name.value.as_deref(), name.assigner.as_deref()));
    let hardware_modules = requested
        .hardware_modules
        .iter()
        .map(|name| words::hardware_module(&name.serial, &name.hw_type));
    of_kind("common-name", &requested.common_names)
        .into_iter()
        .chain(permanent_identifiers)
        .chain(hardware_modules)
        .chain(of_kind("dns", &requested.dns))
        .chain(of_kind("email", &requested.emails))
        .chain(of_kind("uri", &requested.uris))
        .chain(of_kind("ip", &ips))
        .chain(of_kind("upn", &requested.upns))
        .chain(of_kind("number-of-other-names", &others))
        .collect()
}
