//! `changes.GerritEventLogPoller` (02.021): Gerrit's log of events, asked again and again.

use super::event::{self, Event, Reading};
use super::ledger::Ledger;
use super::log::EventLog;
use super::source::{login, pair_problem, usual_events};
use crate::forge_api::address;
use crate::kinds::{ChangeSourceKind, checked};
use crate::poller_params::{CHANGE_FN, poller_kind};
use crate::source::{PollTimes, Poller, SourceContext, SourceError};
use async_trait::async_trait;
use lunabot_data::intake::ChangeFunctions;
use lunabot_data::new::NewChange;
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::{AnyObject, Callback, Duration, Json, Kind, Problem, Renderable, StringOrList};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Asks a Gerrit server for its log of events.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GerritEventLogPollerParams {
    /// Address of Gerrit's pages.
    #[serde(rename = "baseURL")]
    pub base_url: String,
    /// `{user, password}`.
    pub auth: Renderable<Vec<String>>,
    /// Seconds between polls. Default 30.
    #[serde(default = "interval", rename = "pollInterval")]
    pub poll_interval: Duration,
    /// Poll once at start, without waiting for the interval to pass. Default true.
    #[serde(default = "yes", rename = "pollAtLaunch")]
    pub poll_at_launch: bool,
    /// How far back the first poll of all looks. Default 30 days.
    #[serde(default = "lookback", rename = "firstFetchLookback")]
    pub first_fetch_lookback: Duration,
    /// Before the project's name in a change's repository.
    #[serde(rename = "gitBaseURL")]
    pub git_base_url: String,
    /// Types of events that become changes. Default `patchset-created` and `ref-updated`.
    #[serde(default)]
    pub handled_events: Option<StringOrList>,
    /// Logs every event.
    #[serde(default)]
    pub debug: bool,
    /// Whether the files of patch sets are asked for.
    #[serde(default)]
    pub get_files: bool,
    /// Default: `GerritEventLogPoller:ADDRESS`.
    #[serde(default)]
    #[allow(dead_code, reason = "the manager of the sources reads it before they are made")]
    pub name: Option<String>,
    /// Alters or, by returning nil, drops a change before it is stored.
    #[serde(default)]
    pub change_fn: Option<Callback>,
}

fn interval() -> Duration {
    Duration(30.0)
}
fn lookback() -> Duration {
    Duration(30.0 * 86_400.0)
}
fn yes() -> bool {
    true
}

impl Params for GerritEventLogPollerParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = pair_problem("auth", Some(&self.auth)).into_iter().collect();
        problems.extend(address(&self.base_url).err().map(|problem| Problem::new("baseURL", problem)));
        for (option, time) in
            [("pollInterval", self.poll_interval), ("firstFetchLookback", self.first_fetch_lookback)]
        {
            if time.secs() < 0.0 {
                problems.push(Problem::new(option, "must not be negative"));
            }
        }
        problems
    }
}

static KIND: Kind = poller_kind(
    "GerritEventLogPoller",
    &["baseURL", "auth", "pollInterval", "pollAtLaunch", "firstFetchLookback"],
    "Asks the plug-in events-log of a Gerrit server for new events.",
    schema_of::<GerritEventLogPollerParams>,
    check_as::<GerritEventLogPollerParams>,
    &[CHANGE_FN],
);

/// See [`ChangeSourceKind`].
pub const SOURCE: ChangeSourceKind = ChangeSourceKind { kind: &KIND, default_name, build };

fn default_name(object: &AnyObject) -> String {
    format!("GerritEventLogPoller:{}", object.arg("baseURL").and_then(Json::as_str).unwrap_or_default())
}

fn build(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let params: GerritEventLogPollerParams = checked(object)?;
    let handled = params.handled_events.clone().map_or_else(usual_events, |names| names.0);
    Ok(Arc::new(LogPoller { params, handled }))
}

struct LogPoller {
    params: GerritEventLogPollerParams,
    handled: Vec<String>,
}

impl LogPoller {
    /// Files that Gerrit does not tell cost no change.
    async fn with_files(&self, event: Event, log: &EventLog, cx: &SourceContext) -> NewChange {
        let mut change = event.change;
        if let Some(set) = event.patch_set.filter(|_| self.params.get_files) {
            match log.files(&set).await {
                Ok(files) => change.files = files,
                Err(error) => tracing::warn!("{}: {error}", cx.concerns()),
            }
        }
        change
    }
}

#[async_trait]
impl Poller for LogPoller {
    fn times(&self) -> PollTimes {
        let zero = std::time::Duration::ZERO;
        PollTimes {
            interval: self.params.poll_interval.std(),
            at_launch: self.params.poll_at_launch,
            delay: (zero, zero),
        }
    }

    fn describe(&self) -> String {
        format!("log of Gerrit's events at {}", self.params.base_url)
    }

    async fn check(&self, cx: &SourceContext) -> Result<(), SourceError> {
        login("auth", Some(&self.params.auth), cx).await.map(drop)
    }

    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let log = EventLog::new(&self.params.base_url, login("auth", Some(&self.params.auth), cx).await?)?;
        let lookback = self.params.first_fetch_lookback.secs() as i64;
        let mut ledger = Ledger::load(cx, cx.clock.now().secs() - lookback).await?;
        let reading =
            Reading { handled: &self.handled, git_base_url: &self.params.git_base_url, source: KIND.name };
        let functions = ChangeFunctions { category: None, change_fn: self.params.change_fn.clone() };
        for event in log.since(ledger.since()).await? {
            if ledger.knows(&event) {
                continue;
            }
            if self.params.debug {
                tracing::info!("{}: {event}", cx.concerns());
            }
            if let Some(read) = reading.read(&event) {
                let change = self.with_files(read, &log, cx).await;
                cx.intake.add(change, &functions, &cx.concerns()).await?;
            }
            ledger.note(&event, event::time(&event).unwrap_or(cx.clock.now().secs()));
            ledger.save(cx).await?;
        }
        Ok(())
    }
}
