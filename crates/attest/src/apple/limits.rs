//! Bounds on what a leaf says of a device, each with its reason.

/// Bytes of one textual property. Serial numbers, UDIDs and versions have at
/// most some dozens, and all of them are stored with an authorization.
pub const MAX_PROPERTY_BYTES: usize = 256;

/// Bytes of a nonce in a DeviceInformation query (Apple's schema,
/// `DeviceAttestationNonce`: "up to 32 bytes of data").
pub const MAX_NONCE_BYTES: usize = 32;

/// Seconds for which a nonce of a DeviceInformation query counts: 7 days.
/// Apple's schema: "If it has been fewer than 7 days since the system
/// generated an attestation, the device returns the cached attestation rather
/// than generating a new one." An older nonce proves that the device had the
/// chance to make a new attestation and did not.
pub const MAX_NONCE_AGE: u64 = 7 * 24 * 60 * 60;
