//! Where something listens: a port, `host:port`, or an endpoint string (01.026, 10.001).

use crate::Json;
use std::fmt;
use std::path::PathBuf;

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Tcp {
        host: String,
        port: u16,
    },
    /// TCP with TLS from the first byte.
    Ssl {
        host: String,
        port: u16,
        /// PEM files: the private key, and the certificate with those that vouch for it.
        private_key: PathBuf,
        certificate: PathBuf,
    },
    /// With the permission bits of the socket.
    Unix {
        path: PathBuf,
        mode: u32,
    },
    /// A socket that systemd listens at and hands over.
    Systemd(Passed),
}

/// Which of the sockets that systemd hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// In the order of the socket unit, from 0.
    Index(usize),
    /// `FileDescriptorName` of the socket unit.
    Name(String),
}

/// A value that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not a place to listen at: a port, \"host:port\", \"tcp:8010:interface=127.0.0.1\", \"ssl:8010:privateKey=key.pem:certKey=cert.pem\", \"unix:/path\" or \"systemd:index=0\" is"
)]
pub struct EndpointError(pub String);

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host, port } | Endpoint::Ssl { host, port, .. } if host.contains(':') => {
                write!(f, "[{host}]:{port}")
            }
            Endpoint::Tcp { host, port } | Endpoint::Ssl { host, port, .. } => write!(f, "{host}:{port}"),
            Endpoint::Unix { path, .. } => write!(f, "{}", path.display()),
            Endpoint::Systemd(Passed::Index(index)) => write!(f, "socket {index} of systemd"),
            Endpoint::Systemd(Passed::Name(name)) => write!(f, "socket {name} of systemd"),
        }
    }
}

const ANY_HOST: &str = "0.0.0.0";
const SOCKET_MODE: u32 = 0o666;

impl Endpoint {
    /// Whether two places are one; port 0 is any free one.
    pub fn collides_with(&self, other: &Endpoint) -> bool {
        match (self, other) {
            (Endpoint::Unix { path: a, .. }, Endpoint::Unix { path: b, .. }) => a == b,
            (Endpoint::Systemd(a), Endpoint::Systemd(b)) => a == b,
            (
                Endpoint::Tcp { port: a, host: at } | Endpoint::Ssl { port: a, host: at, .. },
                Endpoint::Tcp { port: b, host: other } | Endpoint::Ssl { port: b, host: other, .. },
            ) => a == b && *a != 0 && (at == other || at == ANY_HOST || other == ANY_HOST),
            _ => false,
        }
    }

    /// Reads an option.
    pub fn read(port: &Json) -> Result<Endpoint, EndpointError> {
        let wrong = || EndpointError(port.to_string());
        match port {
            Json::Number(n) => {
                let port = n.as_u64().and_then(|n| u16::try_from(n).ok()).ok_or_else(wrong)?;
                Ok(Endpoint::Tcp { host: ANY_HOST.into(), port })
            }
            Json::String(text) => Self::parse(text).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }

    fn parse(text: &str) -> Option<Endpoint> {
        if let Some(rest) = text.strip_prefix("tcp:") {
            return Self::parse_tcp(&split_escaped(rest));
        }
        if let Some(rest) = text.strip_prefix("ssl:") {
            return Self::parse_ssl(&split_escaped(rest));
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            return Self::parse_unix(&split_escaped(rest));
        }
        if let Some(rest) = text.strip_prefix("systemd:") {
            return Self::parse_systemd(&split_escaped(rest));
        }
        if let Ok(port) = text.parse() {
            return Some(Endpoint::Tcp { host: ANY_HOST.into(), port });
        }
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Endpoint::Tcp { host: host.into(), port: port.parse().ok()? }).filter(|_| !host.is_empty())
    }

    fn parse_tcp(parts: &[String]) -> Option<Endpoint> {
        let (mut host, mut port) = (ANY_HOST.to_string(), None);
        for part in parts {
            match part.split_once('=') {
                None | Some(("port", _)) => port = part.trim_start_matches("port=").parse().ok(),
                Some(("interface", value)) => host = value.to_string(),
                Some(("backlog", _)) => {}
                Some(_) => return None,
            }
        }
        Some(Endpoint::Tcp { host, port: port? })
    }

