//! Where something listens: a port, `host:port`, or an endpoint string (01.026, 10.001).

use crate::Json;
use std::fmt;
use std::net::IpAddr;
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

    /// The place as it was taken: with the port that the system chose, where that was left to it.
    #[must_use]
    pub fn taken(mut self, chosen: Option<u16>) -> Endpoint {
        if let (Endpoint::Tcp { port, .. } | Endpoint::Ssl { port, .. }, Some(chosen)) = (&mut self, chosen) {
            *port = chosen;
        }
        self
    }

    /// Whether it is `held` that keeps this place from being taken, where the system says that something does. A name may
    /// stand for any address.
    pub fn is_kept_by(&self, held: &Endpoint) -> bool {
        match (self, held) {
            (
                Endpoint::Tcp { port: a, host: at } | Endpoint::Ssl { port: a, host: at, .. },
                Endpoint::Tcp { port: b, host: other } | Endpoint::Ssl { port: b, host: other, .. },
            ) => a == b && may_overlap(at, other),
            _ => self.collides_with(held),
        }
    }

    /// Reads an option. The error shows what was given, and what would be right.
    pub fn read(port: &Json) -> Result<Endpoint, EndpointError> {
        let read = match port {
            Json::Number(n) => number(n).map(|port| Endpoint::Tcp { host: ANY_HOST.into(), port }),
            Json::String(text) => Self::parse(text),
            _ => Err(String::new()),
        };
        read.map_err(|why| match why.as_str() {
            "" => EndpointError(port.to_string()),
            why => EndpointError(format!("{port} ({why})")),
        })
    }

    /// The error says why not, where there is more to say than that it is none.
    fn parse(text: &str) -> Result<Endpoint, String> {
        let scheme = text.split_once(':').map(|(scheme, rest)| (scheme, split_escaped(rest)));
        match scheme {
            Some(("tcp", parts)) => Self::parse_tcp(&parts),
            Some(("ssl", parts)) => Self::parse_ssl(&parts),
            Some(("unix", parts)) => Self::parse_unix(&parts),
            Some(("systemd", parts)) => Self::parse_systemd(&parts),
            Some((other, _)) if OTHER.contains(&other) => Err(format!("{other}: is not supported")),
            _ => Self::parse_plain(text),
        }
    }

    fn parse_plain(text: &str) -> Result<Endpoint, String> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Endpoint::Tcp { host: ANY_HOST.into(), port: port_of(text)? });
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(String::new)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Endpoint::Tcp { host: host_of(bare)?, port: port_of(port)? })
    }

    fn parse_tcp(parts: &[String]) -> Result<Endpoint, String> {
        let (mut host, mut port) = (ANY_HOST.to_string(), None);
        for part in parts {
            match part.split_once('=') {
                None => port = Some(port_of(part)?),
                Some(("port", value)) => port = Some(port_of(value)?),
                Some(("interface", value)) => host = host_of(value)?,
                Some((name, _)) => return Err(unknown(name)),
            }
        }
        Ok(Endpoint::Tcp { host, port: port.ok_or(NO_PORT)? })
    }

    fn parse_ssl(parts: &[String]) -> Result<Endpoint, String> {
        let (mut host, mut port, mut key, mut certificate) = (ANY_HOST.to_string(), None, None, None);
        for part in parts {
            match part.split_once('=') {
                None => port = Some(port_of(part)?),
                Some(("port", value)) => port = Some(port_of(value)?),
                Some(("interface", value)) => host = host_of(value)?,
                Some(("privateKey", file)) => key = Some(file_of("privateKey", file)?),
                Some(("certKey", file)) => certificate = Some(file_of("certKey", file)?),
                Some((name, _)) => return Err(unknown(name)),
            }
        }
        let certificate = certificate.ok_or("it has no certKey=FILE")?;
        let private_key = key.unwrap_or_else(|| certificate.clone());
        Ok(Endpoint::Ssl { host, port: port.ok_or(NO_PORT)?, private_key, certificate })
    }

    fn parse_unix(parts: &[String]) -> Result<Endpoint, String> {
        let (mut path, mut mode) = (None, SOCKET_MODE);
        for part in parts {
            match part.split_once('=') {
                Some(("mode", value)) => {
                    let read = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o777);
                    mode = read.ok_or_else(|| format!("mode={value} is no mode such as mode=660"))?;
                }
                None => path = Some(file_of("the path", part)?),
                Some(("address", value)) => path = Some(file_of("the path", value)?),
                Some((name, _)) => return Err(unknown(name)),
            }
        }
        path.map(|path| Endpoint::Unix { path, mode }).ok_or_else(|| "it has no path".into())
    }

    /// What kind of socket it is can be seen when it is there.
    fn parse_systemd(parts: &[String]) -> Result<Endpoint, String> {
        let mut passed = None;
        for part in parts {
            match part.split_once('=') {
                Some(("domain", "INET" | "INET6" | "UNIX")) => {}
                Some(("index", index)) => {
                    passed = Some(Passed::Index(index.parse().map_err(|_| format!("{index} is no number"))?));
                }
                Some(("name", name)) if !name.is_empty() => passed = Some(Passed::Name(name.into())),
                None | Some(_) => return Err(String::new()),
            }
        }
        passed.map(Endpoint::Systemd).ok_or_else(String::new)
    }
}

