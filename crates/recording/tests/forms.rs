//! Evidence in any form: every form of every good fixture gives the same evidence
//! back, and no input breaks a bound.
#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test that needs it"
)]

#[allow(unreachable_pub, reason = "two tests share it")]
mod samples;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use assay_recording::forms::{self, Content, FormError, Layer, Note, Piece, Place};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use proptest::prelude::*;
use serde_json::json;

use self::samples::{CHALLENGE, Holds, Source, chain_of, pem, samples};

const TOKEN: &str = "laboratory-token-whose-digest-is-as-DERG46I";

fn testdata(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata")).join(path)
}

fn source(object: Vec<u8>) -> Source {
    Source {
        chain: chain_of(&object),
        object,
        token: TOKEN.to_owned(),
        serial: "C02XK0AAJHD2".to_owned(),
        udid: "00008112-000A1B2C3D4E5F60".to_owned(),
        csr: fs::read(testdata("csr/good/subject.der")).unwrap(),
        time: "2026-11-18T11:26:40Z".to_owned(),
        nonce: ("AQID".to_owned(), "2026-11-18T10:00:00Z".to_owned()),
        root: fs::read(testdata("evidence/root.der")).unwrap(),
    }
}

fn good() -> Vec<(String, Source)> {
    let mut files: Vec<_> = fs::read_dir(testdata("evidence/good"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 20, "hardly any fixture");
    let name = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    (files.iter())
        .map(|path| (name(path), source(fs::read(path).unwrap())))
        .collect()
}

fn mac() -> Source {
    source(fs::read(testdata("evidence/good/mac.cbor")).unwrap())
}

fn sample(source: &Source, name: &str) -> Vec<u8> {
    let mut samples = samples(source).into_iter();
    samples.find(|one| one.name == name).unwrap().bytes
}

fn only(input: &[u8]) -> Piece {
    let mut pieces = forms::read(input).unwrap();
    assert_eq!(pieces.len(), 1, "{pieces:?}");
    pieces.remove(0)
}

#[test]
fn every_form_of_every_good_fixture_gives_the_same_evidence_back() {
    let mut forms = 0;
    for (fixture, source) in good() {
        assert!(source.chain.len() >= 2, "{fixture}");
        for sample in samples(&source) {
            let what = format!("{fixture}, {}", sample.name);
            let found = forms::read(&sample.bytes);
            let found = found.map(|pieces| {
                let contents = pieces.into_iter().map(|piece| piece.content);
                contents.collect::<Vec<_>>()
            });
            let object = Content::Object(source.object.clone());
            let expected = match sample.holds {
                Holds::Chain => vec![Content::Certificates(source.chain.clone())],
                Holds::Csr => vec![Content::Csr(source.csr.clone())],
                Holds::Leaf => vec![Content::Certificates(vec![source.chain[0].clone()])],
                Holds::Nothing => {
                    assert!(found.is_err(), "{what}: {found:?}");
                    continue;
                }
                Holds::Object => vec![object],
                Holds::TwoObjects => vec![object.clone(), object],
            };
            assert_eq!(found, Ok(expected), "{what}");
            forms += 1;
        }
    }
    assert!(forms > 1000, "{forms}");
}

#[test]
fn a_har_gives_token_identifier_time_url_and_csr() {
    let source = mac();
    for name in ["HAR", "HAR, bodies in base64"] {
        let piece = only(&sample(&source, name));
        assert_eq!(piece.place, Some(Place::Entry(3)), "{name}");
        let hints = &piece.hints;
        assert_eq!(hints.token.as_deref(), Some(TOKEN), "{name}");
        let identifier = hints.identifier.as_ref().unwrap();
        assert_eq!(identifier.value, source.serial, "{name}");
        assert_eq!(hints.url.as_deref(), Some(CHALLENGE), "{name}");
        assert_eq!(hints.time.unwrap().to_string(), source.time, "{name}");
        assert_eq!(hints.csr.as_ref(), Some(&source.csr), "{name}");
    }
    let two = forms::read(&sample(&source, "HAR with two enrolments")).unwrap();
    let places: Vec<_> = two.iter().map(|piece| piece.place).collect();
    assert_eq!(places, [Some(Place::Entry(3)), Some(Place::Entry(8))]);
    assert_ne!(two[0].hints.url, two[1].hints.url);
}

#[test]
fn other_forms_give_the_hints_that_they_have() {
    let source = mac();
    let piece = only(&sample(&source, "JWS"));
    assert_eq!(piece.hints.url.as_deref(), Some(CHALLENGE));
    assert_eq!(piece.hints.token, None);
    let piece = only(&sample(&source, "JWS, compact"));
    assert_eq!(piece.hints.url.as_deref(), Some(CHALLENGE));
    for name in [
        "DeviceInformation answer, XML",
        "DeviceInformation answer, binary",
    ] {
        let piece = only(&sample(&source, name));
        assert!(piece.is_device_information(), "{name}");
        assert_eq!(piece.hints.serial.as_ref(), Some(&source.serial), "{name}");
        assert_eq!(piece.hints.udid.as_ref(), Some(&source.udid), "{name}");
    }
    let piece = only(&sample(&source, "recording"));
    assert_eq!(piece.hints.token.as_deref(), Some(TOKEN));
    assert_eq!(piece.hints.time.unwrap().to_string(), source.time);
    assert_eq!(piece.hints.root.as_ref(), Some(&source.root));
    assert!(piece.recording.is_some());
    let piece = only(&sample(&source, "recording of a DeviceInformation answer"));
    assert!(piece.is_device_information());
    assert_eq!(piece.hints.nonces[0].nonce(), [1, 2, 3]);
    let piece = only(&sample(&source, "result of simulate enroll --json"));
    assert_eq!(piece.hints.token.as_deref(), Some(TOKEN));
    let piece = only(&sample(&source, "JSON log lines"));
    assert_eq!(piece.place, Some(Place::Line(2)));
    assert_eq!(piece.hints.time.unwrap().to_string(), source.time);
    let layers = [Layer::Text, Layer::Json, Layer::Jws, Layer::Base64];
    assert_eq!(&piece.form[..4], layers, "{:?}", piece.form);
}

#[test]
fn notes_say_what_was_done_to_the_order_and_what_is_missing() {
    let source = mac();
    let notes = |name| only(&sample(&source, name)).notes;
    assert_eq!(notes("PEM"), []);
    assert_eq!(notes("PEM, root's side first"), [Note::Reversed]);
    assert_eq!(notes("DER, root's side first"), [Note::Reversed]);
    assert_eq!(notes("DER, leaf alone"), [Note::LeafOnly]);
    assert_eq!(
        notes("challenge response with an error"),
        [Note::DeviceError]
    );
    // Files of text may begin with a byte order mark.
    let marked = format!("\u{feff}{}", pem("CERTIFICATE", &source.chain[0]));
    assert_eq!(only(marked.as_bytes()).notes, [Note::LeafOnly]);
    // A chain of three in no order.
    let deeper = source_of("deeper-chain");
    let [leaf, sub, top] = deeper.chain.as_slice() else {
        panic!("not three certificates");
    };
    let mixed = only(&[sub.clone(), leaf.clone(), top.clone()].concat());
    assert_eq!(mixed.notes, [Note::Reordered]);
    assert_eq!(mixed.content, Content::Certificates(deeper.chain.clone()));
}

fn source_of(name: &str) -> Source {
    source(fs::read(testdata(&format!("evidence/good/{name}.cbor"))).unwrap())
}

#[test]
fn a_log_with_several_pieces_gives_each_of_them_once() {
    let [one, two] = ["mac", "iphone"].map(source_of);
    let log = format!(
        "a {}\nb {}\nagain {}\n{}{}",
        BASE64URL_NOPAD.encode(&one.object),
        BASE64.encode(&two.object),
        BASE64URL_NOPAD.encode(&one.object),
        json!({"x5c": [BASE64.encode(&one.chain[0])]}),
        "\nend\n"
    );
    let pieces = forms::read(log.as_bytes()).unwrap();
    let contents: Vec<_> = pieces.iter().map(|piece| piece.content.clone()).collect();
    let leaf = Content::Certificates(vec![one.chain[0].clone()]);
    assert_eq!(
        contents,
        [
            Content::Object(one.object),
            Content::Object(two.object),
            leaf
        ]
    );
    let places: Vec<_> = pieces.iter().map(|piece| piece.place).collect();
    assert_eq!(places, [1, 2, 4].map(|line| Some(Place::Line(line))));
    // Two chains in one PEM.
    let [one, two] = ["mac", "iphone"].map(source_of);
    let chains = [one.chain.clone(), two.chain.clone()];
    let file: String = chains
        .iter()
        .flatten()
        .map(|der| pem("CERTIFICATE", der))
        .collect();
    let pieces = forms::read(file.as_bytes()).unwrap();
    let found: Vec<_> = pieces.into_iter().map(|piece| piece.content).collect();
    assert_eq!(found, chains.map(Content::Certificates));
}

#[test]
fn a_limit_that_ends_the_search_is_told() {
    let chain = mac().chain;
    let line = |number: usize| {
        let mut leaf = chain[0].clone();
        // Another signature makes another certificate.
        let end = leaf.len();
        leaf[end - 2..].copy_from_slice(&u16::try_from(number).unwrap().to_be_bytes());
        format!("line {}\n", BASE64.encode(&leaf))
    };
    let log = |count: usize| (0..count).map(line).collect::<String>();
    let last = |count: usize| {
        let pieces = forms::read(log(count).as_bytes()).unwrap();
        (pieces.len(), pieces[pieces.len() - 1].notes.clone())
    };
    let most = forms::MAX_PIECES;
    assert_eq!(last(most), (most, vec![Note::LeafOnly]));
    assert_eq!(
        last(most + 1),
        (most, vec![Note::LeafOnly, Note::Incomplete])
    );
}

/// Forms that other programs made: OpenSSL's PKCS #7, Python's property lists.
#[test]
fn the_seeds_of_the_fuzz_target_hold_evidence() {
    let source = mac();
    let contents = [
        Content::Object(source.object.clone()),
        Content::Certificates(source.chain.clone()),
        Content::Certificates(vec![source.chain[0].clone()]),
    ];
    let seeds = testdata("../fuzz/seeds/forms");
    let files: Vec<_> = fs::read_dir(seeds)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() > 10, "{files:?}");
    for path in files {
        let piece = only(&fs::read(&path).unwrap());
        assert!(contents.contains(&piece.content), "{}", path.display());
    }
}

