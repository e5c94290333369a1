//! `changes.GerritChangeSource` (02.020): the stream of events over ssh, and what it missed from the log over HTTP.
//!
//! A poll waits for the next event or a while, whichever comes first, so that the status tells how the connection is. The
//! connection outlives polls, and reloads that change nothing.

use super::event::{self, Event, Reading};
use super::ledger::Ledger;
use super::log::{EventLog, files_of_query};
use super::ssh::{Ssh, Stream};
use crate::forge_api::{Login, address};
use crate::kinds::{ChangeSourceKind, checked};
use crate::poller_params::{CHANGE_FN, poller_kind};
use crate::source::{PollTimes, Poller, SourceContext, SourceError};
use async_trait::async_trait;
use lunabot_data::intake::ChangeFunctions;
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::{AnyObject, Callback, Duration, Json, Kind, Mono, Problem, Renderable, StringOrList};
use schemars::JsonSchema;
use serde::Deserialize;
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Mutex as AsyncMutex;

type StdDuration = std::time::Duration;

/// A poll that hears nothing ends after this time.
const QUIET: StdDuration = StdDuration::from_secs(20);
/// Between two attempts to connect: the first pause, its growth, and the longest.
const PAUSE: StdDuration = StdDuration::from_millis(500);
const GROWTH: f64 = 1.5;
const LONGEST_PAUSE: StdDuration = StdDuration::from_secs(60);

/// Listens to the events of a Gerrit server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GerritChangeSourceParams {
    /// The server's name.
    pub gerritserver: String,
    /// The user to log in as, with a key.
    pub username: String,
    /// Default 29418.
    #[serde(default = "port")]
    pub gerritport: u16,
    /// The file of the key. Default: what ssh finds.
    #[serde(default)]
    pub identity_file: Option<String>,
    /// Seconds of silence after which ssh asks whether the server is there. Default 15.
    #[serde(default = "alive_interval")]
    pub ssh_server_alive_interval_s: u64,
    /// How often it asks in vain before it gives up. Default 3.
    #[serde(default = "alive_count")]
    pub ssh_server_alive_count_max: u64,
    /// Address of Gerrit's pages: its log of events tells what the connection missed.
    #[serde(default)]
    pub http_url: Option<String>,
    /// `{user, password}` for that address.
    #[serde(default)]
    pub http_auth: Option<Renderable<Vec<String>>>,
    /// Seconds between two looks into the log. Default 30.
    #[serde(default = "log_interval")]
    pub http_poll_interval: Duration,
    /// Before the project's name in a change's repository. Default: the ssh address.
    #[serde(default, rename = "gitBaseURL")]
    pub git_base_url: Option<String>,
    /// Types of events that become changes. Default `patchset-created` and `ref-updated`.
    #[serde(default)]
    pub handled_events: Option<StringOrList>,
    /// Logs every event.
    #[serde(default)]
    pub debug: bool,
    /// Whether the files of patch sets are asked for.
    #[serde(default)]
    pub get_files: bool,
    /// Default: `GerritChangeSource:USER@SERVER:PORT`.
    #[serde(default)]
    #[allow(dead_code, reason = "the manager of the sources reads it before they are made")]
    pub name: Option<String>,
    /// The program. Default `ssh`.
    #[serde(default = "ssh")]
    pub sshbin: String,
    /// Alters or, by returning nil, drops a change before it is stored.
    #[serde(default)]
    pub change_fn: Option<Callback>,
}

fn port() -> u16 {
    29418
}
fn alive_interval() -> u64 {
    15
}
fn alive_count() -> u64 {
    3
}
fn log_interval() -> Duration {
    Duration(30.0)
}
fn ssh() -> String {
    "ssh".into()
}

/// The types of events that count where the configuration says nothing.
pub(super) fn usual_events() -> Vec<String> {
    vec!["patchset-created".into(), "ref-updated".into()]
}

/// `{user, password}`, where it is written down.
pub(super) fn pair_problem(option: &str, auth: Option<&Renderable<Vec<String>>>) -> Option<Problem> {
    let pair = auth?.literal()?;
    (pair.len() != 2).then(|| Problem::new(option, "must be {user, password}"))
}

/// The login that an option tells.
pub(super) async fn login(
    option: &str,
    auth: Option<&Renderable<Vec<String>>>,
    cx: &SourceContext,
) -> Result<Login, SourceError> {
    let Some(auth) = auth else { return Ok(Login::Nobody) };
    match <[String; 2]>::try_from(cx.value(option, auth).await?) {
        Ok([user, password]) => Ok(Login::Basic(user, password)),
        Err(_) => Err(SourceError::Other(format!("{option}: must be {{user, password}}"))),
    }
}

