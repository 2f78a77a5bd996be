use std::convert::Infallible;

use assay_engine::{
    Error, SerialNumber,
    ids::{AccountId, AuthorizationId, ChallengeId, OrderId},
};
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use data_encoding::HEXLOWER;

use crate::current;

/// The resource that a path names. A malformed name gets the same answer as an
/// unknown one, and only after the request was authenticated. Therefore the
/// extractor itself never fails.
pub(crate) struct Named<T> {
    known: Option<T>,
    text: String,
}

/// A typed name of a resource, as it appears in a path.
pub(crate) trait Name: Sized {
    /// The kind of resource.
    const RESOURCE: &str;

    /// Parses the name.
    fn parse(text: &str) -> Option<Self>;
}

impl<T: Name> Named<T> {
    /// Returns the name, and notes it in the log: the request is authenticated.
    pub(crate) fn known(self) -> Result<T, Error> {
        let known = self.known.ok_or(Error::NotFound(T::RESOURCE))?;
        current::note_resource(&self.text);
        Ok(known)
    }
}

impl<T: Name, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let text = text.map_or_else(|_| String::new(), |Path(text)| text);
        Ok(Self {
            known: T::parse(&text),
            text,
        })
    }
}

impl Name for AccountId {
    const RESOURCE: &str = "account";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Name for AuthorizationId {
    const RESOURCE: &str = "authorization";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Name for ChallengeId {
    const RESOURCE: &str = "challenge";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Name for OrderId {
    const RESOURCE: &str = "order";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Name for SerialNumber {
    const RESOURCE: &str = "certificate";

    fn parse(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        Self::from_magnitude(&bytes).ok()
    }
}
