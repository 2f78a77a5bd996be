//! Formats events as lines, and adds each to its queue.

use assay_server::ACCESS_TARGET;
use tracing::{Event, Level, Subscriber, span};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{
    Out, events,
    fields::{FieldValue, Fields},
    line,
    queue::Kind,
};

/// The span of a request, from `assay_server`.
const REQUEST: &str = "request";

/// A tracing layer that logs to one destination, in one style.
pub struct LogLayer {
    pub style: line::Style,
    pub out: Out,
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: Context<'_, S>,
    ) {
        let mut fields = Fields::of(attributes.metadata().target());
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::of(metadata.target());
        event.record(&mut fields);
        if self.style.format == line::Format::Json && fields.text("event").is_none() {
            let name = FieldValue::Text(unnamed(metadata.target()).to_owned());
            fields.list.push(("event", name));
        }
        let mut line = line::Line::new(self.style, *metadata.level(), metadata.target(), fields);
        let mut in_request = false;
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            in_request |= span.name() == REQUEST;
            if let Some(fields) = span.extensions().get::<Fields>() {
                line.within(span.name(), fields);
            }
        }
        let kind = kind(metadata.target(), *metadata.level(), in_request);
        self.out.write(kind, line.finish());
    }
}

/// The event name for a line without one.
fn unnamed(target: &str) -> &'static str {
    if is_ours(target) { "debug" } else { "library" }
}

/// Whether a line comes from this program, not from a library.
fn is_ours(target: &str) -> bool {
    target == "assay" || target.starts_with("assay::") || target.starts_with("assay_")
}

/// The queue for an event. An event that a request causes belongs to the events
/// queue only if it is a durable change or a fault, both of which are rare. All
/// others, including unknown ones, are lines of requests and may be dropped.
/// Access lines, which every request causes, come last.
fn kind(target: &str, level: Level, in_request: bool) -> Kind {
    if target == ACCESS_TARGET {
        return Kind::Access;
    }
    let is_event = is_ours(target)
        && match level {
            Level::ERROR => true,
            Level::WARN | Level::INFO => !in_request || target == events::TARGET,
            _ => false,
        };
    if is_event {
        Kind::Events
    } else {
        Kind::Requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_causes_waits_behind_events_and_its_access_line_behind_all() {
        for (target, level, in_request, expected) in [
            ("assay::serve", Level::INFO, false, Kind::Events),
            (events::TARGET, Level::INFO, true, Kind::Events),
            ("assay_server::refusal", Level::ERROR, true, Kind::Events),
            ("assay_engine::refusal", Level::WARN, true, Kind::Requests),
            ("assay_server::current", Level::INFO, true, Kind::Requests),
            ("assay::serve", Level::DEBUG, false, Kind::Requests),
            ("h2::codec", Level::ERROR, false, Kind::Requests),
            (ACCESS_TARGET, Level::INFO, false, Kind::Access),
            (ACCESS_TARGET, Level::INFO, true, Kind::Access),
        ] {
            assert_eq!(
                kind(target, level, in_request),
                expected,
                "{target} {level}"
            );
        }
    }

    #[test]
    fn a_line_without_an_event_says_whose_it_is() {
        for (target, event) in [
            ("assay", "debug"),
            ("assay::serve", "debug"),
            ("assay_server::http_service", "debug"),
            ("assayer", "library"),
            ("h2::codec", "library"),
        ] {
            assert_eq!(unnamed(target), event, "{target}");
        }
    }
}
