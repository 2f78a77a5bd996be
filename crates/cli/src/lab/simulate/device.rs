//! Which device is simulated: `--platform`, and changes of single properties.

use std::str::FromStr;

use assay_simulator::{
    evidence::{DeviceProperties, PropertyError},
    faults::Shape,
};
use clap::Args;

use super::{FaultChoice, suggest};
use crate::stop::Stop;

/// The properties that the evidence states.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// The kind of device: apple-tv, ipad, iphone, iphone-ios16, mac,
    /// mac-macos14, mac-macos26, user-enrolment, vision or watch; or a Mac whose
    /// evidence has another name of testdata/evidence/good.
    #[arg(long, value_name = "NAME", default_value = "mac")]
    pub platform: Platform,
    /// The version of the operating system and of sepOS.
    #[arg(long, value_name = "VERSION")]
    pub os_version: Option<String>,
    /// The model (software update device ID), for example J413AP.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// State this property: a name of recordings (os_version, sip, ...) and its
    /// value, empty for a blank one; may be repeated.
    #[arg(long = "property", value_name = "NAME=VALUE")]
    pub properties: Vec<String>,
    /// Do not state this property; may be repeated.
    #[arg(long = "without", value_name = "NAME")]
    pub without: Vec<String>,
}

/// The value of `--platform`.
#[derive(Clone, Copy, Debug)]
pub enum Platform {
    /// A device of [`DeviceProperties::platforms`].
    Device(&'static str),
    /// A Mac with valid evidence of another shape.
    Shape(Shape),
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let devices = DeviceProperties::platforms("", "").map(|(device, _)| device);
        if let Some(device) = devices.iter().find(|device| **device == name) {
            return Ok(Self::Device(device));
        }
        let valid = |shape: &Shape| shape.verifies() && !shape.is_usual();
        if let Some(shape) = Shape::find(name).filter(valid) {
            return Ok(Self::Shape(shape));
        }
        if name == "p384-key" {
            return Err("a Mac with a P-384 key is --key p384".to_owned());
        }
        let shapes = Shape::all().filter(valid).map(Shape::name);
        Err(suggest("platform", name, devices.into_iter().chain(shapes)))
    }
}

impl DeviceArgs {
    /// The properties of the device.
    ///
    /// # Errors
    /// A property is unknown, or cannot have the value.
    pub fn properties(&self, serial: &str, udid: &str) -> Result<DeviceProperties, Stop> {
        let device = match self.platform {
            Platform::Device(name) => name,
            Platform::Shape(_) => "mac",
        };
        let platforms = DeviceProperties::platforms(serial, udid);
        let found = platforms.into_iter().find(|(name, _)| *name == device);
        let mut properties = found.map(|(_, one)| one).unwrap_or_default();
        if let Some(version) = &self.os_version {
            properties.os_version = Some(version.clone());
            properties.sepos_version = Some(version.clone());
        }
        if let Some(model) = &self.model {
            properties.model = Some(model.clone());
        }
        for change in &self.properties {
            let Some((name, value)) = change.split_once('=') else {
                return Err(Stop::usage(anyhow::anyhow!(
                    "--property {change} has no value: write {change}=VALUE, {change}= for a blank one, or --without {change}"
                )));
            };
            set(&mut properties, name, Some(value))?;
        }
        for name in &self.without {
            set(&mut properties, name, None)?;
        }
        Ok(properties)
    }

    /// The shape of the evidence: that of `--platform`, or of `--fault`.
    ///
    /// # Errors
    /// Both name one.
    pub fn shape(&self, fault: Option<FaultChoice>) -> Result<Shape, Stop> {
        let fault = match fault {
            Some(FaultChoice::Shape(shape)) if !shape.is_usual() => Some(shape),
            _ => None,
        };
        match (self.platform, fault) {
            (Platform::Device(_), fault) => Ok(fault.unwrap_or_default()),
            (Platform::Shape(shape), None) => Ok(shape),
            (Platform::Shape(shape), Some(fault)) => Err(Stop::usage(anyhow::anyhow!(
                "--platform {} and --fault {} are both shapes of the evidence: give one of them",
                shape.name(),
                fault.name()
            ))),
        }
    }
}

fn set(properties: &mut DeviceProperties, name: &str, value: Option<&str>) -> Result<(), Stop> {
    properties.set(name, value).map_err(|error| {
        Stop::usage(match error {
            PropertyError::Unknown => anyhow::anyhow!(suggest(
                "property",
                name,
                DeviceProperties::NAMES.iter().copied()
            )),
            PropertyError::NotANumber => anyhow::anyhow!(
                "--property {name}={}: the value is a number from 0 to 255: 0 is {}, 1 is {}",
                value.unwrap_or_default(),
                if name == "sip" {
                    "enabled"
                } else {
                    "not allowed"
                },
                if name == "sip" { "disabled" } else { "allowed" },
            ),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_valid_evidence_of_the_corpus_is_a_platform() {
        let files = assay_simulator::corpus::files().unwrap();
        let names = files.iter().filter_map(|file| {
            let name = file.path.strip_prefix("good/")?;
            name.strip_suffix(".cbor")
        });
        let mut count = 0;
        for name in names {
            count += 1;
            match Platform::from_str(name) {
                Ok(_) => assert_ne!(name, "p384-key"),
                Err(error) => assert_eq!(
                    (name, error.as_str()),
                    ("p384-key", "a Mac with a P-384 key is --key p384")
                ),
            }
        }
        assert!(count >= 27, "{count}");
    }

    #[test]
    fn faults_are_no_platforms() {
        for name in ["sip-as-text", "none", "serial-of-another-device", ""] {
            assert!(Platform::from_str(name).is_err(), "{name}");
        }
        let error = Platform::from_str("iphnoe").unwrap_err();
        assert_eq!(
            error,
            "there is no platform \"iphnoe\"; do you mean iphone?"
        );
    }
}