    fn parse_ssl(parts: &[String]) -> Option<Endpoint> {
        let (mut host, mut port, mut key, mut certificate) = (ANY_HOST.to_string(), None, None, None);
        for part in parts {
            match part.split_once('=') {
                None | Some(("port", _)) => port = part.trim_start_matches("port=").parse().ok(),
                Some(("interface", value)) => host = value.to_string(),
                Some(("privateKey", file)) => key = Some(PathBuf::from(file)),
                Some(("certKey", file)) => certificate = Some(PathBuf::from(file)),
                Some(("backlog", _)) => {}
                Some(_) => return None,
            }
        }
        let private_key = key.or_else(|| certificate.clone())?;
        Some(Endpoint::Ssl { host, port: port?, private_key, certificate: certificate? })
    }

    fn parse_unix(parts: &[String]) -> Option<Endpoint> {
        let (mut path, mut mode) = (None, SOCKET_MODE);
        for part in parts {
            match part.split_once('=') {
                Some(("mode", value)) => mode = u32::from_str_radix(value, 8).ok()?,
                Some(("lockfile" | "backlog", _)) => {}
                None | Some(("address", _)) => {
                    path = Some(PathBuf::from(part.trim_start_matches("address=")));
                }
                Some(_) => return None,
            }
        }
        path.filter(|p| !p.as_os_str().is_empty()).map(|path| Endpoint::Unix { path, mode })
    }

    /// What kind of socket it is can be seen when it is there.
    fn parse_systemd(parts: &[String]) -> Option<Endpoint> {
        let mut passed = None;
        for part in parts {
            match part.split_once('=') {
                Some(("domain", "INET" | "INET6" | "UNIX")) => {}
                Some(("index", index)) => passed = Some(Passed::Index(index.parse().ok()?)),
                Some(("name", name)) if !name.is_empty() => passed = Some(Passed::Name(name.into())),
                None | Some(_) => return None,
            }
        }
        passed.map(Endpoint::Systemd)
    }
}

/// Splits at colons; `\:` is a colon of the text.
fn split_escaped(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => parts.push(String::new()),
            '\\' => parts.last_mut().into_iter().for_each(|part| part.extend(chars.next())),
            _ => parts.last_mut().into_iter().for_each(|part| part.push(c)),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tcp(host: &str, port: u16) -> Option<Endpoint> {
        Some(Endpoint::Tcp { host: host.into(), port })
    }

    #[test]
    fn row_10_001_ports_and_endpoint_strings() {
        let table = [
            (json!(8010), tcp("0.0.0.0", 8010)),
            (json!("8010"), tcp("0.0.0.0", 8010)),
            (json!("127.0.0.1:0"), tcp("127.0.0.1", 0)),
            (json!("[::1]:8010"), tcp("::1", 8010)),
            (json!("tcp:8010"), tcp("0.0.0.0", 8010)),
            (json!("tcp:port=8010:interface=127.0.0.1"), tcp("127.0.0.1", 8010)),
            (json!(r"tcp:8010:interface=\:\:1"), tcp("::1", 8010)),
            (json!("unix:/run/x:mode=660"), Some(Endpoint::Unix { path: "/run/x".into(), mode: 0o660 })),
            (
                json!("ssl:9989:privateKey=k.pem:certKey=c.pem:interface=127.0.0.1"),
                Some(Endpoint::Ssl {
                    host: "127.0.0.1".into(),
                    port: 9989,
                    private_key: "k.pem".into(),
                    certificate: "c.pem".into(),
                }),
            ),
            (json!("systemd:domain=INET:index=0"), Some(Endpoint::Systemd(Passed::Index(0)))),
            (json!("systemd:name=www"), Some(Endpoint::Systemd(Passed::Name("www".into())))),
            (json!("systemd:"), None),
            (json!("systemd:index=x"), None),
            (json!("ssl:9989"), None),
            (json!("unix:"), None),
            (json!("tcp:interface=127.0.0.1"), None),
            (json!("tcp:8010:colour=red"), None),
            (json!(70000), None),
            (json!(-1), None),
            (json!("nonsense"), None),
            (json!({}), None),
        ];
        for (port, wanted) in table {
            assert_eq!(Endpoint::read(&port).ok(), wanted, "{port}");
        }
    }
}
