//! Commands on a worker outside any build: no step, no log (reference 07.018).

use crate::build::Services;
use crate::command::{Dict, FinishedCommand, RemoteCommandParams};
use crate::plan::BuilderPlan;
use crate::worker::{CommandSink, WorkerHandle};
use async_trait::async_trait;
use bytes::Bytes;
use lunabot_model::Json;
use lunabot_proto::{Command, Stat, Transfer, Update, Value, names};
use serde_json::{Map, json};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The most text of one channel that is kept, in bytes.
const MAX_TEXT: usize = 1024 * 1024;

/// The most updates that are kept.
const MAX_UPDATES: usize = 10_000;

/// What came of a command.
#[derive(Debug, Default)]
pub(crate) struct Bare {
    finished: FinishedCommand,
    /// Keys of updates that are dropped.
    ignored: Vec<String>,
    count: usize,
}

impl Bare {
    pub fn shell(self) -> Json {
        let FinishedCommand { rc, stdout, stderr, .. } = self.finished;
        json!({"rc": rc, "stdout": stdout, "stderr": stderr})
    }

    /// Nil for a file that is not there.
    pub fn stat(self) -> Json {
        let FinishedCommand { rc: Some(0), stats, .. } = self.finished else { return Json::Null };
        let Some(stat) = stats.last() else { return Json::Null };
        json!({
            "mode": stat.mode, "size": stat.size, "mtime": stat.mtime,
            "is_dir": stat.is_dir(), "is_file": stat.is_file(),
        })
    }

    pub fn files(self) -> Json {
        self.finished.files.into()
    }

    /// The finished RemoteCommand, with what it was told to collect.
    pub fn command(self, params: &RemoteCommandParams) -> FinishedCommand {
        let mut finished = self.finished;
        if !params.collect_stdout {
            finished.stdout.clear();
        }
        if !params.collect_stderr {
            finished.stderr.clear();
        }
        FinishedCommand { decode_rc: params.decoded(), ..finished }
    }

    fn take(&mut self, update: Update) {
        if self.ignored.iter().any(|key| key == update.key()) {
            return;
        }
        let finished = &mut self.finished;
        match update {
            Update::Stdout(text) => keep(&mut finished.stdout, &text),
            Update::Stderr(text) => keep(&mut finished.stderr, &text),
            Update::Rc(rc) => finished.rc = Some(rc),
            Update::Elapsed(seconds) => finished.elapsed = Some(seconds),
            Update::FailureReason(reason) => finished.failure_reason = Some(reason),
            Update::Files(files) => {
                finished.listed = true;
                finished.files.extend(files);
            }
            Update::Stat(stat) if self.has_room() => self.finished.stats.push(stat),
            Update::Other { key, value } if self.has_room() => {
                self.finished.updates.entry(key).or_default().push(value);
            }
            Update::Stat(_) | Update::Other { .. } | Update::Header(_) | Update::Log { .. } => {}
        }
    }

    fn has_room(&mut self) -> bool {
        self.count += 1;
        self.count <= MAX_UPDATES
    }
}

/// In the order of the wire protocols.
pub(super) fn numbers(s: &Stat) -> Json {
    json!([s.mode, s.ino, s.dev, s.nlink, s.uid, s.gid, s.size, s.atime, s.mtime, s.ctime])
}

/// Runs a command in the builder's folder, without the updates of these keys. The error text is raised in the function
/// that asked.
pub(crate) async fn run(
    services: &Services,
    worker: &WorkerHandle,
    builder: &BuilderPlan,
    name: &str,
    args: &Json,
    ignored: &[String],
) -> Result<Bare, String> {
    let args = arguments(name, args)?;
    let known = &worker.link.info().worker_commands;
    if !known.is_empty() && !known.iter().any(|(command, _)| command == name) {
        return Err(format!("the worker {} has no command {name}", worker.name));
    }
    let id = services.command_id();
    let command = Command::new(id.clone(), name, args).in_builddir(builder.workerbuilddir());
    let (done, ended) = oneshot::channel();
    let bare = Bare { ignored: ignored.to_vec(), ..Bare::default() };
    let sink = Arc::new(Sink { bare: Mutex::new(bare), done: Mutex::new(Some(done)) });
    let link = worker.link.clone();
    let started = link.start_command(&builder.config.name, command, sink.clone()).await;
    started.map_err(|error| error.to_string())?;
    let mut running =
        Running { worker, builder: &builder.config.name, id, outside: Handle::current(), over: false };
    let failure = tokio::select! {
        failure = ended => failure.map_err(|_| "lost connection to the worker".to_string()),
        () = worker.lost.cancelled() => Err("lost connection to the worker".into()),
    };
    running.over = true;
    match failure? {
        Some(text) => Err(text),
        None => Ok(std::mem::take(&mut *sink.bare.lock().unwrap_or_else(PoisonError::into_inner))),
    }
}

