//! Where a client finds its master: `HOST:PORT`, or `tls:HOST:PORT`.

use anyhow::{Context as _, Result, bail};
use lunabot_worker::remote::{notice_loss, secure};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(30);

/// A connection, whatever secures it.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A master's port for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    tls: bool,
    /// A name or an IP address, the latter without brackets.
    host: String,
    port: u16,
    /// The certificates to trust, PEM; `None`: those of the machine.
    ca_file: Option<PathBuf>,
}

impl Place {
    /// Reads what `--master` and `--ca-file` say.
    ///
    /// # Errors
    /// It is no place, or certificates are named without TLS.
    pub fn of(master: &str, ca_file: Option<PathBuf>) -> Result<Place> {
        let (tls, rest) = match master.strip_prefix("tls:") {
            Some(rest) => (true, rest),
            None => (false, master),
        };
        let Some((host, port)) = split(rest) else {
            bail!("the master is named HOST:PORT, or tls:HOST:PORT, IPv6 in brackets, not {master:?}");
        };
        if !tls && ca_file.is_some() {
            bail!("--ca-file has no meaning without TLS: write --master=tls:{rest}");
        }
        Ok(Place { tls, host: host.to_owned(), port, ca_file })
    }

    /// Connects. The error names the place.
    pub async fn connect(&self) -> Result<Box<dyn Stream>> {
        let opened = tokio::time::timeout(CONNECT, self.open()).await;
        opened.with_context(|| format!("{self} does not answer within {CONNECT:?}"))?
    }

    async fn open(&self) -> Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.with_context(|| format!("cannot connect to {self}"))?;
        if let Err(error) = notice_loss(&stream) {
            tracing::debug!("options of a socket: {error}");
        }
        if !self.tls {
            return Ok(Box::new(stream));
        }
        match secure(&self.host, self.ca_file.clone(), stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(why) => bail!("no TLS with {self}: {why}"),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

fn split(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!bare.is_empty()).then_some((bare, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_16_008_every_way_to_name_a_master() {
        for (text, tls, host, port) in [
            ("ci.example.org:9989", false, "ci.example.org", 9989),
            ("tls:ci.example.org:9989", true, "ci.example.org", 9989),
            ("[::1]:7", false, "::1", 7),
            ("tls:[::1]:7", true, "::1", 7),
        ] {
            let place = Place { tls, host: host.into(), port, ca_file: None };
            assert_eq!(Place::of(text, None).unwrap(), place, "{text}");
        }
        for text in ["", "h", "h:", ":1", "h:0", "h:x", "::1", "[::1]", "tls:h", "ssl:h:1", "[:1"] {
            let error = Place::of(text, None).unwrap_err().to_string();
            assert!(error.contains("named HOST:PORT"), "{text}: {error}");
        }
        let error = Place::of("h:1", Some("ca.pem".into())).unwrap_err().to_string();
        assert!(error.contains("write --master=tls:h:1"), "{error}");
    }
}
