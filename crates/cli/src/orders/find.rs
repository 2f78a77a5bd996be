//! `assay orders show`: the orders that a text means: an order's name or URL, a
//! certificate's serial number, or a device.

use std::{fmt, fs};

use anyhow::anyhow;
use assay_engine::{Engine, SerialNumber, domain::CertificateHolder, ids::OrderId, ports::Store};
use assay_proto::{Identifier, Timestamp, WireIdentifier};
use data_encoding::HEXLOWER_PERMISSIVE;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};

use super::{
    Answer, Question, Source,
    list::{Filter, PageQuestion, page},
    refusals::Refusal,
    story::{Story, Summary},
};
use crate::{args::ShowArgs, dir::Dir, print, print_json, stop::Stop};

/// How many orders of a device are told in full.
const STORIES: usize = 5;
/// How many orders of a device are listed.
const LISTED: usize = 50;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindQuestion {
    /// An order, a certificate's serial number or a device.
    pub text: String,
    /// It is a certificate's serial number and nothing else.
    pub certificate: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The order of this name.
    pub order: Option<Box<Story>>,
    /// The order whose certificate has this serial number.
    pub certificate: Option<Box<Story>>,
    /// The orders of the device of this name, and what was refused to it.
    pub device: Option<DeviceStory>,
    /// The certificate of this serial number is one of the server's own.
    pub is_servers: bool,
}

/// What is known of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceStory {
    /// Its name, as it was asked for.
    pub device: String,
    /// Its newest orders in full, the newest first.
    pub orders: Vec<Story>,
    /// The next ones, the newest first.
    pub earlier: Vec<Summary>,
    /// How many there are.
    pub total: usize,
    /// What newOrder refused lately, oldest first. Absent where no server runs,
    /// which alone remembers that.
    pub refusals: Option<Vec<Refusal>>,
}

/// `assay orders show`
pub async fn run(source: &mut Source<'_>, args: &ShowArgs) -> Result<(), Stop> {
    super::check_length("WHAT", &args.what)?;
    let question = FindQuestion {
        text: args.what.clone(),
        certificate: args.certificate,
    };
    let Answer::Found(found) = source.ask(&Question::Find(question)).await? else {
        return Err(super::another_answer());
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
        super::message(device.beside());
    }
    match (story, device) {
        (Some(story), _) if args.pem => print_pem(source.dir(), &story),
        (Some(story), _) if args.json => print_json(&story),
        (Some(story), _) => print(story),
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
        (None, Some(device)) => print(device),
        (None, None) => Err(Stop::refused(anyhow!(
            "there is no such order, certificate or device: `assay orders list` names the orders, `assay orders refusals` what was refused without one"
        ))),
    }
}

/// Looks for what a text means.
pub async fn find(
    store: &dyn Store,
    engine: Option<&Engine>,
    question: &FindQuestion,
    now: Timestamp,
) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let text = question.text.trim();
    if let Some(serial) = serial_number(text)
        && let Some(certificate) = store.certificate(serial).await?
    {
        match certificate.value.holder {
            CertificateHolder::Device { order, .. } => {
                found.certificate = story(store, order, now).await?;
            }
            CertificateHolder::Server => found.is_servers = true,
        }
    }
    if question.certificate {
        return Ok(found);
    }
    let last = text.rsplit('/').next().unwrap_or(text);
    if let Some(id) = OrderId::parse(last) {
        found.order = story(store, id, now).await?;
    }
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    if !is_url {
        found.device = device(store, engine, &device_name(text), now).await?;
    }
    Ok(found)
}

async fn story(
    store: &dyn Store,
    id: OrderId,
    now: Timestamp,
) -> anyhow::Result<Option<Box<Story>>> {
    Ok(match store.order(id).await? {
        Some(order) => Some(Box::new(Story::read(store, order.value, now).await?)),
        None => None,
    })
}

