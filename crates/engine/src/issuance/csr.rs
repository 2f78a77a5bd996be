//! What a CSR may request.

use assay_ca::RequestedNames;
use assay_proto::Identifier;

use crate::{
    domain::Order,
    error::CsrRefusal,
    profile::{CsrNames, Profile},
};

/// Checks that the CSR requests no name that the order does not have.
pub(super) fn check_names(
    names: &RequestedNames,
    order: &Order,
    profile: &Profile,
) -> Result<(), CsrRefusal> {
    if names.wants_ca {
        return Err(CsrRefusal::CaRequested);
    }
    for name in &names.permanent_identifiers {
        // The draft, section 3.2: "the identifierValue field of the
        // PermanentIdentifier MUST be present"; and an "octet-for-octet match".
        let ordered = order.identifiers.iter().any(|identifier| match identifier {
            Identifier::PermanentIdentifier(identifier) => {
                name.value.as_deref() == Some(identifier.device())
                    && name.assigner.as_deref()
                        == identifier.assigner().map(assay_proto::DottedOid::as_str)
            }
            Identifier::HardwareModule(_) => false,
        });
        if !ordered {
            return Err(CsrRefusal::NameNotOrdered("permanent identifier"));
        }
    }
    for name in &names.hardware_modules {
        let ordered = order.identifiers.iter().any(|identifier| match identifier {
            Identifier::HardwareModule(module) => {
                name.serial == module.serial().as_bytes()
                    && name.hw_type == module.hw_type().as_str()
            }
            Identifier::PermanentIdentifier(_) => false,
        });
        if !ordered {
            return Err(CsrRefusal::NameNotOrdered("hardware module"));
        }
    }
    if profile.csr_names == CsrNames::Refuse {
        let requested = [
            (!names.subject_is_empty, "subject"),
            (!names.dns.is_empty(), "DNS name"),
            (!names.emails.is_empty(), "mail address"),
            (!names.uris.is_empty(), "URI"),
            (!names.ips.is_empty(), "IP address"),
            (!names.upns.is_empty(), "user principal name"),
            (names.others > 0, "name of another kind"),
        ];
        if let Some((_, what)) = requested.into_iter().find(|(present, _)| *present) {
            return Err(CsrRefusal::NamesRefused(what));
        }
    }
    Ok(())
}
