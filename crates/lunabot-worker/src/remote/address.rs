//! Where a master is.

use std::fmt;
use std::str::FromStr;

/// The port where none is given and the address is no URL: the one that masters use by convention (16.019).
pub const DEFAULT_PORT: u16 = 9989;

/// A master's port for msgpack workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// TLS from the first byte.
    pub tls: bool,
    /// A name or an IP address, the latter without brackets.
    pub host: String,
    pub port: u16,
    /// Begins with a slash.
    pub path: String,
}

/// An address that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; an address is ws://HOST:PORT, wss://HOST:PORT (TLS), HOST:PORT or HOST, IPv6 in brackets")]
pub struct BadAddress {
    what: String,
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = |what: String| BadAddress { what };
        if text.contains('@') {
            // Perhaps with a password, so it is not repeated.
            return Err(bad("the address of the master holds an '@'; name and password go elsewhere".into()));
        }
        let (tls, url, rest) = match text.split_once("://") {
            Some(("ws", rest)) => (false, true, rest),
            Some(("wss", rest)) => (true, true, rest),
            Some((scheme, _)) => return Err(bad(format!("{text}: the scheme {scheme} is not known"))),
            None => (false, false, text),
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        if !url && path != "/" {
            return Err(bad(format!("{text}: only a URL may have a path")));
        }
        let (host, port) =
            split(authority).ok_or_else(|| bad(format!("{text}: no host, or no port behind the colon")))?;
        let port = match port {
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(bad(format!("{text}: {port} is no port (1 to 65535)"))),
            },
            None if !url => DEFAULT_PORT,
            None if tls => 443,
            None => 80,
        };
        let strange = |c: char| c.is_whitespace() || c.is_control() || "?#\\".contains(c);
        if host.contains(strange) || path.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(bad(format!("{text:?}: a character that does not belong there")));
        }
        Ok(Address { tls, host: host.into(), port, path: path.into() })
    }
}

/// Host and port of an authority.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
        return (!host.is_empty() && port != Some("")).then_some((host, port));
    }
    match authority.matches(':').count() {
        0 => (!authority.is_empty()).then_some((authority, None)),
        1 => authority
            .split_once(':')
            .filter(|(h, p)| !h.is_empty() && !p.is_empty())
            .map(|(h, p)| (h, Some(p))),
        // IPv6 without brackets: where it ends is anybody's guess.
        _ => None,
    }
}

impl Address {
    /// Host and port, as they are written.
    pub fn place(&self) -> String {
        let Address { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "wss" } else { "ws" };
        let path = if self.path == "/" { "" } else { &self.path };
        write!(f, "{scheme}://{}{path}", self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_16_019_every_way_to_write_an_address() {
        for (text, tls, host, port, written) in [
            ("ci.example.org", false, "ci.example.org", 9989, "ws://ci.example.org:9989"),
            ("ci.example.org:9990", false, "ci.example.org", 9990, "ws://ci.example.org:9990"),
            ("[::1]:7", false, "::1", 7, "ws://[::1]:7"),
            ("[::1]", false, "::1", 9989, "ws://[::1]:9989"),
            ("ws://h:9990", false, "h", 9990, "ws://h:9990"),
            ("ws://h", false, "h", 80, "ws://h:80"),
            ("wss://h/", true, "h", 443, "wss://h:443"),
            ("wss://h:9991/workers/x", true, "h", 9991, "wss://h:9991/workers/x"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.tls, address.host.as_str(), address.port), (tls, host, port), "{text}");
            assert_eq!(address.to_string(), written);
        }
    }

    #[test]
    fn what_is_no_address_is_told_so() {
        for (text, part) in [
            ("", "no host"),
            ("h:", "no port behind"),
            (":9989", "no host"),
            ("h:0", "0 is no port"),
            ("h:99999", "99999 is no port"),
            ("::1", "no host"),
            ("[::1", "no host"),
            ("h/path", "only a URL"),
            ("pb://h:1", "scheme pb"),
            ("ws://h h:1", "does not belong"),
            ("ws://joe:s3cret@h:1", "'@'"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("s3cret"), "{text}: {error}");
        }
    }
}
