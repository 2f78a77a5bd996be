use std::fmt;

use super::form;
use crate::domain::Attribute;

/// Why a device is not admitted, as far as it is known.
///
/// `Display` is for the operator. The client gets
/// [`NotAdmitted::client_detail`], which depends only on the name that the
/// client sent, so it reveals nothing about the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAdmitted {
    /// The ordered device.
    pub name: String,
    /// Hints from the list.
    pub hints: Vec<ListHint>,
}

/// Why a name is not found in a list, only for the operator. Short, because log
/// lines are truncated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListHint {
    /// The list has no devices.
    #[error("the list is empty")]
    Empty,
    /// The list has only serials, and the name is a UDID.
    #[error("it has the form of a UDID, and the list has serials only")]
    OnlySerials,
    /// The list has only UDIDs, and the name is a serial.
    #[error("it has the form of a serial, and the list has UDIDs only")]
    OnlyUdids,
    /// The name is listed, but not as the attribute of the hardware type.
    #[error(
        "line {line} lists it as a {}, the hardware type names the other attribute", attribute.as_str()
    )]
    OtherAttribute {
        /// The attribute that it is listed under.
        attribute: Attribute,
        /// The line.
        line: usize,
    },
    /// The name is listed with different upper and lower case.
    #[error("line {line} has {listed:?}: upper and lower case differ")]
    OtherCase {
        /// The listed name.
        listed: String,
        /// The line.
        line: usize,
    },
}

const VARIABLE: &str = "the name looks like a variable that the MDM did not fill in";

impl NotAdmitted {
    /// The detail for the client.
    #[must_use]
    pub fn client_detail(&self) -> String {
        let hint = if form::is_variable(&self.name) {
            VARIABLE
        } else if form::has_lower_case(&self.name) {
            "letters count as they are written: check upper and lower case"
        } else {
            return "the device is not admitted".to_owned();
        };
        format!("the device is not admitted: {hint}")
    }
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the device is not on the list")?;
        if form::is_variable(&self.name) {
            write!(f, "; {VARIABLE}")?;
        }
        self.hints.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}