impl Params for GerritChangeSourceParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (option, value) in [("gerritserver", &self.gerritserver), ("username", &self.username)] {
            let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
            if value.is_empty() || value.starts_with('-') || value.contains(odd) {
                problems.push(Problem::new(option, "must be a name"));
            }
        }
        let url = self.http_url.as_deref().map(address);
        problems.extend(url.and_then(Result::err).map(|problem| Problem::new("http_url", problem)));
        if self.http_url.is_none() && self.http_auth.is_some() {
            problems.push(Problem::new("http_auth", "needs http_url"));
        }
        if self.http_poll_interval.secs() < 1.0 {
            problems.push(Problem::new("http_poll_interval", "must be 1 second at least"));
        }
        problems.extend(pair_problem("http_auth", self.http_auth.as_ref()));
        problems
    }
}

static KIND: Kind = poller_kind(
    "GerritChangeSource",
    &[
        "gerritserver",
        "username",
        "gerritport",
        "identity_file",
        "ssh_server_alive_interval_s",
        "ssh_server_alive_count_max",
        "http_url",
        "http_auth",
        "http_poll_interval",
    ],
    "Listens to the events of a Gerrit server over ssh; with http_url, what the connection misses is taken from the \
     server's log of events.",
    schema_of::<GerritChangeSourceParams>,
    check_as::<GerritChangeSourceParams>,
    &[CHANGE_FN],
);

/// See [`ChangeSourceKind`].
pub const SOURCE: ChangeSourceKind = ChangeSourceKind { kind: &KIND, default_name, build };

fn default_name(object: &AnyObject) -> String {
    let arg = |name: &str| object.arg(name).and_then(Json::as_str).unwrap_or_default();
    let port = object.arg("gerritport").and_then(Json::as_u64).unwrap_or(port().into());
    format!("GerritChangeSource:{}@{}:{port}", arg("username"), arg("gerritserver"))
}

fn build(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let params: GerritChangeSourceParams = checked(object)?;
    let ssh = Ssh {
        program: params.sshbin.clone(),
        server: params.gerritserver.clone(),
        user: params.username.clone(),
        port: params.gerritport,
        identity: params.identity_file.clone(),
        alive: (params.ssh_server_alive_interval_s, params.ssh_server_alive_count_max),
    };
    let base = format!("ssh://{}@{}:{}", params.username, params.gerritserver, params.gerritport);
    Ok(Arc::new(Gerrit {
        handled: params.handled_events.clone().map_or_else(usual_events, |names| names.0),
        git_base_url: params.git_base_url.clone().unwrap_or(base),
        ssh,
        params,
        line: Mutex::default(),
    }))
}

struct Gerrit {
    params: GerritChangeSourceParams,
    handled: Vec<String>,
    git_base_url: String,
    ssh: Ssh,
    line: Mutex<Arc<Line>>,
}

/// What outlives a poll.
type Line = AsyncMutex<State>;

#[derive(Default)]
struct State {
    stream: Option<Stream>,
    /// Before the next attempt to connect.
    pause: StdDuration,
    /// When the log was asked last.
    asked: Option<Mono>,
    ledger: Option<Ledger>,
    /// Heard, but not taken in yet: that failed.
    pending: Option<Json>,
    /// Before the next attempt to take it in.
    retry: StdDuration,
}

/// The next pause after one that was in vain.
fn longer(pause: StdDuration) -> StdDuration {
    let next = if pause.is_zero() { PAUSE } else { pause.mul_f64(GROWTH) };
    next.min(LONGEST_PAUSE)
}

impl State {
    /// Connects, after a pause if the last attempt was in vain.
    async fn connect(&mut self, ssh: &Ssh, cx: &SourceContext) -> Result<(), SourceError> {
        if self.stream.is_none() {
            if !self.pause.is_zero() {
                cx.clock.sleep(self.pause).await;
            }
            self.pause = longer(self.pause);
            self.stream = Some(ssh.stream()?);
        }
        Ok(())
    }

    async fn ledger(&mut self, cx: &SourceContext) -> Result<&mut Ledger, SourceError> {
        if self.ledger.is_none() {
            self.ledger = Some(Ledger::load(cx, cx.clock.now().secs()).await?);
        }
        self.ledger.as_mut().ok_or_else(|| SourceError::Other("no ledger".into()))
    }

    fn log_is_due(&self, interval: StdDuration, now: Mono) -> bool {
        self.asked.is_none_or(|asked| now - asked >= interval)
    }
}

