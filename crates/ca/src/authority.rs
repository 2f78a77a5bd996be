//! Creates the CAs of an installation.
//!
//! Each installation has three certificates: a root that signs only the other
//! two; the issuing CA for devices, restricted to clientAuth; and the CA for
//! the server's own TLS certificate, restricted to serverAuth and to one host.
//! So the root cannot be used as a general-purpose CA.
//! host. The root is therefore no general CA.

use std::{net::IpAddr, time::Duration};

use const_oid::db::rfc4519::{ORGANIZATION_NAME, ORGANIZATIONAL_UNIT_NAME};
use der::{Decode, Encode, Tag, Tagged as _};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    NameConstraints, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData as _,
    SigningKey, date_time_ymd,
};
use thiserror::Error;
use x509_cert::{
    ext::pkix::{SubjectKeyIdentifier, name::GeneralName},
    name::Name,
};
use zeroize::Zeroizing;

use crate::{
    DeterministicKey, Issuer, LeafUsage, Root, RootError, SerialNumber,
    issuer::key_identifier,
    leaf::is_dns_name,
    tbs::{Certificate, TbsCertificate},
};

/// The organizational unit that marks a laboratory CA.
const LABORATORY: &str = "LABORATORY";

const YEAR: u64 = 365 * 24 * 3600 + 6 * 3600;

/// The longest name of an operator, in characters.
const MAX_OPERATOR: usize = 40;

/// The latest time at which a CA with a lifetime of 20 years can start:
/// 9979-12-01. It then ends before the year 10000, which a certificate cannot
/// express.
const LATEST: u64 = 252_768_470_400;

/// How far the validity of CA and leaf certificates is backdated, in seconds,
/// because device clocks are inaccurate.
pub const BACKDATE: u64 = 300;

/// The input to [`create`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthorityPlan {
    /// The operator's name, which is part of every CA's name: 1 to 40
    /// characters.
    pub name: String,
    /// The key type of the issuing CA for devices.
    pub issuing_key: KeyType,
    /// The host of the base URL: the only host that the TLS CA may certify.
    pub host: Host,
    /// Whether to mark every CA as a laboratory CA. The mark cannot be removed
    /// later.
    pub laboratory: bool,
    /// The current time, in seconds since the Unix epoch.
    pub now: u64,
}

/// The key types of a CA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyType {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
}

/// The host part of a URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// A DNS name.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
}

/// The three new CAs.
#[derive(Debug)]
pub struct Authority {
    /// The trust anchor. P-384, 20 years, path length 1.
    pub root: CaMaterial,
    /// Issues device certificates. 10 years, path length 0, clientAuth.
    pub issuing: CaMaterial,
    /// Issues the server's own certificate. P-256, 10 years, path length 0,
    /// serverAuth, critical name constraints.
    pub tls: CaMaterial,
}

/// A CA certificate and its private key. `Debug` does not show the key.
pub struct CaMaterial {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The private key, unencrypted PKCS#8 PEM, zeroized on drop.
    pub key_pem: Zeroizing<String>,
}

impl std::fmt::Debug for CaMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaMaterial")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

/// Why the CAs were not created.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum AuthorityError {
    /// The host is not a DNS name.
    #[error("the host of the base URL is not a DNS name that a certificate can contain")]
    BadHost,
    /// The root's name cannot be encoded again byte for byte.
    #[error("the root's name has an encoding that this program cannot reproduce as an issuer name")]
    BadRootName,
    /// The input is not a private key, or not that of the root certificate.
    #[error("this is not the private key (PKCS #8, PEM) of the root certificate")]
    BadRootKey,
    /// The name is empty, longer than 40 characters, or contains a control
    /// character.
    #[error("the CA's name must have 1 to 40 characters, none of them a control character")]
    BadName,
    /// Key generation or encoding failed.
    #[error("the cryptographic library could not create the key or the certificate")]
    Library,
    /// The name contains the laboratory mark.
    #[error("the CA's name must not contain the word LABORATORY, which marks laboratory CAs")]
    NameHoldsMark,
    /// The root has expired or is not valid yet.
    #[error("the root certificate has expired or is not valid yet, so it cannot issue anything")]
    RootTime,
    /// The clock is before 1970-01-01T00:05, or too late for a certificate.
    #[error("the clock is wrong: no certificate can start at this time and last 20 years")]
    Time,
}

