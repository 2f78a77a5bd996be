use super::*;

#[test]
fn every_value_is_checked() {
    const TOO_LARGE: Fault = Fault::TooLarge(253_402_300_799);
    let long = "x".repeat(257);
    let huge = json!(253_402_300_800_u64);
    let known = |words| Fault::Word(words);
    for (path, value, fault) in [
        (
            "source",
            json!("mdm"),
            known("\"acme\" or \"device-information\""),
        ),
        ("time", json!("2026-11-18 12:26:40Z"), Fault::NotTime),
        ("time", json!("2026-11-18T12:26:40+00:00"), Fault::NotTime),
        ("time", json!("2026-11-18T12:26:40.5Z"), Fault::NotTime),
        ("time", json!("2026-11-18t12:26:40Z"), Fault::NotTime),
        ("time", json!("2026-11-18T12:26:60Z"), Fault::NotTime),
        ("time", json!("2026-02-30T12:26:40Z"), Fault::NotTime),
        ("token", json!(""), Fault::Length("1 to 256")),
        ("token", json!("a=b"), Fault::NotBase64Url),
        ("token", json!(long), Fault::Length("1 to 256")),
        ("account", json!("BwcH"), Fault::Length("32")),
        (
            "account",
            json!("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwd"),
            Fault::NotBase64Url,
        ),
        ("identifier.type", json!(""), Fault::Length("1 to 64")),
        ("identifier.value", json!(""), Fault::Length("1 to 256")),
        ("identifier.value", json!(long), Fault::Length("1 to 256")),
        (
            "admission.rule",
            json!("all"),
            known("\"listed\" or \"any-attested\""),
        ),
        (
            "admission.attribute",
            json!("imei"),
            known("\"serial\" or \"udid\""),
        ),
        ("admission.value", json!(long), Fault::Length("1 to 256")),
        ("attestation_object", json!("oA=="), Fault::NotBase64Url),
        ("attestation_object", json!("oB"), Fault::NotBase64Url),
        ("attestation_object", json!("o+A"), Fault::NotBase64Url),
        ("csr", json!("?"), Fault::NotBase64Url),
        ("admission.rule_name", json!(""), Fault::Length("1 to 64")),
        ("profile.name", json!(""), Fault::Length("1 to 64")),
        ("profile.settings.lifetime", huge.clone(), TOO_LARGE),
        ("issuance.end", json!(long), Fault::Length("at most 256")),
        ("issuance.reason", json!(long), Fault::Length("at most 256")),
        ("issuance.identifiers", huge.clone(), TOO_LARGE),
        ("issuance.certificate.lifetime", huge, TOO_LARGE),
        (
            "issuance.certificate.names",
            json!(vec![""; 65]),
            Fault::TooMany(64),
        ),
        (
            "issuance.certificate.spki_sha256",
            json!(long),
            Fault::Length("at most 256"),
        ),
        (
            "note",
            json!("x".repeat(4097)),
            Fault::Length("at most 4096"),
        ),
        ("labels", json!(vec!["x"; 33]), Fault::TooMany(32)),
        ("embedded_root", json!("?"), Fault::NotBase64Url),
        ("verdict.outcome", json!(long), Fault::Length("at most 256")),
        ("verdict.reason", json!(long), Fault::Length("at most 256")),
        ("facts.model", json!(long), Fault::Length("at most 256")),
        ("root_sha256", json!(long), Fault::Length("at most 256")),
    ] {
        let shown = value.to_string();
        let result = changed(acme(), |file| {
            let place = path.split('.').fold(file, |value, key| &mut value[key]);
            *place = value;
        });
        assert_eq!(result, field(path, fault), "{path}: {shown}");
    }
    let long_error = changed(acme(), |file| {
        file.as_object_mut().unwrap().remove("attestation_object");
        file["device_error"] = json!("x".repeat(1025));
    });
    assert_eq!(
        long_error,
        field("device_error", Fault::Length("at most 1024"))
    );
}