fn may_overlap(host: &str, other: &str) -> bool {
    match (host.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(host), Ok(other)) => host == other || host.is_unspecified() || other.is_unspecified(),
        _ => true,
    }
}

/// Kinds of places of Buildbot that there are not here.
const OTHER: &[&str] =
    &["fd", "haproxy", "http", "https", "le", "lets", "onion", "stdio", "tcp6", "tls", "txacme"];
const NO_PORT: &str = "it has no port";

fn unknown(name: &str) -> String {
    match name {
        "backlog" => "backlog= has no use: the system's limit holds, leave it out".into(),
        "lockfile" => "lockfile= has no use: a socket that nobody serves is replaced, leave it out".into(),
        "extraCertChain" => "put the chain into the file of certKey=, after the certificate".into(),
        other => format!("{other}= is not supported"),
    }
}

fn number(n: &serde_json::Number) -> Result<u16, String> {
    let whole = n.as_f64().filter(|n| n.fract() == 0.0).ok_or("a port is a whole number")?;
    if (0.0..=65535.0).contains(&whole) { Ok(whole as u16) } else { Err(RANGE.into()) }
}

const RANGE: &str = "ports go from 0 to 65535";

fn port_of(text: &str) -> Result<u16, String> {
    match text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        true => text.parse().map_err(|_| RANGE.into()),
        false => Err(format!("'{text}' is no port")),
    }
}

fn host_of(text: &str) -> Result<String, String> {
    let named = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) && !text.is_empty();
    // With the zone of a link: fe80::1%eth0.
    let address = text.split('%').next().is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    if named || address { Ok(text.into()) } else { Err(format!("'{text}' is neither a host nor an address")) }
}

fn file_of(what: &str, text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err(format!("{what} is empty")) } else { Ok(text.into()) }
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
            (json!(8010.0), tcp("0.0.0.0", 8010)),
            (json!("::1:8010"), tcp("::1", 8010)),
            (json!("ci-1.example.org:8010"), tcp("ci-1.example.org", 8010)),
            (json!(8010.5), None),
            (json!(99999), None),
            (json!("99999"), None),
            (json!(true), None),
            (json!(""), None),
            (json!("+8010"), None),
            (json!("abc"), None),
            (json!("tcp:"), None),
            (json!("systemd:0"), None),
            (json!("http:80"), None),
            (json!("http://ci.example.org:80"), None),
            (json!("le:/x:tcp:443"), None),
            (json!("tcp6:8010"), None),
            (json!("/run/x:80"), None),
            (json!("ssl:9989:privateKey=k.pem"), None),
            (json!("ssl:9989:certKey="), None),
            (json!("ssl:9989:certKey=c.pem:sslmethod=TLSv1_METHOD"), None),
            (json!("unix:/run/x:mode=999"), None),
            (json!("unix:/run/x:mode=7777"), None),
            (json!("unix:/run/x:lockfile=1"), None),
            (json!("tcp:8010:backlog=9"), None),
            (json!(70000), None),
            (json!(-1), None),
            (json!("nonsense"), None),
            (json!({}), None),
        ];
        for (port, wanted) in table {
            assert_eq!(Endpoint::read(&port).ok(), wanted, "{port}");
        }
    }

    #[test]
    fn a_place_in_use_may_be_kept_by_one_that_overlaps() {
        for (wanted, held, kept) in [
            ("127.0.0.1:80", "80", true),
            ("[::]:80", "80", true),
            ("localhost:80", "127.0.0.1:80", true),
            ("ssl:80:certKey=c", "80", true),
            ("unix:/x:mode=600", "unix:/x", true),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("81", "80", false),
            ("unix:/x", "unix:/y", false),
        ] {
            let [wanted, held] = [wanted, held].map(|text| Endpoint::read(&json!(text)).unwrap());
            assert_eq!(wanted.is_kept_by(&held), kept, "{wanted} {held}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_the_remedy_10_001() {
        for (port, told) in [
            (json!(99999), "99999 (ports go from 0 to 65535) is not a place to listen at: a port,"),
            (json!("tcp:8010:backlog=9"), "\"tcp:8010:backlog=9\" (backlog= has no use"),
            (json!("ssl:9989:privateKey=k"), "\"ssl:9989:privateKey=k\" (it has no certKey=FILE) is not"),
            (json!("http:80"), "\"http:80\" (http: is not supported) is not a place"),
            (json!(true), "true is not a place to listen at: a port,"),
        ] {
            let error = Endpoint::read(&port).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
