//! The ports: taking them, and taking in who comes, within limits.

use super::RemoteError;
use super::clients::Gate;
use super::hub::{Arrival, Hub};
use super::login;
use super::transport::Stream;
use lunabot_model::Endpoint;
use lunabot_model::config::protocols::MSGPACK;
use lunabot_net::tls::{self, ServerConfig, Tls};
use socket2::{SockRef, TcpKeepalive};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a login may take.
const LOGIN: Duration = Duration::from_secs(30);
/// Strangers at one port at a time. More wait in the system's queue.
const STRANGERS: usize = 128;
/// Connections that may wait to be taken in. After a restart all workers come back at once. Where there is no room the system
/// drops half of a connection: over PB, where the master speaks first, such a worker would wait for a minute.
const WAITING: u32 = 4096;
/// How long to wait after an error of the system, such as too many open files.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// A port that is taken but not served yet.
pub(super) struct Bound {
    gate: Gate,
    endpoint: Endpoint,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
}

/// A port that is served, until dropped.
pub(super) struct Port {
    /// As the configuration names it.
    pub endpoint: Endpoint,
    /// As it is.
    pub taken: Endpoint,
    pub tls: Option<Arc<Tls>>,
    _serving: DropGuard,
}

impl Bound {
    /// Takes the port. Paths of certificates start at `home`.
    pub async fn bind(gate: Gate, endpoint: Endpoint, home: &Path) -> Result<Self, RemoteError> {
        let place = endpoint.to_string();
        let (host, port) = match &endpoint {
            Endpoint::Tcp { host, port } | Endpoint::Ssl { host, port, .. } => (host.as_str(), *port),
            Endpoint::Unix { .. } | Endpoint::Systemd(_) => {
                let error = std::io::Error::new(std::io::ErrorKind::Unsupported, "workers connect over TCP");
                return Err(RemoteError::Bind { option: gate.option(), place, error });
            }
        };
        let tls = certificates(&gate, &endpoint, home).await?.map(|config| Arc::new(Tls::new(config)));
        let listener = listen(host, port).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                RemoteError::InUse { option: gate.option(), place: endpoint.clone() }
            }
            _ => RemoteError::Bind { option: gate.option(), place, error },
        })?;
        Ok(Bound { gate, endpoint, listener, tls })
    }

    /// Where it is, with the port that the system chose where that was left to it.
    pub fn place(&self) -> String {
        self.listener.local_addr().map_or_else(|_| self.endpoint.to_string(), |at| at.to_string())
    }

    pub fn serve(self, hub: Arc<Hub>) -> Port {
        let serving = CancellationToken::new();
        let stop = serving.clone();
        let tasks = hub.tasks.clone();
        let Bound { gate, endpoint, listener, tls } = self;
        let secured = tls.clone();
        let taken = endpoint.clone().taken(listener.local_addr().ok().map(|at| at.port()));
        tasks.spawn(async move {
            let stopping = hub.stopping.clone();
            tokio::select! {
                () = accept(gate, listener, secured, hub) => {}
                () = stop.cancelled() => {}
                () = stopping.cancelled() => {}
            }
        });
        Port { endpoint, taken, tls, _serving: serving.drop_guard() }
    }
}

/// As [`TcpListener::bind`] does, but with room for all workers of a large installation.
async fn listen(host: &str, port: u16) -> std::io::Result<TcpListener> {
    let mut failed = None;
    for address in tokio::net::lookup_host((host, port)).await? {
        match listen_at(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into()))
}

fn listen_at(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

async fn accept(gate: Gate, listener: TcpListener, tls: Option<Arc<Tls>>, hub: Arc<Hub>) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    loop {
        // Never closed.
        let Ok(place) = strangers.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let (hub, tls, gate) = (hub.clone(), tls.clone(), gate.clone());
                hub.tasks.clone().spawn(async move {
                    let arrival = tokio::select! {
                        arrival = come_in(&gate, &hub, tls.as_deref(), stream, from) => arrival,
                        () = hub.clock.sleep(LOGIN) => None,
                        () = hub.stopping.cancelled() => None,
                    };
                    drop(place);
                    if let Some(arrival) = arrival {
                        hub.live(arrival).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!("cannot take a worker's connection: {error}");
                hub.clock.sleep(AFTER_ERROR).await;
            }
        }
    }
}

async fn come_in(
    gate: &Gate,
    hub: &Hub,
    tls: Option<&Tls>,
    stream: TcpStream,
    from: SocketAddr,
) -> Option<Arrival> {
    if let Err(error) = prepare(&stream) {
        tracing::debug!("options of a socket: {error}");
    }
    let Some(tls) = tls else { return log_in(gate, hub, stream, from).await };
    match tls.accept(stream).await {
        Ok(stream) => log_in(gate, hub, stream, from).await,
        Err(error) => {
            tracing::warn!("no TLS with {from}: {error}");
            None
        }
    }
}

/// The certificates of an endpoint, if it has any.
pub(super) async fn certificates(
    gate: &Gate,
    endpoint: &Endpoint,
    home: &Path,
) -> Result<Option<Arc<ServerConfig>>, RemoteError> {
    let Endpoint::Ssl { private_key, certificate, .. } = endpoint else { return Ok(None) };
    let loaded = tls::load(&home.join(private_key), &home.join(certificate)).await;
    loaded.map(Some).map_err(|why| RemoteError::Tls { option: gate.option(), why })
}

async fn log_in<S: Stream>(gate: &Gate, hub: &Hub, stream: S, from: SocketAddr) -> Option<Arrival> {
    match gate {
        Gate::Workers(MSGPACK) => login::msgpack(hub, stream, from).await,
        Gate::Workers(_) | Gate::Clients(_) => login::pb(hub, gate, stream, from).await,
    }
}

/// A peer that vanished without a word is noticed within two minutes, whether or not anything is sent.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(6);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(120)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lunabot_model::config::protocols::PB;

    #[tokio::test]
    async fn hundreds_of_workers_may_wait_at_a_port_that_takes_none_in_yet() {
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".into(), port: 0 };
        let bound = Bound::bind(Gate::Workers(PB), endpoint, Path::new("/")).await.unwrap();
        let port = bound.listener.local_addr().unwrap().port();
        // As many as the system allows.
        let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
        let most = most.trim().parse::<usize>().unwrap_or(128).min(400);
        let all = futures::future::join_all((0..most).map(|_| TcpStream::connect(("127.0.0.1", port))));
        let connected = tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
        assert!(connected.iter().all(Result::is_ok));
    }
}
