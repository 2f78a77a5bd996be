//! What is free in a right chain.

use std::sync::LazyLock;

use assay_simulator::{
    authority::AttestationAuthority,
    evidence::{CertificateTemplate, DeviceProperties, Extension, algorithm, der},
};
use proptest::{prelude::*, sample::Index};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData,
    RsaKeySize,
};

pub(super) const NOW: u64 = 1_795_000_000;
pub(super) const FRESHNESS: [u8; 32] = [0x5a; 32];
pub(super) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(super) const KEY_USAGE: &str = "2.5.29.15";
/// CAs below the root.
pub(super) const MAX_CAS: usize = 4;

/// Two keys of a kind: the right one, and one to sign wrongly with.
pub(super) struct Keys {
    pub(super) algorithm: Vec<u8>,
    pub(super) is_rsa: bool,
    pub(super) pair: [KeyPair; 2],
}

/// One of each kind; CAs may share them, for they differ by name.
pub(super) static KEYS: LazyLock<[Keys; 3]> = LazyLock::new(|| {
    let rsa = || KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let rsa_sha256 = der::sequence(&[der::oid("1.2.840.113549.1.1.11"), der::element(5, &[])]);
    [
        (&PKCS_ECDSA_P256_SHA256, algorithm::ecdsa_sha256()),
        (&PKCS_ECDSA_P384_SHA384, algorithm::ecdsa_sha384()),
    ]
    .map(|(kind, algorithm)| Keys {
        algorithm,
        is_rsa: false,
        pair: [(); 2].map(|()| KeyPair::generate_for(kind).unwrap()),
    })
    .into_iter()
    .chain([Keys {
        algorithm: rsa_sha256,
        is_rsa: true,
        pair: [(); 2].map(|()| rsa()),
    }])
    .collect::<Vec<_>>()
    .try_into()
    .unwrap_or_else(|_| unreachable!("three kinds"))
});

/// Lends its templates; its keys sign nothing here.
pub(super) static AUTHORITY: LazyLock<AttestationAuthority> =
    LazyLock::new(|| AttestationAuthority::create(NOW).unwrap());

/// What is free in one certificate of a right chain.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Index into [`KEYS`]; leaves have no RSA keys.
    pub(super) key: usize,
    /// How much more than needed the path length allows; `None` leaves it out.
    pub(super) slack: Option<u64>,
    /// Seconds from and to the ends of validity.
    pub(super) validity: (u64, u64),
    pub(super) subject_key_identifier: bool,
    pub(super) authority_key_identifier: bool,
    /// How far the extensions are rotated.
    pub(super) rotation: Index,
    /// An extension of no meaning, not critical.
    pub(super) unknown_extension: bool,
    /// A leaf's basicConstraints and keyUsage, which it need not have.
    pub(super) constraints: bool,
}

pub(super) fn link() -> impl Strategy<Value = Link> {
    let seconds = prop_oneof![Just(0), 1..100_000_000_u64];
    (
        0..KEYS.len(),
        prop::option::of(0..3_u64),
        (seconds.clone(), seconds),
        any::<(bool, bool, bool, bool, Index)>(),
    )
        .prop_map(
            |(key, slack, validity, (ski, aki, unknown, constraints, rotation))| Link {
                key,
                slack,
                validity,
                subject_key_identifier: ski,
                authority_key_identifier: aki,
                rotation,
                unknown_extension: unknown,
                constraints,
            },
        )
}

/// A right chain.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The leaf first, the root last.
    pub(super) links: Vec<Link>,
    /// Whether a copy of the root is sent.
    pub(super) with_root: bool,
    pub(super) mac: bool,
}

pub(super) fn shape() -> impl Strategy<Value = Shape> {
    (
        prop::collection::vec(link(), 3..=MAX_CAS + 2),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(mut links, with_root, mac)| {
            links[0].key %= 2;
            let with_root = with_root && links.len() < MAX_CAS + 2;
            Shape {
                links,
                with_root,
                mac,
            }
        })
}

impl Shape {
    /// The place of the root.
    pub(super) fn root(&self) -> usize {
        self.links.len() - 1
    }

    pub(super) fn template(&self, place: usize) -> CertificateTemplate {
        let link = &self.links[place];
        let issuer = (place + 1).min(self.root());
        let properties = if self.mac {
            DeviceProperties::mac("C02XK0AAJHD2", "00008112-000A1B2C3D4E5F60")
        } else {
            DeviceProperties::default()
        };
        let spki = KEYS[link.key].pair[0].subject_public_key_info();
        let mut template = match place {
            0 => AUTHORITY.leaf_template(&properties, &spki, &FRESHNESS, NOW),
            _ => AUTHORITY.sub_template(NOW),
        };
        template
            .inner_algorithm
            .clone_from(&KEYS[self.links[issuer].key].algorithm);
        template
            .outer_algorithm
            .clone_from(&template.inner_algorithm);
        template.issuer = name(issuer);
        template.spki = spki;
        template.not_before = NOW - link.validity.0;
        template.not_after = NOW + link.validity.1;
        if place > 0 {
            template.subject = name(place);
            let path_length = link.slack.map(|slack| as_u64(place - 1) + slack);
            template.extensions = vec![
                Extension::basic_constraints(true, path_length),
                Extension::key_usage(&[1, 6]),
            ];
        } else if !link.constraints {
            template.remove_extension(BASIC_CONSTRAINTS);
            template.remove_extension(KEY_USAGE);
        }
        if link.subject_key_identifier {
            template
                .extensions
                .push(Extension::subject_key_identifier(&identifier(place)));
        }
        if link.authority_key_identifier {
            template
                .extensions
                .push(Extension::authority_key_identifier(&identifier(issuer)));
        }
        if link.unknown_extension {
            template
                .extensions
                .push(Extension::new("1.2.3", b"of no meaning"));
        }
        let rotation = link.rotation.index(template.extensions.len());
        template.extensions.rotate_left(rotation);
        template
    }

    pub(super) fn templates(&self) -> Vec<CertificateTemplate> {
        (0..self.links.len())
            .map(|place| self.template(place))
            .collect()
    }

    /// Signs each with the key of the next.
    pub(super) fn sign(&self, templates: &[CertificateTemplate]) -> Vec<Vec<u8>> {
        let signed = templates
            .iter()
            .enumerate()
            .map(|(place, template)| template.sign(&self.signer(place).pair[0]).unwrap());
        signed.collect()
    }

    /// Who signs the certificate at `place`.
    pub(super) fn signer(&self, place: usize) -> &'static Keys {
        &KEYS[self.links[(place + 1).min(self.root())].key]
    }
}

/// The name of the CA at a place.
pub(super) fn name(place: usize) -> Vec<u8> {
    let value = der::element(0x0c, format!("CA {place}").as_bytes());
    let attribute = der::sequence(&[der::oid("2.5.4.3"), value]);
    der::sequence(&[der::element(0x31, &attribute)])
}

pub(super) fn identifier(place: usize) -> [u8; 8] {
    as_u64(place).to_be_bytes()
}

pub(super) fn as_u64(place: usize) -> u64 {
    u64::try_from(place).unwrap()
}
