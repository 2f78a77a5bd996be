//! A device: what it is, the key that never leaves it, and the requests it signs.

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, PublicKeyData};

use crate::{
    evidence::DeviceProperties,
    jose::{AccountKey, Algorithm, JoseError},
    key::{Key, KeyType},
    san::{self, SubjectAltName},
};

/// A pretend Apple device with one key.
#[derive(Debug)]
pub struct Device {
    /// What its evidence says about it.
    pub properties: DeviceProperties,
    key: Key,
    key_type: KeyType,
}

impl Device {
    /// Makes the device's key.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Key`] if rcgen cannot.
    pub fn new(properties: DeviceProperties, key_type: KeyType) -> Result<Self, DeviceError> {
        Self::with_key(properties, key_type, Key::random(key_type))
    }

    /// The device whose key belongs to a seed of any length and which signs as RFC 6979 says:
    /// the same each time.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Key`] if a library refuses the key.
    pub fn from_seed(
        properties: DeviceProperties,
        key_type: KeyType,
        seed: &[u8],
    ) -> Result<Self, DeviceError> {
        let key = Key::from_seed(key_type, "device", seed);
        Self::with_key(properties, key_type, key)
    }

    fn with_key(
        properties: DeviceProperties,
        key_type: KeyType,
        key: Result<Key, rcgen::Error>,
    ) -> Result<Self, DeviceError> {
        let key = key.map_err(|error| DeviceError::Key {
            reason: error.to_string(),
        })?;
        Ok(Self {
            properties,
            key,
            key_type,
        })
    }

    /// The key, for forging what a Secure Enclave would never sign.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The kind of the key.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The public key as a DER SubjectPublicKeyInfo: what evidence and certificate are about.
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    /// The private key, PKCS#8 in PEM. A real device would never give it away.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.to_pem()
    }

    /// The device's key in the role of an account key: to revoke by certificate key, or to show
    /// that a CSR for the account's own key is refused (RFC 8555 sections 7.6 and 11.1).
    ///
    /// # Errors
    ///
    /// [`JoseError`] if josekit refuses the key.
    pub fn account_key(&self) -> Result<AccountKey, JoseError> {
        let algorithm = match self.key_type {
            KeyType::P256 => Algorithm::Es256,
            KeyType::P384 => Algorithm::Es384,
        };
        AccountKey::from_pkcs8_der(algorithm, self.key.to_pkcs8_der())
    }

    /// A certification request in DER (PKCS#10), signed by the device's key.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Csr`] if rcgen cannot write it.
    pub fn csr(&self, request: &CsrRequest) -> Result<Vec<u8>, DeviceError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, request.common_name.as_str());
        if !request.names.is_empty() {
            // subjectAltName, 2.5.29.17.
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(
                    &[2, 5, 29, 17],
                    san::encode(&request.names),
                ));
        }
        let csr = params
            .serialize_request(&self.key)
            .map_err(|error| DeviceError::Csr {
                reason: error.to_string(),
            })?;
        Ok(csr.der().to_vec())
    }
}

/// What a device asks for. The server may override or drop all of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CsrRequest {
    /// The subject's only attribute. Apple's client always sends the payload's Subject.
    pub common_name: String,
    /// The subject alternative names; none leaves the extension out.
    pub names: Vec<SubjectAltName>,
}

/// Why a device could not be made or could not ask.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DeviceError {
    /// The request could not be written.
    #[error("rcgen could not write the CSR: {reason}")]
    Csr {
        /// What rcgen says.
        reason: String,
    },
    /// The key could not be made.
    #[error("rcgen could not make the device's key: {reason}")]
    Key {
        /// What rcgen says.
        reason: String,
    },
}

#[cfg(test)]
mod tests;
