//! Running one remote command: its news into logs and answers, interruption, loss (reference 05.027, 05.028, 05.037–05.042).

use super::decode::{Decoding, Stream};
use super::{FinishedCommand, LogTarget, LogUse, RemoteCommand};
use crate::logs::Channel;
use crate::scripts::id_of;
use crate::step::{LogHandle, StepContext, StepError};
use crate::worker::{CommandSink, LinkError};
use async_trait::async_trait;
use bytes::Bytes;
use lunabot_model::Callback;
use lunabot_model::resources::LogType;
use lunabot_proto::{Command, Transfer, Update};
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};

/// The most text of one channel that is collected for a step, in bytes. More breaks the command, not the master.
const MAX_COLLECTED: usize = 64 * 1024 * 1024;

/// Runs `command` for the step of `cx`.
pub(crate) async fn run(cx: &StepContext, mut command: RemoteCommand) -> Result<FinishedCommand, StepError> {
    let worker = cx.0.build.worker.clone();
    if worker.lost.is_cancelled() {
        return Err(StepError::Lost);
    }
    let yields = !command.even_when_stopped;
    if yields && cx.is_interrupted() {
        return Ok(never_started(command));
    }
    if let Some(used) = &command.stdio_log {
        cx.let_see_commands(&used.log).await;
    }
    let decoding = Decoding::agree(cx, &mut command);
    let id = cx.0.build.services.command_id();
    let wire = Command::new(id.clone(), command.name.clone(), command.args.clone())
        .in_builddir(cx.build().builddir.clone());
    let (done, mut ended) = oneshot::channel();
    let sink = Arc::new(Sink::new(cx.clone(), command, decoding, done));
    let builder = cx.build().builder.clone();
    tokio::select! {
        biased;
        () = worker.lost.cancelled() => return Err(StepError::Lost),
        started = worker.link.start_command(&builder, wire, sink.clone()) => started.map_err(refused)?,
    }

    let mut interrupted = false;
    let failure = loop {
        tokio::select! {
            biased;
            failure = &mut ended => break failure,
            () = worker.lost.cancelled() => {
                sink.close().await;
                return Err(StepError::Lost);
            }
            () = cx.interrupted(), if yields && !interrupted => {
                interrupted = true;
                let why = cx.0.stopped.borrow().clone().unwrap_or_else(|| "stopped".into());
                interrupt(cx, &builder, &id, &why);
            }
        }
    };
    let finished = sink.close().await;
    match failure {
        Ok(Some(text)) if !interrupted => Err(StepError::Exception(text)),
        // The link dropped its sink without a word: as good as a lost connection.
        Err(_) => Err(StepError::Lost),
        Ok(_) => finish(finished, interrupted),
    }
}

/// Asks the worker to end the command, beside the wait for its end: a link that answers late must not delay it.
fn interrupt(cx: &StepContext, builder: &str, id: &str, why: &str) {
    let (worker, builder, id, why) =
        (cx.0.build.worker.clone(), builder.to_string(), id.to_string(), why.to_string());
    tokio::spawn(async move {
        if let Err(error) = worker.link.interrupt_command(&builder, &id, &why).await {
            tracing::info!(worker = worker.name, command = id, "could not interrupt: {error}");
        }
    });
}

fn finish(state: State, interrupted: bool) -> Result<FinishedCommand, StepError> {
    if let Some(error) = state.error {
        return Err(error);
    }
    let mut finished = state.finished;
    finished.interrupted = interrupted;
    finished.decode_rc = state.command.decode_rc;
    Ok(finished)
}

fn never_started(command: RemoteCommand) -> FinishedCommand {
    FinishedCommand { interrupted: true, decode_rc: command.decode_rc, ..FinishedCommand::default() }
}

fn refused(error: LinkError) -> StepError {
    match error {
        LinkError::Lost => StepError::Lost,
        LinkError::Refused(text) => StepError::Exception(text),
    }
}

/// Takes the news of one command.
struct Sink {
    cx: StepContext,
    /// `None` once the command is over for the step: late news is dropped.
    state: Mutex<Option<State>>,
    done: std::sync::Mutex<Option<oneshot::Sender<Option<String>>>>,
}

struct State {
    command: RemoteCommand,
    decoding: Decoding,
    finished: FinishedCommand,
    /// The first fault on the master's side.
    error: Option<StepError>,
}

impl Sink {
    fn new(
        cx: StepContext,
        command: RemoteCommand,
        decoding: Decoding,
        done: oneshot::Sender<Option<String>>,
    ) -> Self {
        let state = State { command, decoding, finished: FinishedCommand::default(), error: None };
        Sink { cx, state: Mutex::new(Some(state)), done: std::sync::Mutex::new(Some(done)) }
    }

