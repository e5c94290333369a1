//! One reload at a time; those asked for meanwhile become one more (01.010, 16.028).

use crate::control::server::Question;
use crate::control::{Ask, Outcome};
use lunabot_model::{BoxFuture, Clock};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How often a long reload says that it goes on.
const STILL: Duration = Duration::from_secs(10);

/// Who carries out what is asked.
pub trait Reloader: Send + Sync + 'static {
    /// Loads and goes over to the new configuration.
    fn reload(&self) -> BoxFuture<'_, Outcome>;
    /// Loads, and says what [`Reloader::reload`] would do.
    fn plan(&self) -> BoxFuture<'_, Outcome>;
    /// Says how the master is; at once, also during a reload.
    fn status(&self) -> Outcome;
    /// Says what the functions of the configuration cost, a row of JSON per line; at once, also during a reload.
    fn profile(&self) -> Outcome;
    /// Makes a change source go past a revision; beside a reload.
    fn skip(&self, source: String, revision: String) -> BoxFuture<'_, Outcome>;
    /// Says whether somebody may do something, and why; beside a reload.
    fn explain(&self, question: lunabot_www::Question) -> BoxFuture<'_, Outcome>;
    /// Says why a request waits, as JSON; beside a reload.
    fn why(&self, request: i64) -> BoxFuture<'_, Outcome>;
}

/// What the queue is told.
#[derive(Debug)]
pub enum Wish {
    /// From the control socket.
    Asked(Question),
    /// By SIGHUP, or because a file changed: the outcome goes to the log.
    Reload,
}

impl From<Question> for Wish {
    fn from(question: Question) -> Self {
        Wish::Asked(question)
    }
}

/// What waits while a reload runs.
#[derive(Default)]
struct Waiting {
    reload: bool,
    reload_answers: Vec<oneshot::Sender<Outcome>>,
    plan_answers: Vec<oneshot::Sender<Outcome>>,
}

/// Serves wishes until `stop`.
pub async fn run(
    reloader: Arc<dyn Reloader>,
    clock: Arc<dyn Clock>,
    mut wishes: mpsc::Receiver<Wish>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut waiting = Waiting::default();
    loop {
        let Some(work) = waiting.next(&reloader) else {
            match stop.run_until_cancelled(wishes.recv()).await {
                Some(Some(wish)) => waiting.add(wish, &reloader),
                Some(None) | None => return Ok(()),
            }
            continue;
        };
        // A stop waits for the reload: a half-applied configuration helps nobody.
        let mut work = work;
        let began = clock.mono();
        let (outcome, answers) = loop {
            tokio::select! {
                done = &mut work => break done,
                Some(wish) = wishes.recv() => {
                    tracing::warn!("a reconfig is running already; another one follows it");
                    waiting.add(wish, &reloader);
                }
                () = clock.sleep(STILL) => {
                    tracing::info!("reconfig is ongoing for {} s", (clock.mono() - began).as_secs());
                }
            }
        };
        for answer in answers {
            // Whoever asked may have gone.
            let _ = answer.send(outcome.clone());
        }
    }
}

type Work = BoxFuture<'static, (Outcome, Vec<oneshot::Sender<Outcome>>)>;

impl Waiting {
    fn add(&mut self, wish: Wish, reloader: &Arc<dyn Reloader>) {
        match wish {
            Wish::Reload => self.reload = true,
            Wish::Asked(Question { ask: Ask::Reconfig, answer }) => {
                self.reload = true;
                self.reload_answers.push(answer);
            }
            Wish::Asked(Question { ask: Ask::Plan, answer }) => self.plan_answers.push(answer),
            Wish::Asked(Question { ask: Ask::Status, answer }) => drop(answer.send(reloader.status())),
            Wish::Asked(Question { ask: Ask::Profile, answer }) => drop(answer.send(reloader.profile())),
            Wish::Asked(Question { ask: Ask::Skip { source, revision }, answer }) => {
                let reloader = Arc::clone(reloader);
                // It may wait for a poll, and is as bounded as the conversations are.
                tokio::spawn(async move { answer.send(reloader.skip(source, revision).await) });
            }
            Wish::Asked(Question { ask: Ask::Why { request }, answer }) => {
                let reloader = Arc::clone(reloader);
                tokio::spawn(async move { answer.send(reloader.why(request).await) });
            }
            Wish::Asked(Question { ask: Ask::Explain(question), answer }) => {
                let reloader = Arc::clone(reloader);
                tokio::spawn(async move { answer.send(reloader.explain(question).await) });
            }
        }
    }

