//! `buildbot try` at a PB port: takes jobs, and tells waiting clients of their builds (reference row 03.023).

use super::transport::Transport;
use crate::scheduler::{Schedulers, TryError};
use lunabot_data::{Answer, Data, DataError, Delivery, Subscription};
use lunabot_model::resources::{Build, BuildRequest, Step};
use lunabot_model::{BuildId, BuildRequestId, Clock, Event, Json, Pattern, Results, StepId};
use lunabot_proto::TryJob;
use lunabot_proto::pb::{PbTry, Status, TryAnswer, TryAsked, TryNews, TryQuestion};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a client that waits for nothing may stay.
const IDLE: Duration = Duration::from_secs(600);
/// How long one that takes no bytes may stay.
const WRITE: Duration = Duration::from_secs(60);
/// The most jobs that one connection may submit; `try` submits one.
const MOST: usize = 1000;

/// A user of a Try_Userpass.
#[derive(Clone)]
pub(super) struct TryUser {
    pub user: String,
    pub password: String,
    pub scheduler: String,
    /// In words.
    pub concerns: String,
}

/// What serves the clients of a master.
#[derive(Clone)]
pub(super) struct TryDesk {
    pub schedulers: Arc<Schedulers>,
    pub data: Data,
    pub clock: Arc<dyn Clock>,
    /// The master stops.
    pub stopping: CancellationToken,
}

/// One client's visit.
struct Visit {
    client: PbTry,
    desk: TryDesk,
    user: TryUser,
    jobs: usize,
    /// The builders of the requests that the client knows.
    builders: BTreeMap<BuildRequestId, String>,
    requests: BTreeMap<BuildRequestId, Followed>,
    builds: BTreeMap<BuildId, FollowedBuild>,
    /// From the first request that is followed.
    events: Option<Subscription>,
}

/// A request whose builds the client is told of.
struct Followed {
    observer: i64,
    told: BTreeSet<BuildId>,
    /// Its end was told in place of a build.
    unbuilt: bool,
}

#[derive(Default)]
struct FollowedBuild {
    builder: String,
    observer: Option<i64>,
    /// Calls to be answered at its end.
    waiting: Vec<Option<i64>>,
    started: BTreeSet<StepId>,
    finished: BTreeSet<StepId>,
}

/// Why a visit ends.
enum End {
    /// The connection is over.
    Gone,
    /// Something to be noted.
    Because(String),
}

impl From<DataError> for End {
    fn from(error: DataError) -> Self {
        End::Because(error.to_string())
    }
}

/// Serves one client until it leaves.
pub(super) async fn serve(client: PbTry, transport: Transport, desk: TryDesk, user: TryUser) {
    let mut visit = Visit {
        client,
        desk,
        user,
        jobs: 0,
        builders: BTreeMap::new(),
        requests: BTreeMap::new(),
        builds: BTreeMap::new(),
        events: None,
    };
    let concerns = visit.user.concerns.clone();
    if let Err(End::Because(why)) = visit.live(transport).await {
        tracing::warn!("{concerns}: the connection of a client ends: {why}");
    }
}

enum Wake {
    Bytes(bytes::Bytes),
    News(Delivery),
    Stop,
}

impl Visit {
    async fn live(&mut self, mut transport: Transport) -> Result<(), End> {
        let mut stopping = false;
        loop {
            while let Some(asked) = self.client.asked().map_err(|error| End::Because(error.to_string()))? {
                self.reply(asked).await?;
            }
            self.flush(&mut transport).await?;
            let clock = self.desk.clock.clone();
            let idle = self.requests.is_empty();
            let events = self.events.as_mut();
            let wake = tokio::select! {
                read = transport.reader.read() => Wake::Bytes(read.ok().flatten().ok_or(End::Gone)?),
                news = async { match events { Some(events) => events.next().await, None => std::future::pending().await } } => {
                    Wake::News(news.ok_or(End::Gone)?)
                }
                () = clock.sleep(IDLE), if idle => return Err(End::Gone),
                () = self.desk.stopping.cancelled(), if !stopping => Wake::Stop,
            };
            match wake {
                Wake::Bytes(bytes) => self.client.feed(&bytes),
                Wake::News(Delivery::Event(event)) => self.happened(&event).await?,
                Wake::News(Delivery::Lagged(_)) => self.catch_up().await?,
                Wake::Stop => {
                    stopping = true;
                    self.catch_up().await?;
                    if !self.knows_all() {
                        return Err(End::Gone);
                    }
                }
            }
        }
    }