#[test]
fn what_holds_no_evidence_says_why() {
    let source = mac();
    let error = |input: &[u8]| forms::read(input).unwrap_err().to_string();
    for (name, says) in [
        ("text dump", "a text dump holds no certificate: "),
        (
            "PEM of a key",
            "this is PEM without evidence: it holds neither a CERTIFICATE",
        ),
        (
            "HAR without bodies",
            "this is a HAR without evidence: no request in it",
        ),
        (
            "other text",
            "this is neither an attestation object nor a certificate nor a CSR",
        ),
    ] {
        let error = error(&sample(&source, name));
        assert!(error.starts_with(says), "{name}: {error}");
    }
    let response = json!({"attObj": "omN*"}).to_string();
    let answer = br#"<?xml version="1.0"?><plist version="1.0"><dict><key>Status</key>
        <string>Idle</string></dict></plist>"#;
    let url64 = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let jws = json!({"protected": url64("{}"), "payload": url64("{}"), "signature": ""});
    let cut = pem("CERTIFICATE", &source.chain[0]);
    for (input, says) in [
        (&b""[..], "the file is empty"),
        (b" \r\n", "the file is empty"),
        (b"{}", "this is JSON without evidence: "),
        (b"{", "this is JSON that cannot be read: "),
        (
            br#"{"attObj":7}"#,
            "this is a challenge response that cannot be read: its \"attObj\" is not a text",
        ),
        (
            response.as_bytes(),
            "this is a challenge response that cannot be read: its \"attObj\" is not base64url",
        ),
        (
            jws.to_string().as_bytes(),
            "this is a JWS without evidence: its payload has no \"attObj\"",
        ),
        (
            answer,
            "this is a property list without evidence: it has no DevicePropertiesAttestation",
        ),
        (
            b"<plist><dict>",
            "this is a property list that cannot be read: line 1: ",
        ),
        (
            b"bplist00",
            "this is a property list that cannot be read: it is shorter",
        ),
        (
            &cut.as_bytes()[..100],
            "this is PEM that cannot be read: the section that begins in line 1 does not end",
        ),
        (br#"{"assay_recording":1}"#, "not a recording: "),
        (&source.chain[0][..100], "this is neither "),
        (b"\x30\x81\x00", "this is neither "),
        (b"\x80", "this is neither "),
    ] {
        let error = error(input);
        assert!(error.starts_with(says), "{input:?}: {error}");
    }
    let too_large = forms::MAX_INPUT_BYTES + 1;
    assert_eq!(
        forms::read(&vec![b'a'; too_large]),
        Err(FormError::TooLarge(too_large))
    );
}

/// Inputs of which a careless reader makes a tree without bound, a deep recursion
/// or quadratic work.
#[test]
fn hostile_inputs_end_soon() {
    const MIB: usize = 1024 * 1024;
    let repeat = |text: &str, bytes: usize| text.repeat(bytes / text.len()).into_bytes();
    let mut nested = BASE64.encode(&mac().object);
    for _ in 0..30 {
        nested = BASE64.encode(nested.as_bytes());
        if nested.len() > 8 * MIB {
            break;
        }
    }
    let deep = |open: &str| repeat(open, MIB);
    let hostile = [
        ("brackets", deep("[")),
        ("braces", deep("{\"a\":")),
        (
            "lines of braces",
            repeat("{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{\n", 4 * MIB),
        ),
        ("one line of braces", repeat("{ \"", 4 * MIB)),
        ("one run", repeat("g", 8 * MIB)),
        ("separators", repeat("-", 8 * MIB)),
        ("short pure lines", repeat("MIIB\n", 4 * MIB)),
        ("dots", repeat("eyJ.", 4 * MIB)),
        (
            "PEM begins",
            repeat("-----BEGIN CERTIFICATE-----\n", 4 * MIB),
        ),
        (
            "PEM of nothing",
            repeat("-----BEGIN A-----\n-----END A-----\n", 4 * MIB),
        ),
        ("XML depth", [b"<plist>".to_vec(), deep("<array>")].concat()),
        (
            "XML comments",
            [b"<plist><string>".to_vec(), repeat("<!---->", 4 * MIB)].concat(),
        ),
        ("numbers", repeat("0,", 2 * MIB)),
        ("empty DER", repeat("\x30\x01", MIB)),
        (
            "JSON lines",
            repeat(
                "{\"log\":{\"entries\":[]},\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}\n",
                4 * MIB,
            ),
        ),
        ("base64 of base64", nested.into_bytes()),
        ("binary property list", bomb(30)),
        ("orders", orders(20_000)),
    ];
    for (name, input) in hostile {
        let start = Instant::now();
        let found = forms::read(&input);
        assert!(found.is_err(), "{name}: something was found");
        let took = start.elapsed();
        // Some tens of milliseconds where nothing else runs.
        assert!(took < Duration::from_secs(20), "{name}: {took:?}");
    }
}

/// A binary property list of arrays that have the one before them twice: 2^depth
/// values.
fn bomb(depth: u8) -> Vec<u8> {
    let mut file = b"bplist00".to_vec();
    let mut offsets = vec![8];
    file.extend([0x51, b'a']);
    for level in 0..depth {
        offsets.push(u8::try_from(file.len()).unwrap());
        file.extend([0xa2, level, level]);
    }
    let table = file.len() as u64;
    file.extend(&offsets);
    file.extend([0, 0, 0, 0, 0, 0, 1, 1]);
    file.extend(u64::from(depth + 1).to_be_bytes());
    file.extend(u64::from(depth).to_be_bytes());
    file.extend(table.to_be_bytes());
    file
}

/// A HAR with as many orders as answers to challenges.
fn orders(count: usize) -> Vec<u8> {
    let order = json!({"identifiers": [{"type": "a", "value": "b"}], "finalize": "f"}).to_string();
    let entry = json!({
        "request": {"url": "u", "postData": {"text": r#"{"payload":"e30","protected":"e30"}"#}},
        "response": {"content": {"text": order}},
    });
    json!({"log": {"entries": vec![entry; count]}})
        .to_string()
        .into_bytes()
}

#[test]
fn property_lists_are_read_as_another_reader_reads_them() {
    let source = mac();
    for name in [
        "DeviceInformation answer, XML",
        "DeviceInformation answer, binary",
    ] {
        let bytes = sample(&source, name);
        let theirs = plist::Value::from_reader(std::io::Cursor::new(&bytes)).unwrap();
        let responses = theirs.as_dictionary().unwrap()["QueryResponses"]
            .as_dictionary()
            .unwrap();
        let theirs: Vec<_> = responses["DevicePropertiesAttestation"]
            .as_array()
            .unwrap()
            .iter()
            .map(|data| data.as_data().unwrap().to_vec())
            .collect();
        assert_eq!(
            only(&bytes).content,
            Content::Certificates(theirs),
            "{name}"
        );
    }
    let chain: String = (source.chain.iter())
        .map(|der| format!("<data>\n\t{}\n</data><!-- x -->", BASE64.encode(der)))
        .collect();
    let odd = format!(
        "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"x\"><plist version='1.0'><dict>\
         <key>Serial<![CDATA[Number]]></key><string>C&#48;2&amp;<![CDATA[<]]></string><key>A</key><true/>\
         <key>DevicePropertiesAttestation</key><array>{chain}</array></dict></plist>"
    );
    let piece = only(odd.as_bytes());
    assert_eq!(piece.content, Content::Certificates(source.chain));
    assert_eq!(piece.hints.serial.as_deref(), Some("C02&<"));
    let entity = odd.replace("\"x\">", "\"x\" [<!ENTITY a \"b\">]>");
    let error = forms::read(entity.as_bytes()).unwrap_err().to_string();
    assert!(
        error.contains("a document type with its own definitions is not read"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_samples_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        length in any::<prop::sample::Index>(),
        cut in prop::bool::weighted(0.2),
    ) {
        let samples = samples(&mac());
        let mut input = which.get(&samples).bytes.clone();
        for (at, byte) in changes {
            let at = at.index(input.len());
            input[at] = byte;
        }
        if cut {
            input.truncate(length.index(input.len()));
        }
        if let Ok(pieces) = forms::read(&input) {
            prop_assert!(!pieces.is_empty());
        }
    }

    #[test]
    fn random_bytes_never_panic(
        start in prop::sample::select(vec![
            &b""[..], b"\x30\x82\x01\x00\x30\x81\x80", b"\xa2cfmteapple", b"{\"attObj\":\"",
            b"-----BEGIN CERTIFICATE-----\n", b"bplist00", b"<plist><dict>", b"{\"log\":{\"entries\":[",
            b"\xff\xfe", b"eyJhIjoxfQ.",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..600),
        text in "[ -~\n]{0,400}",
    ) {
        let _ = forms::read(&[start, &rest].concat());
        let _ = forms::read(&[start, text.as_bytes()].concat());
    }

    #[test]
    fn evidence_in_any_text_is_found(before in "[ -~]{0,80}", after in "[ -~\n]{0,80}") {
        let object = mac().object;
        // A letter in front would be part of the run; braces begin JSON.
        let text = format!("{before} {} {after}", BASE64URL_NOPAD.encode(&object));
        prop_assume!(!text.contains("-----BEGIN"));
        let pieces = forms::read(text.as_bytes());
        let found = pieces.is_ok_and(|pieces| {
            pieces.iter().any(|piece| piece.content == Content::Object(object.clone()))
        });
        prop_assert!(found, "{}", text);
    }
}
