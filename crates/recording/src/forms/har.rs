//! HAR: the requests and responses that a browser or a proxy wrote down.
//!
//! The evidence is in a request; the token and the identifier for it are in
//! responses, which name the challenge by its URL.

use std::collections::HashMap;

use assay_proto::WireIdentifier;

use super::{
    FormError, Layer, Looked, Place, Search,
    encoding::base64,
    json::{self, Json},
    jws::decoded,
    shapes::{identifier_of, is_token, time_of},
};

/// What the responses of all entries say.
#[derive(Default)]
struct Seen {
    /// By the challenge's URL.
    challenges: HashMap<String, Challenge>,
    /// By the authorization's URL: the order's place in `orders`.
    authorizations: HashMap<String, usize>,
    orders: Vec<Order>,
    /// By the URL of finalize.
    csrs: HashMap<String, Vec<u8>>,
    /// The identifier that all orders are for, where an authorization is not in
    /// the HAR.
    only_identifier: Option<WireIdentifier>,
}

/// Bytes of a CSR that is kept with evidence.
const MAX_CSR_BYTES: usize = 16 * 1024;

#[derive(Clone, Default)]
struct Challenge {
    token: Option<String>,
    identifier: Option<WireIdentifier>,
    authorization: Option<String>,
}

struct Order {
    identifiers: Vec<WireIdentifier>,
    finalize: Option<String>,
}

impl Search {
    /// Every entry whose request is a JWS with an attestation object.
    pub(super) fn har(&mut self, entries: &[Json]) -> Looked {
        let mut seen = Seen::default();
        for entry in entries {
            let body = response(entry);
            if !self.may_spend(body.as_ref().map_or(0, String::len)) {
                break;
            }
            seen.response(entry, body.as_deref());
            seen.request(entry);
        }
        seen.only_identifier = only_identifier(&seen.orders);
        let before = self.pieces.len();
        for (index, entry) in entries.iter().enumerate() {
            let Some(request) = entry.get("request") else {
                continue;
            };
            let body = request
                .get("postData")
                .and_then(|data| data.text_of("text"));
            let Some(body) = body.filter(|body| body.contains("payload")) else {
                continue;
            };
            if !self.may_spend(body.len()) {
                break;
            }
            let Ok(body) = json::parse(body) else {
                continue;
            };
            let (Some(protected), Some(payload)) =
                (body.text_of("protected"), body.text_of("payload"))
            else {
                continue;
            };
            if decoded(payload).is_none_or(|payload| payload.get("attObj").is_none()) {
                continue;
            }
            self.place = Some(Place::Entry(index));
            let looked = self.within(Layer::Jws, |search| {
                search.hints.time = entry.text_of("startedDateTime").and_then(time_of);
                let header = decoded(protected);
                let url = header.as_ref().and_then(|header| header.text_of("url"));
                let url = url.or_else(|| request.text_of("url")).unwrap_or_default();
                seen.hints(url, search);
                search.jws(protected, payload)
            });
            self.kept(looked);
            self.place = None;
        }
        if self.pieces.len() > before {
            return Ok(true);
        }
        Err(FormError::NoEvidence {
            form: "a HAR",
            lacks: "no request in it is a JWS with an \"attObj\". Was it written with the bodies of the requests?",
        })
    }
}

impl Seen {
    fn response(&mut self, entry: &Json, body: Option<&str>) {
        let Some(body) = body.and_then(|body| json::parse(body.trim()).ok()) else {
            return;
        };
        let url = entry.get("request").and_then(|one| one.text_of("url"));
        let url = header(entry, "location").or(url).unwrap_or_default();
        if body.get("challenges").is_some() {
            let identifier = identifier_of(body.get("identifier"));
            for challenge in body.array_of("challenges") {
                self.challenge(challenge, identifier.clone(), Some(url));
            }
        } else if body.get("finalize").is_some() {
            let order = self.orders.len();
            for authorization in body.array_of("authorizations") {
                if let Some(url) = authorization.text() {
                    self.authorizations.insert(url.to_owned(), order);
                }
            }
            let identifiers = body.array_of("identifiers").iter();
            self.orders.push(Order {
                identifiers: identifiers
                    .filter_map(|one| identifier_of(Some(one)))
                    .collect(),
                finalize: body.text_of("finalize").map(str::to_owned),
            });
        } else if body.get("token").is_some() {
            self.challenge(&body, None, None);
        }
    }

    /// A challenge, in its authorization or by itself.
    fn challenge(
        &mut self,
        challenge: &Json,
        identifier: Option<WireIdentifier>,
        authorization: Option<&str>,
    ) {
        let Some(url) = challenge.text_of("url") else {
            return;
        };
        let known = self.challenges.entry(url.to_owned()).or_default();
        let token = challenge.text_of("token").filter(|token| is_token(token));
        known.token = token.map(str::to_owned).or(known.token.take());
        known.identifier = identifier.or(known.identifier.take());
        known.authorization = authorization
            .map(str::to_owned)
            .or(known.authorization.take());
    }

    /// A request to finalize has the CSR.
    fn request(&mut self, entry: &Json) {
        let data = entry.get("request").and_then(|one| one.get("postData"));
        let Some(body) = data.and_then(|data| data.text_of("text")) else {
            return;
        };
        // Most requests are not JWS at all.
        if !body.contains("\"payload\"") {
            return;
        }
        let Ok(body) = json::parse(body) else { return };
        let url = body.text_of("protected").and_then(decoded);
        let url = url.as_ref().and_then(|header| header.text_of("url"));
        let payload = body.text_of("payload").and_then(decoded);
        let csr = payload.as_ref().and_then(|payload| payload.text_of("csr"));
        let csr = csr.and_then(base64);
        let csr = csr.filter(|csr| csr.len() <= MAX_CSR_BYTES);
        if let (Some(url), Some(csr)) = (url, csr) {
            self.csrs.insert(url.to_owned(), csr);
        }
    }

    /// What is known of the challenge with this URL.
    fn hints(&self, url: &str, search: &mut Search) {
        let challenge = self.challenges.get(url).cloned().unwrap_or_default();
        let authorization = challenge.authorization.as_ref();
        let order = authorization
            .and_then(|url| self.authorizations.get(url))
            .and_then(|index| self.orders.get(*index));
        search.hints.token = challenge.token;
        search.hints.identifier = challenge
            .identifier
            .or_else(|| self.only_identifier.clone());
        search.hints.csr = order
            .and_then(|order| order.finalize.as_ref())
            .and_then(|url| self.csrs.get(url))
            .cloned();
    }
}

fn only_identifier(orders: &[Order]) -> Option<WireIdentifier> {
    let mut all = orders.iter().flat_map(|order| &order.identifiers);
    let first = all.next()?;
    all.all(|other| other == first).then(|| first.clone())
}

/// A response's body, which may be in base64.
fn response(entry: &Json) -> Option<String> {
    let content = entry.get("response")?.get("content")?;
    let text = content.text_of("text")?;
    match content.text_of("encoding") {
        Some("base64") => String::from_utf8(base64(text)?).ok(),
        _ => Some(text.to_owned()),
    }
}

/// A response's header. Names have no case (RFC 9110 section 5.1).
fn header<'j>(entry: &'j Json, name: &str) -> Option<&'j str> {
    let headers = entry.get("response")?.array_of("headers");
    let header = headers.iter().find(|header| {
        header
            .text_of("name")
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
    });
    header?.text_of("value")
}
