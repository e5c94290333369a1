//! The client's end of a connection to a master's PB port: `sendchange` and `try` (reference rows 16.008, 16.009).
//!
//! [`PbCaller`] logs in and reports a change, asks for the names of builders, or hands a try job over and follows its builds.

use super::broker::{Broker, Spoken};
use super::visitor::{Greeting, Visitor};
use super::{Failure, Jelly};
use crate::master::ProtocolError;
use crate::{Dict, TryJob, Value};
use bytes::Bytes;
use std::collections::HashMap;

/// What is wanted of the master.
#[derive(Debug, Clone, PartialEq)]
pub enum Errand {
    /// `addChange`, with the keys that masters know: `who`, `files`, `comments` … (02.009).
    Change(Dict),
    BuilderNames,
    /// `follow`: until its builds have ended.
    Try {
        job: Box<TryJob>,
        follow: bool,
    },
}

/// What has happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The master lets us in.
    Entered,
    /// The errand is done.
    Done,
    Names(Vec<String>),
    /// The job was taken, or `false`: one of its builders is not offered.
    Taken(bool),
    /// The builders that will run the job.
    Queued(Vec<String>),
    Started {
        builder: String,
    },
    StepStarted {
        builder: String,
        step: String,
    },
    StepFinished {
        builder: String,
        step: String,
        results: i64,
    },
    Finished {
        builder: String,
        results: i64,
        text: String,
    },
}

/// Why it went wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallerError {
    #[error("the master refuses the user name or the password")]
    Refused,
    /// The master says so.
    #[error("the master answers with an error: {0}")]
    Failed(String),
    #[error("this is no PB as it should be: {0}")]
    Protocol(#[from] ProtocolError),
}

/// See the module.
pub struct PbCaller {
    stage: Stage,
    errand: Errand,
    /// What each open call was made for.
    open: HashMap<i64, Asked>,
    /// Our own object that is told of builds and steps.
    observer: i64,
    /// The builders of builds, by the master's numbers.
    builds: HashMap<i64, String>,
    results: HashMap<i64, i64>,
}

enum Stage {
    Before(Box<Visitor>),
    In(Broker),
    /// Nothing can be said any more.
    Over,
}

enum Asked {
    Change,
    Names,
    Try,
    Requests,
    Follow,
    /// The end of the build with this number.
    End(i64),
    Results(i64),
    Text(i64),
}

impl PbCaller {
    pub fn new(user: &str, password: &str, errand: Errand) -> Self {
        PbCaller {
            stage: Stage::Before(Box::new(Visitor::new(user, password, false))),
            errand,
            open: HashMap::new(),
            observer: 0,
            builds: HashMap::new(),
            results: HashMap::new(),
        }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        match &mut self.stage {
            Stage::Before(visitor) => visitor.feed(bytes),
            Stage::In(broker) => broker.feed(bytes),
            Stage::Over => {}
        }
    }

    pub fn output(&mut self) -> Vec<Bytes> {
        match &mut self.stage {
            Stage::Before(visitor) => visitor.output(),
            Stage::In(broker) => broker.output(),
            Stage::Over => Vec::new(),
        }
    }

    /// Goes on until there is news or more bytes are needed.
    pub fn told(&mut self) -> Result<Option<Told>, CallerError> {
        loop {
            let spoken = match &mut self.stage {
                Stage::Before(visitor) => match visitor.hear()? {
                    Some(Greeting::Entered { avatar }) => return self.enter(avatar).map(Some),
                    Some(Greeting::Refused(failure)) => return Err(refused(&failure)),
                    Some(Greeting::Said(_)) => continue,
                    None => return Ok(None),
                },
                Stage::In(broker) => broker.hear()?,
                Stage::Over => None,
            };
            let Some(spoken) = spoken else { return Ok(None) };
            if let Some(told) = self.take(spoken)? {
                return Ok(Some(told));
            }
        }
    }

