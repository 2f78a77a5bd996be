//! Checks a downloaded certificate chain.

use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::enroll::UnexpectedAnswer;

/// Returns the leaf in PEM, if the input is a certificate for this key followed by its issuers,
/// without the root. Signatures are not verified: other tools judge what the CA issues; this only
/// checks that the server sent the right certificate.
pub(super) fn check<'a>(chain_pem: &'a str, spki_der: &[u8]) -> Result<&'a str, UnexpectedAnswer> {
    const END: &str = "-----END CERTIFICATE-----";
    let ders: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| UnexpectedAnswer::NotCertificates)?;
    let chain = ders
        .iter()
        .map(|der| match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Ok(certificate),
            _ => Err(UnexpectedAnswer::NotCertificates),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (Some(leaf), Some((leaf_pem, _))) = (chain.first(), chain_pem.split_once(END)) else {
        return Err(UnexpectedAnswer::NotCertificates);
    };
    if leaf.public_key().raw != spki_der {
        return Err(UnexpectedAnswer::ForeignKey);
    }
    if chain
        .iter()
        .any(|certificate| certificate.subject().as_raw() == certificate.issuer().as_raw())
    {
        return Err(UnexpectedAnswer::RootInChain);
    }
    let broken = chain
        .windows(2)
        .position(|pair| pair[0].issuer().as_raw() != pair[1].subject().as_raw());
    match broken {
        Some(index) => Err(UnexpectedAnswer::BrokenChain { index }),
        None => Ok(&chain_pem[..leaf_pem.len() + END.len()]),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
        PublicKeyData,
    };

    use super::*;

    fn params(name: &str, is_ca: IsCa) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = is_ca;
        params
    }

    fn ca(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let params = params(name, IsCa::Ca(BasicConstraints::Unconstrained));
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    struct Issued {
        root: String,
        intermediate: String,
        leaf: String,
        spki: Vec<u8>,
    }

    fn issued() -> Issued {
        let root = ca("root");
        let ca_params = params("intermediate", IsCa::Ca(BasicConstraints::Unconstrained));
        let intermediate =
            CertifiedIssuer::signed_by(ca_params, KeyPair::generate().unwrap(), &root).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf: Certificate = params("leaf", IsCa::NoCa)
            .signed_by(&key, &intermediate)
            .unwrap();
        Issued {
            root: root.pem(),
            intermediate: intermediate.pem(),
            leaf: leaf.pem(),
            spki: key.subject_public_key_info(),
        }
    }

    #[test]
    fn scenario_105_a_chain_is_leaf_and_issuers_without_the_root() {
        let issued = issued();
        let Issued {
            root,
            intermediate,
            leaf,
            spki,
        } = &issued;
        let cases = [
            (format!("{leaf}{intermediate}"), Ok(leaf.trim_end())),
            (leaf.clone(), Ok(leaf.trim_end())),
            (
                format!("{leaf}{intermediate}{root}"),
                Err(UnexpectedAnswer::RootInChain),
            ),
            (
                format!("{intermediate}{leaf}"),
                Err(UnexpectedAnswer::ForeignKey),
            ),
            (
                format!("{leaf}{intermediate}{intermediate}"),
                Err(UnexpectedAnswer::BrokenChain { index: 1 }),
            ),
            (
                format!("{leaf}{leaf}"),
                Err(UnexpectedAnswer::BrokenChain { index: 0 }),
            ),
            (String::new(), Err(UnexpectedAnswer::NotCertificates)),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
                Err(UnexpectedAnswer::NotCertificates),
            ),
        ];
        for (pem, expected) in cases {
            // rcgen's PEM ends lines with CRLF; the download is returned unchanged.
            assert_eq!(check(&pem, spki), expected, "{pem}");
        }
    }
}
