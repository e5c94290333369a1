//! Commands on a worker outside any build: no step, no log (reference 07.018).

use crate::build::Services;
use crate::command::Dict;
use crate::plan::BuilderPlan;
use crate::worker::{CommandSink, WorkerHandle};
use async_trait::async_trait;
use bytes::Bytes;
use lunabot_model::Json;
use lunabot_proto::{Command, Stat, Transfer, Update, Value, names};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// The most text of one channel that is kept, in bytes.
const MAX_TEXT: usize = 1024 * 1024;

/// What came of a command.
#[derive(Debug, Default)]
pub(crate) struct Bare {
    rc: Option<i64>,
    stdout: String,
    stderr: String,
    stat: Option<Stat>,
    files: Vec<String>,
}

impl Bare {
    pub fn shell(self) -> Json {
        json!({"rc": self.rc, "stdout": self.stdout, "stderr": self.stderr})
    }

    /// Nil for a file that is not there.
    pub fn stat(self) -> Json {
        let Some(stat) = self.stat.filter(|_| self.rc == Some(0)) else { return Json::Null };
        json!({
            "mode": stat.mode, "size": stat.size, "mtime": stat.mtime,
            "is_dir": stat.is_dir(), "is_file": stat.is_file(),
        })
    }

    pub fn files(self) -> Json {
        self.files.into()
    }
}

/// Runs a command in the builder's folder. The error text is raised in the function that asked.
pub(crate) async fn run(
    services: &Services,
    worker: &WorkerHandle,
    builder: &BuilderPlan,
    name: &str,
    args: &Json,
) -> Result<Bare, String> {
    let args = arguments(name, args)?;
    let command = Command::new(services.command_id(), name, args).in_builddir(builder.workerbuilddir());
    let (done, ended) = oneshot::channel();
    let sink = Arc::new(Sink { bare: Mutex::default(), done: Mutex::new(Some(done)) });
    let link = &worker.link;
    link.start_command(&builder.config.name, command, sink.clone())
        .await
        .map_err(|error| error.to_string())?;
    let failure = tokio::select! {
        failure = ended => failure.map_err(|_| "lost connection to the worker".to_string())?,
        () = worker.lost.cancelled() => return Err("lost connection to the worker".into()),
    };
    match failure {
        Some(text) => Err(text),
        None => Ok(std::mem::take(&mut *sink.bare.lock().unwrap_or_else(PoisonError::into_inner))),
    }
}

/// The options as the caller wrote them, with what a shell command needs besides.
fn arguments(name: &str, args: &Json) -> Result<Dict, String> {
    let Json::Object(map) = args else {
        return Err(format!("{name} takes a table, e.g. {name}{{…}}"));
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
        out.insert(key.as_str(), value_of(value));
    }
    Ok(out)
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

struct Sink {
    bare: Mutex<Bare>,
    done: Mutex<Option<oneshot::Sender<Option<String>>>>,
}

#[async_trait]
impl CommandSink for Sink {
    async fn update(&self, updates: Vec<Update>) {
        let mut bare = self.bare.lock().unwrap_or_else(PoisonError::into_inner);
        for update in updates {
            match update {
                Update::Stdout(text) => keep(&mut bare.stdout, &text),
                Update::Stderr(text) => keep(&mut bare.stderr, &text),
                Update::Rc(rc) => bare.rc = Some(rc),
                Update::Stat(stat) => bare.stat = Some(stat),
                Update::Files(files) => bare.files.extend(files),
                Update::Header(_)
                | Update::Log { .. }
                | Update::Elapsed(_)
                | Update::FailureReason(_)
                | Update::Other { .. } => {}
            }
        }
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
