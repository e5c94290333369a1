//! The web server of a running master: where it listens, and how it moves when `c.www.port` changes.

use crate::lifecycle::Lifecycle;
use lunabot_model::config::WwwConfig;
use lunabot_net::tls::{ServerConfig, Tls};
use lunabot_www::{Endpoint, ListenError, Listener, WwwState, certificate, listen, router, serve};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// A bound place that is not served yet: nothing else can fail.
pub struct Bound {
    endpoint: Option<Endpoint>,
    listener: Option<Listener>,
}

/// What a new configuration makes of the place. Nothing of it can fail any more.
pub enum Place {
    /// With the certificate as it is in its files now.
    Stays(Option<Arc<ServerConfig>>),
    Moves(Bound),
}

/// The place that the configuration names; none if it names none (no web server). However it is written, it is the same.
fn endpoint(www: &WwwConfig, home: &Path) -> Result<Option<Endpoint>, ListenError> {
    let Some(port) = &www.port else { return Ok(None) };
    Ok(Some(match Endpoint::read(port)? {
        Endpoint::Unix { path, mode } => Endpoint::Unix { path: home.join(path), mode },
        other => other,
    }))
}

impl Bound {
    /// Takes the place that the configuration names. Relative paths start at `home`.
    pub async fn bind(www: &WwwConfig, home: &Path) -> Result<Self, ListenError> {
        Self::take(endpoint(www, home)?, home).await
    }

    async fn take(endpoint: Option<Endpoint>, home: &Path) -> Result<Self, ListenError> {
        let listener = match &endpoint {
            Some(endpoint) => Some(listen(endpoint, home).await?),
            None => None,
        };
        Ok(Bound { endpoint, listener })
    }
}

/// What serves now.
pub struct Web {
    state: WwwState,
    lifecycle: Lifecycle,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    endpoint: Option<Endpoint>,
    /// Its port, also where the system chose it.
    port: Option<u16>,
    url: Option<String>,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
}

impl Web {
    pub fn new(state: WwwState, lifecycle: Lifecycle) -> Self {
        Web { state, lifecycle, current: Mutex::default() }
    }

    /// Takes the place that a new configuration names, or reads the certificate of the old one again.
    pub async fn prepare(&self, www: &WwwConfig, home: &Path) -> Result<Place, ListenError> {
        let endpoint = endpoint(www, home)?;
        if self.lock().endpoint != endpoint {
            return Bound::take(endpoint, home).await.map(Place::Moves);
        }
        match endpoint {
            Some(endpoint) => Ok(Place::Stays(certificate(&endpoint, home).await?)),
            None => Ok(Place::Stays(None)),
        }
    }

    /// Goes over to what was prepared.
    pub fn take_up(&self, place: Place) {
        match place {
            Place::Moves(bound) => self.move_to(bound),
            Place::Stays(certificate) => {
                if let (Some(tls), Some(certificate)) = (&self.lock().tls, certificate) {
                    tls.set(certificate);
                }
            }
        }
    }

    /// Serves at `place` and leaves the old one, whose answers under way end in peace.
    fn move_to(&self, place: Bound) {
        let url = place.listener.as_ref().map(Listener::url);
        let tls = place.listener.as_ref().and_then(|listener| listener.tls.clone());
        let port = place.listener.as_ref().and_then(Listener::port);
        let stop = CancellationToken::new();
        if let Some(listener) = place.listener {
            self.spawn(listener, stop.clone());
        }
        match &url {
            Some(url) => tracing::info!("the pages are at {url}"),
            None => tracing::info!("there are no pages: c.www has no port"),
        }
        let current = Current { endpoint: place.endpoint, port, url, tls, stop };
        let old = std::mem::replace(&mut *self.lock(), current);
        old.stop.cancel();
    }

    fn spawn(&self, listener: Listener, stop: CancellationToken) {
        let router = router(self.state.clone());
        let hard = self.lifecycle.hard();
        self.lifecycle.spawn_until("web server", stop.clone(), async move {
            // A hard stop does not wait for slow clients.
            hard.run_until_cancelled(serve(listener, router, stop)).await;
            Ok(())
        });
    }

    /// Where it listens now.
    pub fn held(&self) -> Option<Endpoint> {
        let current = self.lock();
        current.endpoint.clone().map(|endpoint| endpoint.taken(current.port))
    }

    /// Where the pages are.
    pub fn url(&self) -> Option<String> {
        self.lock().url.clone()
    }

    /// Ends event streams and lets answers under way end; [`Lifecycle::finished`] waits for that.
    pub fn stop(&self) {
        self.lock().stop.cancel();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
