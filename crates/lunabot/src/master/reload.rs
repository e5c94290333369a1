//! Reloading: all or nothing, and only what differs (lua-api § 5, 01.010).

use super::rooms::Rooms;
use super::web::Place;
use crate::control::Outcome;
use crate::reload::diff::{Plan, Tense};
use crate::reload::generation::{Generation, unplaced};
use crate::reload::history::Load;
use crate::reload::queue::Reloader;
use crate::reload::running;
use crate::supervisor;
use lunabot_engine::worker::{Prepared, RemoteError};
use lunabot_model::config::ConfigError;
use lunabot_model::{BoxFuture, Endpoint};
use lunabot_www::ListenError;
use std::path::PathBuf;
use std::sync::Arc;

impl Rooms {
    /// Goes over to a generation that was loaded without mistakes.
    async fn go_over(&self, generation: Generation, record: Load) -> Outcome {
        let old = self.current();
        let refused = self.refuse(&old, &generation).await;
        if !refused.is_empty() {
            return self.refused(Load { errors: refused, ..record }, &generation.files);
        }
        let (place, workers) = match self.take_places(&generation).await {
            Ok(places) => places,
            Err(errors) => return self.refused(Load { errors, ..record }, &generation.files),
        };
        let plan = Plan::between(old.config(), generation.config());
        let (number, generation) = (record.number, Arc::new(generation));
        if let Err(error) = self.take_up(&generation, place, workers).await {
            tracing::error!("configuration update partially applied; master may malfunction: {error:#}");
            let line = format!("configuration update partially applied: {error:#}");
            return Outcome { ok: false, lines: vec![line] };
        }
        self.history.add(record);
        let mut lines = plan.lines(Tense::Did);
        lines.extend(self.stranded(&plan).await);
        lines.iter().for_each(|line| tracing::info!("{line}"));
        lines.push(format!("configuration update complete: generation {number} serves"));
        Outcome { ok: true, lines }
    }

    /// Binds what the generation listens at and the present one does not. Nothing is served there before it is taken up.
    async fn take_places(&self, generation: &Generation) -> Result<(Place, Prepared), Vec<ConfigError>> {
        let place = self.web.prepare(&generation.config().www, &self.loader.config_folder()).await;
        let workers = self.prepare_workers(generation).await;
        let (held, mut errors) = (self.held(), Vec::new());
        errors.extend(place.as_ref().err().map(|error| of_pages(error, &held)));
        errors.extend(workers.as_ref().err().map(|error| of_workers(error, &held)));
        match (place, workers) {
            (Ok(place), Ok(workers)) => Ok((place, workers)),
            _ => Err(self.loader.placed(errors)),
        }
    }

    /// A line for each builder that goes while requests of it wait.
    async fn stranded(&self, plan: &Plan) -> Vec<String> {
        let gone: Vec<&str> = plan.removed_builders().collect();
        if gone.is_empty() {
            return Vec::new();
        }
        let waiting = self.data().pending_requests(None).await.unwrap_or_default();
        let names: Vec<String> =
            waiting.iter().map(|one| self.data().builder_name(one.request.builderid)).collect();
        let count = |builder: &str| names.iter().filter(|name| *name == builder).count();
        let told = |builder: &str| match count(builder) {
            0 => None,
            1 => Some(format!("1 request of builder {builder} waits, and is not built; {CANCEL_IT}")),
            many => {
                Some(format!("{many} requests of builder {builder} wait, and are not built; {CANCEL_THEM}"))
            }
        };
        gone.into_iter().filter_map(told).collect()
    }

    /// What cannot be changed while the master runs (16.029), and what the change sources find.
    async fn refuse(&self, old: &Generation, new: &Generation) -> Vec<ConfigError> {
        let mut errors = self.sources.check(&new.sources()).await;
        errors.extend(new.missing_secrets().await);
        if old.config().db_url != new.config().db_url {
            let remedy = "cannot be changed while the master runs; restart it to go over to another database";
            errors.push(unplaced("db.db_url", remedy.to_string()));
        }
        self.loader.placed(errors)
    }

    /// The old generation goes on.
    fn refused(&self, record: Load, files: &[PathBuf]) -> Outcome {
        let mut lines: Vec<String> = record.errors.iter().map(ToString::to_string).collect();
        lines.iter().for_each(|line| tracing::error!("{line}"));
        tracing::error!("configuration update aborted without making any changes");
        lines.insert(0, "Configuration Errors:".into());
        lines.push("configuration update aborted without making any changes".into());
        let read_at = record.loaded_at;
        self.history.add(record);
        let current = self.current();
        if current.config().lua.watch {
            self.watch.set(current.files.iter().chain(files).cloned(), read_at);
        }
        Outcome { ok: false, lines }
    }
}

