//! The lifecycle of the process: who runs, and how all of it ends.
//!
//! Every long-lived task belongs to one [`Lifecycle`]. A stop has two stages: *soft* asks for an orderly end (no new
//! builds, queues drained, store flushed), *hard* means now. A task that ends before a stop was asked for, with or without an
//! error, or panics, stops the whole process with that error: a master that is half alive helps nobody.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tokens and tasks of the process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    death: Arc<Mutex<Option<String>>>,
}

impl Lifecycle {
    pub fn new() -> Self {
        Self::default()
    }

    /// Completed when an orderly stop was asked for.
    pub fn soft(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Completed when everything has to end at once. Implies soft.
    pub fn hard(&self) -> CancellationToken {
        self.hard.clone()
    }

    pub fn stop_softly(&self) {
        self.soft.cancel();
    }

    pub fn stop_now(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Runs a task that must live as long as the master. Its end before [`Lifecycle::soft`] stops everything.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.spawn_until(name, self.soft(), task);
    }

    /// The same for a task that may also end when `stop` is cancelled.
    pub fn spawn_until<F>(&self, name: &'static str, stop: CancellationToken, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let inner = tokio::spawn(task);
        let lifecycle = self.clone();
        self.tasks.spawn(async move {
            let fault = match inner.await {
                Ok(Ok(())) if stop.is_cancelled() || lifecycle.soft.is_cancelled() => return,
                Ok(Ok(())) => "it ended".to_string(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(panic) => panic.to_string(),
            };
            lifecycle.fail(&format!("the task {name} died: {fault}"));
        });
    }

    /// Stops the process with an error. The first one is kept.
    pub fn fail(&self, why: &str) {
        tracing::error!("{why}");
        self.death.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.to_string());
        self.stop_now();
    }

    /// Why the process has to end with an error, if it does.
    pub fn death(&self) -> Option<String> {
        self.death.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for all tasks, once stopping.
    pub async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_dies_stops_everything_and_is_named() {
        for (task, word) in [("error", "no luck"), ("end", "it ended"), ("panic", "panic")] {
            let lifecycle = Lifecycle::new();
            lifecycle.spawn("poller", async move {
                match task {
                    "error" => anyhow::bail!("no luck"),
                    "end" => Ok(()),
                    _ => panic!("out of reach"),
                }
            });
            lifecycle.hard().cancelled().await;
            let death = lifecycle.death().unwrap();
            assert!(death.contains("poller") && death.contains(word), "{death}");
        }
    }

    #[tokio::test]
    async fn tasks_end_in_peace_after_a_stop() {
        let lifecycle = Lifecycle::new();
        let soft = lifecycle.soft();
        lifecycle.spawn("server", async move {
            soft.cancelled().await;
            Ok(())
        });
        lifecycle.stop_softly();
        lifecycle.finished().await;
        assert_eq!(lifecycle.death(), None);
    }
}