    /// What to do next: plans first, as they were asked of what runs now.
    fn next(&mut self, reloader: &Arc<dyn Reloader>) -> Option<Work> {
        let reloader = Arc::clone(reloader);
        if !self.plan_answers.is_empty() {
            let answers = std::mem::take(&mut self.plan_answers);
            return Some(Box::pin(async move { (reloader.plan().await, answers) }));
        }
        if std::mem::take(&mut self.reload) {
            let answers = std::mem::take(&mut self.reload_answers);
            return Some(Box::pin(async move { (reloader.reload().await, answers) }));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use std::sync::Mutex;

    /// Counts its reloads; each waits until the test lets it go on.
    struct Slow {
        reloads: Mutex<usize>,
        gate: tokio::sync::Semaphore,
    }

    impl Reloader for Slow {
        fn reload(&self) -> BoxFuture<'_, Outcome> {
            Box::pin(async {
                self.gate.acquire().await.unwrap().forget();
                let mut reloads = self.reloads.lock().unwrap();
                *reloads += 1;
                Outcome { ok: true, lines: vec![format!("reload {reloads}")] }
            })
        }
        fn plan(&self) -> BoxFuture<'_, Outcome> {
            Box::pin(async { Outcome { ok: true, lines: vec!["plan".into()] } })
        }
        fn profile(&self) -> Outcome {
            self.status()
        }

        fn status(&self) -> Outcome {
            Outcome { ok: true, lines: vec!["well".into()] }
        }
        fn skip(&self, _: String, _: String) -> BoxFuture<'_, Outcome> {
            Box::pin(async { Outcome { ok: true, lines: Vec::new() } })
        }
        fn explain(&self, _: lunabot_www::Question) -> BoxFuture<'_, Outcome> {
            Box::pin(async { Outcome { ok: true, lines: Vec::new() } })
        }
        fn why(&self, _: i64) -> BoxFuture<'_, Outcome> {
            Box::pin(async { Outcome { ok: true, lines: Vec::new() } })
        }
    }

    fn ask(ask: Ask) -> (Wish, oneshot::Receiver<Outcome>) {
        let (answer, outcome) = oneshot::channel();
        (Wish::Asked(Question { ask, answer }), outcome)
    }

    #[tokio::test]
    async fn what_comes_during_a_reload_becomes_one_more() {
        let slow = Arc::new(Slow { reloads: Mutex::new(0), gate: tokio::sync::Semaphore::new(0) });
        let (send, wishes) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let queue = tokio::spawn(run(slow.clone(), Arc::new(SystemClock::new()), wishes, stop.clone()));
        let (first, first_outcome) = ask(Ask::Reconfig);
        send.send(first).await.unwrap();
        // Answered during the reload, so the queue has taken in everything before it.
        let outcomes: Vec<_> = {
            let (wishes, outcomes): (Vec<_>, Vec<_>) = (0..3).map(|_| ask(Ask::Reconfig)).unzip();
            for wish in wishes {
                send.send(wish).await.unwrap();
            }
            outcomes
        };
        send.send(Wish::Reload).await.unwrap();
        let (status, well) = ask(Ask::Status);
        send.send(status).await.unwrap();
        assert_eq!(well.await.unwrap().lines, ["well"]);
        slow.gate.add_permits(9);
        assert_eq!(first_outcome.await.unwrap().lines, ["reload 1"]);
        for outcome in outcomes {
            assert_eq!(outcome.await.unwrap().lines, ["reload 2"]);
        }
        stop.cancel();
        queue.await.unwrap().unwrap();
        assert_eq!(*slow.reloads.lock().unwrap(), 2);
    }
}
