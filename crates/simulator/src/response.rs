//! HTTP responses, kept completely so that a test can check every byte.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::{HeaderMap, header};
use serde_json::Value;

/// An HTTP response: status, headers and the whole body.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: HeaderMap,
    /// The body as received.
    pub body: Bytes,
}

impl Response {
    /// Returns the response if its status is 2xx, otherwise the server's error.
    ///
    /// # Errors
    ///
    /// Every other status is an error, whether or not the body is a problem document.
    pub fn success(self) -> Result<Self, Box<ProblemReport>> {
        if (200..300).contains(&self.status) {
            Ok(self)
        } else {
            Err(Box::new(self.problem()))
        }
    }

    /// The first value of a header, if it exists and is visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `Location` header: the URL of what was created (RFC 8555 sections 7.3, 7.4).
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.header(header::LOCATION.as_str())
    }

    /// The `Replay-Nonce` header (RFC 8555 section 6.5.1).
    #[must_use]
    pub fn replay_nonce(&self) -> Option<&str> {
        self.header("replay-nonce")
    }

    /// How long `Retry-After` requests to wait, from seconds or an HTTP date (RFC 9110 section
    /// 10.2.3). Zero if the date has passed.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header(header::RETRY_AFTER.as_str())?;
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        Some(
            date.duration_since(SystemTime::now())
                .unwrap_or(Duration::ZERO),
        )
    }

    /// The targets of all `Link` headers with this relation (RFC 8288 section 3), in order.
    #[must_use]
    pub fn links(&self, relation: &str) -> Vec<String> {
        self.headers
            .get_all(header::LINK)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(split_links)
            .filter(|link| link.relations.iter().any(|each| each == relation))
            .map(|link| link.target)
            .collect()
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// The body is not a JSON text.
    pub fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Parses the body as a problem document (RFC 7807). If it is not one, the members are empty
    /// except for the status and the text.
    #[must_use]
    pub fn problem(&self) -> ProblemReport {
        ProblemReport::from_json(self.status, &self.json().unwrap_or_default(), self.text())
    }
}

/// A server's problem document, parsed independently of the server's crates.
#[derive(Clone, Debug, Default, Eq, PartialEq, thiserror::Error)]
#[error("the server answered {status}: {problem_type} {detail}{}", in_words(.subproblems))]
pub struct ProblemReport {
    /// The HTTP status of the response, whatever the document's own `status` is.
    pub status: u16,
    /// The `type` URN, such as `urn:ietf:params:acme:error:badCSR`; empty if absent.
    pub problem_type: String,
    /// The `detail`; empty if absent.
    pub detail: String,
    /// The `subproblems` (RFC 8555 section 6.7.1) as sent.
    pub subproblems: Vec<Value>,
    /// The text that was parsed.
    pub body: String,
}

impl ProblemReport {
    /// Parses a problem document: the body of a response, or the `error` member of a challenge or
    /// order.
    #[must_use]
    pub fn from_json(status: u16, document: &Value, body: String) -> Self {
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        Self {
            status,
            problem_type: text("type"),
            detail: text("detail"),
            subproblems: document["subproblems"]
                .as_array()
                .cloned()
                .unwrap_or_default(),
            body,
        }
    }

    /// Whether the type is this ACME error, named without `urn:ietf:params:acme:error:` (RFC 8555
    /// section 6.7).
    #[must_use]
    pub fn is(&self, acme_error: &str) -> bool {
        self.problem_type
            .strip_prefix("urn:ietf:params:acme:error:")
            == Some(acme_error)
    }
}

/// Formats the subproblems: type, identifier and detail of each. A subproblem without any of these
/// is shown as sent.
fn in_words(subproblems: &[Value]) -> String {
    let of_one = |subproblem: &Value| {
        let identifier = &subproblem["identifier"];
        let said: Vec<&str> = [
            &subproblem["type"],
            &identifier["type"],
            &identifier["value"],
            &subproblem["detail"],
        ]
        .into_iter()
        .filter_map(Value::as_str)
        .collect();
        if said.is_empty() {
            format!("; {subproblem}")
        } else {
            format!("; {}", said.join(" "))
        }
    };
    subproblems.iter().map(of_one).collect()
}

