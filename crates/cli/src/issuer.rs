//! Whether the issuing CA is the one that the database was issued from.
//!
//! A CA of another server would sign for devices whose clients trust the first
//! one, and revocations recorded here would be of no use for its certificates. A
//! planned replacement is confirmed once.

use anyhow::{bail, ensure};
use assay_ca::Issuer;
use assay_engine::domain::{Certificate, CertificateHolder};
use assay_store::{LedgerStore, OlderDatabase, OpenMode};
use data_encoding::HEXLOWER;

use crate::{
    certificates::load_issuer,
    database::{Database, with_progress},
    dir::Dir,
    print,
    stop::{OrStop, Stop},
};

/// How many certificates of a database that noted no CA are looked at: serial
/// numbers are random, so that they are a sample of all.
const SAMPLE: usize = 1000;

/// Refuses a CA whose key is not the one that was noted.
pub fn check_noted(dir: &Dir, issuer: &Issuer, noted: [u8; 32]) -> anyhow::Result<()> {
    let ours = issuer.spki_sha256();
    if noted == ours {
        return Ok(());
    }
    bail!(
        "{} is not the CA that issues for the database in {}: its key is {}, and the database was issued from {} (SHA-256 of the public keys). {REMEDY}",
        dir.ca_certificate("issuing").display(),
        dir.db().display(),
        HEXLOWER.encode(&ours),
        HEXLOWER.encode(&noted),
    )
}

const REMEDY: &str = "Put the right CA's certificate and key back; if the CA was replaced on purpose, confirm it once with `assay store accept-issuer`";

/// Refuses a CA that is not the database's; the first one is noted.
pub fn check(dir: &Dir, issuer: &Issuer, store: &dyn Database) -> Result<(), Stop> {
    let reading = "cannot read the database";
    if let Some(noted) = store.issuer().or_fault(reading)? {
        return check_noted(dir, issuer, noted).map_err(Stop::usage);
    }
    // A database of a version that noted none: its certificates say.
    let certificates = store.certificates(SAMPLE).or_fault(reading)?;
    check_certificates(dir, issuer, &certificates).map_err(Stop::usage)?;
    note(store, issuer)
}

/// The same before a database of an older layout is migrated. Nothing is noted.
pub fn check_older(dir: &Dir, issuer: &Issuer, older: &OlderDatabase) -> anyhow::Result<()> {
    match older.issuer {
        Some(noted) => check_noted(dir, issuer, noted),
        None => check_certificates(dir, issuer, &older.certificates),
    }
}

fn check_certificates(
    dir: &Dir,
    issuer: &Issuer,
    certificates: &[Certificate],
) -> anyhow::Result<()> {
    let mut of_devices = (certificates.iter())
        .filter(|found| matches!(found.holder, CertificateHolder::Device { .. }))
        .peekable();
    ensure!(
        of_devices.peek().is_none() || of_devices.any(|found| issuer.is_named_by(&found.der)),
        "{} is not the CA that issues for the database in {}: the certificates in it name another issuer. {REMEDY}",
        dir.ca_certificate("issuing").display(),
        dir.db().display(),
    );
    Ok(())
}

fn note(store: &dyn Database, issuer: &Issuer) -> Result<(), Stop> {
    store
        .set_issuer(issuer.spki_sha256())
        .or_fault("cannot record the issuing CA in the database")
}

/// `assay store accept-issuer`
pub fn accept(dir: &Dir) -> Result<(), Stop> {
    let (issuer, laboratory) = load_issuer(dir, "issuing").map_err(Stop::usage)?;
    let mode = match laboratory {
        true => OpenMode::Laboratory,
        false => OpenMode::Production,
    };
    let store = LedgerStore::open_with(&dir.db(), mode, with_progress())?;
    let ours = issuer.spki_sha256();
    let before = store.issuer().or_fault("cannot read the database")?;
    if before == Some(ours) {
        return print("There is nothing to accept: the issuing CA is the one that is recorded.");
    }
    note(&store, &issuer)?;
    let key = HEXLOWER.encode(&ours);
    tracing::warn!(
        event = "issuer_accepted",
        key,
        before = before.map(|before| HEXLOWER.encode(&before)),
        "another issuing CA was accepted"
    );
    print(format_args!(
        "Recorded: the CA with the key {key} issues for this database from now on."
    ))
}

