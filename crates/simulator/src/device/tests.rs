use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

use super::*;

fn device(key_type: KeyType) -> Device {
    Device::new(DeviceProperties::mac("C02TEST", "UDID"), key_type).unwrap()
}

#[test]
fn a_csr_is_for_the_devices_key_and_signed_by_it() {
    for (key_type, point) in [(KeyType::P256, 65), (KeyType::P384, 97)] {
        let device = device(key_type);
        let request = CsrRequest {
            common_name: "Device".to_owned(),
            names: Vec::new(),
        };
        let der = device.csr(&request).unwrap();
        let (rest, csr) = X509CertificationRequest::from_der(&der).unwrap();
        assert_eq!(rest, b"");
        let info = &csr.certification_request_info;
        assert_eq!(info.subject_pki.raw, device.spki_der());
        assert_eq!(info.subject_pki.subject_public_key.data.len(), point);
        assert_eq!(info.subject.to_string(), "CN=Device");
        assert_eq!(csr.requested_extensions().map(Iterator::count), None);
        csr.verify_signature().unwrap();
    }
}

#[test]
fn the_names_asked_for_stand_in_one_extension() {
    let names = vec![
        SubjectAltName::Dns("mac.example".to_owned()),
        SubjectAltName::Email("user@example.org".to_owned()),
        SubjectAltName::Uri(format!("https://example.org/{}", "x".repeat(300))),
        SubjectAltName::PermanentIdentifier("C02TEST".to_owned()),
        SubjectAltName::UserPrincipalName("user@example.org".to_owned()),
    ];
    let request = CsrRequest {
        common_name: "Device".to_owned(),
        names,
    };
    let der = device(KeyType::P256).csr(&request).unwrap();
    let (_, csr) = X509CertificationRequest::from_der(&der).unwrap();
    let extensions: Vec<_> = csr.requested_extensions().unwrap().collect();
    let [ParsedExtension::SubjectAlternativeName(san)] = extensions.as_slice() else {
        panic!("{extensions:?}");
    };
    let [
        GeneralName::DNSName("mac.example"),
        GeneralName::RFC822Name("user@example.org"),
        GeneralName::URI(uri),
        GeneralName::OtherName(permanent, permanent_value),
        GeneralName::OtherName(principal, principal_value),
    ] = san.general_names.as_slice()
    else {
        panic!("{san:?}");
    };
    assert_eq!(uri.len(), 320);
    assert_eq!(permanent.to_id_string(), "1.3.6.1.5.5.7.8.3");
    assert_eq!(*permanent_value, b"\xa0\x0b\x30\x09\x0c\x07C02TEST");
    assert_eq!(principal.to_id_string(), "1.3.6.1.4.1.311.20.2.3");
    assert_eq!(*principal_value, b"\xa0\x12\x0c\x10user@example.org");
}

#[test]
fn the_devices_key_can_sign_as_an_account_does() {
    for (key_type, algorithm) in [
        (KeyType::P256, Algorithm::Es256),
        (KeyType::P384, Algorithm::Es384),
    ] {
        let device = device(key_type);
        let key = device.account_key().unwrap();
        assert_eq!(key.algorithm(), algorithm);
        // The point in the SPKI is 04, x, y; the JWK says the same in base64url.
        let point = device.key.der_bytes();
        let jwk = key.jwk();
        let coordinate = |name: &str| {
            data_encoding::BASE64URL_NOPAD
                .decode(jwk[name].as_str().unwrap().as_bytes())
                .unwrap()
        };
        assert_eq!([coordinate("x"), coordinate("y")].concat(), point[1..]);
    }
}
