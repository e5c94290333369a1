//! Change sources, as the hook `poller` asks them (02.040).

use lunabot_integrations::ChangeSources;
use lunabot_model::BoxFuture;
use lunabot_www::PollPort;
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
}