    async fn flush(&mut self, transport: &mut Transport) -> Result<(), End> {
        for bytes in self.client.output() {
            tokio::select! {
                written = transport.writer.write(bytes) => written.map_err(|_| End::Gone)?,
                () = self.desk.clock.sleep(WRITE) => return Err(End::Because("it takes no bytes".into())),
            }
        }
        Ok(())
    }

    async fn reply(&mut self, asked: TryAsked) -> Result<(), End> {
        let TryAsked { call, what } = asked;
        let answer = match what {
            TryQuestion::BuilderNames => {
                let names = self.desk.schedulers.offered_for_try(&self.user.scheduler).await;
                names.map(TryAnswer::Names).map_err(|error| error.to_string())
            }
            TryQuestion::Try(job) => self.take(*job).await,
            TryQuestion::Requests(set) => Ok(TryAnswer::Requests(self.requests_of(set).await?)),
            TryQuestion::FollowRequest { request, observer } => {
                // Answered first, as clients know it.
                self.client.answer(call, Ok(TryAnswer::Nothing));
                return self.follow_request(request, observer).await;
            }
            TryQuestion::FollowBuild { build, observer } => {
                self.client.answer(call, Ok(TryAnswer::Nothing));
                return self.follow_build(build, observer).await;
            }
            TryQuestion::Leave(status) => {
                self.leave(status);
                Ok(TryAnswer::Nothing)
            }
            TryQuestion::WaitForBuild(build) => return self.wait_for(build, call).await,
            TryQuestion::Results(build) => Ok(TryAnswer::Results(self.state_of(build).await?.0.code())),
            TryQuestion::Text(build) => Ok(TryAnswer::Text(self.state_of(build).await?.1)),
        };
        self.client.answer(call, answer);
        Ok(())
    }

    /// Nothing: a builder is not offered, as clients understand it.
    async fn take(&mut self, job: TryJob) -> Result<TryAnswer, String> {
        let TryUser { user, scheduler, .. } = &self.user;
        self.jobs += 1;
        if self.jobs > MOST {
            return Err(format!("more than {MOST} jobs over one connection"));
        }
        match self.desk.schedulers.submit_try(scheduler, job).await {
            Ok((bsid, requests)) => {
                tracing::info!(scheduler, user, bsid, requests = requests.len(), "took a try job");
                Ok(TryAnswer::Status(Status::Buildset(bsid)))
            }
            Err(error @ TryError::NotOffered(_)) => {
                tracing::warn!(scheduler, user, "a try job was not taken: {error}");
                Ok(TryAnswer::Nothing)
            }
            Err(error) => {
                tracing::warn!(scheduler, user, "a try job was not taken: {error}");
                Err(error.to_string())
            }
        }
    }

    async fn requests_of(&mut self, set: i64) -> Result<Vec<(String, i64)>, End> {
        let data = self.desk.data.clone();
        data.flush().await?;
        let query = format!("buildsetid={set}&order=buildrequestid");
        let mut pairs = Vec::new();
        for request in rows::<BuildRequest>(&data, "buildrequests", &query).await? {
            let name = builder_name(&data, request.builderid).await?;
            self.builders.insert(request.buildrequestid, name.clone());
            pairs.push((name, request.buildrequestid));
        }
        Ok(pairs)
    }

    async fn follow_request(&mut self, request: BuildRequestId, observer: i64) -> Result<(), End> {
        if self.events.is_none() {
            let topics =
                ["builds/*/new", "builds/*/finished", "builds/*/steps/*/*", "buildrequests/*/complete"];
            let events = self.desk.data.bus().subscribe(topics.map(Pattern::parse).to_vec());
            self.events = Some(events);
        }
        self.requests.insert(request, Followed { observer, told: BTreeSet::new(), unbuilt: false });
        self.read_request(request).await
    }

