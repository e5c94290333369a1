//! Change sources, as web hooks ask them (02.040, lua-api § 3: `self:serve`).

use lunabot_integrations::ChangeSources;
use lunabot_model::{BoxFuture, Json, ScriptErrorKind, ScriptObject};
use lunabot_www::{PollPort, ServeRefusal};
use std::sync::Arc;

pub struct Pollers(pub Arc<ChangeSources>);

impl PollPort for Pollers {
    fn pollers(&self) -> Vec<String> {
        self.0.status().into_iter().map(|row| row.name).collect()
    }

    fn poll<'a>(&'a self, names: &'a [String]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for name in names {
                // One that a reload has just stopped need not poll.
                let _ = self.0.force(Some(std::slice::from_ref(name))).await;
            }
        })
    }

    fn nonsense(&self, path: &str, text: &str) {
        self.0.served().nonsense(path, text);
    }

    fn serves(&self, path: &str) -> bool {
        self.0.served().has(path)
    }

    fn serve<'a>(
        &'a self,
        path: &'a str,
        request: ScriptObject,
    ) -> BoxFuture<'a, Result<Json, ServeRefusal>> {
        Box::pin(async move {
            self.0.served().call(path, request).await.map_err(|error| match error.kind {
                ScriptErrorKind::Failed => ServeRefusal::Sender(error.message),
                _ => ServeRefusal::Own(error.message),
            })
        })
    }
}
