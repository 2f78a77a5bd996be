use super::*;

fn text<'a>(fields: &'a [Field], path: &str) -> &'a str {
    let found = fields.iter().find(|field| field.path == path);
    &found
        .unwrap_or_else(|| panic!("no {path}: {fields:?}"))
        .text
}

#[test]
fn every_value_of_a_recording_is_a_field_in_the_order_of_the_file() {
    let recording = Recording::new(acme()).unwrap();
    let fields = recording.fields();
    assert_eq!(fields[0].path, "assay_recording");
    assert_eq!(fields[0].text, "2");
    assert_eq!(text(&fields, "facts.serial"), "C02XK0AAJHD2");
    assert_eq!(text(&fields, "labels[0]"), "macOS 15");
    assert_eq!(text(&fields, "issuance.certificate.lifetime"), "7776300");
    // 3000 is the CSR.
    assert_eq!(
        text(&fields, "csr"),
        "2 bytes, SHA-256 e4f60d0aa6d7f3d3b6a6494b1c861b99f649c6f9ec51abaf201b20f297327c95"
    );
    let tops: Vec<_> = fields
        .iter()
        .map(|field| field.path.split(['.', '[']).next().unwrap())
        .collect();
    let mut order = tops.clone();
    order.dedup();
    assert_eq!(
        order,
        [
            "assay_recording",
            "source",
            "time",
            "token",
            "account",
            "identifier",
            "admission",
            "profile",
            "attestation_object",
            "csr",
            "verdict",
            "facts",
            "root_sha256",
            "issuance",
            "embedded_root",
            "note",
            "labels"
        ]
    );
}

#[test]
fn changes_are_what_two_recordings_say_differently() {
    let first = Recording::new(acme()).unwrap();
    assert_eq!(first.changes(&first), []);
    let mut contents = acme();
    contents.note = None;
    contents.labels.push("again".to_owned());
    if let Some(facts) = &mut contents.claims.facts {
        facts.os_version = Some("15.6".to_owned());
    }
    let second = Recording::new(contents).unwrap();
    let change = |path: &str, before: Option<&str>, after: Option<&str>| Change {
        path: path.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    };
    let forth = [
        change("facts.os_version", Some("15.5"), Some("15.6")),
        change("note", Some("the first one"), None),
        change("labels[1]", None, Some("again")),
    ];
    assert_eq!(first.changes(&second), forth);
    let back: Vec<_> = second.changes(&first);
    assert_eq!(back.len(), forth.len());
    for Change {
        path,
        before,
        after,
    } in back
    {
        assert!(forth.contains(&change(&path, after.as_deref(), before.as_deref())));
    }
}
