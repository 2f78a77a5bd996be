use std::{os::unix::fs::PermissionsExt, process::Command};

use rcgen::{KeyPair, PublicKeyData};

use super::{AttestationAuthority, AuthorityError, pem};
use crate::{Device, KeyType, evidence::DeviceProperties};

const NOW: u64 = 1_795_000_000;

#[test]
fn a_saved_authority_loads_and_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let authority = AttestationAuthority::create(NOW).unwrap();
    authority.save(dir.path()).unwrap();

    let loaded = AttestationAuthority::load(dir.path()).unwrap();
    assert_eq!(loaded.root_der(), authority.root_der());
    assert_eq!(loaded.sub_der(), authority.sub_der());
    assert_eq!(
        loaded.sub_key().der_bytes(),
        authority.sub_key().der_bytes()
    );

    for (name, mode) in [("root.key", 0o600), ("sub.key", 0o600)] {
        let metadata = std::fs::metadata(dir.path().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }

    let second = AttestationAuthority::create(NOW).unwrap();
    assert!(matches!(
        second.save(dir.path()),
        Err(AuthorityError::File { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists
    ));
    assert_eq!(
        AttestationAuthority::load(dir.path()).unwrap().root_der(),
        authority.root_der()
    );
}

#[test]
fn a_key_of_another_authority_is_noticed() {
    for name in ["root.key", "sub.key"] {
        let [dir, other] = [(); 2].map(|()| {
            let dir = tempfile::tempdir().unwrap();
            let authority = AttestationAuthority::create(NOW).unwrap();
            authority.save(dir.path()).unwrap();
            dir
        });
        std::fs::copy(other.path().join(name), dir.path().join(name)).unwrap();
        let loaded = AttestationAuthority::load(dir.path());
        assert!(
            matches!(&loaded, Err(AuthorityError::ForeignKey(path)) if path.ends_with(name)),
            "{name}"
        );
    }
}

#[test]
fn openssl_agrees_with_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let authority = AttestationAuthority::create(NOW).unwrap();
    let device = KeyPair::generate().unwrap();
    let evidence = authority
        .attest(
            &DeviceProperties::mac("C02ABCDEFGH1", "00008112-001A2B3C4D5E6F70"),
            &device.subject_public_key_info(),
            &[7; 32],
            NOW,
        )
        .unwrap();
    for (name, der) in [
        ("root.pem", authority.root_der()),
        ("sub.pem", authority.sub_der()),
        ("leaf.pem", &evidence.chain[0]),
    ] {
        std::fs::write(dir.path().join(name), pem(der)).unwrap();
    }
    let verdict = Command::new("openssl")
        .current_dir(dir.path())
        .args(["verify", "-attime", &NOW.to_string()])
        .args(["-CAfile", "root.pem", "-untrusted", "sub.pem", "leaf.pem"])
        .output()
        .unwrap();
    assert!(
        verdict.status.success(),
        "{}",
        String::from_utf8_lossy(&verdict.stderr)
    );
}

#[test]
fn a_seed_makes_the_same_authority_and_evidence_each_time() {
    let evidence = |authority: &AttestationAuthority| {
        let properties = DeviceProperties::mac("C02ABCDEFGH1", "00008112-001A2B3C4D5E6F70");
        let device = Device::from_seed(properties, KeyType::P256, b"device").unwrap();
        let spki = device.spki_der();
        authority
            .attest(&device.properties, &spki, &[7; 32], NOW)
            .unwrap()
    };
    let make = |seed: &[u8]| AttestationAuthority::from_seed(seed, NOW).unwrap();
    let (first, again) = (make(b"seed"), make(b"seed"));
    assert_eq!(first.root_der(), again.root_der());
    assert_eq!(evidence(&first), evidence(&again));
    for other in [make(b"other"), first.impostor(NOW).unwrap()] {
        assert_ne!(first.root_der(), other.root_der());
    }
    let impostors = [&first, &again].map(|one| one.impostor(NOW).unwrap());
    assert_eq!(impostors[0].root_der(), impostors[1].root_der());

    let random = AttestationAuthority::create(NOW).unwrap();
    assert_ne!(evidence(&random), evidence(&random));
    let random = random.deterministic().unwrap();
    assert_eq!(evidence(&random), evidence(&random));
}
