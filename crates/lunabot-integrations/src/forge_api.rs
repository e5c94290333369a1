//! The HTTP interface of a forge: JSON in pages, bounded in time and size.

use crate::source::SourceError;
use lunabot_model::Json;
use lunabot_net::http;
use lunabot_net::reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use lunabot_net::reqwest::{Client, RequestBuilder, Url};
use std::time::Duration;

/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 32 << 20;

/// Reads an address. The error says what is wrong.
pub fn address(text: &str) -> Result<Url, String> {
    let wanted = || format!("{text} is not an address such as https://example.org");
    let url = Url::parse(text).map_err(|_| wanted())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(url) } else { Err(wanted()) }
}

/// Who asks.
pub enum Login {
    Nobody,
    /// `Authorization: token …`.
    Token(String),
    /// `Authorization: Bearer …`.
    Bearer(String),
    Basic(String, String),
}

/// A forge that is asked.
pub struct ForgeApi {
    client: Client,
    base: Url,
}

impl ForgeApi {
    pub fn new(base: &str, login: Login) -> Result<Self, SourceError> {
        let headers = headers(login)?;
        let client = http::builder().timeout(TIMEOUT).default_headers(headers).build();
        Ok(ForgeApi {
            client: client.map_err(|error| SourceError::Other(error.to_string()))?,
            base: address(base).map_err(SourceError::Other)?,
        })
    }

    /// An address below the base; each part is one part of the path, whatever is in it.
    pub fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The address that an answer gives. It must be of the same server: others must not see who asks.
    pub fn linked(&self, href: &str) -> Result<Url, SourceError> {
        let url = self.base.join(href).map_err(|e| SourceError::Other(format!("{href}: {e}")))?;
        if url.origin() == self.base.origin() {
            return Ok(url);
        }
        Err(SourceError::Other(format!("{href} leads away from {}", self.base)))
    }

    /// The answer's body; anything but success is an error.
    pub async fn text(&self, url: Url) -> Result<Vec<u8>, SourceError> {
        self.answer(self.client.get(url.clone()), url).await
    }

    async fn answer(&self, request: RequestBuilder, url: Url) -> Result<Vec<u8>, SourceError> {
        let shown = format!("{}{}", url.host_str().unwrap_or_default(), url.path());
        let told = |error: http::HttpError| SourceError::Other(format!("{shown}: {error}"));
        let response = request.send().await.map_err(|error| told(error.into()))?;
        let status = response.status();
        let body = http::body(response, MAX_ANSWER).await.map_err(told)?;
        if status.is_success() {
            return Ok(body.to_vec());
        }
        let said: Json = serde_json::from_slice(&body).unwrap_or_default();
        let said = said["message"].as_str().or(said["error"]["message"].as_str()).unwrap_or_default();
        let said = lunabot_model::text::shortened(said);
        Err(SourceError::Other(format!("{shown} answers {status} {said}").trim_end().to_string()))
    }

    pub async fn json(&self, url: Url) -> Result<Json, SourceError> {
        self.json_of(self.client.get(url.clone()), url).await
    }

    /// What a request without a body is answered; `accept` is the form that is wanted.
    pub async fn post(&self, url: Url, accept: &'static str) -> Result<Json, SourceError> {
        self.json_of(self.client.post(url.clone()).header(ACCEPT, accept), url).await
    }

    async fn json_of(&self, request: RequestBuilder, url: Url) -> Result<Json, SourceError> {
        let path = url.path().to_string();
        let body = self.answer(request, url).await?;
        serde_json::from_slice(&body)
            .map_err(|e| SourceError::Other(format!("{path}: the answer is no JSON: {e}")))
    }
}

fn headers(login: Login) -> Result<HeaderMap, SourceError> {
    use base64::Engine as _;
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let value = match login {
        Login::Nobody => return Ok(headers),
        Login::Token(token) => format!("token {token}"),
        Login::Bearer(token) => format!("Bearer {token}"),
        Login::Basic(user, password) => {
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            format!("Basic {pair}")
        }
    };
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| SourceError::Other("the token has characters that no header may have".into()))?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(headers)
}

/// What lies at a path of names and positions joined by dots; the error names the path.
pub fn text_at<'a>(value: &'a Json, path: &str) -> Result<&'a str, SourceError> {
    maybe_at(value, path).and_then(Json::as_str).ok_or_else(|| missing("text", path))
}

/// The same, and a number.
pub fn integer_at(value: &Json, path: &str) -> Result<i64, SourceError> {
    maybe_at(value, path).and_then(Json::as_i64).ok_or_else(|| missing("whole number", path))
}

/// The same, where it need not be there.
pub fn maybe_at<'a>(value: &'a Json, path: &str) -> Option<&'a Json> {
    let mut value = value;
    for name in path.split('.') {
        value = match value {
            Json::Array(items) => items.get(name.parse::<usize>().ok()?)?,
            other => other.get(name)?,
        };
    }
    (!value.is_null()).then_some(value)
}

fn missing(what: &str, path: &str) -> SourceError {
    SourceError::Other(format!("the answer has no {what} at {path}"))
}
