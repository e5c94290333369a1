//! What a hook's sender says: headers, arguments, body.

use super::HookError;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_model::Json;
use std::collections::BTreeMap;

const FORM: &str = "application/x-www-form-urlencoded";

/// A request, read whole.
pub struct HookRequest {
    headers: HeaderMap,
    query: String,
    pub body: Bytes,
}

impl HookRequest {
    /// Reads a body of at most `limit` bytes; more is refused with 413.
    pub async fn read(request: Request, limit: usize) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, limit).await.map_err(|_| {
            let text = format!("the body is longer than {limit} bytes, or broke off");
            (StatusCode::PAYLOAD_TOO_LARGE, text).into_response()
        })?;
        let query = parts.uri.query().unwrap_or_default().to_string();
        Ok(HookRequest { headers: parts.headers, query, body })
    }

    /// A header, if it is there and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The content type without its parameters.
    pub fn content_type(&self) -> &str {
        let kind = self.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        kind.split(';').next().unwrap_or_default().trim()
    }

    /// All arguments, of the form first, then of the query.
    fn all(&self) -> impl Iterator<Item = (String, String)> {
        let form = if self.content_type() == FORM { self.body.as_ref() } else { b"" };
        form_urlencoded::parse(form)
            .chain(form_urlencoded::parse(self.query.as_bytes()))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
    }

    /// First values of the arguments; the form wins.
    pub fn arguments(&self) -> BTreeMap<String, String> {
        let mut first = BTreeMap::new();
        for (name, value) in self.all() {
            first.entry(name).or_insert(value);
        }
        first
    }

    /// Every value of an argument; `None`: it is not given.
    pub fn values(&self, name: &str) -> Option<Vec<String>> {
        let values: Vec<String> = self.all().filter(|(n, _)| n == name).map(|(_, value)| value).collect();
        (!values.is_empty()).then_some(values)
    }

    /// An argument of the address alone.
    pub fn query(&self, name: &str) -> Option<String> {
        let mut arguments = form_urlencoded::parse(self.query.as_bytes());
        arguments.find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
    }

    /// The body as JSON. The parser refuses what lies too deep.
    pub fn json(&self) -> Result<Json, HookError> {
        parse(&self.body)
    }

    /// JSON as the body, or as the argument `payload` of a form.
    pub fn payload(&self) -> Result<Json, HookError> {
        match self.content_type() {
            "application/json" => self.json(),
            FORM => {
                let payload = self.arguments().remove("payload");
                let missing = || HookError::Bad("the form has no argument payload".into());
                parse(payload.ok_or_else(missing)?.as_bytes())
            }
            other => Err(HookError::Bad(format!("Unknown content type: {other}"))),
        }
    }
}

fn parse(text: &[u8]) -> Result<Json, HookError> {
    serde_json::from_slice(text).map_err(|e| HookError::Bad(format!("Error loading JSON: {e}")))
}
