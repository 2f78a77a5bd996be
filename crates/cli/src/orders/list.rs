//! `assay orders list`: pages of orders, the newest last.

use assay_proto::{
    Timestamp,
    admin::{ListOrders, OrderFilter, Request, Response, Summary},
};

use super::Source;
use crate::{args::ListArgs, now, output::Text, print, print_json, progress::Progress, stop::Stop};

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
            return Err(super::another_answer());
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