/// Creates the root, the issuing CA for devices and the TLS CA, with new keys
/// and random serial numbers.
///
/// # Errors
/// [`AuthorityError`]
pub fn create(plan: &AuthorityPlan) -> Result<Authority, AuthorityError> {
    if !(1..=MAX_OPERATOR).contains(&plan.name.chars().count())
        || plan.name.chars().any(char::is_control)
    {
        return Err(AuthorityError::BadName);
    }
    if plan.name.contains(LABORATORY) {
        return Err(AuthorityError::NameHoldsMark);
    }
    let constraints = host_constraints(&plan.host)?;

    let (root_key, issuing_key, tls_key) = (
        generate(KeyType::P384)?,
        generate(plan.issuing_key)?,
        generate(KeyType::P256)?,
    );
    let root = Draft::new(plan, &ROOT, &*root_key, &draw_serial()?)?;
    let mut issuing = Draft::new(plan, &ISSUING, &*issuing_key, &draw_serial()?)?;
    issuing.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let mut tls = Draft::new(plan, &TLS, &*tls_key, &draw_serial()?)?;
    tls.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    tls.params.name_constraints = Some(constraints);

    Ok(Authority {
        issuing: issuing.material(&root)?,
        tls: tls.material(&root)?,
        root: root.material(&root)?,
    })
}

/// Creates a new TLS CA for another host under an existing root, with a new key
/// and a random serial number. It is valid for 10 years or until the root
/// expires.
///
/// # Errors
/// [`AuthorityError::BadRootKey`] if `root_key_pem` is not the root's key;
/// other variants if the host or the time does not fit a certificate.
pub fn create_tls(
    root: &Root,
    root_key_pem: &str,
    host: Host,
    now: u64,
) -> Result<CaMaterial, AuthorityError> {
    let constraints = host_constraints(&host)?;
    if !(root.not_before()..root.not_after()).contains(&now) {
        return Err(AuthorityError::RootTime);
    }
    let root_key = KeyPair::from_pem(root_key_pem)
        .map(Zeroizing::new)
        .map_err(|_| AuthorityError::BadRootKey)?;
    let library = |_| AuthorityError::Library;
    let certificate = Certificate::from_der(root.der()).map_err(library)?;
    let tbs_der = certificate.tbs_certificate.to_der().map_err(library)?;
    let tbs = TbsCertificate::from_der(&tbs_der).map_err(library)?;
    let spki = tbs.subject_public_key_info.to_der().map_err(library)?;
    if root_key.subject_public_key_info() != spki {
        return Err(AuthorityError::BadRootKey);
    }
    let name = tbs.subject.decode_as::<Name>().map_err(library)?;
    let plan = AuthorityPlan {
        name: operator(&name),
        issuing_key: KeyType::P256,
        host,
        laboratory: is_laboratory(root.der()),
        now,
    };
    let mut issuer = Draft::new(&plan, &ROOT, &*root_key, &draw_serial()?)?;
    issuer.params.distinguished_name = distinguished_name(&name)?;
    if let Some((_, own)) = tbs.extension::<SubjectKeyIdentifier>().map_err(library)? {
        issuer.params.key_identifier_method = KeyIdMethod::PreSpecified(own.0.into_bytes().into());
    }
    let tls_key = generate(KeyType::P256)?;
    let mut tls = Draft::new(&plan, &TLS, &*tls_key, &draw_serial()?)?;
    tls.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    tls.params.name_constraints = Some(constraints);
    tls.params.not_after = (tls.params.not_after)
        .min(date_time_ymd(1970, 1, 1) + Duration::from_secs(root.not_after()));
    let certificate = tls.signed_by(&issuer)?;
    // The name was encoded again; it must equal the root's, byte for byte.
    match root.check_issued(certificate.der(), LeafUsage::ServerAuth) {
        Ok(()) => {}
        Err(RootError::IssuerMismatch) => return Err(AuthorityError::BadRootName),
        Err(_) => return Err(AuthorityError::Library),
    }
    Ok(CaMaterial {
        certificate_pem: certificate.pem(),
        key_pem: Zeroizing::new(tls_key.serialize_pem()),
    })
}

