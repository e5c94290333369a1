//! Accepts connections and bounds them: how many, how slowly a request's head may come, how long a stop may take.

use crate::auth::Peer;
use crate::listen::{Listener, Socket};
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use lunabot_net::tls::Tls;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

/// Connections at once, event streams included; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// A request's head must have come by then; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// After a failed accept (out of file descriptors), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long answers under way may take to end at a stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells endless streams that the server stops. [`serve`] puts it into each request's extensions.
#[derive(Clone, Default)]
pub(crate) struct Closing(pub CancellationToken);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Serves until `shutdown`; then ends event streams, lets answers under way end, and returns.
pub async fn serve(listener: Listener, router: Router, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener.socket, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else { continue };
        let service = Extension(Closing(shutdown.clone())).layer(router.clone());
        let service = TowerToHyperService::new(Extension(peer).layer(service));
        let (builder, watcher) = (builder.clone(), graceful.watcher());
        let (tls, shutdown) = (listener.tls.clone(), shutdown.clone());
        tokio::spawn(async move {
            let _slot = slot;
            let Some(Some(stream)) = shutdown.run_until_cancelled(secured(stream, tls)).await else { return };
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
            if let Err(e) = watcher.watch(connection).await {
                tracing::debug!("connection: {e}");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("some web clients did not take their answers in time");
    }
}

type Accepted = (Box<dyn Stream>, Peer, tokio::sync::OwnedSemaphorePermit);

/// The stream as the web sees it; `None`: no TLS came about.
async fn secured(stream: Box<dyn Stream>, tls: Option<Arc<Tls>>) -> Option<Box<dyn Stream>> {
    let Some(tls) = tls else { return Some(stream) };
    match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(e)) => {
            tracing::debug!("no TLS with a web client: {e}");
            None
        }
        Err(_) => None,
    }
}

async fn accept(listener: &Socket, slots: &Arc<Semaphore>) -> Option<Accepted> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    let accepted: std::io::Result<(Box<dyn Stream>, Peer)> = match listener {
        Socket::Tcp(socket) => socket.accept().await.map(|(stream, from)| {
            let _ = stream.set_nodelay(true);
            (Box::new(stream) as Box<dyn Stream>, Peer(Some(from.ip())))
        }),
        Socket::Unix(_, socket) => {
            socket.accept().await.map(|(stream, _)| (Box::new(stream) as _, Peer(None)))
        }
    };
    match accepted {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(e) => {
            tracing::warn!("accepting a connection: {e}");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
