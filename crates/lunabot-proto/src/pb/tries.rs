//! The master's end of a PB connection of `buildbot try`, from the login on (reference row 03.023).
//!
//! The client is handed objects that stand for a buildset, its requests and their builds. It may ask each how it is, and
//! has itself told of builds and steps.

use super::broker::{Broker, Object, Spoken};
use super::{Failure, Jelly};
use crate::master::ProtocolError;
use crate::{Dict, TryJob, Value};
use bytes::Bytes;
use std::collections::HashMap;

/// See the module.
pub struct PbTry {
    broker: Broker,
    avatar: i64,
    roles: HashMap<i64, Status>,
    numbers: HashMap<Status, i64>,
}

/// What an object of ours stands for, by its id in the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    Buildset(i64),
    Request(i64),
    Build(i64),
    /// The end, in place of a build, of a request that was never built.
    Unbuilt(i64),
}

/// A question of the client.
#[derive(Debug, Clone, PartialEq)]
pub struct TryAsked {
    /// To be answered with [`PbTry::answer`]; `None`: no answer is wanted.
    pub call: Option<i64>,
    pub what: TryQuestion,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TryQuestion {
    BuilderNames,
    Try(Box<TryJob>),
    /// The requests of a buildset.
    Requests(i64),
    /// Tell `observer` of the builds of a request.
    FollowRequest {
        request: i64,
        observer: i64,
    },
    /// Tell `observer` of the steps of a build.
    FollowBuild {
        build: Status,
        observer: i64,
    },
    /// No more news of this one.
    Leave(Status),
    /// Answer when the build has ended.
    WaitForBuild(Status),
    Results(Status),
    Text(Status),
}

/// What answers a [`TryQuestion`].
#[derive(Debug, Clone, PartialEq)]
pub enum TryAnswer {
    Nothing,
    Names(Vec<String>),
    /// Of builders and their requests.
    Requests(Vec<(String, i64)>),
    Status(Status),
    Results(i64),
    Text(String),
}

/// What an observer is told.
#[derive(Debug, Clone, PartialEq)]
pub enum TryNews {
    Build { build: Status, builder: String },
    StepStarted { build: Status, builder: String, step: String },
    StepFinished { build: Status, builder: String, step: String, results: i64 },
}

impl PbTry {
    /// Lets the client in.
    pub(super) fn new(mut broker: Broker, login: i64) -> Self {
        let avatar = broker.export();
        broker.answer(login, &Jelly::Remote(avatar));
        PbTry { broker, avatar, roles: HashMap::new(), numbers: HashMap::new() }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.broker.feed(bytes);
    }

    pub fn output(&mut self) -> Vec<Bytes> {
        self.broker.output()
    }

    /// Goes on until something is asked or more bytes are needed.
    pub fn asked(&mut self) -> Result<Option<TryAsked>, ProtocolError> {
        while let Some(spoken) = self.broker.hear()? {
            // Nobody waits for what observers answer.
            let Spoken::Call { request, object, method, args, .. } = spoken else { continue };
            let read = match self.read(object, &method, args) {
                Ok(Some(what)) => return Ok(Some(TryAsked { call: request, what })),
                Ok(None) => Failure::no_such(&method),
                Err(why) => Failure::error(&why),
            };
            if let Some(request) = request {
                self.broker.fail(request, &read);
            }
        }
        Ok(None)
    }

    /// Answers a question, if an answer is wanted.
    pub fn answer(&mut self, call: Option<i64>, answer: Result<TryAnswer, String>) {
        let Some(call) = call else { return };
        match answer {
            Ok(answer) => {
                let value = self.value(answer);
                self.broker.answer(call, &value);
            }
            Err(why) => self.broker.fail(call, &Failure::error(&why)),
        }
    }

    /// Tells an observer something.
    pub fn tell(&mut self, observer: i64, news: TryNews) -> Result<(), ProtocolError> {
        let (method, args) = match news {
            TryNews::Build { build, builder } => {
                ("newbuild", vec![self.reference(build), Jelly::Text(builder)])
            }
            TryNews::StepStarted { build, builder, step } => {
                let args = vec![Jelly::Text(builder), self.reference(build), Jelly::Text(step), Jelly::None];
                ("stepStarted", args)
            }
            TryNews::StepFinished { build, builder, step, results } => {
                let mut args =
                    vec![Jelly::Text(builder), self.reference(build), Jelly::Text(step), Jelly::None];
                args.push(Jelly::Int(results.into()));
                ("stepFinished", args)
            }
        };
        let called = self.broker.call(observer, method, args, Jelly::Dict(Vec::new()));
        called.map(|_| ()).map_err(|error| ProtocolError(error.to_string()))
    }

    /// Each thing has one number on a connection.
    fn reference(&mut self, status: Status) -> Jelly {
        let (broker, roles) = (&mut self.broker, &mut self.roles);
        let number = self.numbers.entry(status).or_insert_with(|| {
            let number = broker.export();
            roles.insert(number, status);
            number
        });
        Jelly::Remote(*number)
    }

