use super::*;

/// The vectors' numbers are upper-case hex.
fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// r and s of a DER `Ecdsa-Sig-Value`, big-endian without leading zeros.
fn numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    use der::{Decode as _, asn1::UintRef};
    let numbers = Vec::<UintRef<'_>>::from_der(der).unwrap();
    assert_eq!(numbers.len(), 2);
    (
        numbers[0].as_bytes().to_vec(),
        numbers[1].as_bytes().to_vec(),
    )
}

#[track_caller]
fn check(key_type: KeyType, scalar: &str, x: &str, y: &str, signatures: [(&str, &str, &str); 2]) {
    let key = DeterministicKey::from_scalar(key_type, &hex(scalar)).unwrap();
    assert_eq!(key.public, [vec![4], hex(x), hex(y)].concat());
    for (message, r, s) in signatures {
        let signature = key.signature_der(message.as_bytes()).unwrap();
        assert_eq!(numbers(&signature), (hex(r), hex(s)), "{message}");
    }
}

/// RFC 6979 appendix A.2.5, "With SHA-256".
#[test]
fn p256_signs_as_rfc_6979_shows() {
    check(
        KeyType::P256,
        "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
        "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
        "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
        [
            (
                "sample",
                "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
                "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
            ),
            (
                "test",
                "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
                "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
            ),
        ],
    );
}

/// RFC 6979 appendix A.2.6, "With SHA-384".
#[test]
fn p384_signs_as_rfc_6979_shows() {
    check(
        KeyType::P384,
        "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5",
        "EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13",
        "8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720",
        [
            (
                "sample",
                "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46",
                "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8",
            ),
            (
                "test",
                "8203B63D3C853E8D77227FB377BCF7B7B772E97892A80F36AB775D509D7A5FEB0542A7F0812998DA8F1DD3CA3CF023DB",
                "DDD0760448D42D8A43AF45AF836FCE4DE8BE06B485E9B61B827C2F13173923E06A739F040649A667BF3B828246BAA5A5",
            ),
        ],
    );
}

#[test]
fn a_label_has_one_key_and_another_label_another() {
    for key_type in [KeyType::P256, KeyType::P384] {
        let key = |label| DeterministicKey::derive(key_type, label).public;
        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a"), key("b"));
    }
}