struct Link {
    target: String,
    relations: Vec<String>,
}

/// Splits a `Link` header. A comma or semicolon counts only outside `<>` and quotes.
fn split_links(value: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, mut parameters)) = after.split_once('>') else {
            break;
        };
        let mut relations = Vec::new();
        while let Some(parameter) = parameters.trim_start().strip_prefix(';') {
            let mut quoted = false;
            let end = parameter
                .find(|character| {
                    quoted ^= character == '"';
                    !quoted && (character == ';' || character == ',')
                })
                .unwrap_or(parameter.len());
            let (one, following) = parameter.split_at(end);
            if let Some((name, value)) = one.split_once('=')
                && name.trim().eq_ignore_ascii_case("rel")
            {
                let value = value.trim().trim_matches('"');
                relations.extend(value.split_ascii_whitespace().map(str::to_owned));
            }
            parameters = following;
        }
        links.push(Link {
            target: target.to_owned(),
            relations,
        });
        rest = parameters;
    }
    links
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn response(headers: &[(&'static str, &str)], body: &'static str) -> Response {
        Response {
            status: 403,
            headers: headers
                .iter()
                .map(|(name, value)| {
                    let name = header::HeaderName::from_static(name);
                    (name, header::HeaderValue::from_str(value).unwrap())
                })
                .collect(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn links_are_found_by_relation_across_headers_commas_and_quotes() {
        let response = response(
            &[
                (
                    "link",
                    "<https://ca/a;b,c>;title=\"x, <y>; rel=no\";rel=\"alternate\", <https://ca/2>; REL=\"up alternate\"",
                ),
                ("link", "<https://ca/dir>;rel=index"),
                ("link", "<https://ca/broken"),
            ],
            "",
        );
        assert_eq!(
            response.links("alternate"),
            ["https://ca/a;b,c", "https://ca/2"]
        );
        assert_eq!(response.links("up"), ["https://ca/2"]);
        assert_eq!(response.links("index"), ["https://ca/dir"]);
        assert_eq!(response.links("no"), Vec::<String>::new());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |value: &str| response(&[("retry-after", value)], "").retry_after();
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        let waited = wait(&later).unwrap();
        assert!(
            (95..=100).contains(&waited.as_secs()),
            "waited {waited:?} for a date 100 s ahead"
        );
        assert_eq!(response(&[], "").retry_after(), None);
    }

    #[test]
    fn a_problem_document_is_read_whole() {
        let body = r#"{"type":"urn:ietf:params:acme:error:badCSR","detail":"no","status":400,"subproblems":[{"a":1},{"type":"t","detail":"d","identifier":{"type":"i","value":"v"}}]}"#;
        let problem = *response(&[], body).success().unwrap_err();
        assert_eq!(
            problem,
            ProblemReport {
                status: 403,
                problem_type: "urn:ietf:params:acme:error:badCSR".to_owned(),
                detail: "no".to_owned(),
                subproblems: vec![
                    json!({"a": 1}),
                    json!({"type": "t", "detail": "d", "identifier": {"type": "i", "value": "v"}}),
                ],
                body: body.to_owned(),
            }
        );
        assert_eq!(
            problem.to_string(),
            "the server answered 403: urn:ietf:params:acme:error:badCSR no; {\"a\":1}; t i v d"
        );
        assert!(problem.is("badCSR"));
        assert!(!problem.is("malformed"));
    }

    #[test]
    fn an_answer_that_is_no_problem_document_still_tells_its_status_and_text() {
        let problem = *response(&[], "<html>").success().unwrap_err();
        let expected = ProblemReport {
            status: 403,
            body: "<html>".to_owned(),
            ..ProblemReport::default()
        };
        assert_eq!(problem, expected);
    }
}