impl Gerrit {
    fn line(&self) -> Arc<Line> {
        Arc::clone(&self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in what the log tells and the connection did not.
    async fn fill_gaps(&self, url: &str, state: &mut State, cx: &SourceContext) -> Result<(), SourceError> {
        state.asked = Some(cx.clock.mono());
        let log = EventLog::new(url, login("http_auth", self.params.http_auth.as_ref(), cx).await?)?;
        let since = state.ledger(cx).await?.since();
        for event in log.since(since).await? {
            self.take_in(&event, state, cx).await?;
        }
        Ok(())
    }

    /// One event, once.
    async fn take_in(&self, event: &Json, state: &mut State, cx: &SourceContext) -> Result<(), SourceError> {
        if self.params.debug {
            tracing::info!("{}: {event}", cx.concerns());
        }
        let logged = self.params.http_url.is_some();
        if logged && state.ledger(cx).await?.knows(event) {
            return Ok(());
        }
        let reading = Reading { handled: &self.handled, git_base_url: &self.git_base_url, source: KIND.name };
        if let Some(read) = reading.read(event) {
            let functions = ChangeFunctions { category: None, change_fn: self.params.change_fn.clone() };
            let change = self.with_files(read, cx).await;
            cx.intake.add(change, &functions, &cx.concerns()).await?;
        }
        if logged {
            let time = event::time(event).unwrap_or(cx.clock.now().secs());
            let ledger = state.ledger(cx).await?;
            ledger.note(event, time);
            ledger.save(cx).await?;
        }
        Ok(())
    }

    /// The event that was heard last; where that fails, it waits for the next poll, and others wait behind it.
    async fn take_in_pending(&self, state: &mut State, cx: &SourceContext) -> Result<(), SourceError> {
        let Some(event) = state.pending.clone() else { return Ok(()) };
        if !state.retry.is_zero() {
            cx.clock.sleep(state.retry).await;
        }
        state.retry = longer(state.retry);
        self.take_in(&event, state, cx).await?;
        (state.pending, state.retry) = (None, StdDuration::ZERO);
        Ok(())
    }

    /// Files that Gerrit does not tell cost no change.
    async fn with_files(&self, event: Event, cx: &SourceContext) -> lunabot_data::new::NewChange {
        let mut change = event.change;
        let Some(set) = event.patch_set.filter(|_| self.params.get_files) else { return change };
        if !set.number.bytes().all(|byte| byte.is_ascii_digit()) {
            return change;
        }
        let question = ["query", &set.number, "--format", "JSON", "--files", "--patch-sets"];
        match self.ssh.ask(&question, &*cx.clock).await {
            Ok(answer) => change.files = files_of_query(&answer, &set).unwrap_or(change.files),
            Err(error) => tracing::warn!("{}: {error}", cx.concerns()),
        }
        change
    }

    /// Waits for the next event.
    async fn listen(&self, state: &mut State, cx: &SourceContext) -> Result<(), SourceError> {
        state.connect(&self.ssh, cx).await?;
        let Some(stream) = &mut state.stream else { return Ok(()) };
        let quiet = match &self.params.http_url {
            Some(_) => QUIET.min(self.params.http_poll_interval.std()),
            None => QUIET,
        };
        let heard = tokio::select! {
            heard = stream.next() => heard,
            () = cx.clock.sleep(quiet) => {
                state.pause = StdDuration::ZERO;
                return Ok(());
            }
        };
        let line = match heard {
            Ok(line) => line,
            Err(error) => {
                state.stream = None;
                return Err(error);
            }
        };
        match serde_json::from_slice::<Json>(&line) {
            Ok(event) => {
                state.pause = StdDuration::ZERO;
                state.pending = Some(event);
                self.take_in_pending(state, cx).await
            }
            Err(error) => {
                tracing::warn!("{}: a line that is no event is passed over: {error}", cx.concerns());
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Poller for Gerrit {
    /// At once, again and again: a poll is a wait.
    fn times(&self) -> PollTimes {
        let interval = StdDuration::from_millis(1);
        PollTimes { interval, at_launch: true, delay: (StdDuration::ZERO, StdDuration::ZERO) }
    }

    fn describe(&self) -> String {
        format!("events of Gerrit at {}@{}:{}", self.ssh.user, self.ssh.server, self.ssh.port)
    }

    async fn check(&self, cx: &SourceContext) -> Result<(), SourceError> {
        login("http_auth", self.params.http_auth.as_ref(), cx).await.map(drop)
    }

    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let line = self.line();
        let mut state = line.lock().await;
        // Connected first, so that nothing falls between the log and the stream.
        state.connect(&self.ssh, cx).await?;
        if let Some(url) = &self.params.http_url
            && state.log_is_due(self.params.http_poll_interval.std(), cx.clock.mono())
        {
            self.fill_gaps(url, &mut state, cx).await?;
        }
        self.take_in_pending(&mut state, cx).await?;
        self.listen(&mut state, cx).await
    }

    fn keep(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(self.line())
    }

    fn resume(&self, kept: Arc<dyn Any + Send + Sync>) {
        if let Ok(line) = kept.downcast::<Line>() {
            *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
        }
    }
}