#[cfg(test)]
mod tests {
    use assay_ca::{
        FileSigner, LeafTemplate, LeafUsage, SerialNumber,
        authority::{self, AuthorityPlan, Host, KeyType},
    };
    use assay_engine::{
        ids::{AccountId, OrderId},
        ports::{Change, ChangeSet, Store},
        sha256,
    };
    use assay_proto::Timestamp;

    use super::*;
    use crate::{certificates::one_certificate, now};

    fn issuer(name: &str) -> Issuer {
        let made = authority::create(&AuthorityPlan {
            name: name.to_owned(),
            issuing_key: KeyType::P256,
            host: Host::Dns("localhost".to_owned()),
            laboratory: true,
            now: now(),
        })
        .unwrap();
        let der = one_certificate(&made.issuing.certificate_pem).unwrap();
        let signer = FileSigner::from_pkcs8_pem(&made.issuing.key_pem).unwrap();
        Issuer::new(&der, Box::new(signer)).unwrap()
    }

    fn certificate(issuer: &Issuer, holder: CertificateHolder, serial: u8) -> Change {
        let spki =
            rcgen::PublicKeyData::subject_public_key_info(&rcgen::KeyPair::generate().unwrap());
        let (now, serial) = (now(), SerialNumber::from_random([serial; 16]));
        let leaf = LeafTemplate {
            spki_der: spki.clone(),
            subject: Vec::new(),
            names: vec![assay_ca::SubjectAltName::Dns("localhost".to_owned())],
            not_before: now,
            not_after: now + 1000,
            usage: LeafUsage::ClientAuth,
        };
        let issued = issuer.sign(issuer.prepare(&leaf, serial.clone()).unwrap());
        Change::InsertCertificate(Certificate {
            serial,
            issuer: issuer.id(),
            der: issued.unwrap().der().to_vec(),
            spki_sha256: sha256(&spki),
            holder,
            issued: Timestamp(now),
            not_after: Timestamp(now + 1000),
            revocation: None,
        })
    }

    /// A database that noted no CA, as earlier versions left them.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_certificates_of_an_older_database_say_which_ca_is_its() {
        let device = CertificateHolder::Device {
            account: AccountId::from_bytes([1; 16]),
            order: OrderId::from_bytes([2; 16]),
            root_sha256: [3; 32],
        };
        for (holder, knows) in [(device, true), (CertificateHolder::Server, false)] {
            // The same name: the key tells them apart.
            let (ours, other) = (issuer("Assay"), issuer("Assay"));
            let home = tempfile::tempdir().unwrap();
            let dir = Dir::new(home.path());
            let store = LedgerStore::create(&dir.db(), true).unwrap();
            for serial in 1..5 {
                let change = certificate(&ours, holder, serial);
                let set = ChangeSet::new(Timestamp(now()), vec![change]);
                store.commit("test", set).await.unwrap();
            }
            tokio::task::spawn_blocking(move || {
                if knows {
                    let said = check(&dir, &other, &store).unwrap_err().to_string();
                    assert!(said.contains("`assay store accept-issuer`"), "{said}");
                    assert_eq!(store.issuer().unwrap(), None);
                }
                check(&dir, &ours, &store).unwrap();
                assert_eq!(store.issuer().unwrap(), Some(ours.spki_sha256()));
                check(&dir, &ours, &store).unwrap();
                let said = check(&dir, &other, &store).unwrap_err().to_string();
                for key in [ours.spki_sha256(), other.spki_sha256()] {
                    assert!(said.contains(&HEXLOWER.encode(&key)), "{said}");
                }
            })
            .await
            .unwrap();
        }
    }
}
