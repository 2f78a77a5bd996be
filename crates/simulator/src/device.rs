//! A simulated device: its properties, its key, and the requests that it signs.

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, PublicKeyData};

use crate::{
    evidence::DeviceProperties,
    jose::{AccountKey, Algorithm, JoseError},
    key::{Key, KeyType},
    san::{self, SubjectAltName},
};

/// A simulated Apple device with one key.
#[derive(Debug)]
pub struct Device {
    /// The properties that its evidence states.
    pub properties: DeviceProperties,
    key: Key,
    key_type: KeyType,
}

impl Device {
    /// Generates the device's key.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Key`] if rcgen fails.
    pub fn new(properties: DeviceProperties, key_type: KeyType) -> Result<Self, DeviceError> {
        Self::with_key(properties, key_type, Key::random(key_type))
    }

    /// Derives a device from a seed of any length. It signs by RFC 6979, so its signatures are
    /// reproducible.
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

    /// The key, to forge signatures that a Secure Enclave would never make.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The key's type.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The public key as a DER SubjectPublicKeyInfo, which the evidence and the certificate
    /// contain.
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    /// The private key, PKCS#8 in PEM. A real device never exports it.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.to_pem()
    }

    /// The device's key as an account key: to revoke by certificate key, or to show that a CSR for
    /// the account's own key is refused (RFC 8555 sections 7.6 and 11.1).
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
    /// [`DeviceError::Csr`] if rcgen cannot encode it.
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

/// What a device requests in its CSR. The server may override or drop all of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CsrRequest {
    /// The subject's only attribute. Apple's client always sends the payload's Subject.
    pub common_name: String,
    /// The subject alternative names; without any the extension is omitted.
    pub names: Vec<SubjectAltName>,
}

/// Why a device could not be created or could not make a request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DeviceError {
    /// The CSR could not be encoded.
    #[error("rcgen could not encode the CSR: {reason}")]
    Csr {
        /// The error of rcgen.
        reason: String,
    },
    /// The key could not be generated.
    #[error("rcgen could not generate the device's key: {reason}")]
    Key {
        /// The error of rcgen.
        reason: String,
    },
}

#[cfg(test)]
mod tests;
