//! `util.LineConsumerLogObserver`: a function that walks over the lines (05.053).

use super::kinds::ConsumerParams;
use crate::logs::Channel;
use crate::scripts::args::{Args, Method, NOTHING, Reply, call, methods, names, value};
use crate::step::observe::{LogObserver, MAX_LINE_LENGTH};
use crate::step::scripted::error_of;
use crate::step::{StepContext, StepError, short_lines};
use async_trait::async_trait;
use lunabot_model::script::LiveObject;
use lunabot_model::{AnyObject, Arg, BoxFuture, CallError, Json, ScriptObject};
use serde_json::json;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinError, JoinHandle};

/// How long the function may go on after the last line, and how long it may take none.
const LAST: Duration = Duration::from_secs(60);

/// Where the function takes its lines from.
struct Lines(Mutex<mpsc::Receiver<Json>>);

static METHODS: &[Method<Lines>] = methods! { "next"() => next, };
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| names(&[METHODS]));

impl LiveObject for Lines {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move { call(&[METHODS], self, method, args).await })
    }
}

/// The next lines of one channel; nothing at the end.
async fn next(lines: &Lines, _: Args) -> Reply {
    match lines.0.lock().await.recv().await {
        Some(batch) => value(batch),
        None => Ok(NOTHING),
    }
}

pub(super) struct Consumer {
    /// `None` at the end.
    lines: Option<mpsc::Sender<Json>>,
    work: JoinHandle<Result<(), StepError>>,
    clock: Arc<dyn lunabot_model::Clock>,
}

impl Consumer {
    pub fn begin(cx: &StepContext, object: &AnyObject) -> Result<Self, StepError> {
        let params: ConsumerParams = super::super::read(&object.args)?;
        // One batch waits while another is worked at: more would only be memory.
        let (lines, inbox) = mpsc::channel(1);
        let source = Arc::new(Lines(Mutex::new(inbox)));
        let source = ScriptObject::new("lines", "lines", Json::Null, source).with_methods(&NAMES);
        let host = cx.0.build.builder.generation.host.clone();
        let site = cx.site("consumerFunction").endless();
        let work = tokio::spawn(async move {
            let done = host.call(&params.consumer_function, site, vec![Arg::Object(source)]).await;
            done.map(drop).map_err(error_of)
        });
        Ok(Consumer { lines: Some(lines), work, clock: cx.0.build.services.clock.clone() })
    }

    /// How the function ended.
    async fn end(&mut self) -> Result<(), StepError> {
        let done = tokio::select! {
            done = &mut self.work => done,
            () = self.clock.sleep(LAST) => {
                let text = format!("the consumer of lines did not end within {} s", LAST.as_secs());
                return Err(StepError::Exception(text));
            }
        };
        outcome(done)
    }
}

fn outcome(done: Result<Result<(), StepError>, JoinError>) -> Result<(), StepError> {
    done.unwrap_or_else(|error| Err(StepError::Exception(error.to_string())))
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.work.abort();
    }
}

#[async_trait]
impl LogObserver for Consumer {
    async fn received(&mut self, channel: Channel, text: &str) -> Result<(), StepError> {
        let stream = match channel {
            Channel::Stdout | Channel::Content => "o",
            Channel::Stderr => "e",
            Channel::Header => "h",
        };
        let batch: Vec<&str> = short_lines(text, MAX_LINE_LENGTH).collect();
        let Some(lines) = self.lines.clone().filter(|_| !batch.is_empty()) else { return Ok(()) };
        tokio::select! {
            biased;
            // The function wants no more lines, or broke. What it holds on to may still look like a receiver.
            done = &mut self.work => {
                self.lines = None;
                outcome(done)
            }
            sent = lines.send(json!({"stream": stream, "lines": batch})) => match sent {
                Ok(()) => Ok(()),
                Err(_) => {
                    self.lines = None;
                    self.end().await
                }
            },
            () = self.clock.sleep(LAST) => {
                self.lines = None;
                let text = format!("the consumer of lines took none for {} s", LAST.as_secs());
                Err(StepError::Exception(text))
            }
        }
    }

    async fn finished(&mut self) -> Result<(), StepError> {
        match self.lines.take() {
            Some(lines) => {
                drop(lines);
                self.end().await
            }
            None => Ok(()),
        }
    }
}
