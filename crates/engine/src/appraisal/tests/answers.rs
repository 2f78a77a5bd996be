use serde_json::json;

use super::super::*;

fn read(payload: serde_json::Value) -> Result<Answer, Error> {
    Answer::read(&serde_json::from_value(payload).unwrap())
}

#[test]
fn scenario_43_what_is_not_base64url_is_malformed_and_what_is_empty_is_an_answer() {
    assert_eq!(read(json!({})), Ok(Answer::Object(vec![])));
    assert_eq!(read(json!({"attObj": ""})), Ok(Answer::Object(vec![])));
    assert_eq!(
        read(json!({"attObj": "oA"})),
        Ok(Answer::Object(vec![0xa0]))
    );
    for text in ["oA==", "o A", "o+/", "oB"] {
        assert!(
            matches!(
                read(json!({"attObj": text})),
                Err(Error::AttestationEncoding(_))
            ),
            "{text}"
        );
    }
}

#[test]
fn scenario_49_an_error_counts_beside_an_object_without_certificates() {
    // {"fmt": "apple", "attStmt": {"x5c": []}}, and less of it.
    let empty = b"\xa2\x63fmt\x65apple\x67attStmt\xa1\x63x5c\x80";
    for object in [&empty[..], b"", b"\xa0", b"\xa1\x63fmt\x65apple"] {
        let answer = json!({"attObj": Base64Url::encode(object), "error": "no service"});
        assert_eq!(read(answer), Ok(Answer::Error("no service".to_owned())));
    }
    // An object with a certificate, or in another format, is judged.
    let one = b"\xa2\x63fmt\x65apple\x67attStmt\xa1\x63x5c\x81\x41\0";
    for object in [&one[..], b"\xa1\x63fmt\x64none", b"junk"] {
        let answer = json!({"attObj": Base64Url::encode(object), "error": "no service"});
        assert_eq!(read(answer), Ok(Answer::Object(object.to_owned())));
    }
    let answer = json!({"attObj": "oA==", "error": "no service"});
    assert!(matches!(read(answer), Err(Error::AttestationEncoding(_))));
}

#[test]
fn scenario_49_null_is_an_absent_member() {
    let object = Base64Url::encode(b"\xa0");
    for (payload, expected) in [
        (
            json!({"attObj": null, "error": null}),
            Answer::Object(vec![]),
        ),
        (
            json!({"attObj": object, "error": null}),
            Answer::Object(vec![0xa0]),
        ),
        (
            json!({"attObj": null, "error": "no"}),
            Answer::Error("no".to_owned()),
        ),
    ] {
        assert_eq!(read(payload), Ok(expected));
    }
}

#[test]
fn scenario_49_a_devices_error_is_cleaned_and_cut() {
    assert_eq!(
        read(json!({"error": "no\nway\u{1b}[31m"})),
        Ok(Answer::Error("no\u{fffd}way\u{fffd}[31m".to_owned()))
    );
    assert_eq!(
        read(json!({"error": "a\u{202e}b\u{2028}c\u{200b}d"})),
        Ok(Answer::Error("a\u{fffd}b\u{fffd}c\u{fffd}d".to_owned()))
    );
    assert_eq!(
        read(json!({"error": {"code": 7}})),
        Ok(Answer::Error("{\"code\":7}".to_owned()))
    );
    let Ok(Answer::Error(text)) = read(json!({"error": "x".repeat(1000)})) else {
        panic!("not an error");
    };
    assert_eq!(text.len(), MAX_DEVICE_ERROR);
}
