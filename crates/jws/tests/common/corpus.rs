//! The envelopes of `testdata/jws`, made by josekit with new keys each time.
//! The name of each file states the expected result.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;

use assay_jws::Algorithm;

use super::common::{Client, NONCE, URL};

/// File contents by path below `testdata/jws`: `keys/`, `good/` or `bad/`, a
/// name and `.json`.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// All files. The last part of an envelope's `kid` is the name of its key.
pub(crate) fn files() -> Files {
    let clients = Algorithm::ALL.map(Client::new);
    let mut files = Files::new();
    for client in &clients {
        let name = client.algorithm.as_str().to_lowercase();
        put(&mut files, "keys", &name, client.key().to_jwk());
        let kid = client.sign(&client.kid_header(), b"{}").json();
        put(&mut files, "good", &format!("{name}-kid"), kid);
        let jwk = client.sign(&client.jwk_header(&client.jwk), b"{}").json();
        put(&mut files, "good", &format!("{name}-jwk"), jwk);
    }
    let [es256, es384, _, eddsa, rs256] = &clients;
    good(&mut files, es256);
    bad_objects(&mut files, es256);
    bad_headers(&mut files, es256);
    bad_keys(&mut files, es256, es384, eddsa, rs256);
    bad_signatures(&mut files, es256, eddsa, rs256);
    files
}

fn put(files: &mut Files, folder: &str, name: &str, content: impl Into<Vec<u8>>) {
    let path = format!("{folder}/{name}.json");
    let old = files.insert(path, content.into());
    assert_eq!(old, None, "{folder}/{name} twice");
}

