use std::net::IpAddr;

use assay_ca::{LeafTemplate, LeafUsage, SubjectAltName, authority::BACKDATE};
use assay_proto::Timestamp;

use crate::{
    Engine, Error, RequestInfo,
    domain::{Certificate, CertificateHolder, Intent, ServerIntent},
    events::Event,
    issuance::end_of_ca,
    ports::{Change, CommitError, Versioned},
    sha256,
};

/// The lifetime of this server's own certificate, in seconds.
pub const SERVER_CERTIFICATE_LIFETIME: u64 = 30 * 86_400;

/// A TLS certificate for this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// DER: the leaf, then its issuer.
    pub chain: Vec<Vec<u8>>,
    /// When to renew it: after two thirds of its lifetime, at the earliest in a
    /// minute.
    pub renew_at: Timestamp,
}

impl Engine {
    /// Issues a TLS certificate for this server itself, like any other: record,
    /// sign, record. `host` is the base URL's.
    ///
    /// # Errors
    /// Faults; [`Error::CaEnded`]; [`Error::Internal`] when there is no TLS CA
    /// or it may not sign for `host`.
    pub async fn issue_server_certificate(
        &self,
        spki_der: &[u8],
        host: &str,
    ) -> Result<ServerCertificate, Error> {
        let Some(issuer) = &self.server_issuer else {
            return Err(Error::Internal("there is no TLS CA".to_owned()));
        };
        let clock = self.read_clock();
        let now = clock.now;
        let issuer_end = clock.settle(end_of_ca("TLS", issuer, now).map_err(Error::CaEnded))?;
        // The earlier of the two clocks, so that the validity does not begin in
        // the clients' future.
        let begin = clock.issuing();
        let not_after = begin.plus(SERVER_CERTIFICATE_LIFETIME).min(issuer_end);
        let leaf = LeafTemplate {
            spki_der: spki_der.to_vec(),
            subject: Vec::new(),
            names: vec![match host.parse::<IpAddr>() {
                Ok(address) => SubjectAltName::Ip(address),
                Err(_) => SubjectAltName::Dns(host.to_owned()),
            }],
            not_before: (begin.minus(BACKDATE))
                .max(Timestamp(issuer.not_before()))
                .0,
            not_after: not_after.0,
            usage: LeafUsage::ServerAuth,
        };
        let internal = |fault: String| Error::Internal(format!("TLS certificate: {fault}"));
        let prepared = issuer
            .prepare(&leaf, self.draw_serial())
            .map_err(|fault| internal(fault.to_string()))?;
        let serial = prepared.serial().clone();
        let intent = ServerIntent {
            serial: serial.clone(),
            intent: Intent {
                issuer: issuer.id(),
                tbs: prepared.tbs_der().to_vec(),
            },
            at: now,
            lease_until: now.plus(ServerIntent::LEASE),
        };
        let version = self
            .commit(
                &RequestInfo::default(),
                "server-intent",
                now,
                vec![Change::InsertServerIntent(intent)],
            )
            .await?;
        let issued =
            (self.sign(issuer, prepared).await).map_err(|fault| internal(fault.to_string()))?;
        let certificate = Certificate {
            serial: serial.clone(),
            issuer: issuer.id(),
            der: issued.der().to_vec(),
            spki_sha256: sha256(spki_der),
            holder: CertificateHolder::Server,
            issued: now,
            not_after,
            revocation: None,
        };
        self.commit(
            &RequestInfo::default(),
            "server-certificate",
            now,
            vec![
                Change::InsertCertificate(certificate),
                Change::DeleteServerIntent(serial, version),
            ],
        )
        .await?;
        Ok(ServerCertificate {
            chain: vec![issued.der().to_vec(), issuer.certificate_der().to_vec()],
            renew_at: now.plus((not_after.0.saturating_sub(begin.0) * 2 / 3).max(60)),
        })
    }

    /// Drops unfinished intents of server certificates. Their keys are gone, so
    /// nothing was ever used under them. An intent with a running lease belongs
    /// to a live process, perhaps on another node. Returns the end of the next
    /// lease that is still running.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_unfinished_server_intents(&self) -> Result<Option<Timestamp>, Error> {
        let now = self.now();
        let mut next: Option<Timestamp> = None;
        for Versioned { value, version } in self.store.server_intents().await? {
            let lease = value.lease_until;
            if now < lease {
                next = Some(next.map_or(lease, |first| first.min(lease)));
                continue;
            }
            let change = Change::DeleteServerIntent(value.serial.clone(), version);
            let request = RequestInfo::default();
            let dropped = self.commit(&request, "drop-server-intent", now, vec![change]);
            match dropped.await {
                Ok(_) => self.report(&Event::ServerIntentDropped {
                    serial: &value.serial,
                    at: now,
                }),
                // Its process completed it, or another node dropped it.
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(next)
    }
}
