//! The live encodings of `testdata/evidence/golden`, and their malformations.

use const_oid::ObjectIdentifier;

use super::*;

fn read(oid: &str, value: &[u8]) -> Result<Properties, Finding> {
    Properties::read(&[Extension {
        oid: ObjectIdentifier::new(oid).unwrap(),
        critical: false,
        value,
    }])
}

/// What a fixture's `decoded` line says.
fn show(properties: &Properties) -> String {
    let texts = [
        &properties.serial,
        &properties.udid,
        &properties.model,
        &properties.os_version,
        &properties.sepos_version,
        &properties.llb_version,
    ];
    texts
        .into_iter()
        .flatten()
        .cloned()
        .chain(properties.sip.map(|state| state.to_string()))
        .chain(properties.secure_boot.iter().map(ToString::to_string))
        .chain(properties.kernel_extensions.map(|state| state.to_string()))
        .chain(
            properties
                .unknown
                .iter()
                .map(|unknown| format!("raw {}", hex::encode(&unknown.value))),
        )
        .collect::<Vec<String>>()
        .join(", ")
}

#[test]
fn golden_encodings_decode_to_their_written_values() {
    let directory = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/evidence/golden"
    );
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let fixture = std::fs::read_to_string(&path).unwrap();
        let line = |key: &str| {
            fixture
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .unwrap_or_else(|| panic!("{}: no {key}", path.display()))
                .trim()
        };
        let (oid, value) = (line("oid:"), hex::decode(line("value:")).unwrap());
        let decoded = match read(oid, &value) {
            Ok(properties) => show(&properties),
            Err(refusal) => refusal.reason.to_string(),
        };
        assert_eq!(decoded, line("decoded:"), "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 21);
}

#[test]
fn scenario_23_a_wrapped_serial_is_not_a_serial() {
    let texts = [
        "1.2.840.113635.100.8.9.1",
        "1.2.840.113635.100.8.9.2",
        "1.2.840.113635.100.8.9.4",
        "1.2.840.113635.100.8.10.1",
        "1.2.840.113635.100.8.10.2",
        "1.2.840.113635.100.8.10.3",
        "1.2.840.113635.100.8.13.2",
    ];
    let malformed: [&[u8]; 7] = [
        b"\x0c\x0aC02ABCDEFG",
        b"\x13\x0aC02ABCDEFG",
        b"\x16\x0aC02ABCDEFG",
        b"\x04\x0aC02ABCDEFG",
        b"\x0c\x00",
        b"C02ABCDEFG\0",
        b"\xff\xfe",
    ];
    for oid in texts {
        for value in malformed {
            assert_eq!(
                read(oid, value).map_err(|refusal| refusal.reason),
                Err(Reason::PropertyMalformed),
                "{oid} {value:x?}"
            );
        }
        let long = [b'A'; MAX_PROPERTY_BYTES + 1];
        assert!(read(oid, &long[1..]).is_ok(), "{oid}");
        assert_eq!(
            read(oid, &long).map_err(|refusal| refusal.reason),
            Err(Reason::PropertyMalformed),
            "{oid}"
        );
    }
}

#[test]
fn scenarios_24_and_25_integers_have_one_encoding() {
    let malformed: [&[u8]; 11] = [
        b"0",
        b"1",
        b"\0",
        b"\x02",
        b"\x02\x00",
        b"\x02\x02\x00\x00",
        b"\x02\x02\x00\x01",
        b"\x02\x02\xff\xff",
        b"\x02\x01\x00\x00",
        b"\x02\x81\x01\x00",
        b"\x0a\x01\x00",
    ];
    // X.690 section 10.1: 0x80 announces an indefinite length, not 128 bytes.
    let indefinite = [&[0x02, 0x80], [1; 128].as_slice()].concat();
    for oid in ["1.2.840.113635.100.8.13.1", "1.2.840.113635.100.8.13.3"] {
        for value in malformed.into_iter().chain([&*indefinite]) {
            assert_eq!(
                read(oid, value).map_err(|refusal| refusal.reason),
                Err(Reason::PropertyMalformed),
                "{oid} {value:x?}"
            );
        }
    }
}

#[test]
fn numbers_without_a_documented_meaning_are_not_the_good_state() {
    for value in [
        b"\x02\x01\x02".as_slice(),
        b"\x02\x01\xff",
        b"\x02\x02\x01\x00",
        b"\x02\x02\x00\x80",
        b"\x02\x02\xff\x7f",
    ] {
        assert_eq!(
            read("1.2.840.113635.100.8.13.1", value).unwrap().sip,
            Some(SystemIntegrityProtection::Other),
            "{value:x?}"
        );
        assert_eq!(
            read("1.2.840.113635.100.8.13.3", value)
                .unwrap()
                .kernel_extensions,
            Some(KernelExtensions::Allowed),
            "{value:x?}"
        );
    }
}

#[test]
fn blank_is_absent() {
    for (suffix, blank) in [
        ("9.1", b"".as_slice()),
        ("9.2", b""),
        ("9.4", b"  "),
        ("10.1", b""),
        ("10.2", b" "),
        ("10.3", b""),
        ("13.1", b""),
        ("13.2", b""),
        ("13.3", b""),
    ] {
        assert_eq!(
            read(&format!("1.2.840.113635.100.8.{suffix}"), blank),
            Ok(Properties::default()),
            "{suffix}"
        );
    }
}

#[test]
fn only_apples_arc_is_read() {
    for oid in ["1.2.840.113635.100.6.1", "1.2.840.113635.100.80.9.1"] {
        assert_eq!(read(oid, b"C02"), Ok(Properties::default()), "{oid}");
    }
}

/// The nonce of the WebAuthn format is known, and no evidence of this one has it.
#[test]
fn what_is_documented_has_a_name_and_is_understood() {
    for (suffix, expected) in [
        ("2", "WebAuthn nonce"),
        ("9.1", "serial number"),
        ("9.2", "UDID"),
        ("9.4", "model"),
        ("10.1", "OS version"),
        ("10.2", "sepOS version"),
        ("10.3", "LLB version"),
        ("11.1", "freshness code"),
        ("13.1", "System Integrity Protection"),
        ("13.2", "secure boot"),
        ("13.3", "third-party kernel extensions"),
    ] {
        let oid = format!("1.2.840.113635.100.8.{suffix}");
        let oid = ObjectIdentifier::new(&oid).unwrap();
        assert_eq!(name(oid), Some(expected), "{oid}");
        assert_eq!(is_understood(oid), oid != WEBAUTHN_NONCE, "{oid}");
    }
    let unknown = ObjectIdentifier::new("1.2.840.113635.100.8.9.99").unwrap();
    assert_eq!((name(unknown), is_understood(unknown)), (None, false));
}

#[test]
fn a_property_is_found_by_its_identifier() {
    for property in Property::ALL {
        assert_eq!(Property::of_oid(property.oid()), Some(*property));
        let oid = ObjectIdentifier::new(property.oid()).unwrap();
        assert_eq!(Property::of(oid), Some(*property));
        assert_eq!(name(oid), Some(property.name()));
    }
    assert_eq!(Property::of_oid("1.2.840.113635.100.8.11.1"), None);
    assert_eq!(Property::OsVersion.as_str(), "os_version");
}