/// A command that is waited for; it is ended when its function is.
struct Running<'a> {
    worker: &'a WorkerHandle,
    builder: &'a str,
    id: String,
    outside: Handle,
    over: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let (link, builder) = (self.worker.link.clone(), self.builder.to_string());
        let id = std::mem::take(&mut self.id);
        self.outside.spawn(async move {
            // A worker that is gone runs nothing.
            let _ = link.interrupt_command(&builder, &id, "the function that waited for it has ended").await;
        });
    }
}

/// The options as the caller wrote them, with what a shell command needs besides.
pub(super) fn arguments(name: &str, args: &Json) -> Result<Dict, String> {
    let none = Map::new();
    let map = match args {
        Json::Object(map) => map,
        Json::Null => &none,
        _ => return Err(format!("{name} takes a table, e.g. {name}{{…}}")),
    };
    let mut out = Dict::new();
    if name == names::SHELL {
        for (key, value) in [("workdir", ""), ("interruptSignal", "KILL")] {
            out.insert(key, value);
        }
        for (key, value) in [("want_stdout", true), ("want_stderr", true), ("logEnviron", false)] {
            out.insert(key, value);
        }
        out.insert("timeout", 60);
    }
    for (key, value) in map {
        let value = if name == names::SHELL && key == "command" {
            value_of(&spliced(value))
        } else {
            value_of(value)
        };
        out.insert(key.as_str(), value);
    }
    Ok(out)
}

/// The words of a command: lists inside are spliced in, and `false` is nothing, as in options.
pub(super) fn spliced(words: &Json) -> Json {
    fn add(items: &[Json], all: &mut Vec<Json>) {
        for item in items {
            match item {
                Json::Bool(false) => {}
                // A word that is shown as another.
                Json::Array(word) if word.len() == 3 && word[0] == "obfuscated" => all.push(item.clone()),
                Json::Array(inner) => add(inner, all),
                other => all.push(other.clone()),
            }
        }
    }
    let Json::Array(items) = words else { return words.clone() };
    let mut all = Vec::with_capacity(items.len());
    add(items, &mut all);
    all.into()
}

fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::from(whole),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::List(items.iter().map(value_of).collect()),
        Json::Object(map) => {
            map.iter().map(|(key, value)| (key.as_str(), value_of(value))).collect::<Dict>().into()
        }
    }
}

/// What a worker said, as functions see it; what JSON has no word for is shown as text.
pub(super) fn value_to_json(value: &Value) -> Json {
    match value {
        Value::None => Json::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(number) => i64::try_from(*number).map_or_else(|_| number.to_string().into(), Json::from),
        Value::Float(number) => (*number).into(),
        Value::Str(text) => text.as_str().into(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        Value::List(items) | Value::Tuple(items) => items.iter().map(value_to_json).collect(),
        Value::Dict(_) => format!("{value:?}").into(),
    }
}

struct Sink {
    bare: Mutex<Bare>,
    done: Mutex<Option<oneshot::Sender<Option<String>>>>,
}

#[async_trait]
impl CommandSink for Sink {
    async fn update(&self, updates: Vec<Update>) {
        let mut bare = self.bare.lock().unwrap_or_else(PoisonError::into_inner);
        updates.into_iter().for_each(|update| bare.take(update));
    }

    async fn complete(&self, failure: Option<String>) {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            // The function that asked may have been stopped.
            let _ = done.send(failure);
        }
    }

    async fn transfer(&self, _: Transfer) -> Result<Bytes, String> {
        Err("this command transfers nothing".into())
    }
}

fn keep(into: &mut String, text: &str) {
    let room = MAX_TEXT.saturating_sub(into.len());
    into.push_str(&text[..text.floor_char_boundary(room)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_commands_are_spliced_in_and_false_is_nothing() {
        let hidden = json!(["obfuscated", "real", "shown"]);
        let words = json!(["echo", ["a", ["b"], false], hidden, false]);
        assert_eq!(spliced(&words), json!(["echo", "a", "b", hidden]));
        assert_eq!(spliced(&json!("echo a")), json!("echo a"));
        let dict = arguments(names::SHELL, &json!({"command": ["echo", ["a"]]})).unwrap();
        assert_eq!(dict.get("command"), Some(&value_of(&json!(["echo", "a"]))));
    }
}