impl Reloader for Rooms {
    fn reload(&self) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            supervisor::reloading();
            tracing::info!("beginning configuration update");
            let began = self.clock.mono();
            let outcome = match self.loader.load().await {
                (record, Ok(generation)) => self.go_over(generation, record).await,
                (record, Err(failure)) => self.refused(record, &failure.files),
            };
            if outcome.ok {
                let took = self.clock.mono() - began;
                tracing::info!("configuration update complete (took {:.3} seconds)", took.as_secs_f64());
            }
            supervisor::ready(&self.summary());
            outcome
        })
    }

    fn plan(&self) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            // It serves nobody and has no number: the next one that serves is the next in turn.
            let errors = match self.loader.check(false).await {
                Ok(generation) => {
                    let old = self.current();
                    let mut errors = self.refuse(&old, &generation).await;
                    if errors.is_empty() {
                        // Let go again at once.
                        errors.extend(self.take_places(&generation).await.err().into_iter().flatten());
                    }
                    if errors.is_empty() {
                        let (before, after) = (old.config(), generation.config());
                        let plan = Plan::between(before, after);
                        let mut lines = plan.lines(Tense::Would);
                        lines.extend(self.stranded(&plan).await);
                        let folders = self.workers.folders().await;
                        lines.extend(running::lines(before, after, &self.data().running_builds(), &folders));
                        return Outcome { ok: true, lines };
                    }
                    errors
                }
                Err(failure) => failure.errors,
            };
            let mut lines = vec!["Configuration Errors:".to_string()];
            lines.extend(errors.iter().map(ToString::to_string));
            Outcome { ok: false, lines }
        })
    }

    fn status(&self) -> Outcome {
        let mut lines = vec![self.summary()];
        if let Some(refused) = self.history.refused() {
            lines.push(format!("the newest configuration was refused, {} mistakes:", refused.errors.len()));
            lines.extend(refused.errors.iter().map(|error| format!("  {error}")));
        }
        Outcome { ok: true, lines }
    }

    fn profile(&self) -> Outcome {
        let rows = self.records.profile();
        let lines = rows.iter().filter_map(|row| serde_json::to_string(row).ok()).collect();
        Outcome { ok: true, lines }
    }

    fn explain(&self, question: lunabot_www::Question) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let (ok, lines) = self.current().explain(&question, Some(self.data())).await;
            Outcome { ok, lines }
        })
    }

    fn why(&self, request: i64) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let told = match self.data().explain_one(request).await {
                Ok(Some(told)) => serde_json::to_string(&told).map_err(|error| error.to_string()),
                Ok(None) => {
                    Err(format!("there is no request {request}; the page Pending and the API tell their ids"))
                }
                Err(error) => Err(error.to_string()),
            };
            match told {
                Ok(line) => Outcome { ok: true, lines: vec![line] },
                Err(line) => Outcome { ok: false, lines: vec![line] },
            }
        })
    }

    fn skip(&self, source: String, revision: String) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            match self.sources.skip(&source, &revision).await {
                Ok(done) => Outcome { ok: true, lines: vec![done] },
                Err(why) => Outcome { ok: false, lines: vec![why] },
            }
        })
    }
}

const CANCEL_IT: &str = "cancel it, or configure the builder again";
const CANCEL_THEM: &str = "cancel them, or configure the builder again";

/// A new place is taken before any old one is let go, so this master may stand in its own way.
fn in_its_own_way(place: &Endpoint, held: &[(String, Endpoint)]) -> Option<String> {
    let (option, _) = held.iter().find(|(_, held)| place.is_kept_by(held))?;
    Some(format!(
        "{place} is already in use: this master itself listens there, for {option}; such a change needs a restart"
    ))
}

/// What keeps the pages from being served.
fn of_pages(error: &ListenError, held: &[(String, Endpoint)]) -> ConfigError {
    let own = if let ListenError::InUse(place) = error { in_its_own_way(place, held) } else { None };
    unplaced("www.port", own.unwrap_or_else(|| error.to_string()))
}

/// What keeps workers and clients from being served.
fn of_workers(error: &RemoteError, held: &[(String, Endpoint)]) -> ConfigError {
    if let RemoteError::InUse { option, place } = error
        && let Some(text) = in_its_own_way(place, held)
    {
        return unplaced(option, text);
    }
    let (option, message) = error.told();
    let written = message.split_once(": ").filter(|_| option.is_empty());
    let place = written.and_then(|(place, rest)| {
        let (file, line) = place.rsplit_once(':')?;
        Some(ConfigError {
            file: file.into(),
            line: line.parse().ok(),
            path: String::new(),
            message: rest.into(),
        })
    });
    place.unwrap_or_else(|| unplaced(option, message))
}
