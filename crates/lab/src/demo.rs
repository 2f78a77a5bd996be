//! The devices of `assay demo`: one that is listed, and one that orders in the
//! name of the first.

use assay_simulator::{
    EnrollError, Enrolled, Enrollment, Watch, authority::AttestationAuthority, enroll,
    evidence::DeviceProperties,
};

/// A device of the demo.
#[derive(Clone, Copy, Debug)]
pub struct DemoDevice {
    /// Its serial number.
    pub serial: &'static str,
    /// Its UDID.
    pub udid: &'static str,
}

/// The device that is listed.
pub const LISTED: DemoDevice = DemoDevice {
    serial: "C02DEMO0001",
    udid: "00008112-000A5DE200FACADE",
};

/// The other device, which must never get a certificate.
pub const OTHER: DemoDevice = DemoDevice {
    serial: "C02DEMO0666",
    udid: "00008112-000BADC0FFEE0BAD",
};

impl DemoDevice {
    /// Lets this device order a certificate for the [`LISTED`] device; each step
    /// is reported to `watch`.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn enroll_as_listed(
        &self,
        directory: &str,
        ca_bundle: &str,
        authority: &AttestationAuthority,
        watch: Watch<'_>,
    ) -> Result<Enrolled, EnrollError> {
        let properties = DeviceProperties::mac(self.serial, self.udid);
        let enrollment = Enrollment::new(directory, ca_bundle, LISTED.serial, properties);
        enroll(&enrollment, authority, watch).await
    }
}