/// Extracts the operator's name from the name of its root.
fn operator(root: &Name) -> String {
    let organization = root
        .iter()
        .find(|attribute| attribute.oid == ORGANIZATION_NAME)
        .and_then(|attribute| std::str::from_utf8(attribute.value.value()).ok());
    // A suffix is added, and the result must fit a common name: RFC 5280,
    // ub-common-name.
    let fits = |name: &&str| name.chars().count() <= MAX_OPERATOR;
    organization.filter(fits).unwrap_or("Assay").to_owned()
}

/// Converts a name so that rcgen can encode it again.
fn distinguished_name(name: &Name) -> Result<DistinguishedName, AuthorityError> {
    let mut written = DistinguishedName::new();
    for attribute in name.iter() {
        let arcs: Vec<u64> = attribute.oid.arcs().map(u64::from).collect();
        let text = std::str::from_utf8(attribute.value.value())
            .map_err(|_| AuthorityError::BadRootName)?;
        let value = match attribute.value.tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => {
                DnValue::PrintableString(text.try_into().map_err(|_| AuthorityError::BadRootName)?)
            }
            _ => return Err(AuthorityError::BadRootName),
        };
        written.push(DnType::from_oid(&arcs), value);
    }
    Ok(written)
}

/// Creates a laboratory issuing CA that is byte for byte the same in every
/// process: its keys are fixed and public, its serial numbers are fixed, and
/// its dates depend only on `now` (seconds since the Unix epoch). For replays.
///
/// # Errors
/// [`AuthorityError::Time`]. [`AuthorityError::Library`] cannot occur unless
/// the library is broken.
pub fn repeatable(now: u64) -> Result<Issuer, AuthorityError> {
    let plan = AuthorityPlan {
        name: "Assay Replay".to_owned(),
        issuing_key: KeyType::P256,
        host: Host::Dns("localhost".to_owned()),
        laboratory: true,
        now,
    };
    let root_key = DeterministicKey::derive(KeyType::P384, "assay replay root CA");
    let issuing_key = DeterministicKey::derive(plan.issuing_key, "assay replay issuing CA");
    let root = Draft::new(&plan, &ROOT, &root_key, &SerialNumber::from_random([1; 16]))?;
    let mut issuing = Draft::new(
        &plan,
        &ISSUING,
        &issuing_key,
        &SerialNumber::from_random([2; 16]),
    )?;
    issuing.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = issuing.signed_by(&root)?;
    Issuer::deterministic(certificate.der(), issuing_key).map_err(|_| AuthorityError::Library)
}

/// Whether the name of a CA certificate carries the laboratory mark. False for
/// input that is not a certificate.
#[must_use]
pub fn is_laboratory(certificate_der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(certificate_der) else {
        return false;
    };
    let subject = certificate
        .tbs_certificate
        .to_der()
        .and_then(|der| TbsCertificate::from_der(&der)?.subject.decode_as::<Name>());
    subject.is_ok_and(|subject| {
        subject.iter().any(|attribute| {
            attribute.oid == ORGANIZATIONAL_UNIT_NAME
                && attribute.value.value() == LABORATORY.as_bytes()
        })
    })
}

/// Whether a CA certificate's name constraints permit this host and nothing
/// else, as those of an [`AuthorityPlan`]'s TLS CA do. Excluded subtrees are
/// not checked; a relying party checks them. False for any other input.
#[must_use]
pub fn is_constrained_to(certificate_der: &[u8], host: &Host) -> bool {
    let permitted = || {
        let certificate = Certificate::from_der(certificate_der)?;
        let tbs_der = certificate.tbs_certificate.to_der()?;
        let constraints = TbsCertificate::from_der(&tbs_der)?
            .extension::<x509_cert::ext::pkix::NameConstraints>()?
            .and_then(|(_, constraints)| constraints.permitted_subtrees);
        Ok::<_, der::Error>(constraints.unwrap_or_default())
    };
    match permitted().as_deref() {
        Ok([subtree]) => match (&subtree.base, host) {
            (GeneralName::DnsName(name), Host::Dns(host)) => name.as_str() == host,
            (GeneralName::IpAddress(subnet), Host::Ip(host)) => {
                let address = match host {
                    IpAddr::V4(address) => address.octets().to_vec(),
                    IpAddr::V6(address) => address.octets().to_vec(),
                };
                let mask = vec![0xff; address.len()];
                subnet.as_bytes() == [address, mask].concat()
            }
            _ => false,
        },
        _ => false,
    }
}