#[test]
fn every_value_of_device_information_is_checked() {
    let sent = json!("2026-11-18T12:26:40Z");
    let nonce = |nonce: &str| json!({"nonce": nonce, "sent": sent});
    let thirty_three = data_encoding::BASE64URL_NOPAD.encode(&[1; 33]);
    for (key, value, path, fault) in [
        ("nonces", json!([]), "nonces", Fault::NoNonce),
        (
            "nonces",
            json!([nonce("")]),
            "nonces[0].nonce",
            Fault::Length("1 to 32"),
        ),
        (
            "nonces",
            json!([nonce("AQ"), nonce(&thirty_three)]),
            "nonces[1].nonce",
            Fault::Length("1 to 32"),
        ),
        (
            "nonces",
            json!([nonce("AQ=")]),
            "nonces[0].nonce",
            Fault::NotBase64Url,
        ),
        (
            "nonces",
            json!([{"nonce": "AQ", "sent": "now"}]),
            "nonces[0].sent",
            Fault::NotTime,
        ),
        (
            "nonces",
            json!([nonce("AQ"), {"nonce": "Ag", "sent": "2026-11-18T12:26:39Z"}]),
            "nonces[1].sent",
            Fault::OutOfOrder,
        ),
        (
            "certificates",
            json!(["MAA", "M A"]),
            "certificates[1]",
            Fault::NotBase64Url,
        ),
    ] {
        let shown = value.to_string();
        let result = changed(device_information(), |file| file[key] = value);
        assert_eq!(result, field(path, fault), "{shown}");
    }
}

#[test]
fn each_source_has_its_own_keys() {
    for key in [
        "token",
        "account",
        "identifier",
        "admission",
        "profile",
        "issuance",
    ] {
        let missing = changed(acme(), |file| {
            file.as_object_mut().unwrap().remove(key);
        });
        let expected = RecordingError::Missing {
            field: key,
            source_name: "acme",
        };
        let optional = ["account", "profile", "issuance"].contains(&key);
        assert_eq!(missing.is_ok(), optional, "{key}");
        assert!(optional || missing == Err(expected), "{key}");
        let misplaced = changed(device_information(), |file| {
            let value: Value = serde_json::from_str(&self::file(acme())).unwrap();
            file[key] = value[key].clone();
        });
        let expected = RecordingError::Misplaced {
            field: key,
            source_name: "device-information",
        };
        assert_eq!(misplaced, Err(expected));
    }
    for key in ["nonces", "certificates"] {
        let missing = changed(device_information(), |file| {
            file.as_object_mut().unwrap().remove(key);
        });
        let expected = RecordingError::Missing {
            field: key,
            source_name: "device-information",
        };
        assert_eq!(missing, Err(expected));
        let misplaced = changed(acme(), |file| file[key] = json!([]));
        let expected = RecordingError::Misplaced {
            field: key,
            source_name: "acme",
        };
        assert_eq!(misplaced, Err(expected));
    }
    for key in ["attestation_object", "device_error", "csr"] {
        let misplaced = changed(device_information(), |file| file[key] = json!("AQ"));
        let expected = RecordingError::Misplaced {
            field: key,
            source_name: "device-information",
        };
        assert_eq!(misplaced, Err(expected));
    }
}

#[test]
fn scenario_49_a_device_sends_evidence_or_an_error_never_both() {
    let both = changed(acme(), |file| file["device_error"] = json!("no"));
    assert_eq!(both, Err(RecordingError::OneAnswer));
    let neither = changed(acme(), |file| {
        file.as_object_mut().unwrap().remove("attestation_object");
    });
    assert_eq!(neither, Err(RecordingError::OneAnswer));
}

#[test]
fn what_cannot_be_read_back_cannot_be_made() {
    let mut contents = device_information();
    if let Evidence::DeviceInformation(answer) = &mut contents.evidence {
        answer.nonces = vec![SentNonce::new(&[1], u64::MAX).unwrap()];
    }
    assert_eq!(
        Recording::new(contents),
        field("nonces[0].sent", Fault::NotTime)
    );
    assert_eq!(Time::from_seconds(253_402_300_800), None);
    let mut contents = acme();
    if let Evidence::Acme(acme) = &mut contents.evidence {
        acme.token.clear();
    }
    assert_eq!(
        Recording::new(contents),
        field("token", Fault::Length("1 to 256"))
    );
}
