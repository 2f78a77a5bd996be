use data_encoding::BASE64URL_NOPAD;

use super::*;
use crate::JsonError;

const RSA_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
const P256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const P256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn rsa(n: &[u8], e: &[u8]) -> String {
    format!(
        r#"{{"kty":"RSA","n":"{}","e":"{}"}}"#,
        BASE64URL_NOPAD.encode(n),
        BASE64URL_NOPAD.encode(e)
    )
}

fn ec(crv: &str, x: &str, y: &str) -> String {
    format!(r#"{{"kty":"EC","crv":"{crv}","x":"{x}","y":"{y}"}}"#)
}

fn p256_with(more: &str) -> String {
    ec("P-256", P256_X, P256_Y).replacen('{', &format!("{{{more},"), 1)
}

fn ed25519(x: &[u8]) -> String {
    let x = BASE64URL_NOPAD.encode(x);
    format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)
}

fn refusal(jwk: &str) -> KeyError {
    PublicKey::from_jwk(jwk.as_bytes()).expect_err(jwk)
}

#[test]
fn rfc_7638_section_3_1_thumbprint() {
    let jwk =
        format!(r#"{{"kty":"RSA","n":"{RSA_N}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#);
    let key = PublicKey::from_jwk(jwk.as_bytes()).unwrap();
    assert_eq!(
        key.thumbprint().to_string(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    assert_eq!(
        key.to_jwk(),
        format!(r#"{{"e":"AQAB","kty":"RSA","n":"{RSA_N}"}}"#)
    );
    assert_eq!(key.algorithm(), Algorithm::Rs256);
}

#[test]
fn rfc_8037_appendix_a3_thumbprint() {
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{ED25519_X}"}}"#);
    let key = PublicKey::from_jwk(jwk.as_bytes()).unwrap();
    assert_eq!(
        key.thumbprint().to_string(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    assert_eq!(key.to_jwk(), jwk);
}

/// Log lines name a key by its thumbprint, as clients and RFC 7638 do.
#[test]
fn debug_output_names_the_key_by_its_thumbprint() {
    let key = PublicKey::from_jwk(ed25519(&[7; 32]).as_bytes()).unwrap();
    let thumbprint = format!("Thumbprint({})", key.thumbprint());
    assert_eq!(format!("{:?}", key.thumbprint()), thumbprint);
    assert_eq!(
        format!("{key:?}"),
        format!("PublicKey {{ algorithm: EdDsa, thumbprint: {thumbprint} }}")
    );
}

#[test]
fn members_that_do_not_concern_the_key_are_ignored() {
    let plain = PublicKey::from_jwk(ec("P-256", P256_X, P256_Y).as_bytes()).unwrap();
    for more in [
        r#""kid":"1""#,
        r#""ext":true,"x5c":[["a"],{"d":1}]"#,
        r#""use":"sig""#,
        r#""alg":"ES256""#,
        r#""key_ops":["verify"]"#,
        r#""key_ops":[1,"sign","verify"]"#,
        r#""n":5,"e":[]"#,
    ] {
        let key = PublicKey::from_jwk(p256_with(more).as_bytes());
        assert_eq!(key.as_ref(), Ok(&plain), "{more}");
    }
}

#[test]
fn jwk_objects_are_strict() {
    let jwk = ec("P-256", P256_X, P256_Y);
    let json = |error| KeyError::Json(error);
    let cases = [
        (format!("{jwk} {{}}"), json(JsonError::TrailingData)),
        (format!("\u{feff}{jwk}"), json(JsonError::Syntax)),
        ("".to_owned(), json(JsonError::Syntax)),
        (jwk.replace('}', ",}"), json(JsonError::Syntax)),
        (format!("[{jwk}]"), json(JsonError::NotAnObject)),
        ("null".to_owned(), json(JsonError::NotAnObject)),
        (p256_with(r#""kty":"EC""#), json(JsonError::DuplicateMember)),
        (
            p256_with(r#""a":1,"a":1"#),
            json(JsonError::DuplicateMember),
        ),
        (
            p256_with(r#""\u006bty":"EC""#),
            json(JsonError::DuplicateMember),
        ),
        (p256_with(r#""d":"AQ""#), KeyError::PrivateMember),
        (p256_with(r#""\u0064":null"#), KeyError::PrivateMember),
        (p256_with(r#""k":"AQ""#), KeyError::PrivateMember),
        (p256_with(r#""p":0"#), KeyError::PrivateMember),
        (p256_with(r#""q":0"#), KeyError::PrivateMember),
        (p256_with(r#""dp":0"#), KeyError::PrivateMember),
        (p256_with(r#""dq":0"#), KeyError::PrivateMember),
        (p256_with(r#""qi":0"#), KeyError::PrivateMember),
        (p256_with(r#""oth":[]"#), KeyError::PrivateMember),
        (p256_with(r#""alg":"ES384""#), KeyError::DeclaredAlgorithm),
        (p256_with(r#""alg":1"#), KeyError::MemberNotString),
        (p256_with(r#""use":"enc""#), KeyError::DeclaredUse),
        (p256_with(r#""use":null"#), KeyError::MemberNotString),
        (p256_with(r#""key_ops":["sign"]"#), KeyError::DeclaredUse),
        (p256_with(r#""key_ops":"verify""#), KeyError::DeclaredUse),
        (
            p256_with(r#""key_ops":[["verify"]]"#),
            KeyError::DeclaredUse,
        ),
        (
            p256_with(r#""key_ops":{"verify":1}"#),
            KeyError::DeclaredUse,
        ),
        ("{}".to_owned(), KeyError::MissingMember),
        (jwk.replace("EC", "ec"), KeyError::UnsupportedKeyType),
        (r#"{"kty":"oct"}"#.to_owned(), KeyError::UnsupportedKeyType),
        (r#"{"kty":"EC"}"#.to_owned(), KeyError::MissingMember),
        (r#"{"kty":["EC"]}"#.to_owned(), KeyError::MemberNotString),
        (
            r#"{"kty":"RSA","n":"AQ"}"#.to_owned(),
            KeyError::MissingMember,
        ),
    ];
    for (jwk, expected) in cases {
        assert_eq!(refusal(&jwk), expected, "{jwk}");
    }
    assert_eq!(
        PublicKey::from_jwk(b"{\"kty\":\"EC\",\"x\":\"\xff\"}"),
        Err(KeyError::Json(JsonError::NotUtf8))
    );
}

#[test]
fn ec_coordinates_are_exact_and_on_the_curve() {
    let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    let (x, y) = (decode(P256_X), decode(P256_Y));
    let with = |x: &[u8], y: &[u8]| {
        ec(
            "P-256",
            &BASE64URL_NOPAD.encode(x),
            &BASE64URL_NOPAD.encode(y),
        )
    };
    let both = [x.as_slice(), &y].concat();
    let cases = [
        (with(&both[..33], &both[33..]), KeyError::CoordinateLength),
        (with(&both[..31], &both[31..]), KeyError::CoordinateLength),
        (with(&both, &[]), KeyError::CoordinateLength),
        (
            with(&[&[0], &x[..]].concat(), &y),
            KeyError::CoordinateLength,
        ),
        (with(&y, &x), KeyError::NotOnCurve),
        (with(&[0; 32], &[0; 32]), KeyError::NotOnCurve),
        (with(&[0xff; 32], &y), KeyError::NotOnCurve),
        (ec("P-384", P256_X, P256_Y), KeyError::CoordinateLength),
        (ec("secp256k1", P256_X, P256_Y), KeyError::UnsupportedCurve),
        (ec("p-256", P256_X, P256_Y), KeyError::UnsupportedCurve),
        (ec("Ed25519", P256_X, P256_Y), KeyError::UnsupportedCurve),
        (
            ec("P-256", &format!("{P256_X}="), P256_Y),
            KeyError::Encoding,
        ),
        (
            ec("P-256", &format!("{P256_X} "), P256_Y),
            KeyError::Encoding,
        ),
        // "U" ends in 00 as it must, "V" in 01.
        (
            ec("P-256", &P256_X.replace("EU", "EV"), P256_Y),
            KeyError::Encoding,
        ),
        (
            ec("P-256", P256_X, &P256_Y.replace('_', "/")),
            KeyError::Encoding,
        ),
    ];
    for (jwk, expected) in cases {
        assert_eq!(refusal(&jwk), expected, "{jwk}");
    }
}

/// The field of P-521 leaves room for x + p in 66 octets.
#[test]
fn p521_coordinate_beyond_the_field_is_refused() {
    let y =
        "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2";
    let mut x = BASE64URL_NOPAD
        .decode(b"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk")
        .unwrap();
    assert!(PublicKey::from_jwk(ec("P-521", &BASE64URL_NOPAD.encode(&x), y).as_bytes()).is_ok());
    // p is 2^521 - 1: add 2^521, take 1 away.
    x[0] += 2;
    x[65] -= 1;
    let jwk = ec("P-521", &BASE64URL_NOPAD.encode(&x), y);
    assert_eq!(refusal(&jwk), KeyError::NotOnCurve);
}

#[test]
fn ed25519_points_are_canonical_and_of_large_order() {
    let one = |first, rest, last| {
        let mut point = [rest; 32];
        (point[0], point[31]) = (first, last);
        point
    };
    let order_8 = data_encoding::HEXLOWER
        .decode(b"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
        .unwrap();
    let order_8_other = data_encoding::HEXLOWER
        .decode(b"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa")
        .unwrap();
    for point in [
        one(0, 0, 0),
        one(0, 0, 0x80),
        one(1, 0, 0),
        one(1, 0, 0x80),
        one(0xec, 0xff, 0x7f),
        one(0xec, 0xff, 0xff),
        one(0xed, 0xff, 0x7f),
        one(0xf0, 0xff, 0x7f),
        one(0xff, 0xff, 0xff),
        order_8.try_into().unwrap(),
        order_8_other.try_into().unwrap(),
    ] {
        assert_eq!(
            refusal(&ed25519(&point)),
            KeyError::Ed25519Point,
            "{point:x?}"
        );
    }
    // Below the field's end by the first octet, by the last, or by any between.
    let mut below = vec![one(0xeb, 0xff, 0x7f), one(0xff, 0xff, 0x7e)];
    below.extend((1..31).map(|index| {
        let mut point = one(0xff, 0xff, 0x7f);
        point[index] = 0xfe;
        point
    }));
    for point in below {
        assert!(
            PublicKey::from_jwk(ed25519(&point).as_bytes()).is_ok(),
            "{point:x?}"
        );
    }
    assert_eq!(refusal(&ed25519(&[7; 31])), KeyError::CoordinateLength);
    assert_eq!(refusal(&ed25519(&[7; 57])), KeyError::CoordinateLength);
    let ed448 = ed25519(&[7; 57]).replace("Ed25519", "Ed448");
    assert_eq!(refusal(&ed448), KeyError::UnsupportedCurve);
}

#[test]
fn scenario_91_rsa_keys_outside_the_caps_are_refused() {
    let n = BASE64URL_NOPAD.decode(RSA_N.as_bytes()).unwrap();
    let e: &[u8] = &[1, 0, 1];
    let mut even = n.clone();
    even[255] &= 0xfe;
    let mut bits_2047 = n.clone();
    bits_2047[0] = 0x7f;
    let bits_4097 = [&[1], [0xff; 512].as_slice()].concat();
    let cases = [
        (rsa(&n[128..], e), KeyError::ModulusSize),
        (rsa(&bits_2047, e), KeyError::ModulusSize),
        (rsa(&bits_4097, e), KeyError::ModulusSize),
        (rsa(&[0xff; 100_000], e), KeyError::ModulusSize),
        (rsa(&even, e), KeyError::ModulusEven),
        (
            rsa(&[&[0], n.as_slice()].concat(), e),
            KeyError::LeadingZero,
        ),
        (rsa(&n, &[0, 1, 0, 1]), KeyError::LeadingZero),
        (rsa(&n, &[0]), KeyError::LeadingZero),
        (rsa(&n, &[]), KeyError::MissingMember),
        (rsa(&n, &[1]), KeyError::Exponent),
        (rsa(&n, &[2]), KeyError::Exponent),
        (rsa(&n, &[1, 0, 0]), KeyError::Exponent),
        (rsa(&n, &[1, 0, 0, 0, 1]), KeyError::Exponent),
    ];
    for (jwk, expected) in cases {
        assert_eq!(refusal(&jwk), expected, "{jwk}");
    }
    for (n, e) in [(&n[..], &[3][..]), (&n, &[0xff; 4]), (&[0xff; 512], e)] {
        assert!(PublicKey::from_jwk(rsa(n, e).as_bytes()).is_ok());
    }
}

#[test]
fn spki_der_has_one_form_per_key() {
    let p256 = PublicKey::from_jwk(ec("P-256", P256_X, P256_Y).as_bytes()).unwrap();
    let rsa =
        PublicKey::from_jwk(format!(r#"{{"kty":"RSA","n":"{RSA_N}","e":"AQAB"}}"#).as_bytes())
            .unwrap();
    let ed = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}"}}"#);
    let ed = PublicKey::from_jwk(ed.as_bytes()).unwrap();

    let spki = p256.spki_der();
    let x = &spki[27..59];
    let compressed = [
        b"\x30\x39\x30\x13".as_slice(),
        &spki[4..23],
        b"\x03\x22\x00\x03",
        x,
    ]
    .concat();
    let longer = [spki, &[0]].concat();
    let rsa_spki = rsa.spki_der();
    let rsa_trailing = [rsa_spki, &[0]].concat();
    // rsaEncryption becomes id-RSASSA-PSS.
    let mut pss = rsa_spki.to_vec();
    pss[16] = 0x0a;
    // The exponent 65537 as 00 01 00 01.
    let mut long_exponent = [&rsa_spki[..rsa_spki.len() - 4], &[4, 0, 1, 0, 1]].concat();
    for offset in [3, 22, 27] {
        long_exponent[offset] += 1;
    }
    let cases: [(&[u8], KeyError); 9] = [
        (&[], KeyError::Spki),
        (b"\x30\x00", KeyError::Spki),
        (&compressed, KeyError::Spki),
        (&longer, KeyError::CoordinateLength),
        (&spki[..spki.len() - 1], KeyError::CoordinateLength),
        (&ed.spki_der()[..43], KeyError::CoordinateLength),
        (&rsa_trailing, KeyError::Spki),
        (&pss, KeyError::Spki),
        (&long_exponent, KeyError::Spki),
    ];
    for (spki, expected) in cases {
        assert_eq!(PublicKey::from_spki_der(spki), Err(expected), "{spki:x?}");
    }
    for key in [p256, rsa, ed] {
        assert_eq!(PublicKey::from_spki_der(key.spki_der()), Ok(key));
    }
}
