use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::*;
use crate::{OrderStatus, PartState, Problem, ProblemType, Readiness, Timestamp, WireIdentifier};

const TIME: Timestamp = Timestamp(1_800_000_000);

/// Asserts that `value` serializes to exactly `json`, and parses from it.
fn is<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, json: &str) {
    assert_eq!(serde_json::to_string(value).unwrap(), json);
    assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value, "{json}");
}

fn cursor() -> Cursor {
    Cursor {
        created: TIME,
        id: "AQ".to_owned(),
    }
}

fn identifier() -> WireIdentifier {
    WireIdentifier {
        kind: "permanent-identifier".to_owned(),
        value: "C02".to_owned(),
    }
}

fn summary() -> Summary {
    Summary {
        id: "o".to_owned(),
        status: OrderStatus::Valid,
        created: TIME,
        account: "a".to_owned(),
        identifiers: vec![identifier()],
        reason: None,
        certificate: Some("0c".to_owned()),
        not_after: Some(TIME),
        revoked: None,
    }
}

const SUMMARY: &str = r#""id":"o","status":"valid","created":"2027-01-15T08:00:00Z","account":"a","identifiers":[{"type":"permanent-identifier","value":"C02"}],"reason":null,"certificate":"0c","not_after":"2027-01-15T08:00:00Z","revoked":null"#;

