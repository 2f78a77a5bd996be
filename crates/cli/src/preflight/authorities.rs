//! The root and the CAs below it: whether relying parties trust what they issue.

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
    /// The root, where it can be read and is valid.
    pub(super) fn root(&mut self, dir: &Dir, present: Timestamp) -> Option<Root> {
        let root = self.take(load_root(dir))?;
        let shown = dir.ca_certificate("root");
        self.take(check_root(&root, present).with_context(|| format!("{}", shown.display())));
        Some(root)
    }

    /// The CA `name` with its key, and whether it is a laboratory's, where both
    /// can be read. Whether the root issued it is checked as well: a CA of
    /// another root issues what no relying party trusts.
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
                Some(
                    "put the certificate and key of the right CA back, or take one with that usage",
                ),
            );
        } else if usage == LeafUsage::ServerAuth {
            self.take(issuance::try_server_certificates(&issuer).with_context(named));
        } else if issuer.has_name_constraints() {
            self.warn(
                "ca_name_constraints",
                format_args!(
                    "{} has name constraints: relying parties refuse certificates of devices whose subject or names are outside of them",
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
                    "{} was not issued by the root in {}: {error}; clients that trust this root refuse what it issues",
                    path.display(),
                    root.display()
                ),
                Some("put back the root, the CA's certificate and its key that belong together"),
            );
        }
        Some((issuer, laboratory))
    }

    /// Warns of a CA that ends before certificates of the usual lifetime would.
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
                "make a new server with a root of its own in time, and let devices and relying parties trust that"
            }
            ca => issuance::renew_ca(ca),
        };
        self.add(Problem {
            severity: Severity::Warning,
            event: Some("ca_ends"),
            what: format!(
                "the {ca} CA ends at {end}, before certificates of the usual lifetime: they are cut to its end"
            ),
            remedy: Some(remedy.to_owned()),
            ca: Some(ca),
            end: Some(end),
        });
    }

    /// Warns of the root's key beside the issuing CA's: who takes this machine
    /// over can make CAs then, and not only certificates.
    pub(super) fn look_for_root_key(&mut self, dir: &Dir) {
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
