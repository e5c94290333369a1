//! The web server of a running master: where it listens, and how it moves when `c.www.port` changes.

use crate::lifecycle::Lifecycle;
use anyhow::Result;
use lunabot_model::Json;
use lunabot_model::config::WwwConfig;
use lunabot_net::tls::{ServerConfig, Tls};
use lunabot_www::{Endpoint, ListenError, Listener, WwwState, certificate, listen, router, serve};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// A bound place that is not served yet: nothing else can fail.
pub struct Bound {
    port: Option<Json>,
    listener: Option<Listener>,
}

/// What a new configuration makes of the place. Nothing of it can fail any more.
pub enum Place {
    /// With the certificate as it is in its files now.
    Stays(Option<Arc<ServerConfig>>),
    Moves(Bound),
}

/// The place that the configuration names; none if it names none (no web server).
fn endpoint(www: &WwwConfig) -> Result<Option<Endpoint>, ListenError> {
    www.port.as_ref().map(Endpoint::read).transpose().map_err(ListenError::from)
}

impl Bound {
    /// Takes the place that the configuration names. Relative paths start at `home`.
    pub async fn bind(www: &WwwConfig, home: &Path) -> Result<Self> {
        let listener = match endpoint(www)? {
            Some(endpoint) => Some(listen(&endpoint, home).await?),
            None => None,
        };
        Ok(Bound { port: www.port.clone(), listener })
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
    port: Option<Json>,
    url: Option<String>,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
}

impl Web {
    pub fn new(state: WwwState, lifecycle: Lifecycle) -> Self {
        Web { state, lifecycle, current: Mutex::default() }
    }

    /// Takes the place that a new configuration names, or reads the certificate of the old one again.
    pub async fn prepare(&self, www: &WwwConfig, home: &Path) -> Result<Place> {
        if self.lock().port != www.port {
            return Bound::bind(www, home).await.map(Place::Moves);
        }
        match endpoint(www)? {
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
        let stop = CancellationToken::new();
        if let Some(listener) = place.listener {
            self.spawn(listener, stop.clone());
        }
        match &url {
            Some(url) => tracing::info!("the pages are at {url}"),
            None => tracing::info!("there are no pages: c.www has no port"),
        }
        let old = std::mem::replace(&mut *self.lock(), Current { port: place.port, url, tls, stop });
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
