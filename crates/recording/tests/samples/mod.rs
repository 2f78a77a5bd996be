//! The same evidence in every form that people have it in.

use assay_simulator::evidence::der::{element, oid, sequence};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use serde_json::{Value, json};

/// Evidence, and what was around it when it was sent.
pub struct Source {
    pub object: Vec<u8>,
    /// DER, the leaf first.
    pub chain: Vec<Vec<u8>>,
    pub token: String,
    pub serial: String,
    pub udid: String,
    /// DER.
    pub csr: Vec<u8>,
    /// RFC 3339.
    pub time: String,
    /// A nonce, base64url, and when it was sent.
    pub nonce: (String, String),
    /// The root's certificate, DER.
    pub root: Vec<u8>,
}

/// What must be found in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Chain,
    Csr,
    Leaf,
    Nothing,
    Object,
    TwoObjects,
}

/// One form.
pub struct Sample {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub holds: Holds,
}

pub const CHALLENGE: &str = "https://ca.example/acme/chall/1";

/// The certificates of an object's `x5c`: byte strings of 256 bytes and more
/// that are a SEQUENCE of their whole length.
pub fn chain_of(object: &[u8]) -> Vec<Vec<u8>> {
    let mut chain = Vec::new();
    let mut at = 0;
    while at + 7 < object.len() {
        let length = usize::from(u16::from_be_bytes([object[at + 1], object[at + 2]]));
        let inner = usize::from(u16::from_be_bytes([object[at + 5], object[at + 6]]));
        if object[at] == 0x59
            && object[at + 3..at + 5] == [0x30, 0x82]
            && length == inner + 4
            && at + 3 + length <= object.len()
        {
            chain.push(object[at + 3..at + 3 + length].to_vec());
            at += 3 + length;
        } else {
            at += 1;
        }
    }
    chain
}

