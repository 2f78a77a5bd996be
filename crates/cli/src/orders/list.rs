//! `assay orders list`: pages of orders, the newest last.

use assay_proto::admin;
use assay_proto::{
    Timestamp,
    admin::{ListOrders, OrderFilter, Request, Response, Summary},
};
use clap::{Args, ValueEnum};

use super::Source;
use crate::{
    control::another_answer,
    now,
    output::Text,
    print, print_json,
    progress::Progress,
    stop::Stop,
    values::{Since, since},
};

/// `assay orders list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The maximum number of orders to list.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Only orders of this device: a serial number or UDID, ordered or
    /// attested.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub device: Option<String>,
    /// Only orders with this status.
    #[arg(long)]
    pub status: Option<StatusFilter>,
    /// Only orders since a time (RFC 3339 or seconds since 1970), or of the
    /// last 90s, 30m, 24h, 7d.
    #[arg(long, value_name = "TIME|SPAN", value_parser = since)]
    pub since: Option<Since>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A status to filter orders by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusFilter {
    /// Waiting for the device's attestation.
    Pending,
    /// Waiting for the CSR.
    Ready,
    /// The certificate is being signed.
    Processing,
    /// The certificate was issued.
    Valid,
    /// Refused, expired or abandoned.
    Invalid,
    /// The certificate was issued and later revoked.
    Revoked,
}

impl From<StatusFilter> for admin::StatusFilter {
    fn from(status: StatusFilter) -> Self {
        match status {
            StatusFilter::Pending => Self::Pending,
            StatusFilter::Ready => Self::Ready,
            StatusFilter::Processing => Self::Processing,
            StatusFilter::Valid => Self::Valid,
            StatusFilter::Invalid => Self::Invalid,
            StatusFilter::Revoked => Self::Revoked,
        }
    }
}

/// `assay orders list`
pub async fn run(source: &mut Source<'_>, args: &ListArgs) -> Result<(), Stop> {
    if let Some(device) = &args.device {
        super::check_length("--device", device)?;
    }
    let filter = OrderFilter {
        account: None,
        device: args.device.clone(),
        status: args.status.map(Into::into),
        since: args.since.map(|since| since.before(Timestamp(now()))),
    };
    let is_unfiltered = filter == OrderFilter::default();
    let Listed { mut orders, total } = read(source, filter, args.limit as usize).await?;
    // The newest last, above the prompt.
    orders.reverse();
    let left_out = total.saturating_sub(orders.len());
    if args.json {
        return print_json(&serde_json::json!({
            "orders": orders,
            "total": total,
            "left_out": left_out,
        }));
    }
    if orders.is_empty() {
        return match is_unfiltered {
            true => print("There are no orders yet."),
            false => print("No order matches."),
        };
    }
    orders.iter().try_for_each(|order| print(Text(order)))?;
    if left_out > 0 {
        super::message(format_args!(
            "{} of {} shown, the newest: --limit N shows more",
            grouped(orders.len()),
            grouped(total)
        ));
    }
    Ok(())
}

/// The newest orders that match, and how many do.
struct Listed {
    orders: Vec<Summary>,
    total: usize,
}

/// Reads page after page.
async fn read(source: &mut Source<'_>, filter: OrderFilter, limit: usize) -> Result<Listed, Stop> {
    let mut request = ListOrders {
        // How many orders there are in all is known without reading them.
        count: filter != OrderFilter::default(),
        filter,
        limit,
        ..ListOrders::default()
    };
    let progress = Progress::new("reading orders");
    let (mut orders, mut matching, mut read, mut all) = (Vec::new(), 0, 0, None);
    loop {
        let Response::Page(page) = source.ask(&Request::Page(request.clone())).await? else {
            return Err(another_answer());
        };
        request.limit -= page.orders.len().min(request.limit);
        orders.extend(page.orders);
        (matching, read) = (matching + page.matching, read + page.read);
        all = page.total.or(all);
        request.cursor = page.next;
        if request.cursor.is_none() {
            break;
        }
        progress.count(read);
    }
    progress.end();
    let all = all.and_then(|all| usize::try_from(all).ok());
    Ok(Listed {
        orders,
        // A server of an earlier version counts, as where there is a filter.
        total: all.unwrap_or(matching),
    })
}

/// A number with its thousands set apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
