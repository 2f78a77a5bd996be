//! Checks the root and the CAs below it: whether relying parties trust what
//! they issue.

use anyhow::Context as _;
use assay_ca::{Issuer, LeafUsage, Root};
use assay_engine::issuance;
use assay_proto::Timestamp;

use super::{Problem, Report, Severity};
use crate::{
    certificates::{load_issuer, load_root},
    dir::Dir,
    permissions::{check_key, is_there},
    tls::check::{check_ca, check_root},
};

impl Report {
    /// Loads the root, if it is readable and valid.
    pub(super) fn root(&mut self, dir: &Dir, present: Timestamp) -> Option<Root> {
        let root = self.take(load_root(dir))?;
        let shown = dir.ca_certificate("root");
        self.take(check_root(&root, present).with_context(|| format!("{}", shown.display())));
        Some(root)
    }

    /// Loads the CA `name` with its key, and whether it has the laboratory
    /// mark, if both are readable. Also checks that the root issued it: relying
    /// parties do not trust certificates of a CA below another root.
    pub(super) fn ca(
        &mut self,
        dir: &Dir,
        name: &'static str,
        root: Option<&Root>,
        present: Timestamp,
    ) -> Option<(Issuer, bool)> {
        let (shown, usage) = match name {
            "tls" => ("TLS", LeafUsage::ServerAuth),
            _ => (name, LeafUsage::ClientAuth),
        };
        let path = dir.ca_certificate(name);
        let named = || format!("{}", path.display());
        let (issuer, laboratory) = self.take(load_issuer(dir, name))?;
        self.take(check_ca(shown, &issuer, present));
        if !issuer.may_certify(usage) {
            let (wanted, work) = match usage {
                LeafUsage::ClientAuth => ("clientAuth", "certificates of devices"),
                LeafUsage::ServerAuth => ("serverAuth", "the server's TLS certificate"),
            };
            self.error(
                format_args!(
                    "{} is not a CA for {work}: its extended key usage lacks {wanted}",
                    path.display()
                ),
                Some("restore the certificate and key of the right CA, or use one with that usage"),
            );
        } else if usage == LeafUsage::ServerAuth {
            self.take(issuance::try_server_certificates(&issuer).with_context(named));
        } else if issuer.has_name_constraints() {
            self.warn(
                "ca_name_constraints",
                format_args!(
                    "{} has name constraints: relying parties refuse device certificates whose subject or names are outside them",
                    path.display()
                ),
                "compare the constraints with profile.default, and verify a first certificate with `openssl verify`",
            );
        }
        if let Some(root) = root
            && let Err(error) = root.check_issued(issuer.certificate_der(), usage)
        {
            let root = dir.ca_certificate("root");
            self.error(
                format_args!(
                    "{} was not issued by the root in {}: {error}; clients that trust this root refuse the certificates that it issues",
                    path.display(),
                    root.display()
                ),
                Some("restore the root, the CA's certificate and its key that belong together"),
            );
        }
        Some((issuer, laboratory))
    }

    /// Warns about a CA that expires before certificates with the configured
    /// lifetime would.
    pub(super) fn ends(
        &mut self,
        ca: &'static str,
        end: Timestamp,
        present: Timestamp,
        lifetime: u64,
    ) {
        if present > end || present.plus(lifetime) <= end {
            return;
        }
        let remedy = match ca {
            "root" => {
                "create a new server with its own root in time, and make devices and relying parties trust that root"
            }
            ca => issuance::renew_ca(ca),
        };
        self.add(Problem {
            severity: Severity::Warning,
            event: Some("ca_ends"),
            what: format!(
                "the {ca} CA ends at {end}, before certificates of the configured lifetime: they are shortened to end with it"
            ),
            remedy: Some(remedy.to_owned()),
            ca: Some(ca),
            end: Some(end),
        });
    }

    /// Warns if the root's key is beside the issuing CA's: an attacker who
    /// takes over this machine could then create CAs, not only certificates.
    pub(super) fn check_for_root_key(&mut self, dir: &Dir) {
        let key = dir.ca_key("root");
        if is_there(&key).unwrap_or(false) {
            self.take(check_key(&key));
            self.warn(
                "root_key_online",
                format_args!(
                    "{} is the root's key, on the same machine as the issuing CA's",
                    key.display()
                ),
                "move it to a medium that is kept offline: `serve` never opens it",
            );
        }
    }
}