fn wrapped(text: &str, width: usize) -> String {
    let lines: Vec<&str> = (text.as_bytes().chunks(width))
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    lines.join("\n")
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let body = wrapped(&BASE64.encode(der), 64);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// A degenerate SignedData: certificates alone (RFC 5652 section 5.1).
fn pkcs7(chain: &[Vec<u8>]) -> Vec<u8> {
    let mut set: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    // DER: a SET is sorted by its encodings.
    set.sort_unstable();
    let signed = sequence(&[
        vec![2, 1, 1],
        element(0x31, b""),
        sequence(&[oid("1.2.840.113549.1.7.1")]),
        element(0xa0, &set.concat()),
        element(0x31, b""),
    ]);
    sequence(&[oid("1.2.840.113549.1.7.2"), element(0xa0, &signed)])
}

/// A MDM's DeviceInformation answer.
fn answer(source: &Source) -> plist::Value {
    let data = |der: &Vec<u8>| plist::Value::Data(der.clone());
    let text = |text: &str| plist::Value::String(text.to_owned());
    let mut responses = plist::Dictionary::new();
    let chain: Vec<_> = source.chain.iter().map(data).collect();
    responses.insert(
        "DevicePropertiesAttestation".into(),
        plist::Value::Array(chain),
    );
    responses.insert("DeviceName".into(), text("A & B's Mac"));
    responses.insert("SerialNumber".into(), text(&source.serial));
    let mut answer = plist::Dictionary::new();
    answer.insert("CommandUUID".into(), text("0001_DeviceInformation"));
    answer.insert("QueryResponses".into(), plist::Value::Dictionary(responses));
    answer.insert("Status".into(), text("Acknowledged"));
    answer.insert("UDID".into(), text(&source.udid));
    plist::Value::Dictionary(answer)
}

fn xml(source: &Source) -> Vec<u8> {
    let mut file = Vec::new();
    answer(source).to_writer_xml(&mut file).unwrap();
    file
}

fn binary(source: &Source) -> Vec<u8> {
    let mut file = Vec::new();
    answer(source).to_writer_binary(&mut file).unwrap();
    file
}

fn url64(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

/// A request to `url`, whose signature nothing here reads.
fn jws(url: &str, payload: &Value) -> Value {
    let header = json!({
        "alg": "ES256", "kid": "https://ca.example/acme/acct/1", "nonce": "bm9uY2U", "url": url,
    });
    json!({"protected": url64(&header), "payload": url64(payload), "signature": "c2ln"})
}

fn entry(url: &str, request: &Value, response: &Value, encoded: bool) -> Value {
    let mut content = json!({"mimeType": "application/json", "text": response.to_string()});
    if encoded {
        content["text"] = json!(BASE64.encode(response.to_string().as_bytes()));
        content["encoding"] = json!("base64");
    }
    json!({
        "startedDateTime": "2026-11-18T12:26:40.123+01:00",
        "request": {
            "method": "POST", "url": url, "headers": [],
            "postData": {"mimeType": "application/jose+json", "text": request.to_string()},
        },
        "response": {"status": 200, "headers": [], "content": content},
    })
}

/// The requests of an enrolment.
fn entries(source: &Source, number: usize, encoded: bool) -> Vec<Value> {
    let base = "https://ca.example/acme";
    let challenge = format!("{base}/chall/{number}");
    let authorization = format!("{base}/authz/{number}");
    let finalize = format!("{base}/order/{number}/finalize");
    let identifier = json!({"type": "permanent-identifier", "value": source.serial});
    let order = json!({
        "status": "pending", "identifiers": [identifier], "authorizations": [authorization],
        "finalize": finalize,
    });
    let offered = json!({
        "type": "device-attest-01", "url": challenge, "status": "pending", "token": source.token,
    });
    let waiting = json!({"status": "pending", "identifier": identifier, "challenges": [offered]});
    let new_order = format!("{base}/new-order");
    let empty = jws(&authorization, &json!(""));
    let response = json!({"attObj": BASE64URL_NOPAD.encode(&source.object)});
    let csr = json!({"csr": BASE64URL_NOPAD.encode(&source.csr)});
    vec![
        json!({
            "startedDateTime": "2026-11-18T11:26:39Z",
            "request": {"method": "GET", "url": base},
            "response": {"status": 200, "headers": [], "content": {}},
        }),
        entry(
            &new_order,
            &jws(&new_order, &json!({"identifiers": [identifier]})),
            &order,
            encoded,
        ),
        entry(&authorization, &empty, &waiting, encoded),
        entry(&challenge, &jws(&challenge, &response), &offered, encoded),
        entry(&finalize, &jws(&finalize, &csr), &order, encoded),
    ]
}

fn har(entries: &[Value]) -> Vec<u8> {
    let log = json!({"log": {"version": "1.2", "creator": {"name": "x"}, "entries": entries}});
    log.to_string().into_bytes()
}

fn utf16(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).collect()
}

/// A recording, format 1.
fn recording(source: &Source) -> Value {
    json!({
        "assay_recording": 1,
        "source": "acme",
        "time": source.time,
        "token": source.token,
        "account": BASE64URL_NOPAD.encode(&[7; 32]),
        "identifier": {"type": "permanent-identifier", "value": source.serial},
        "admission": {"rule": "listed", "attribute": "serial", "value": source.serial},
        "attestation_object": BASE64URL_NOPAD.encode(&source.object),
        "verdict": {"outcome": "refused", "reason": "expired"},
        "embedded_root": BASE64URL_NOPAD.encode(&source.root),
    })
}

fn information_recording(source: &Source) -> Value {
    let certificates: Vec<_> = (source.chain.iter())
        .map(|der| BASE64URL_NOPAD.encode(der))
        .collect();
    json!({
        "assay_recording": 1,
        "source": "device-information",
        "time": source.time,
        "nonces": [{"nonce": source.nonce.0, "sent": source.nonce.1}],
        "certificates": certificates,
        "verdict": {"outcome": "refused", "reason": "expired"},
        "embedded_root": BASE64URL_NOPAD.encode(&source.root),
    })
}

/// What `openssl x509 -text -noout` prints, in part.
const DUMP: &str = "Certificate:
    Data:
        Version: 3 (0x2)
        Serial Number: 1795000000000 (0x1a1ee8b3800)
        Signature Algorithm: ecdsa-with-SHA384
        Issuer: CN = Simulated Sub CA
        Subject Public Key Info:
            Public Key Algorithm: id-ecPublicKey
                pub:
                    04:9c:3a:5b:aa:d1:02:33:44:55:66:77:88:99:aa:
    Signature Algorithm: ecdsa-with-SHA384
";

/// Every form of an object and of a chain. The first words of a name say what is
/// in it; the names are those of the table in docs/recordings.md.
pub fn samples(source: &Source) -> Vec<Sample> {
    let mut samples = of_object(source);
    samples.extend(of_messages(source));
    samples.extend(of_chain(source));
    samples
}

fn sample(name: &'static str, bytes: impl Into<Vec<u8>>, holds: Holds) -> Sample {
    let bytes = bytes.into();
    Sample { name, bytes, holds }
}

fn of_object(source: &Source) -> Vec<Sample> {
    let object = &source.object;
    let standard = BASE64.encode(object);
    let colons: Vec<_> = object.iter().map(|byte| format!("{byte:02X}")).collect();
    let url = BASE64URL_NOPAD.encode(object);
    let one = |name, bytes: &[u8]| sample(name, bytes, Holds::Object);
    let text = |name, text: String| sample(name, text, Holds::Object);
    vec![
        one("CBOR", object),
        text("base64url", url.clone()),
        text("base64, padded", format!("\u{feff}{standard}\r\n")),
        text("base64, not padded", BASE64_NOPAD.encode(object)),
        text("base64, lines of 64", wrapped(&standard, 64)),
        text("base64 in quotes", format!("\"{standard}\",\n")),
        text("hex", HEXLOWER.encode(object)),
        text(
            "hex, upper case, with 0x",
            format!("0x{}", HEXUPPER.encode(object)),
        ),
        text(
            "hex, lines with blanks",
            wrapped(&HEXLOWER.encode(object), 32).replace("30", "30 "),
        ),
        text("hex with colons", colons.join(":")),
        sample("UTF-16 of base64url", utf16(&url), Holds::Object),
        text(
            "log line with base64url",
            format!("2026-11-18T12:26:40Z INFO acme: attObj={url} status=invalid\n"),
        ),
        text(
            "log line with hex",
            format!("info: got\ndebug: object [{}]\n", HEXLOWER.encode(object)),
        ),
        text(
            "mail with lines of base64",
            format!(
                "Hello,\n\nhere it is:\n\n{}\n\nBye\n",
                wrapped(&standard, 76)
            ),
        ),
    ]
}

fn of_messages(source: &Source) -> Vec<Sample> {
    let url = BASE64URL_NOPAD.encode(&source.object);
    let response = json!({"attObj": url});
    let request = jws(CHALLENGE, &response);
    let part = |name: &str| request[name].as_str().unwrap().to_owned();
    let compact = [part("protected"), part("payload"), part("signature")].join(".");
    let line = json!({"time": source.time, "level": "info", "body": request.to_string()});
    let enrolment = json!({
        "result": "enrolled", "token": source.token,
        "attestation_object_hex": HEXLOWER.encode(&source.object),
    });
    let two = [entries(source, 1, false), entries(source, 2, false)].concat();
    let failed = json!({"error": "no network", "attObj": url});
    let one = |name, bytes: String| sample(name, bytes, Holds::Object);
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    vec![
        one("challenge response", pretty(&response)),
        one("challenge response with an error", failed.to_string()),
        one("base64url of a challenge response", part("payload")),
        one("JWS", pretty(&request)),
        one("JWS, compact", compact.clone()),
        one(
            "log line with a challenge response",
            format!("POST /chall/1 {response} 200"),
        ),
        one("log line with a JWS", format!("body: {request}")),
        one("log line with a compact JWS", format!("body={compact} ok")),
        one(
            "log line with an escaped JWS",
            format!(
                "{{\"body\": {}",
                json!(request.to_string()).to_string().replace('/', "\\/")
            ),
        ),
        one(
            "JSON log lines",
            format!("{{\"level\":\"debug\"}}\n{line}\n{{\"level\":\"debug\"}}\n"),
        ),
        sample("HAR", har(&entries(source, 1, false)), Holds::Object),
        sample(
            "HAR, bodies in base64",
            har(&entries(source, 1, true)),
            Holds::Object,
        ),
        sample("HAR with two enrolments", har(&two), Holds::TwoObjects),
        one("result of simulate enroll --json", enrolment.to_string()),
        one("recording", pretty(&recording(source))),
    ]
}

fn of_chain(source: &Source) -> Vec<Sample> {
    let chain = &source.chain;
    let reversed: Vec<_> = chain.iter().rev().cloned().collect();
    let pems: Vec<_> = chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
    let reversed_pems: String = reversed.iter().map(|der| pem("CERTIFICATE", der)).collect();
    let list: Vec<_> = chain.iter().map(|der| BASE64.encode(der)).collect();
    let wrapped_list: Vec<_> = list.iter().map(|text| wrapped(text, 64)).collect();
    let noted: String = pems
        .iter()
        .map(|pem| format!("subject=x\n{pem}\n"))
        .collect();
    let webhook = json!({
        "topic": "mdm.Connect", "acknowledge_event": {"raw_payload": BASE64.encode(&xml(source))},
    });
    let one = |name, bytes: String| sample(name, bytes, Holds::Chain);
    let raw = |name, bytes: Vec<u8>| sample(name, bytes, Holds::Chain);
    vec![
        raw("DeviceInformation answer, XML", xml(source)),
        raw("DeviceInformation answer, binary", binary(source)),
        one(
            "base64 of a DeviceInformation answer",
            BASE64.encode(&xml(source)),
        ),
        one(
            "webhook with a DeviceInformation answer",
            webhook.to_string(),
        ),
        one(
            "JSON with DevicePropertiesAttestation",
            json!({"DevicePropertiesAttestation": list, "SerialNumber": source.serial}).to_string(),
        ),
        one(
            "recording of a DeviceInformation answer",
            information_recording(source).to_string(),
        ),
        one("PEM", pems.concat()),
        one("PEM with text around", noted),
        one(
            "PEM in a JSON text",
            json!({"chain": pems.concat()}).to_string(),
        ),
        one("PEM, root's side first", reversed_pems),
        raw("DER, concatenated", chain.concat()),
        raw("DER, root's side first", reversed.concat()),
        one(
            "base64 of DER, concatenated",
            BASE64.encode(&chain.concat()),
        ),
        one("list of base64 lines", list.join("\r\n")),
        one("list of wrapped base64", wrapped_list.join("\n\n")),
        one("list in JSON", json!(list).to_string()),
        one(
            "x5c in JSON",
            json!({"fmt": "apple", "x5c": list}).to_string(),
        ),
        raw("PKCS #7, DER", pkcs7(chain)),
        one("PKCS #7, PEM", pem("PKCS7", &pkcs7(chain))),
        one("base64 of PKCS #7", BASE64.encode(&pkcs7(chain))),
        sample("DER, leaf alone", chain[0].clone(), Holds::Leaf),
        sample("PEM, leaf alone", pems[0].clone(), Holds::Leaf),
        sample("CSR, DER", source.csr.clone(), Holds::Csr),
        sample(
            "CSR, PEM",
            pem("CERTIFICATE REQUEST", &source.csr),
            Holds::Csr,
        ),
        sample("text dump", DUMP, Holds::Nothing),
        sample("PEM of a key", pem("PRIVATE KEY", b"key"), Holds::Nothing),
        sample(
            "HAR without bodies",
            har(&[json!({"request": {"url": "https://ca.example"}})]),
            Holds::Nothing,
        ),
        sample("other text", "hello, world\n", Holds::Nothing),
    ]
}