    fn value(&mut self, answer: TryAnswer) -> Jelly {
        match answer {
            TryAnswer::Nothing => Jelly::None,
            TryAnswer::Names(names) => Jelly::List(names.into_iter().map(Jelly::Text).collect()),
            TryAnswer::Requests(requests) => {
                let pairs = requests.into_iter().map(|(builder, request)| {
                    Jelly::Tuple(vec![Jelly::Text(builder), self.reference(Status::Request(request))])
                });
                Jelly::List(pairs.collect())
            }
            TryAnswer::Status(status) => self.reference(status),
            TryAnswer::Results(results) => Jelly::Int(results.into()),
            TryAnswer::Text(text) => Jelly::List(vec![Jelly::Text(text)]),
        }
    }

    /// `Ok(None)`: there is no such object or method.
    fn read(&self, object: Object, method: &str, args: Vec<Jelly>) -> Result<Option<TryQuestion>, String> {
        let Object::Id(id) = object else { return Ok(None) };
        if id == self.avatar {
            return match method {
                "getAvailableBuilderNames" => Ok(Some(TryQuestion::BuilderNames)),
                "try" => job(args).map(|job| Some(TryQuestion::Try(Box::new(job)))),
                _ => Ok(None),
            };
        }
        let Some(status) = self.roles.get(&id).copied() else { return Ok(None) };
        Ok(Some(match (status, method, args.as_slice()) {
            (Status::Buildset(set), "getBuildRequests", []) => TryQuestion::Requests(set),
            (Status::Request(request), "subscribe", [Jelly::Remote(observer)]) => {
                TryQuestion::FollowRequest { request, observer: *observer }
            }
            (Status::Build(_) | Status::Unbuilt(_), "subscribe", [Jelly::Remote(observer), ..]) => {
                TryQuestion::FollowBuild { build: status, observer: *observer }
            }
            (Status::Request(_) | Status::Build(_) | Status::Unbuilt(_), "unsubscribe", _) => {
                TryQuestion::Leave(status)
            }
            (Status::Build(_) | Status::Unbuilt(_), "waitUntilFinished", []) => {
                TryQuestion::WaitForBuild(status)
            }
            (Status::Build(_) | Status::Unbuilt(_), "getResults", []) => TryQuestion::Results(status),
            (Status::Build(_) | Status::Unbuilt(_), "getText", []) => TryQuestion::Text(status),
            _ => return Ok(None),
        }))
    }
}

/// `branch, revision, (level, patch), repository, project, builders, who, comment, properties`; what follows the builders
/// may be left out.
fn job(args: Vec<Jelly>) -> Result<TryJob, String> {
    let mut args = args.into_iter();
    let mut next = || args.next().unwrap_or(Jelly::None);
    let text = |value: &Jelly| value.text().filter(|text| !text.is_empty());
    let (branch, revision, patch) = (text(&next()), next().text().and_then(crate::try_job::revision), next());
    let (level, patch) = match patch.items() {
        Some([level, patch]) => (level_of(level)?, bytes_of(patch)?),
        _ => return Err("the patch is no pair of a level and a text".into()),
    };
    let (repository, project) = (text(&next()), text(&next()));
    Ok(TryJob {
        id: String::new(),
        branch,
        revision,
        level,
        patch,
        repository: repository.unwrap_or_default(),
        project: project.unwrap_or_default(),
        builders: names_of(&next())?,
        who: text(&next()),
        comment: text(&next()),
        properties: match textual(next().plain()) {
            Value::Dict(properties) => properties,
            Value::None => Dict::new(),
            _ => return Err("the properties are no dictionary".into()),
        },
    })
}

fn level_of(level: &Jelly) -> Result<i64, String> {
    let number = level.clone().plain().as_i64();
    let number = number.or_else(|| level.text()?.trim().parse().ok());
    number.ok_or_else(|| "the patch level is no number".into())
}

fn bytes_of(patch: &Jelly) -> Result<Vec<u8>, String> {
    match patch {
        Jelly::Bytes(bytes) => Ok(bytes.to_vec()),
        Jelly::Text(text) => Ok(text.clone().into_bytes()),
        Jelly::None => Ok(Vec::new()),
        _ => Err("the patch is no text".into()),
    }
}

fn names_of(names: &Jelly) -> Result<Vec<String>, String> {
    let wrong = || "the builders are no list of names".to_owned();
    match names {
        Jelly::None => Ok(Vec::new()),
        names => names.items().ok_or_else(wrong)?.iter().map(|name| name.text().ok_or_else(wrong)).collect(),
    }
}

/// Bytes as text, bad ones replaced.
pub(super) fn textual(value: Value) -> Value {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        Value::List(items) | Value::Tuple(items) => Value::List(items.into_iter().map(textual).collect()),
        Value::Dict(dict) => {
            Value::Dict(dict.into_iter().map(|(key, value)| (key, textual(value))).collect())
        }
        other => other,
    }
}
