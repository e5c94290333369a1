//! The web server of a running master: where it listens, and how it moves when `c.www.port` changes.

use crate::lifecycle::Lifecycle;
use anyhow::Result;
use lunabot_model::Json;
use lunabot_model::config::WwwConfig;
use lunabot_www::{Endpoint, ListenError, Listener, WwwState, listen, router, serve};
use std::sync::{Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// A bound place that is not served yet: nothing else can fail.
pub struct Bound {
    port: Option<Json>,
    listener: Option<Listener>,
}

impl Bound {
    /// Takes the place that the configuration names; none if it names none (no web server).
    pub async fn bind(www: &WwwConfig) -> Result<Self> {
        let listener = match &www.port {
            Some(port) => Some(listen(&Endpoint::read(port).map_err(ListenError::from)?).await?),
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
    stop: CancellationToken,
}

impl Web {
    pub fn new(state: WwwState, lifecycle: Lifecycle) -> Self {
        Web { state, lifecycle, current: Mutex::default() }
    }

    /// Serves at `place` and leaves the old one, whose answers under way end in peace.
    pub fn move_to(&self, place: Bound) {
        let url = place.listener.as_ref().map(Listener::url);
        let stop = CancellationToken::new();
        if let Some(listener) = place.listener {
            self.spawn(listener, stop.clone());
        }
        match &url {
            Some(url) => tracing::info!("the pages are at {url}"),
            None => tracing::info!("there are no pages: c.www has no port"),
        }
        let old = std::mem::replace(&mut *self.lock(), Current { port: place.port, url, stop });
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

    /// Whether a configuration wants another place than the one served at.
    pub fn differs(&self, www: &WwwConfig) -> bool {
        self.lock().port != www.port
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