    /// Tells of the builds that a request has by now, and of its end if it had none.
    async fn read_request(&mut self, request: BuildRequestId) -> Result<(), End> {
        let data = self.desk.data.clone();
        data.flush().await?;
        let query = format!("buildrequestid={request}&order=buildid");
        let builds = rows::<Build>(&data, "builds", &query).await?;
        for build in &builds {
            self.found(request, build.buildid)?;
        }
        let again = builds.last().is_none_or(|last| last.results == Some(Results::Retry));
        if again && data.build_request(request).await?.is_some_and(|row| row.complete) {
            self.never_built(request)?;
        }
        Ok(())
    }

    fn found(&mut self, request: BuildRequestId, build: BuildId) -> Result<(), End> {
        let Some(followed) = self.requests.get_mut(&request) else { return Ok(()) };
        if !followed.told.insert(build) {
            return Ok(());
        }
        let builder = self.builders.get(&request).cloned().unwrap_or_default();
        self.builds.insert(build, FollowedBuild { builder: builder.clone(), ..FollowedBuild::default() });
        let observer = followed.observer;
        self.tell(observer, TryNews::Build { build: Status::Build(build), builder })
    }

    /// Clients wait for builds only: the end of a request without one looks like one.
    fn never_built(&mut self, request: BuildRequestId) -> Result<(), End> {
        let Some(followed) = self.requests.get_mut(&request) else { return Ok(()) };
        if std::mem::replace(&mut followed.unbuilt, true) {
            return Ok(());
        }
        let builder = self.builders.get(&request).cloned().unwrap_or_default();
        let observer = followed.observer;
        self.tell(observer, TryNews::Build { build: Status::Unbuilt(request), builder })
    }

    async fn follow_build(&mut self, status: Status, observer: i64) -> Result<(), End> {
        let Status::Build(build) = status else { return Ok(()) };
        if let Some(followed) = self.builds.get_mut(&build) {
            followed.observer = Some(observer);
            self.read_steps(build).await?;
        }
        Ok(())
    }

    async fn read_steps(&mut self, build: BuildId) -> Result<(), End> {
        let data = self.desk.data.clone();
        data.flush().await?;
        for step in rows::<Step>(&data, &format!("builds/{build}/steps"), "order=number").await? {
            self.step(&step)?;
        }
        Ok(())
    }

    /// Tells of a step what was not told of it.
    fn step(&mut self, step: &Step) -> Result<(), End> {
        let Some(followed) = self.builds.get_mut(&step.buildid) else { return Ok(()) };
        let Some(observer) = followed.observer else { return Ok(()) };
        let (build, builder, name) =
            (Status::Build(step.buildid), followed.builder.clone(), step.name.clone());
        let starts = step.started_at.is_some() && followed.started.insert(step.stepid);
        let ends = step.complete && followed.finished.insert(step.stepid);
        if starts {
            let (builder, step) = (builder.clone(), name.clone());
            self.tell(observer, TryNews::StepStarted { build, builder, step })?;
        }
        if ends {
            let results = step.results.unwrap_or(Results::Success).code();
            self.tell(observer, TryNews::StepFinished { build, builder, step: name, results })?;
        }
        Ok(())
    }

    fn leave(&mut self, status: Status) {
        match status {
            Status::Request(request) => drop(self.requests.remove(&request)),
            Status::Build(build) => {
                self.builds.entry(build).and_modify(|followed| followed.observer = None);
            }
            Status::Buildset(_) | Status::Unbuilt(_) => {}
        }
    }

    async fn wait_for(&mut self, status: Status, call: Option<i64>) -> Result<(), End> {
        let Status::Build(build) = status else {
            self.client.answer(call, Ok(TryAnswer::Status(status)));
            return Ok(());
        };
        if let Some(followed) = self.builds.get_mut(&build) {
            followed.waiting.push(call);
        }
        // It may have ended before it was asked for.
        self.read_end(build).await
    }

