use std::fmt;

use super::form;
use crate::domain::Attribute;

/// Why a device is not admitted, as far as it can be known.
///
/// `Display` is for the operator. The client gets
/// [`NotAdmitted::client_detail`], which depends on nothing but the name that
/// the client sent: what is listed is not its business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAdmitted {
    /// The ordered device.
    pub name: String,
    /// What the list shows.
    pub hints: Vec<ListHint>,
}

/// Why a name is not found in a list, for the operator alone. Short, since a log
/// line is cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListHint {
    /// The list has no devices.
    #[error("the list is empty")]
    Empty,
    /// The list has serials only, and the name is a UDID.
    #[error("it has the form of a UDID, and the list has serials only")]
    OnlySerials,
    /// The list has UDIDs only, and the name is a serial.
    #[error("it has the form of a serial, and the list has UDIDs only")]
    OnlyUdids,
    /// The name is listed, as another attribute than the hardware type names.
    #[error(
        "line {line} lists it as a {}, the hardware type names the other attribute", attribute.as_str()
    )]
    OtherAttribute {
        /// The attribute that it is listed under.
        attribute: Attribute,
        /// In which line.
        line: usize,
    },
    /// The name is listed in other letters.
    #[error("line {line} has {listed:?}: upper and lower case differ")]
    OtherCase {
        /// As it is listed.
        listed: String,
        /// In which line.
        line: usize,
    },
}

const VARIABLE: &str = "the name looks like a variable that the MDM did not fill in";

impl NotAdmitted {
    /// What the client is told.
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
