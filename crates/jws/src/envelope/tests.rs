//! The sample signatures of RFC 7515 and RFC 8037. Their headers lack `url`, so
//! the tests construct the envelopes directly.

use super::*;

fn sample(
    algorithm: Algorithm,
    key: &PublicKey,
    signing_input: &str,
    signature: &str,
) -> Result<Verified, SignatureError> {
    let (_, payload) = signing_input.split_once('.').unwrap();
    Envelope {
        algorithm,
        nonce: String::new(),
        payload: decode(payload).unwrap(),
        signature: decode(signature).unwrap(),
        signer: Signer::Kid(String::new()),
        signing_input: signing_input.to_owned(),
        url: String::new(),
    }
    .verify(key)
}

const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

#[test]
fn rfc_7515_appendix_a2_rs256() {
    let key = PublicKey::from_jwk(br#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#).unwrap();
    let verified = sample(
        Algorithm::Rs256,
        &key,
        &format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}"),
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    );
    assert_eq!(verified.unwrap().payload(), decode(CLAIMS).unwrap());
}

#[test]
fn rfc_7515_appendix_a3_es256() {
    let key = PublicKey::from_jwk(br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#).unwrap();
    let verified = sample(
        Algorithm::Es256,
        &key,
        &format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}"),
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
    assert_eq!(verified.unwrap().payload(), decode(CLAIMS).unwrap());
}

#[test]
fn rfc_7515_appendix_a4_es512() {
    let key = PublicKey::from_jwk(br#"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#).unwrap();
    let verified = sample(
        Algorithm::Es512,
        &key,
        "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA",
        "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
    );
    assert_eq!(verified.unwrap().payload(), b"Payload");
}

#[test]
fn rfc_8037_appendix_a4_eddsa() {
    let key = PublicKey::from_jwk(
        br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    )
    .unwrap();
    let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let verified = sample(Algorithm::EdDsa, &key, input, signature).unwrap();
    assert_eq!(verified.payload(), b"Example of Ed25519 signing");
    assert_eq!(
        sample(Algorithm::Es256, &key, input, signature),
        Err(SignatureError::AlgorithmMismatch)
    );
}