#[test]
fn requests_are_what_they_were_on_the_socket() {
    is(&Request::AcceptClock(7), r#"{"accept_clock":7}"#);
    is(&Request::Status, r#""status""#);
    is(
        &Request::Find(FindOrders {
            text: "x".to_owned(),
            certificate: true,
        }),
        r#"{"find":{"text":"x","certificate":true}}"#,
    );
    is(
        &Request::Refusals(ListRefusals {
            device: None,
            limit: 100,
        }),
        r#"{"refusals":{"device":null,"limit":100}}"#,
    );
    is(
        &Request::Page(ListOrders {
            limit: 100,
            ..ListOrders::default()
        }),
        r#"{"page":{"filter":{"device":null,"status":null,"since":null},"before":null,"limit":100}}"#,
    );
    is(
        &Request::Page(ListOrders {
            filter: OrderFilter {
                account: None,
                device: Some("C02".to_owned()),
                status: Some(StatusFilter::Revoked),
                since: Some(TIME),
            },
            cursor: Some(cursor()),
            limit: 2,
            ..ListOrders::default()
        }),
        r#"{"page":{"filter":{"device":"C02","status":"revoked","since":"2027-01-15T08:00:00Z"},"before":{"created":"2027-01-15T08:00:00Z","id":"AQ"},"limit":2}}"#,
    );
}

#[test]
fn a_page_is_asked_for_in_both_directions() {
    let newer = ListOrders {
        filter: OrderFilter {
            account: Some("a".to_owned()),
            ..OrderFilter::default()
        },
        cursor: Some(cursor()),
        direction: Direction::Newer,
        limit: 2,
        count: false,
    };
    is(
        &newer,
        r#"{"filter":{"account":"a","device":null,"status":null,"since":null},"after":{"created":"2027-01-15T08:00:00Z","id":"AQ"},"limit":2,"count":false}"#,
    );
    let oldest = ListOrders {
        direction: Direction::Newer,
        ..ListOrders::default()
    };
    let filter = r#""filter":{"device":null,"status":null,"since":null}"#;
    is(&oldest, &format!(r#"{{{filter},"after":null,"limit":0}}"#));
    let read = |keys: &str| serde_json::from_str::<ListOrders>(&format!(r#"{{{filter},{keys}}}"#));
    assert_eq!(read(r#""limit":0"#).unwrap(), ListOrders::default());
    assert_eq!(
        read(r#""before":null,"after":null,"limit":0"#).unwrap(),
        oldest
    );
    let place = r#"{"created":"2027-01-15T08:00:00Z","id":"AQ"}"#;
    for both in [place, "null"] {
        let refused = read(&format!(r#""before":{place},"after":{both},"limit":0"#)).unwrap_err();
        assert!(refused.to_string().contains("not both"), "{refused}");
    }
}

#[test]
fn answers_are_what_they_were_on_the_socket() {
    is(
        &Response::AcceptClock(Ok(7)),
        r#"{"accept_clock":{"Ok":7}}"#,
    );
    is(
        &Response::AcceptClock(Err("no".to_owned())),
        r#"{"accept_clock":{"Err":"no"}}"#,
    );
    is(&Response::Failed("no".to_owned()), r#"{"failed":"no"}"#);
    is(
        &Response::Found(Box::default()),
        r#"{"found":{"order":null,"certificate":null,"device":null,"is_servers":false}}"#,
    );
    is(
        &Response::Page(Page {
            orders: vec![summary()],
            matching: 5,
            read: 9,
            next: Some(cursor()),
            ..Page::default()
        }),
        &format!(
            r#"{{"page":{{"orders":[{{{SUMMARY}}}],"matching":5,"read":9,"next":{{"created":"2027-01-15T08:00:00Z","id":"AQ"}}}}}}"#
        ),
    );
    is(
        &Page {
            total: Some(3),
            older: Some(cursor()),
            newer: Some(cursor()),
            ..Page::default()
        },
        r#"{"orders":[],"matching":0,"read":0,"next":null,"total":3,"older":{"created":"2027-01-15T08:00:00Z","id":"AQ"},"newer":{"created":"2027-01-15T08:00:00Z","id":"AQ"}}"#,
    );
    let refusal = Refusal {
        at: TIME,
        identifier: identifier(),
        account: "a".to_owned(),
        client: None,
        reason: "not-admitted".to_owned(),
        detail: "d".to_owned(),
        remedy: Some("r".to_owned()),
    };
    is(
        &Response::Refusals(Refusals {
            refusals: vec![refusal],
            total: 4,
        }),
        r#"{"refusals":{"refusals":[{"at":"2027-01-15T08:00:00Z","identifier":{"type":"permanent-identifier","value":"C02"},"account":"a","client":null,"reason":"not-admitted","detail":"d","remedy":"r"}],"total":4}}"#,
    );
    is(
        &Response::Status(Box::new(Status {
            readiness: Readiness {
                ready: true,
                parts: BTreeMap::from([("clock".to_owned(), PartState::Ok)]),
                reasons: BTreeMap::new(),
            },
            version: "1.2.3".to_owned(),
            directory: "https://ca/acme/directory".to_owned(),
            time: TIME,
            uptime_seconds: 5,
            commits: BTreeMap::from([(
                "new-order".to_owned(),
                CommitCount {
                    attempts: 7,
                    conflicts: 1,
                },
            )]),
        })),
        r#"{"status":{"ready":true,"parts":{"clock":"ok"},"version":"1.2.3","directory":"https://ca/acme/directory","time":"2027-01-15T08:00:00Z","uptime_seconds":5,"commits":{"new-order":{"attempts":7,"conflicts":1}}}}"#,
    );
}

fn story() -> Story {
    Story {
        order: summary(),
        expires: TIME,
        remedy: None,
        failure: Some(FailureStory {
            at: TIME,
            gate: "issuance".to_owned(),
            reason: "r".to_owned(),
            detail: "d".to_owned(),
            client: Problem::new(ProblemType::BadCsr, "c"),
            evidence_sha256: None,
        }),
        authorizations: vec![AuthorizationStory {
            id: "z".to_owned(),
            identifier: identifier(),
            compared_with: "serial".to_owned(),
            status: "valid".to_owned(),
            evidence: Some(EvidenceStory {
                at: TIME,
                key: "P-256".to_owned(),
                spki_sha256: "01".to_owned(),
                root_sha256: "02".to_owned(),
                evidence_sha256: "03".to_owned(),
                facts: BTreeMap::from([("udid".to_owned(), "U".to_owned())]),
            }),
            admitted_by: Some("listed".to_owned()),
        }],
        issued: Some(CertificateStory {
            serial: "0c".to_owned(),
            issued: TIME,
            not_after: TIME,
            root_sha256: Some("02".to_owned()),
            revoked: Some(TIME),
            revocation_reason: Some(4),
            revoked_by: Some("account a".to_owned()),
            pem: "p".to_owned(),
            issuer_sha256: "04".to_owned(),
        }),
        notes: vec![NoteStory {
            at: TIME,
            reason: "r".to_owned(),
            detail: "d".to_owned(),
            remedy: None,
        }],
        directory: Some("default".to_owned()),
        profile: Some("mdm".to_owned()),
    }
}

const STORY: &str = r#","expires":"2027-01-15T08:00:00Z","remedy":null,"failure":{"at":"2027-01-15T08:00:00Z","gate":"issuance","reason":"r","detail":"d","client":{"type":"urn:ietf:params:acme:error:badCSR","detail":"c","status":400},"evidence_sha256":null},"authorizations":[{"id":"z","identifier":{"type":"permanent-identifier","value":"C02"},"compared_with":"serial","status":"valid","evidence":{"at":"2027-01-15T08:00:00Z","key":"P-256","spki_sha256":"01","root_sha256":"02","evidence_sha256":"03","facts":{"udid":"U"}},"admitted_by":"listed"}],"issued":{"serial":"0c","issued":"2027-01-15T08:00:00Z","not_after":"2027-01-15T08:00:00Z","root_sha256":"02","revoked":"2027-01-15T08:00:00Z","revocation_reason":4,"revoked_by":"account a","pem":"p","issuer_sha256":"04"},"notes":[{"at":"2027-01-15T08:00:00Z","reason":"r","detail":"d","remedy":null}],"directory":"default","profile":"mdm""#;

#[test]
fn a_story_is_what_json_always_printed() {
    is(&story(), &format!("{{{SUMMARY}{STORY}}}"));
    let device = DeviceStory {
        device: "C02".to_owned(),
        orders: vec![story()],
        earlier: vec![summary()],
        total: 2,
        refusals: None,
    };
    is(
        &device,
        &format!(
            r#"{{"device":"C02","orders":[{{{SUMMARY}{STORY}}}],"earlier":[{{{SUMMARY}}}],"total":2,"refusals":null}}"#
        ),
    );
}
