use super::*;

#[test]
fn one_letter_of_a_claim_is_a_difference() {
    let recording = Recording::new(acme()).unwrap();
    assert_eq!(recording.differences(&acme().claims), []);
    let facts = |change: fn(&mut Facts)| {
        let mut claims = acme().claims;
        change(claims.facts.as_mut().unwrap());
        claims
    };
    for (claims, field, recorded, replayed) in [
        (
            facts(|facts| facts.serial = None),
            "facts.serial",
            Some("C02XK0AAJHD2"),
            None,
        ),
        (
            facts(|facts| facts.udid = None),
            "facts.udid",
            Some("00008112-000A1B2C3D4E5F60"),
            None,
        ),
        (
            facts(|facts| facts.model = Some("J414AP".into())),
            "facts.model",
            Some("J413AP"),
            Some("J414AP"),
        ),
        (
            facts(|facts| facts.os_version = None),
            "facts.os_version",
            Some("15.5"),
            None,
        ),
        (
            facts(|facts| facts.sepos_version = None),
            "facts.sepos_version",
            Some("15.5"),
            None,
        ),
        (
            facts(|facts| facts.llb_version = None),
            "facts.llb_version",
            Some("11881.1.1"),
            None,
        ),
        (
            facts(|facts| facts.sip = Some("disabled".into())),
            "facts.sip",
            Some("enabled"),
            Some("disabled"),
        ),
        (
            facts(|facts| facts.secure_boot = None),
            "facts.secure_boot",
            Some("Full Security"),
            None,
        ),
        (
            facts(|facts| facts.kernel_extensions = None),
            "facts.kernel_extensions",
            Some("not allowed"),
            None,
        ),
        (
            facts(|facts| facts.unknown_extensions[0].value = "AA".into()),
            "facts.unknown_extensions",
            Some("1.2.840.113635.100.8.9.3=AQ"),
            Some("1.2.840.113635.100.8.9.3=AA"),
        ),
        (
            facts(|facts| facts.spki_sha256 = "00".into()),
            "facts.spki_sha256",
            Some(&*"07".repeat(32)),
            Some("00"),
        ),
        (
            facts(|facts| facts.key = "p384".into()),
            "facts.key",
            Some("p256"),
            Some("p384"),
        ),
        (
            facts(|facts| facts.not_before.clear()),
            "facts.not_before",
            Some("2026-11-18T12:00:00Z"),
            Some(""),
        ),
        (
            facts(|facts| facts.not_after.clear()),
            "facts.not_after",
            Some("2027-02-18T12:00:00Z"),
            Some(""),
        ),
        (
            Claims {
                root_sha256: None,
                ..acme().claims
            },
            "root_sha256",
            Some(&*"0a".repeat(32)),
            None,
        ),
        (
            Claims {
                facts: None,
                ..acme().claims
            },
            "facts",
            Some("some"),
            None,
        ),
        (
            Claims {
                verdict: Verdict::accepted_as(Freshness::Fresh),
                ..acme().claims
            },
            "verdict.freshness",
            None,
            Some("fresh"),
        ),
    ] {
        let text = |text: Option<&str>| text.map(str::to_owned);
        assert_eq!(
            recording.differences(&claims),
            [Difference {
                field,
                recorded: text(recorded),
                replayed: text(replayed)
            }]
        );
    }
    let refused = Claims {
        verdict: Verdict::refused("expired"),
        ..acme().claims
    };
    let shown: Vec<_> = (recording.differences(&refused).iter())
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        shown,
        [
            r#"verdict.outcome: recorded "accepted", replayed "refused""#,
            r#"verdict.reason: recorded nothing, replayed "expired""#,
        ]
    );
}

#[test]
fn lists_that_differ_never_look_the_same() {
    let with = |extensions: &[(&str, &str)]| {
        let mut contents = acme();
        contents.claims.facts.as_mut().unwrap().unknown_extensions = extensions
            .iter()
            .map(|(oid, value)| RecordedExtension {
                oid: (*oid).to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        contents
    };
    let recording = Recording::new(with(&[("1.2.3", "AA 1.2.4=BB"), ("%20", "")])).unwrap();
    let judged = with(&[("1.2.3", "AA"), ("1.2.4", "BB"), (" ", "")]).claims;
    assert_eq!(
        recording.differences(&judged),
        [Difference {
            field: "facts.unknown_extensions",
            recorded: Some("1.2.3=AA%201.2.4%3DBB %2520=".to_owned()),
            replayed: Some("1.2.3=AA 1.2.4=BB %20=".to_owned()),
        }]
    );
}

#[test]
fn of_a_long_claim_the_beginning_and_the_digest_are_told() {
    let with = |value: &str| {
        let mut contents = acme();
        contents.claims.facts.as_mut().unwrap().unknown_extensions = vec![RecordedExtension {
            oid: String::new(),
            value: value.to_owned(),
        }];
        contents
    };
    let value = "é".repeat(5000);
    let differences = Recording::new(with(&value))
        .unwrap()
        .differences(&with("AA").claims);
    let digest = HEXLOWER.encode(&Sha256::digest(format!("={value}")));
    assert_eq!(
        differences,
        [Difference {
            field: "facts.unknown_extensions",
            recorded: Some(format!(
                "={}… (10001 bytes, SHA-256 {digest})",
                "é".repeat(1023)
            )),
            replayed: Some("=AA".to_owned()),
        }]
    );
    // Two that begin alike are told apart.
    let other = with(&format!("{value}é")).claims;
    let differences = Recording::new(with(&value)).unwrap().differences(&other);
    assert_ne!(differences[0].recorded, differences[0].replayed);
    // Neither does an error quote more.
    let key = format!("{{\"{}\":1}}", "x".repeat(100_000));
    let error = parse(&key).unwrap_err().to_string();
    assert!(error.len() < 1200, "{}", error.len());
}

#[test]
fn a_strangers_text_cannot_disturb_a_terminal() {
    let difference = Difference {
        field: "facts.model",
        recorded: Some("\u{1b}[2J\u{202e}".to_owned()),
        replayed: None,
    };
    assert_eq!(
        difference.to_string(),
        r#"facts.model: recorded "\u{1b}[2J\u{202e}", replayed nothing"#
    );
}