fn good(files: &mut Files, client: &Client) {
    for (r_zeros, s_zeros) in [(1, 0), (0, 1), (1, 1)] {
        let name = format!("es256-kid--shortened-r{r_zeros}-s{s_zeros}");
        put(
            files,
            "good",
            &name,
            client.sign_shortened(r_zeros, s_zeros).json(),
        );
    }
    let kid = client.kid_header();
    let inner = format!(r#"{{"alg":"ES256","jwk":{},"url":"{URL}"}}"#, client.jwk);
    let unknown = kid.replacen(
        '{',
        r#"{"typ":"jose+json","x5u":"https://evil.example/","z":[{"crit":1}],"#,
        1,
    );
    let plain = client.sign(&kid, b"{}");
    for (name, body) in [
        ("es256-jwk--inner", client.sign(&inner, b"{}").json()),
        ("es256-kid--post-as-get", client.sign(&kid, b"").json()),
        (
            "es256-kid--unknown-header-parameters",
            client.sign(&unknown, b"{}").json(),
        ),
        (
            "es256-kid--unknown-members",
            plain.with(r#","kid":"a","z":[{"header":{},"signatures":[]}],"Payload":null"#),
        ),
        (
            "es256-kid--whitespace",
            format!("\r\n\t {} ", plain.json().replace(':', " : ")),
        ),
        (
            "es256-kid--escaped-names",
            plain.json().replace("payload", "p\\u0061yload"),
        ),
    ] {
        put(files, "good", name, body);
    }
}

fn bad_objects(files: &mut Files, client: &Client) {
    let jws = client.sign(&client.kid_header(), br#"{"a":"???"}"#);
    let json = jws.json();
    let (protected, payload) = (&jws.protected, &jws.payload);
    for (name, body) in [
        ("body-duplicate-member", jws.with(r#","payload":"""#)),
        (
            "body-duplicate-member--escaped",
            jws.with(r#","p\u0061yload":"""#),
        ),
        (
            "body-duplicate-member--ignored",
            jws.with(r#","kid":"a","kid":"a""#),
        ),
        ("body-not-an-object", format!("[{json}]")),
        ("body-syntax--compact", format!("{protected}.{payload}.AA")),
        ("body-syntax--empty", String::new()),
        ("body-syntax--truncated", json[..json.len() - 1].to_owned()),
        ("body-syntax--byte-order-mark", format!("\u{feff}{json}")),
        ("body-trailing-data", format!("{json}{{}}")),
        (
            "member-not-string--payload",
            json.replace(&format!("\"{payload}\""), "{}"),
        ),
        (
            "member-not-string--protected",
            json.replace(&format!("\"{protected}\""), "null"),
        ),
        (
            "missing-payload",
            json.replace(&format!(r#""payload":"{payload}","#), ""),
        ),
        (
            "missing-protected",
            json.replace(&format!(r#""protected":"{protected}","#), ""),
        ),
        (
            "missing-signature",
            format!(r#"{{"protected":"{protected}","payload":"{payload}"}}"#),
        ),
        ("multiple-signatures", jws.with(r#","signatures":[{},{}]"#)),
        (
            "payload-encoding--padded",
            json.replace(payload, &format!("{payload}==")),
        ),
        (
            "payload-encoding--standard-alphabet",
            json.replace(payload, &payload.replace(['-', '_'], "/")),
        ),
        (
            "payload-encoding--trailing-bits",
            json.replace(payload, "e31"),
        ),
        (
            "payload-encoding--whitespace",
            json.replace(payload, &format!("{payload}\\n")),
        ),
        (
            "protected-encoding--padded",
            json.replace(protected, &format!("{protected}=")),
        ),
        ("signature-encoding--padded", json.replace("\"}", "==\"}")),
        ("unprotected-header", jws.with(r#","header":{}"#)),
    ] {
        put(files, "bad", name, body);
    }
    let not_utf8 = [&json.as_bytes()[..json.len() - 1], b",\"\xff\":1}"].concat();
    put(files, "bad", "body-not-utf8", not_utf8);
}

fn bad_headers(files: &mut Files, client: &Client) {
    let (kid, jwk) = (client.kid_header(), &client.jwk);
    let with = |member: &str| kid.replacen('{', &format!("{{{member},"), 1);
    let nonce = format!(r#""nonce":"{NONCE}","#);
    let url = format!(r#","url":"{URL}""#);
    let kid_member = format!(r#""kid":"{}","#, client.kid());
    for (name, header) in [
        ("bad-algorithm--hs256", kid.replace("ES256", "HS256")),
        ("bad-algorithm--none", kid.replace("ES256", "none")),
        ("bad-algorithm--lower-case", kid.replace("ES256", "es256")),
        ("critical", with(r#""crit":["exp"],"exp":1"#)),
        ("critical--empty", with(r#""crit":[]"#)),
        ("jwk-and-kid", with(&format!(r#""jwk":{jwk}"#))),
        ("kid-not-url", kid.replace(&kid_member, r#""kid":"","#)),
        (
            "kid-not-url--number",
            kid.replace(&kid_member, r#""kid":7,"#),
        ),
        ("missing-algorithm", kid.replace(r#""alg":"ES256","#, "")),
        (
            "missing-algorithm--number",
            kid.replace(r#""ES256""#, "256"),
        ),
        ("missing-inner-key--inner", kid.replace(&nonce, "")),
        ("missing-nonce", kid.replace(&nonce, "")),
        ("missing-signer", kid.replace(&kid_member, "")),
        ("missing-url", kid.replace(&url, "")),
        ("nonce-encoding--alphabet", kid.replace(NONCE, "a+b/")),
        ("nonce-encoding--empty", kid.replace(NONCE, "")),
        ("nonce-encoding--length", kid.replace(NONCE, "abcde")),
        (
            "nonce-encoding--null",
            kid.replace(&format!("\"{NONCE}\""), "null"),
        ),
        ("nonce-in-inner--inner", client.jwk_header(jwk)),
        ("protected-duplicate-member", with(r#""alg":"none""#)),
        (
            "protected-duplicate-member--ignored",
            with(r#""z":1,"z":2"#),
        ),
        ("protected-not-an-object", "[]".to_owned()),
        ("protected-syntax", "{".to_owned()),
        ("protected-trailing-data", format!("{kid} 1")),
        ("unencoded-payload", with(r#""b64":false"#)),
        ("unencoded-payload--true", with(r#""b64":true"#)),
        ("url-not-url", kid.replace(URL, "")),
    ] {
        put(files, "bad", name, client.sign(&header, b"{}").json());
    }
}

fn bad_keys(files: &mut Files, es256: &Client, es384: &Client, eddsa: &Client, rs256: &Client) {
    let with = |member: &str| es256.jwk.replacen('{', &format!("{{{member},"), 1);
    let replaced = |old: &str, new: &str| es256.jwk.replace(old, new);
    let rsa = rs256.key().to_jwk();
    for (client, name, jwk) in [
        (es256, "bad-key-algorithm-mismatch", es384.jwk.clone()),
        (
            es384,
            "bad-key-coordinate-length",
            replaced("P-256", "P-384"),
        ),
        (
            es256,
            "bad-key-declared-algorithm",
            with(r#""alg":"ES384""#),
        ),
        (es256, "bad-key-declared-use", with(r#""use":"enc""#)),
        (
            eddsa,
            "bad-key-ed25519-point",
            r#"{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#
                .to_owned(),
        ),
        (es256, "bad-key-encoding", replaced("\"}", "=\"}")),
        (
            rs256,
            "bad-key-exponent",
            rs256.jwk.replace("\"AQAB\"", "\"AQ\""),
        ),
        (
            es256,
            "bad-key-json-duplicate-member",
            with(r#""kty":"EC""#),
        ),
        (es256, "bad-key-json-not-an-object", "\"jwk\"".to_owned()),
        (
            rs256,
            "bad-key-leading-zero",
            rs256.jwk.replace("\"AQAB\"", "\"AAEAAQ\""),
        ),
        (
            rs256,
            "bad-key-modulus-even",
            format!("{}A\"}}", &rsa[..rsa.len() - 3]),
        ),
        (
            es256,
            "bad-key-not-on-curve",
            replaced("\"x\"", "\"_\"")
                .replace("\"y\"", "\"x\"")
                .replace("\"_\"", "\"y\""),
        ),
        (
            es256,
            "bad-key-missing-member",
            r#"{"kty":"EC"}"#.to_owned(),
        ),
        (
            rs256,
            "bad-key-modulus-size",
            r#"{"kty":"RSA","n":"_w","e":"AQAB"}"#.to_owned(),
        ),
        (es256, "bad-key-private-member", with(r#""d":"AQ""#)),
        (
            eddsa,
            "bad-key-unsupported-curve",
            eddsa.jwk.replace("Ed25519", "Ed448"),
        ),
        (
            es256,
            "bad-key-unsupported-key-type",
            r#"{"kty":"oct"}"#.to_owned(),
        ),
    ] {
        put(
            files,
            "bad",
            name,
            client.sign(&client.jwk_header(&jwk), b"{}").json(),
        );
    }
}

fn bad_signatures(files: &mut Files, es256: &Client, eddsa: &Client, rs256: &Client) {
    let mut jws = es256.sign(&es256.kid_header(), b"{}");
    jws.signature[40] ^= 1;
    put(files, "bad", "signature-invalid", jws.json());
    jws.signature.pop();
    put(files, "bad", "signature-invalid--63-octets", jws.json());
    jws.signature.truncate(61);
    put(files, "bad", "signature-length--61-octets", jws.json());
    jws.signature.clear();
    put(files, "bad", "signature-length--empty", jws.json());

    for (r_zeros, s_zeros) in [(2, 0), (0, 2)] {
        let name = format!("signature-invalid--shortened-r{r_zeros}-s{s_zeros}");
        let jws = es256.sign_shortened(r_zeros, s_zeros);
        put(files, "bad", &name, jws.json());
    }

    let mut jws = eddsa.sign(&eddsa.kid_header(), b"{}");
    jws.signature.pop();
    put(files, "bad", "signature-length--eddsa", jws.json());

    let other_account = es256.kid_header().replace("ES256", "RS256");
    let jws = rs256.sign(&other_account, b"{}");
    put(files, "bad", "signature-algorithm-mismatch", jws.json());
}
