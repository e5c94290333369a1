//! The HTTP client.

use bytes::{Bytes, BytesMut};
use reqwest::{ClientBuilder, Response};
use std::error::Error as _;
use std::time::Duration;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A client's settings, for the caller to complete: the machine's certificates, proxies from the environment
/// (`HTTPS_PROXY`, `NO_PROXY` …), a time to connect in, and Lunabot's name. It has no time-out for whole requests: set
/// one.
pub fn builder() -> ClientBuilder {
    crate::install_crypto();
    reqwest::Client::builder()
        .user_agent(concat!("lunabot/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
}

/// Why there is no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct HttpError {
    pub kind: ErrorKind,
    /// What happened, in one line, causes included. The address is told without user, password and query.
    pub message: String,
}

/// What kind of trouble it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself is wrong: an address that is none, a header that must not be.
    Request,
    /// No connection: name, address, certificate.
    Connect,
    Timeout,
    /// Too many redirections, or one to nowhere.
    Redirect,
    /// The answer broke off, or could not be decoded.
    Body,
    /// The answer is longer than the caller takes.
    TooLarge,
}

impl ErrorKind {
    /// The word that functions of the configuration see (`err.kind`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Redirect => "redirect",
            Self::Body => "body",
            Self::TooLarge => "too_large",
        }
    }
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        let kind = match &error {
            e if e.is_timeout() => ErrorKind::Timeout,
            e if e.is_connect() => ErrorKind::Connect,
            e if e.is_redirect() => ErrorKind::Redirect,
            e if e.is_builder() => ErrorKind::Request,
            e if e.is_body() || e.is_decode() => ErrorKind::Body,
            _ => ErrorKind::Connect,
        };
        HttpError { kind, message: told(error) }
    }
}

/// The error with its causes; an address may hold a password or a token, so only its harmless parts are told.
fn told(error: reqwest::Error) -> String {
    let address = error.url().map(|url| format!(" ({}://{}{})", url.scheme(), authority(url), url.path()));
    let error = error.without_url();
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        cause = next.source();
    }
    format!("{}{}", parts.join(": "), address.unwrap_or_default())
}

fn authority(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"))
}

/// The body of an answer, if it is no longer than `limit` bytes; more is not read.
pub async fn body(mut response: Response, limit: usize) -> Result<Bytes, HttpError> {
    let too_large = || HttpError {
        kind: ErrorKind::TooLarge,
        message: format!("the answer is longer than {limit} bytes"),
    };
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(piece) = response.chunk().await? {
        if whole.len() + piece.len() > limit {
            return Err(too_large());
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A server that gives one answer; its address.
    async fn answering(answer: &'static str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        });
        format!("http://joe:secret@{address}/path?token=secret")
    }

    async fn get(url: &str, limit: usize) -> Result<Bytes, HttpError> {
        let client = builder().no_proxy().build().unwrap();
        body(client.get(url).send().await?, limit).await
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let ok = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
        assert_eq!(get(&answering(ok).await, 4).await.unwrap(), "fine");
        assert_eq!(get(&answering(ok).await, 3).await.unwrap_err().kind, ErrorKind::TooLarge);
        let unsaid = "HTTP/1.0 200 OK\r\n\r\nlonger than allowed";
        assert_eq!(get(&answering(unsaid).await, 10).await.unwrap_err().kind, ErrorKind::TooLarge);
        let broken = "HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\nbroken off";
        assert_eq!(get(&answering(broken).await, 100).await.unwrap_err().kind, ErrorKind::Body);
    }

    #[tokio::test]
    async fn errors_tell_what_happened_and_no_password() {
        // Nobody listens where a listener has just gone away.
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = get(&format!("http://joe:secret@{gone}/path?token=secret"), 10).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Connect);
        assert!(error.message.contains(&format!("http://{gone}/path")), "{error}");
        assert!(error.message.contains("refused") && !error.message.contains("secret"), "{error}");
        assert_eq!(get("no address", 10).await.unwrap_err().kind, ErrorKind::Request);
    }
}
