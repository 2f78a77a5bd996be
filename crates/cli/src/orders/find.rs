//! `assay orders show`: the orders that a text means: an order's name or URL, a
//! certificate's serial number, or a device.

use std::fs;

use anyhow::anyhow;
use assay_proto::admin::{DeviceStory, FindOrders, Found, Request, Response, Story};
use clap::Args;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::Source;
use crate::{control::another_answer, dir::Dir, output::Text, print, print_json, stop::Stop};

/// `assay orders show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// An order (the last part of its URL), a device's serial number or UDID,
    /// or a certificate's serial number in hex.
    #[arg(allow_hyphen_values = true, value_name = "WHAT")]
    pub what: String,
    /// Treat WHAT as a certificate's serial number.
    #[arg(long)]
    pub certificate: bool,
    /// Print the certificate and its issuer, PEM.
    #[arg(long, conflicts_with = "json")]
    pub pem: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `assay orders show`
pub async fn run(source: &mut Source<'_>, args: &ShowArgs) -> Result<(), Stop> {
    super::check_length("WHAT", &args.what)?;
    let request = FindOrders {
        text: args.what.clone(),
        certificate: args.certificate,
    };
    let Response::Found(found) = source.ask(&Request::Find(request)).await? else {
        return Err(another_answer());
    };
    let Found {
        order,
        certificate,
        device,
        is_servers,
    } = *found;
    // The server alone makes names of orders and serial numbers, so that they
    // are never ambiguous. Any client can order a device by such a name.
    let story = order.or(certificate);
    if (story.is_some() || is_servers)
        && let Some(device) = &device
    {
        super::message(beside(device));
    }
    match (story, device) {
        (Some(story), _) if args.pem => print_pem(source.dir(), &story),
        (Some(story), _) if args.json => print_json(&story),
        (Some(story), _) => print(Text(&*story)),
        (None, _) if is_servers => Err(Stop::refused(anyhow!(
            "that is the serial number of a TLS certificate of the server's own: it has no order"
        ))),
        (None, Some(device)) if args.pem => {
            let issued = device.orders.iter().find(|story| story.issued.is_some());
            match issued {
                Some(story) => print_pem(source.dir(), story),
                None => Err(Stop::refused(anyhow!(
                    "none of the newest orders of {:?} has a certificate: `assay orders list --device` lists them",
                    device.device
                ))),
            }
        }
        (None, Some(device)) if args.json => print_json(&device),
        (None, Some(device)) => print(Text(&device)),
        (None, None) => Err(Stop::refused(anyhow!(
            "there is no such order, certificate or device: `assay orders list` names the orders, `assay orders refusals` what was refused without one"
        ))),
    }
}

/// Prints an order's certificate and, below it, its issuer's.
fn print_pem(dir: &Dir, story: &Story) -> Result<(), Stop> {
    let Some(issued) = &story.issued else {
        return Err(Stop::refused(anyhow!(
            "the order {} has no certificate: it is {}",
            story.order.id,
            story.order.status.as_str()
        )));
    };
    let issuer = fs::read_to_string(dir.ca_certificate("issuing")).ok();
    let is_issuer = |pem: &String| {
        let der = CertificateDer::from_pem_slice(pem.as_bytes());
        der.is_ok_and(|der| {
            data_encoding::HEXLOWER.encode(&assay_engine::sha256(&der)) == issued.issuer_sha256
        })
    };
    match issuer.filter(is_issuer) {
        Some(issuer) => print(format_args!("{}{}", issued.pem, issuer.trim_end())),
        None => {
            super::message(
                "its issuer is not the CA in ca/issuing.pem: the certificate comes without it",
            );
            print(issued.pem.trim_end())
        }
    }
}

/// One line on a device, for where something else of its name is shown.
fn beside(device: &DeviceStory) -> String {
    let refused = device.refusals.as_ref().map_or(0, Vec::len);
    let ways = [
        (device.total, "order", "list"),
        (refused, "recent refusal", "refusals"),
    ];
    let ways = ways.into_iter().filter(|(count, ..)| *count > 0);
    let ways = ways.map(|(count, what, command)| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {what}{plural} (`assay orders {command} --device`)")
    });
    format!(
        "clients asked for a device of the name {:?}, too: {}",
        device.device,
        ways.collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use assay_proto::{Timestamp, WireIdentifier, admin::Refusal};

    use super::*;

    #[test]
    fn a_device_of_the_name_is_mentioned_in_one_line() {
        let refusal = Refusal {
            at: Timestamp(0),
            identifier: WireIdentifier {
                kind: "permanent-identifier".to_owned(),
                value: "0cab".to_owned(),
            },
            account: String::new(),
            client: None,
            reason: String::new(),
            detail: String::new(),
            remedy: None,
        };
        let mut device = DeviceStory {
            device: "0cab\n".to_owned(),
            orders: Vec::new(),
            earlier: Vec::new(),
            total: 0,
            refusals: Some(vec![refusal]),
        };
        let start = "clients asked for a device of the name \"0cab\\n\", too: ";
        let refused = "1 recent refusal (`assay orders refusals --device`)";
        assert_eq!(beside(&device), format!("{start}{refused}"));
        device.total = 2;
        let ordered = "2 orders (`assay orders list --device`)";
        assert_eq!(beside(&device), format!("{start}{ordered}, {refused}"));
        device.refusals = None;
        assert_eq!(beside(&device), format!("{start}{ordered}"));
    }
}