    /// Ends the command: logs that belong to it alone are closed, unfinished transfers given up.
    async fn close(&self) -> State {
        let state = self.state.lock().await.take();
        let mut state = state.unwrap_or_else(|| State {
            command: RemoteCommand::new("", lunabot_proto::Dict::new()),
            decoding: Decoding::default(),
            finished: FinishedCommand::default(),
            error: Some(StepError::Lost),
        });
        if let Some(peer) = state.command.transfer.take() {
            peer.cancel().await;
        }
        let targets = state.command.logs.values().filter_map(|target| match target {
            LogTarget::Ready(used) => Some(used),
            LogTarget::Lazy | LogTarget::Asked { .. } => None,
        });
        for used in targets.chain(&state.command.stdio_log).filter(|used| used.close_when_finished) {
            if let Err(error) = used.log.finish().await {
                state.error.get_or_insert(error);
            }
        }
        state
    }
}

#[async_trait]
impl CommandSink for Sink {
    async fn update(&self, updates: Vec<Update>) {
        let mut guard = self.state.lock().await;
        let Some(state) = guard.as_mut() else { return };
        if let Err(error) = state.take(&self.cx, updates).await {
            state.error.get_or_insert(error);
        }
    }

    async fn complete(&self, failure: Option<String>) {
        let done = self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(done) = done {
            // Nobody listens once the step has let go of the command.
            let _ = done.send(failure);
        }
    }

    async fn transfer(&self, request: Transfer) -> Result<Bytes, String> {
        let peer = match &*self.state.lock().await {
            Some(state) => state.command.transfer.clone(),
            None => return Err("the command is over".into()),
        };
        match peer {
            Some(peer) => peer.handle(request).await,
            None => Err("this command transfers nothing".into()),
        }
    }
}

impl State {
    async fn take(&mut self, cx: &StepContext, updates: Vec<Update>) -> Result<(), StepError> {
        let mut stdio: Vec<(Channel, String)> = Vec::new();
        for update in updates {
            if self.command.ignore_updates.iter().any(|key| key == update.key()) {
                continue;
            }
            match update {
                Update::Stdout(text) => {
                    let text = self.text(cx, Stream::Stdout, text).await?;
                    collect(self.command.collect_stdout, &mut self.finished.stdout, &text)?;
                    stdio.push((Channel::Stdout, text));
                }
                Update::Stderr(text) => {
                    let text = self.text(cx, Stream::Stderr, text).await?;
                    collect(self.command.collect_stderr, &mut self.finished.stderr, &text)?;
                    stdio.push((Channel::Stderr, text));
                }
                Update::Header(text) => stdio.push((Channel::Header, text)),
                Update::Rc(rc) => {
                    self.finished.rc = Some(rc);
                    stdio.push((Channel::Header, format!("program finished with exit code {rc}\n")));
                }
                Update::Log { name, text } => {
                    let text = self.text(cx, Stream::File(name.clone()), text).await?;
                    self.watched(cx, &name, &text).await?;
                }
                Update::Elapsed(seconds) => self.finished.elapsed = Some(seconds),
                Update::FailureReason(reason) => self.finished.failure_reason = Some(reason),
                Update::Stat(stat) => self.finished.stats.push(stat),
                Update::Files(files) => {
                    self.finished.listed = true;
                    self.finished.files.extend(files);
                }
                Update::Other { key, value } => self.finished.updates.entry(key).or_default().push(value),
            }
        }
        match &self.command.stdio_log {
            Some(used) if !stdio.is_empty() => {
                used.log.add(stdio.iter().map(|(channel, text)| (*channel, text.as_str()))).await
            }
            _ => Ok(()),
        }
    }

    async fn text(&mut self, cx: &StepContext, stream: Stream, text: String) -> Result<String, StepError> {
        self.decoding.text(cx, &self.command, stream, text).await
    }

    /// Content of a watched file (05.039, 05.049).
    async fn watched(&mut self, cx: &StepContext, name: &str, text: &str) -> Result<(), StepError> {
        let used = match self.command.logs.get(name) {
            Some(LogTarget::Ready(used)) => return used.log.add_stdout(text).await,
            Some(LogTarget::Lazy) => {
                LogUse { log: cx.add_log(name, LogType::Stdio).await?, close_when_finished: true }
            }
            Some(LogTarget::Asked { activate, close_when_finished }) => {
                LogUse { log: asked(cx, activate).await?, close_when_finished: *close_when_finished }
            }
            None => {
                tracing::warn!(step = cx.step_id(), "content for the unknown log {name:?} is dropped");
                return Ok(());
            }
        };
        used.log.add_stdout(text).await?;
        self.command.logs.insert(name.into(), LogTarget::Ready(used));
        Ok(())
    }
}

/// The log that a function makes, or finds.
async fn asked(cx: &StepContext, activate: &Callback) -> Result<LogHandle, StepError> {
    let answer = cx.call(activate, "useLogDelayed", Vec::new()).await?;
    let found = id_of(&answer, "log").and_then(|id| cx.log_of(id));
    let told = "what useLogDelayed was given must return a log: return self:addLog(name)";
    found.ok_or_else(|| cx.nonsense(activate, "useLogDelayed", told.into()))
}

fn collect(wanted: bool, into: &mut String, text: &str) -> Result<(), StepError> {
    if !wanted {
        return Ok(());
    }
    if into.len() + text.len() > MAX_COLLECTED {
        return Err(StepError::Exception(format!(
            "the command printed more than {MAX_COLLECTED} bytes to collect"
        )));
    }
    into.push_str(text);
    Ok(())
}