/// Permits the host and excludes every other name that a TLS certificate can
/// contain. A DNS constraint also covers subdomains (RFC 5280 section 4.2.1.10:
/// "Any DNS name that can be constructed by simply adding zero or more labels
/// to the left-hand side of the name satisfies the name constraint").
fn host_constraints(host: &Host) -> Result<NameConstraints, AuthorityError> {
    match host {
        Host::Dns(name) if is_dns_name(name) => Ok(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(name.clone())],
            excluded_subtrees: vec![
                GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
                GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
            ],
        }),
        Host::Dns(_) => Err(AuthorityError::BadHost),
        Host::Ip(address) => {
            let prefix = if address.is_ipv4() { 32 } else { 128 };
            Ok(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
                    *address, prefix,
                ))],
                // The empty name is a suffix of every DNS name.
                excluded_subtrees: vec![GeneralSubtree::DnsName(String::new())],
            })
        }
    }
}

/// Generates a new key.
fn generate(key_type: KeyType) -> Result<Zeroizing<KeyPair>, AuthorityError> {
    let algorithm = match key_type {
        KeyType::P256 => &PKCS_ECDSA_P256_SHA256,
        KeyType::P384 => &PKCS_ECDSA_P384_SHA384,
    };
    KeyPair::generate_for(algorithm)
        .map(Zeroizing::new)
        .map_err(|_| AuthorityError::Library)
}

/// Generates a random serial number.
fn draw_serial() -> Result<SerialNumber, AuthorityError> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| AuthorityError::Library)?;
    Ok(SerialNumber::from_random(random))
}

/// A CA certificate, ready to be signed.
struct Draft<'a, K> {
    params: CertificateParams,
    key: &'a K,
}

/// The differences between the CAs of a plan.
struct Role {
    name: &'static str,
    years: u64,
    path_len: u8,
}

const ROOT: Role = Role {
    name: "Root CA",
    years: 20,
    path_len: 1,
};
const ISSUING: Role = Role {
    name: "Issuing CA",
    years: 10,
    path_len: 0,
};
const TLS: Role = Role {
    name: "TLS CA",
    years: 10,
    path_len: 0,
};

impl<'a, K: SigningKey> Draft<'a, K> {
    fn new(
        plan: &AuthorityPlan,
        role: &Role,
        key: &'a K,
        serial: &SerialNumber,
    ) -> Result<Self, AuthorityError> {
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, plan.name.as_str());
        let common_name = if plan.laboratory {
            name.push(DnType::OrganizationalUnitName, LABORATORY);
            format!("{LABORATORY} {} {}", plan.name, role.name)
        } else {
            format!("{} {}", plan.name, role.name)
        };
        name.push(DnType::CommonName, common_name);

        let not_before = plan
            .now
            .checked_sub(BACKDATE)
            .filter(|not_before| *not_before < LATEST)
            .ok_or(AuthorityError::Time)?;
        let at = |seconds| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);

        let mut params = CertificateParams::default();
        params.serial_number = Some(serial.as_bytes().to_vec().into());
        params.distinguished_name = name;
        params.not_before = at(not_before);
        params.not_after = at(not_before + role.years * YEAR);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(role.path_len));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        params.key_identifier_method =
            KeyIdMethod::PreSpecified(key_identifier(key.der_bytes()).to_vec());
        Ok(Self { params, key })
    }

    fn signed_by(&self, issuer: &Self) -> Result<rcgen::Certificate, AuthorityError> {
        let issuer = rcgen::Issuer::from_params(&issuer.params, issuer.key);
        self.params
            .signed_by(self.key, &issuer)
            .map_err(|_| AuthorityError::Library)
    }
}

impl Draft<'_, KeyPair> {
    fn material(&self, issuer: &Self) -> Result<CaMaterial, AuthorityError> {
        Ok(CaMaterial {
            certificate_pem: self.signed_by(issuer)?.pem(),
            key_pem: Zeroizing::new(self.key.serialize_pem()),
        })
    }
}
