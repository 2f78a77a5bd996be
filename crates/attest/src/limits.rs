//! Bounds on everything that a stranger may send, each with its reason.

/// Bytes of an attestation object. Apple's have about 2 KiB; five
/// certificates at their own limit do not fit, and need not.
pub const MAX_OBJECT_BYTES: usize = 64 * 1024;

/// Bytes of one certificate. Apple's leaf has about 900.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;

/// Certificates in `x5c`. Apple sends two; a copy of the root and room for a
/// deeper hierarchy make five.
pub const MAX_CHAIN_CERTIFICATES: usize = 5;

/// Extensions in one certificate. Apple's leaf has a dozen.
pub const MAX_EXTENSIONS: usize = 64;

/// Extensions in all certificates of a chain. Apple's have under twenty; five
/// full certificates would cost a tenth of a good object to read.
pub const MAX_CHAIN_EXTENSIONS: usize = 96;

/// Attributes in one name. Apple's have four or fewer; 16 KiB hold more than a
/// thousand, and reading them all would cost more than a good object.
pub const MAX_NAME_ATTRIBUTES: usize = 16;

/// Nested CBOR containers and tags. The object needs three: the map, the
/// statement, `x5c`.
pub const MAX_CBOR_DEPTH: usize = 8;

/// Keys of one CBOR map. WebAuthn knows three for the object; the search for
/// repeated ones is quadratic.
pub const MAX_CBOR_KEYS: usize = 32;

/// CBOR items in one map, those within its items too. The object needs about
/// ten; 64 KiB hold as many one-byte items, and passing over all of them would
/// cost more than a good object.
pub const MAX_CBOR_ITEMS: usize = 256;

/// Bytes of one textual property. Serial numbers, UDIDs and versions have at
/// most some dozens, and all of them are stored with an authorization.
pub const MAX_PROPERTY_BYTES: usize = 256;

/// Bytes of a certificate's serial number (RFC 5280 section 4.1.2.2: "up to
/// 20 octets").
pub const MAX_SERIAL_BYTES: usize = 20;

/// Remembered intermediates. Apple has one; the rest is room for rotation and
/// laboratories.
pub const MAX_CACHED_INTERMEDIATES: usize = 16;

/// Bytes of a nonce in a DeviceInformation query (Apple's schema,
/// `DeviceAttestationNonce`: "up to 32 bytes of data").
pub const MAX_NONCE_BYTES: usize = 32;

/// Seconds for which a nonce of a DeviceInformation query counts: 7 days.
/// Apple's schema: "If it has been fewer than 7 days since the system
/// generated an attestation, the device returns the cached attestation rather
/// than generating a new one." An older nonce proves that the device had the
/// chance to make a new attestation and did not.
pub const MAX_NONCE_AGE: u64 = 7 * 24 * 60 * 60;
