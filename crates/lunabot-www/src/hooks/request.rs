//! What a hook's sender says: headers, arguments, body.

use super::HookError;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_model::Json;
use lunabot_model::object::{MARKS, is_dynamic};
use std::collections::BTreeMap;

const FORM: &str = "application/x-www-form-urlencoded";

/// A request, read whole.
pub struct HookRequest {
    headers: HeaderMap,
    query: String,
    pub body: Bytes,
    pub path: String,
    pub method: String,
    /// Whom `change_hook_auth` has let in.
    pub user: Option<String>,
}

impl HookRequest {
    /// Reads a body of at most `limit` bytes; more is refused with 413, what breaks off with 408.
    pub async fn read(request: Request, limit: usize, user: Option<String>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, limit).await.map_err(|error| {
            let source = std::error::Error::source(&error);
            let too_long =
                source.is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
            if too_long {
                let text = format!("the body is longer than {limit} bytes");
                return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
            }
            (StatusCode::REQUEST_TIMEOUT, "the body broke off, or came too slowly").into_response()
        })?;
        let query = parts.uri.query().unwrap_or_default().to_string();
        let (path, method) = (parts.uri.path().to_string(), parts.method.to_string());
        Ok(HookRequest { headers: parts.headers, query, body, path, method, user })
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

    fn form(&self) -> impl Iterator<Item = (String, String)> {
        let form = if self.content_type() == FORM { self.body.as_ref() } else { b"" };
        let kind = self.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        super::multipart::fields(kind, &self.body).into_iter().chain(owned(form))
    }

    /// All arguments, of the form first, then of the query.
    fn all(&self) -> impl Iterator<Item = (String, String)> {
        self.form().chain(owned(self.query.as_bytes()))
    }

    /// First values of the arguments; the form wins.
    pub fn arguments(&self) -> BTreeMap<String, String> {
        firsts(self.all())
    }

    /// First values of the arguments of the address.
    pub fn query_arguments(&self) -> BTreeMap<String, String> {
        firsts(owned(self.query.as_bytes()))
    }

    /// First values of the arguments of a form.
    pub fn form_arguments(&self) -> BTreeMap<String, String> {
        firsts(self.form())
    }

    /// By names in small letters; several of one name are joined by commas.
    pub fn all_headers(&self) -> Json {
        let text = |name| {
            let values = self.headers.get_all(name).iter();
            let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            values.join(", ")
        };
        self.headers.keys().map(|name| (name.as_str().to_string(), Json::from(text(name)))).collect()
    }

    /// Every value of an argument; `None`: it is not given.
    pub fn values(&self, name: &str) -> Option<Vec<String>> {
        let values: Vec<String> = self.all().filter(|(n, _)| n == name).map(|(_, value)| value).collect();
        (!values.is_empty()).then_some(values)
    }

    /// An argument of the address alone.
    pub fn query(&self, name: &str) -> Option<String> {
        owned(self.query.as_bytes()).find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// The body as JSON. The parser refuses what lies too deep.
    pub fn json(&self) -> Result<Json, HookError> {
        parse(&self.body)
    }

    /// JSON as the body, or as the argument `payload` of a form.
    pub fn payload(&self) -> Result<Json, HookError> {
        match self.content_type() {
            "application/json" | FORM => self.payload_or_body(),
            other => Err(HookError::Bad(format!("Unknown content type: {other}"))),
        }
    }

    /// The same, whatever else the content type says.
    pub fn payload_or_body(&self) -> Result<Json, HookError> {
        if self.content_type() != FORM {
            return self.json();
        }
        let payload = self.form().find(|(name, _)| name == "payload").map(|(_, payload)| payload);
        let missing = || HookError::Bad("the form has no argument payload".into());
        parse(payload.ok_or_else(missing)?.as_bytes())
    }
}

fn owned(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

fn firsts(arguments: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut first = BTreeMap::new();
    for (name, value) in arguments {
        first.entry(name).or_insert(value);
    }
    first
}

/// What a sender writes must not pass for an object of the configuration, neither in functions nor in properties.
fn parse(text: &[u8]) -> Result<Json, HookError> {
    let json =
        serde_json::from_slice(text).map_err(|e| HookError::Bad(format!("Error loading JSON: {e}")))?;
    if is_dynamic(&json) {
        let names = MARKS.join(" and ");
        return Err(HookError::Bad(format!(
            "the payload has {names}, which are names that only the master gives"
        )));
    }
    Ok(json)
}