async fn device(
    store: &dyn Store,
    engine: Option<&Engine>,
    name: &str,
    now: Timestamp,
) -> anyhow::Result<Option<DeviceStory>> {
    let question = PageQuestion {
        filter: Filter {
            device: Some(name.to_owned()),
            ..Filter::default()
        },
        before: None,
        limit: LISTED,
    };
    let listed = page(store, &question, now).await?;
    let refusals = engine.map(|engine| {
        let refusals = engine.recent_refusals(Some(name)).into_iter();
        refusals.map(Refusal::from).collect::<Vec<_>>()
    });
    if listed.matching == 0 && refusals.as_ref().is_none_or(Vec::is_empty) {
        return Ok(None);
    }
    let mut summaries = listed.orders.into_iter();
    let mut orders = Vec::new();
    for summary in summaries.by_ref().take(STORIES) {
        if let Some(id) = OrderId::parse(&summary.id)
            && let Some(story) = story(store, id, now).await?
        {
            orders.push(*story);
        }
    }
    Ok(Some(DeviceStory {
        device: name.to_owned(),
        orders,
        earlier: summaries.collect(),
        total: listed.matching,
        refusals,
    }))
}

/// A serial number in hex, as other programs print it too: upper case, with
/// colons or `0x`.
fn serial_number(text: &str) -> Option<SerialNumber> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let mut hex: String = text.chars().filter(|letter| *letter != ':').collect();
    if !hex.len().is_multiple_of(2) {
        hex.insert(0, '0');
    }
    let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    SerialNumber::from_magnitude(&bytes[zeros..]).ok()
}

/// The device that a text names: an identifier's value may name its assigner or
/// its hardware type, too.
fn device_name(text: &str) -> String {
    let parsed = ["permanent-identifier", "hardware-module"]
        .into_iter()
        .find_map(|kind| {
            let wire = WireIdentifier {
                kind: kind.to_owned(),
                value: text.to_owned(),
            };
            Identifier::parse(&wire).ok()
        });
    parsed.map_or_else(|| text.to_owned(), |parsed| parsed.device().to_owned())
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

impl DeviceStory {
    /// One line for where something else of this name is shown.
    fn beside(&self) -> String {
        let refused = self.refusals.as_ref().map_or(0, Vec::len);
        let ways = [
            (self.total, "order", "list"),
            (refused, "recent refusal", "refusals"),
        ];
        let ways = ways.into_iter().filter(|(count, ..)| *count > 0);
        let ways = ways.map(|(count, what, command)| {
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {what}{plural} (`assay orders {command} --device`)")
        });
        format!(
            "clients asked for a device of the name {:?}, too: {}",
            self.device,
            ways.collect::<Vec<_>>().join(", ")
        )
    }
}

impl fmt::Display for DeviceStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.total == 1 { "" } else { "s" };
        write!(
            f,
            "device         {:?}: {} order{plural}",
            self.device, self.total
        )?;
        for (index, story) in self.orders.iter().enumerate() {
            let place = match index {
                0 => "the newest",
                _ => "before that",
            };
            write!(f, "\n\n{place}:\n{story}")?;
        }
        if !self.earlier.is_empty() {
            write!(f, "\n\nearlier:")?;
        }
        for summary in &self.earlier {
            write!(f, "\n{summary}")?;
        }
        match self.refusals.as_deref() {
            None => write!(
                f,
                "\n\nNo server runs: what was refused without an order is in the log alone (event `refused`)."
            ),
            Some([]) => Ok(()),
            Some(refusals) => {
                write!(f, "\n\nrefused without an order:")?;
                refusals.iter().try_for_each(|one| write!(f, "\n{one}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_read_as_other_programs_print_it() {
        let expected = SerialNumber::from_magnitude(&[0x0c, 0xab, 0xcd]).ok();
        assert!(expected.is_some());
        for text in [
            "0cabcd", "cabcd", "0CABCD", "0C:AB:CD", "0x0cabcd", "000cabcd",
        ] {
            assert_eq!(serial_number(text), expected, "{text}");
        }
        for text in ["", "0", "xyz", "C02XK0AAJHD2", &"ab".repeat(21)] {
            assert_eq!(serial_number(text), None, "{text}");
        }
    }

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
        assert_eq!(device.beside(), format!("{start}{refused}"));
        device.total = 2;
        let ordered = "2 orders (`assay orders list --device`)";
        assert_eq!(device.beside(), format!("{start}{ordered}, {refused}"));
        device.refusals = None;
        assert_eq!(device.beside(), format!("{start}{ordered}"));
    }

    #[test]
    fn a_device_is_named_with_or_without_its_assigner_and_type() {
        assert_eq!(device_name("C02AAA"), "C02AAA");
        assert_eq!(device_name("C02AAA/1.2.3"), "C02AAA");
        assert_eq!(device_name("not a name"), "not a name");
    }
}
