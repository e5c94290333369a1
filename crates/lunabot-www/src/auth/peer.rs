//! Whose request it is: the client's address, also behind a proxy.

use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;
use lunabot_model::Problem;
use std::net::{IpAddr, Ipv6Addr};

/// The other end of the connection; [`crate::serve`] puts it into each request's extensions. `None`: a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub Option<IpAddr>);

/// Proxies that are believed when they say who asks: by default those of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Option<Vec<IpNet>>);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The client, as far as it is known.
    pub address: Option<IpAddr>,
    /// The connection comes from a proxy that is believed, or from this machine.
    pub trusted: bool,
    /// The request passed a proxy.
    pub forwarded: bool,
}

impl Proxies {
    /// Of `www.trusted_proxies`: addresses and networks.
    pub fn read(texts: &[String]) -> Result<Proxies, Problem> {
        let read = |text: &String| {
            let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            net.ok_or_else(|| {
                Problem::new(
                    "",
                    format!("'{text}' is neither an address (10.0.0.1) nor a network (10.0.0.0/8)"),
                )
            })
        };
        Ok(Proxies(Some(texts.iter().map(read).collect::<Result<_, _>>()?)))
    }

    fn believes(&self, address: IpAddr) -> bool {
        match &self.0 {
            None => address.is_loopback(),
            Some(nets) => nets.iter().any(|net| net.contains(&address)),
        }
    }

    /// The client is the last address that no believed proxy has: what stands before it anybody can write.
    pub fn asker(&self, extensions: &Extensions, headers: &HeaderMap) -> Asker {
        // Without a socket (in tests) it is as if from this machine.
        let peer = extensions.get::<Peer>().map_or(Some(IpAddr::V6(Ipv6Addr::LOCALHOST)), |peer| peer.0);
        let peer = peer.map(|address| address.to_canonical());
        let trusted = peer.is_none_or(|address| self.believes(address));
        let lines: Vec<&str> =
            headers.get_all("x-forwarded-for").into_iter().filter_map(|v| v.to_str().ok()).collect();
        let forwarded = !lines.is_empty();
        if !trusted || !forwarded {
            return Asker { address: peer, trusted, forwarded };
        }
        let mut address = peer;
        for text in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(next) = forwarded_address(text.trim()) else { break };
            address = Some(next);
            if !self.believes(next) {
                break;
            }
        }
        Asker { address, trusted, forwarded }
    }
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]:5`.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<std::net::SocketAddr>().map(|at| at.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(proxies: &Proxies, peer: &str, forwarded: &[&'static str]) -> Asker {
        let mut extensions = Extensions::new();
        extensions.insert(Peer(peer.parse().ok()));
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", axum::http::HeaderValue::from_static(line));
        }
        proxies.asker(&extensions, &headers)
    }

    #[test]
    fn only_believed_proxies_say_who_asks() {
        let local = Proxies::default();
        let listed = Proxies::read(&["10.0.0.0/8".into(), "192.0.2.1".into()]).unwrap();
        for (proxies, peer, forwarded, wanted, trusted) in [
            (&local, "203.0.113.5", &["1.1.1.1"][..], Some("203.0.113.5"), false),
            (&local, "127.0.0.1", &[][..], Some("127.0.0.1"), true),
            (&local, "127.0.0.1", &["1.1.1.1"][..], Some("1.1.1.1"), true),
            // What the client wrote itself stands before what the proxy adds.
            (&local, "::1", &["6.6.6.6, 1.1.1.1"][..], Some("1.1.1.1"), true),
            (&local, "unix", &["1.1.1.1:77"][..], Some("1.1.1.1"), true),
            (&local, "unix", &[][..], None, true),
            (
                &listed,
                "10.1.2.3",
                &["6.6.6.6, 1.1.1.1", "192.0.2.1, [::ffff:10.9.9.9]:1"][..],
                Some("1.1.1.1"),
                true,
            ),
            (&listed, "10.1.2.3", &["nonsense"][..], Some("10.1.2.3"), true),
            (&listed, "127.0.0.1", &["1.1.1.1"][..], Some("127.0.0.1"), false),
        ] {
            let asker = ask(proxies, peer, forwarded);
            let wanted = wanted.map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!((asker.address, asker.trusted), (wanted, trusted), "{peer} {forwarded:?}");
        }
        assert!(Proxies::read(&["10.0.0".into()]).is_err());
    }
}