    async fn read_end(&mut self, build: BuildId) -> Result<(), End> {
        if let Some(row) = self.desk.data.build(build).await?.filter(|row| row.complete) {
            // What a client is told is stored, and everybody can read it.
            self.desk.data.flush().await?;
            self.ended(build, row.results);
        }
        Ok(())
    }

    /// A build that is done again has not ended for whoever waits: the next one will.
    fn ended(&mut self, build: BuildId, results: Option<Results>) {
        if results == Some(Results::Retry) {
            return;
        }
        let waiting = self.builds.get_mut(&build).map(|followed| std::mem::take(&mut followed.waiting));
        for call in waiting.into_iter().flatten() {
            self.client.answer(call, Ok(TryAnswer::Status(Status::Build(build))));
        }
    }

    /// Results and text, whatever it is.
    async fn state_of(&self, status: Status) -> Result<(Results, String), End> {
        let data = &self.desk.data;
        Ok(match status {
            Status::Build(build) => {
                let row = data.build(build).await?;
                let results = row.as_ref().and_then(|row| row.results).unwrap_or(Results::Success);
                (results, row.map(|row| row.state_string).unwrap_or_default())
            }
            Status::Unbuilt(request) | Status::Request(request) => {
                let row = data.build_request(request).await?;
                let results = row.and_then(|row| row.results).unwrap_or(Results::Cancelled);
                (results, "never built".into())
            }
            Status::Buildset(_) => (Results::Success, String::new()),
        })
    }

    async fn happened(&mut self, event: &Event) -> Result<(), End> {
        let payload = &event.payload;
        match (event.topic.part(0), event.topic.part(2)) {
            (Some("buildrequests"), _) => match payload["buildrequestid"].as_i64() {
                Some(request) if self.requests.contains_key(&request) => self.read_request(request).await,
                _ => Ok(()),
            },
            (_, Some("steps")) => {
                let followed = payload["buildid"].as_i64().is_some_and(|id| self.builds.contains_key(&id));
                match serde_json::from_value::<Step>(Json::clone(payload)) {
                    Ok(step) if followed => self.step(&step),
                    _ => Ok(()),
                }
            }
            (_, Some("new")) => {
                let ids = (payload["buildrequestid"].as_i64(), payload["buildid"].as_i64());
                if let (Some(request), Some(build)) = ids { self.found(request, build) } else { Ok(()) }
            }
            _ => match payload["buildid"].as_i64() {
                Some(build) if self.builds.contains_key(&build) => self.read_end(build).await,
                _ => Ok(()),
            },
        }
    }

    /// More happened than was listened to.
    async fn catch_up(&mut self) -> Result<(), End> {
        for request in self.requests.keys().copied().collect::<Vec<_>>() {
            self.read_request(request).await?;
        }
        for build in self.builds.keys().copied().collect::<Vec<_>>() {
            self.read_steps(build).await?;
            self.read_end(build).await?;
        }
        Ok(())
    }

    /// Whether something is followed, and all of it has ended as far as it was told.
    fn knows_all(&self) -> bool {
        let told = |followed: &Followed| followed.unbuilt || !followed.told.is_empty();
        let ended = |build: &FollowedBuild| build.waiting.is_empty();
        !self.requests.is_empty() && self.requests.values().all(told) && self.builds.values().all(ended)
    }

    fn tell(&mut self, observer: i64, news: TryNews) -> Result<(), End> {
        self.client.tell(observer, news).map_err(|error| End::Because(error.to_string()))
    }
}

async fn rows<T: serde::de::DeserializeOwned>(data: &Data, path: &str, query: &str) -> Result<Vec<T>, End> {
    let Answer::List { items, .. } = data.get(path, query).await? else { return Ok(Vec::new()) };
    let read = items.into_iter().map(serde_json::from_value::<T>);
    read.collect::<Result<_, _>>().map_err(|error| End::Because(format!("{path}: {error}")))
}

async fn builder_name(data: &Data, id: i64) -> Result<String, End> {
    let Answer::One { item, .. } = data.get(&format!("builders/{id}"), "").await? else {
        return Ok(String::new());
    };
    Ok(item["name"].as_str().unwrap_or_default().to_owned())
}
