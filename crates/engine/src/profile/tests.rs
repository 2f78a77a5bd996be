use super::*;

fn facts() -> DeviceFacts {
    DeviceFacts {
        serial: Some("C02/é".to_owned()),
        ..DeviceFacts::default()
    }
}

#[test]
fn templates_are_filled_with_attested_values_only() {
    let facts = facts();
    let attested = TemplateValues {
        facts: &facts,
        spki_sha256: &[0xab; 32],
    };
    let uri = Template::parse("urn:device:{serial}:{spki-sha256}").unwrap();
    assert_eq!(uri.to_string(), "urn:device:{serial}:{spki-sha256}");
    assert_eq!(
        SanRule::uri(&uri, &attested),
        Ok(SubjectAltName::Uri(format!(
            "urn:device:C02%2F%C3%A9:{}",
            "ab".repeat(32)
        )))
    );
    let missing = Template::parse("{udid}").unwrap();
    assert_eq!(
        SubjectField::CommonName.with(&missing, &attested),
        Err(IssuanceRefusal::AttributeNotAttested("udid"))
    );
}

#[test]
fn subjects() {
    let facts = facts();
    let attested = TemplateValues {
        facts: &facts,
        spki_sha256: &[0; 32],
    };
    let subject = Profile::parse_subject("C=DE,O=Example\\, Inc., CN={serial}").unwrap();
    let filled: Vec<_> = subject
        .iter()
        .map(|(field, template)| field.with(template, &attested).unwrap())
        .collect();
    assert_eq!(
        filled,
        [
            SubjectAttribute::Country("DE".to_owned()),
            SubjectAttribute::Organization("Example, Inc.".to_owned()),
            SubjectAttribute::CommonName("C02/é".to_owned()),
        ]
    );
    assert_eq!(
        Profile::parse_subject("X=1"),
        Err(ProfileError::UnknownAttribute("X".to_owned()))
    );
    assert_eq!(
        Profile::parse_subject("CN"),
        Err(ProfileError::NoEquals("CN".to_owned()))
    );
}

#[test]
fn a_country_is_two_capital_letters() {
    for bad in ["C=de", "O=Example,C=De", "C=D1"] {
        assert!(
            matches!(
                Profile::parse_subject(bad),
                Err(ProfileError::Country(code)) if bad.ends_with(&code)
            ),
            "{bad}"
        );
    }
    Profile::parse_subject("C=DE,CN={serial}").unwrap();
}

#[test]
fn a_uri_has_a_scheme_and_only_its_letters() {
    for bad in [
        "uri:{serial}",
        "uri:device/{serial}",
        "uri:",
        "uri:urn:",
        "uri:1a:b",
        "uri::b",
        "uri:{serial}:x",
        "uri:https://example.org/a b",
        "uri:urn:é",
    ] {
        assert_eq!(
            SanRule::parse(bad),
            Err(ProfileError::NotAUri(bad.to_owned()))
        );
    }
    for good in [
        "uri:urn:serial:{serial}",
        "uri:https://example.org/{udid}?a=%20b#c",
        "uri:tag:{serial}",
    ] {
        SanRule::parse(good).unwrap();
    }
}

#[test]
fn a_uri_is_percent_encoded() {
    for bad in [
        "uri:urn:%zz:",
        "uri:urn:a%",
        "uri:urn:a%2",
        "uri:urn:%{serial}",
        "uri:urn:%2{serial}",
        "uri:urn:x:%%20",
        "uri:urn:x:%SerialNumber%",
    ] {
        assert_eq!(
            SanRule::parse(bad),
            Err(ProfileError::PercentEncoding(bad.to_owned()))
        );
    }
    for good in ["uri:urn:%2f%2F:{serial}", "uri:urn:a%20"] {
        SanRule::parse(good).unwrap();
    }
}

#[test]
fn the_same_san_twice_is_refused() {
    let read = |entries: &[&str]| {
        Profile::parse_san(
            &entries
                .iter()
                .map(|&entry| entry.to_owned())
                .collect::<Vec<_>>(),
        )
    };
    for twice in ["permanent-identifier", "uri:urn:a:{serial}"] {
        assert_eq!(
            read(&["hardware-module", twice, "uri:urn:b", twice]),
            Err(ProfileError::RepeatedSan(twice.to_owned()))
        );
    }
    assert_eq!(read(&["uri:urn:a", "uri:urn:b"]).unwrap().len(), 2);
}

#[test]
fn a_profile_names_the_device_or_its_key() {
    let profile = |subject: &str, san: &[&str]| {
        let entries: Vec<_> = san.iter().map(|&entry| entry.to_owned()).collect();
        Profile {
            subject: Profile::parse_subject(subject).unwrap(),
            san: Profile::parse_san(&entries).unwrap(),
            ..Profile::privacy_preserving()
        }
    };
    assert!(Profile::privacy_preserving().names_device());
    for (subject, san) in [
        ("O=x,CN={udid}", &[][..]),
        ("CN=x", &["permanent-identifier"]),
        ("CN=x", &["hardware-module"]),
        ("CN=x", &["uri:urn:a", "uri:urn:{serial}"]),
    ] {
        assert!(profile(subject, san).names_device(), "{subject} {san:?}");
    }
    for (subject, san) in [("CN=x,O=y", &[][..]), ("CN=$UDID", &["uri:urn:a"])] {
        assert!(!profile(subject, san).names_device(), "{subject} {san:?}");
    }
}

#[test]
fn variables_of_an_mdm_are_found() {
    let found = |subject: &str, san: &[&str]| {
        let entries: Vec<_> = san.iter().map(|&entry| entry.to_owned()).collect();
        Profile {
            subject: Profile::parse_subject(subject).unwrap(),
            san: Profile::parse_san(&entries).unwrap(),
            ..Profile::privacy_preserving()
        }
        .foreign_variables()
    };
    assert_eq!(
        found(
            "CN=$SERIALNUMBER,OU=a $UDID b,O=%SerialNumber%",
            &["uri:urn:x:$UDID"]
        ),
        ["$SERIALNUMBER", "$UDID", "%SerialNumber%", "$UDID"]
    );
    assert_eq!(
        found(
            "CN={serial},O=Cash $ 5 and 100 % of it",
            &["uri:urn:x:a%20b%2Fc"]
        ),
        [""; 0]
    );
}

#[test]
fn bad_templates() {
    for text in ["{", "}", "a}b{serial}", "{serial", "{serial}}"] {
        assert_eq!(
            Template::parse(text),
            Err(ProfileError::Unbalanced(text.to_owned()))
        );
    }
    assert_eq!(
        Template::parse("{Serial}"),
        Err(ProfileError::UnknownPlace("Serial".to_owned()))
    );
    assert_eq!(
        SanRule::parse("dns"),
        Err(ProfileError::UnknownSan("dns".to_owned()))
    );
}
