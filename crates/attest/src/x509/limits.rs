//! Bounds on certificates and chains, each with its reason.

/// Bytes of one certificate. Apple's leaf has about 900.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;

/// Extensions in one certificate. Apple's leaf has a dozen.
pub const MAX_EXTENSIONS: usize = 64;

/// Extensions in all certificates of a chain. Apple's have under twenty; five
/// full certificates would cost a tenth of a good object to read.
pub const MAX_CHAIN_EXTENSIONS: usize = 96;

/// Attributes in one name. Apple's have four or fewer; 16 KiB hold more than a
/// thousand, and reading them all would cost more than a good object.
pub const MAX_NAME_ATTRIBUTES: usize = 16;

/// Bytes of a certificate's serial number (RFC 5280 section 4.1.2.2: "up to
/// 20 octets").
pub const MAX_SERIAL_BYTES: usize = 20;

/// Remembered intermediates. Apple has one; the rest is room for rotation and
/// laboratories.
pub const MAX_CACHED_INTERMEDIATES: usize = 16;
