//! A line for each request, for those who want them (10.007): `LUNABOT_LOG=info,lunabot_www::access=debug`.

use crate::auth::User;
use crate::router::App;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::{Arc, OnceLock};
use tracing::Level;

const TARGET: &str = "lunabot_www::access";

/// Where the name of who asks is noted; in a request's extensions only while requests are logged.
#[derive(Clone, Default)]
pub struct Asking(Arc<OnceLock<String>>);

impl Asking {
    pub fn is(&self, user: &User) {
        let _ = self.0.set(user.name().to_owned());
    }
}

/// Logs a request when its answer begins. Queries are left out: codes and keys may be in them.
pub async fn log(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if !tracing::enabled!(target: TARGET, Level::DEBUG) {
        return next.run(request).await;
    }
    let asking = Asking::default();
    request.extensions_mut().insert(asking.clone());
    let site = app.www.site.load();
    let asker = site.access.proxies.asker(request.extensions(), request.headers());
    let client = asker.address.map_or("a socket".to_owned(), |address| address.to_string());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = app.www.clock.mono();
    let response = next.run(request).await;
    let took = (app.www.clock.mono() - begun).as_secs_f64();
    let (status, user) = (response.status().as_u16(), asking.0.get().map_or("-", String::as_str));
    tracing::debug!(target: TARGET, %method, path, status, took, client, user, "request");
    response
}