    fn enter(&mut self, avatar: i64) -> Result<Told, CallerError> {
        let Stage::Before(visitor) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Ok(Told::Entered);
        };
        let mut broker = visitor.into_broker();
        self.observer = broker.export();
        self.stage = Stage::In(broker);
        let (method, args, asked) = match &self.errand {
            Errand::Change(change) => {
                ("addChange", vec![Jelly::from(&Value::Dict(change.clone()))], Asked::Change)
            }
            Errand::BuilderNames => ("getAvailableBuilderNames", Vec::new(), Asked::Names),
            Errand::Try { job, .. } => ("try", arguments(job), Asked::Try),
        };
        self.call(avatar, method, args, asked)?;
        Ok(Told::Entered)
    }

    fn call(&mut self, object: i64, method: &str, args: Vec<Jelly>, asked: Asked) -> Result<(), CallerError> {
        let Stage::In(broker) = &mut self.stage else { return Ok(()) };
        let request = broker.call(object, method, args, Jelly::Dict(Vec::new()));
        let request = request.map_err(|error| CallerError::Failed(error.to_string()))?;
        self.open.insert(request, asked);
        Ok(())
    }

    fn take(&mut self, spoken: Spoken) -> Result<Option<Told>, CallerError> {
        match spoken {
            Spoken::Call { request, method, args, .. } => self.called(request, &method, &args),
            Spoken::Answer { request, value } => match self.open.remove(&request) {
                Some(asked) => self.answered(asked, &value),
                None => Ok(None),
            },
            Spoken::Failed { request, failure } => match self.open.remove(&request) {
                Some(_) => Err(CallerError::Failed(failure.to_string())),
                None => Ok(None),
            },
        }
    }

    /// What the master tells our observer.
    fn called(
        &mut self,
        request: Option<i64>,
        method: &str,
        args: &[Jelly],
    ) -> Result<Option<Told>, CallerError> {
        let text = |value: &Jelly| value.text().unwrap_or_default();
        let told = match (method, args) {
            ("newbuild", [Jelly::Remote(build), builder]) => {
                let (build, builder) = (*build, text(builder));
                self.builds.insert(build, builder.clone());
                let observer = Jelly::Remote(self.observer);
                // The interval of a kind of news that nobody sends any more.
                self.call(build, "subscribe", vec![observer, Jelly::Int(20)], Asked::Follow)?;
                self.call(build, "waitUntilFinished", Vec::new(), Asked::End(build))?;
                Some(Told::Started { builder })
            }
            ("stepStarted", [builder, _, step, ..]) => {
                Some(Told::StepStarted { builder: text(builder), step: text(step) })
            }
            ("stepFinished", [builder, _, step, _, results]) => {
                let results = results.clone().plain().as_i64().unwrap_or_default();
                Some(Told::StepFinished { builder: text(builder), step: text(step), results })
            }
            _ => None,
        };
        if let (Some(request), Stage::In(broker)) = (request, &mut self.stage) {
            broker.answer(request, &Jelly::None);
        }
        Ok(told)
    }

    fn answered(&mut self, asked: Asked, value: &Jelly) -> Result<Option<Told>, CallerError> {
        match asked {
            Asked::Change => Ok(Some(Told::Done)),
            Asked::Names => {
                let names = value.items().unwrap_or_default().iter().filter_map(Jelly::text);
                Ok(Some(Told::Names(names.collect())))
            }
            Asked::Try => self.taken(value).map(Some),
            Asked::Requests => self.queued(value).map(Some),
            Asked::Follow => Ok(None),
            Asked::End(build) => {
                self.call(build, "getResults", Vec::new(), Asked::Results(build))?;
                self.call(build, "getText", Vec::new(), Asked::Text(build))?;
                Ok(None)
            }
            Asked::Results(build) => {
                self.results.insert(build, value.clone().plain().as_i64().unwrap_or_default());
                Ok(None)
            }
            Asked::Text(build) => {
                let texts = value.items().unwrap_or_default().iter().filter_map(Jelly::text);
                Ok(Some(Told::Finished {
                    builder: self.builds.remove(&build).unwrap_or_default(),
                    results: self.results.remove(&build).unwrap_or_default(),
                    text: texts.collect::<Vec<_>>().join(" "),
                }))
            }
        }
    }

    fn taken(&mut self, value: &Jelly) -> Result<Told, CallerError> {
        let Jelly::Remote(set) = value else { return Ok(Told::Taken(false)) };
        if matches!(self.errand, Errand::Try { follow: true, .. }) {
            self.call(*set, "getBuildRequests", Vec::new(), Asked::Requests)?;
        }
        Ok(Told::Taken(true))
    }

    fn queued(&mut self, value: &Jelly) -> Result<Told, CallerError> {
        let mut builders = Vec::new();
        for pair in value.items().unwrap_or_default() {
            let Some([builder, Jelly::Remote(request)]) = pair.items() else { continue };
            builders.extend(builder.text());
            self.call(*request, "subscribe", vec![Jelly::Remote(self.observer)], Asked::Follow)?;
        }
        Ok(Told::Queued(builders))
    }
}

/// Every reason not to be let in is one to the master's peers.
fn refused(failure: &Failure) -> CallerError {
    if failure.class.ends_with("UnauthorizedLogin") {
        CallerError::Refused
    } else {
        CallerError::Failed(failure.to_string())
    }
}

/// The patch as bytes, an empty one as a text: what masters expect.
fn arguments(job: &TryJob) -> Vec<Jelly> {
    let text = |text: &str| Jelly::Text(text.to_owned());
    let given = |text: &Option<String>| text.clone().map_or(Jelly::None, Jelly::Text);
    let patch =
        if job.patch.is_empty() { text("") } else { Jelly::Bytes(Bytes::copy_from_slice(&job.patch)) };
    vec![
        text(job.branch.as_deref().unwrap_or_default()),
        text(job.revision.as_deref().unwrap_or_default()),
        Jelly::Tuple(vec![Jelly::Int(job.level.into()), patch]),
        text(&job.repository),
        text(&job.project),
        Jelly::List(job.builders.iter().map(|name| text(name)).collect()),
        given(&job.who),
        given(&job.comment),
        Jelly::from(&Value::Dict(job.properties.clone())),
    ]
}
