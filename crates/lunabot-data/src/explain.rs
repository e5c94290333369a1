//! Why requests wait, or what became of them: the distributor tells of those that wait, the store of all others.

use crate::data::Data;
use crate::error::Result;
use lunabot_db::ListQuery;
use lunabot_model::explanation::{Explanation, RequestState, RuleAnswer};
use lunabot_model::resources::{Build, BuildRequest};
use lunabot_model::result_spec::{OrderKey, ResultSpec};
use lunabot_model::{BuildId, BuildRequestId, BuilderId, Json, Properties, Results, WorkerId};
use std::collections::HashMap;

/// Property of a request that was ended without a build: why.
pub const CANCEL_REASON: &str = "cancel_reason";

/// Property of a request that was collapsed: into which.
pub const COLLAPSED_INTO: &str = "collapsed_into";

/// So many builds of a request are told.
const BUILDS: i64 = 10;

impl Data {
    /// Of those of `requests` that exist, in their order; without earlier builds of those that wait.
    pub async fn explain(&self, requests: &[BuildRequestId]) -> Result<Vec<Explanation>> {
        let explainer = self.registered().explainer.clone();
        let mut waiting = match explainer {
            Some(explainer) => explainer.explain(requests.to_vec()).await,
            None => HashMap::new(),
        };
        let mut all = Vec::with_capacity(requests.len());
        for id in requests {
            match waiting.remove(id) {
                Some(told) => all.push(told),
                None => all.extend(self.outcome(*id).await?),
            }
        }
        Ok(all)
    }

    /// The same of one request, with its earlier builds.
    pub async fn explain_one(&self, request: BuildRequestId) -> Result<Option<Explanation>> {
        let Some(mut told) = self.explain(&[request]).await?.pop() else { return Ok(None) };
        let builds = self.builds_of(request).await?;
        told.history.extend(builds.iter().filter(|build| build.complete).map(|build| self.ended(build)));
        told.history.sort_by_key(|answer| answer.since);
        Ok(Some(told))
    }

    /// `runtests #41`: a build that runs.
    pub fn running_build(&self, id: BuildId) -> Option<String> {
        let live = self.shared.live();
        let build = &live.builds.get(&id)?.row;
        Some(format!("{} #{}", live.builders.get(&build.builderid)?.name, build.number))
    }

    /// All builds that run, in the order in which they began: the name of the worker, and `runtests #41`.
    pub fn running_builds(&self) -> Vec<(String, String)> {
        let live = self.shared.live();
        let mut ids: Vec<BuildId> = live.builds.keys().copied().collect();
        ids.sort_unstable();
        let told = ids.iter().filter_map(|id| {
            let build = &live.builds.get(id)?.row;
            let worker = live.workers.get(&build.workerid?)?.name.clone();
            Some((worker, format!("{} #{}", live.builders.get(&build.builderid)?.name, build.number)))
        });
        told.collect()
    }

    /// Why a worker is paused, if somebody has said so.
    pub fn pause_reason(&self, worker: WorkerId) -> Option<String> {
        self.shared.live().workers.get(&worker)?.pause_reason.clone()
    }

    /// Of one that exists or existed.
    pub fn builder_name(&self, id: BuilderId) -> String {
        self.shared.live().builders.get(&id).map(|builder| builder.name.clone()).unwrap_or_default()
    }

    /// Newest first.
    async fn builds_of(&self, request: BuildRequestId) -> Result<Vec<Build>> {
        let newest = OrderKey { field: "buildid", descending: true };
        let spec = ResultSpec { order: vec![newest], limit: Some(BUILDS), ..ResultSpec::default() };
        let (scope, args) = ("b.buildrequestid = $1", vec![request.into()]);
        let query = ListQuery { scope, args, spec: &spec, total: false };
        let mut all: Vec<Build> = self.shared.store.list(query).await?.rows;
        // What is not stored yet.
        let live = self.shared.live();
        for build in live.builds.values().filter(|build| build.row.buildrequestid == request) {
            all.retain(|other| other.buildid != build.row.buildid);
            all.push(build.row.clone());
        }
        all.sort_by_key(|build| std::cmp::Reverse(build.buildid));
        Ok(all)
    }

    fn ended(&self, build: &Build) -> RuleAnswer {
        RuleAnswer {
            since: Some(build.started_at),
            last_at: build.complete_at,
            until: build.complete_at,
            ..RuleAnswer::new("build", self.told(build))
        }
    }

    /// `runtests #41 ended with success`; of one that runs no steps yet, what it waits for.
    fn told(&self, build: &Build) -> String {
        let name = format!("{} #{}", self.builder_name(build.builderid), build.number);
        match build.results {
            Some(results) => format!("{name} ended with {}", results.name()),
            None => match build.state_string.as_str() {
                "" | "created" | "building" => format!("{name} is running"),
                state => format!("{name} is running: {state}"),
            },
        }
    }

    async fn outcome(&self, id: BuildRequestId) -> Result<Option<Explanation>> {
        let Some(row) = self.build_request(id).await? else { return Ok(None) };
        let builds = self.builds_of(id).await?;
        let own = self.request_properties(id).await?;
        let state = match &row {
            BuildRequest { complete: true, .. } => RequestState::Complete,
            BuildRequest { claimed: true, .. } => RequestState::Building,
            _ => RequestState::Pending,
        };
        let (answer, since) = match (state, builds.first()) {
            (RequestState::Complete, Some(build)) => {
                (RuleAnswer::new("build", self.told(build)), row.complete_at)
            }
            (RequestState::Complete, None) => (without_build(&row, &own), row.complete_at),
            (RequestState::Building, Some(build)) if build.results != Some(Results::Retry) => {
                (RuleAnswer::new("build", self.told(build)), Some(build.started_at))
            }
            (RequestState::Building, _) => {
                (RuleAnswer::new("build", "a build is being prepared"), row.claimed_at)
            }
            (RequestState::Pending, _) => {
                (RuleAnswer::new("master", "has not looked at it yet").blocking(), Some(row.submitted_at))
            }
        };
        let answer = RuleAnswer { since, ..answer };
        Ok(Some(Explanation {
            buildrequestid: id,
            builderid: row.builderid,
            builder: self.builder_name(row.builderid),
            state,
            summary: answer.told(),
            since,
            submitted_at: row.submitted_at,
            collapsed_into: own.get(COLLAPSED_INTO).and_then(Json::as_i64),
            answers: vec![answer],
            history: Vec::new(),
        }))
    }
}

/// Why a complete request has no build.
fn without_build(row: &BuildRequest, own: &Properties) -> RuleAnswer {
    let results = row.results.map_or("nothing", Results::name);
    if let Some(into) = own.get(COLLAPSED_INTO) {
        return RuleAnswer::new("collapseRequests", format!("collapsed it into request {into}"));
    }
    match own.get(CANCEL_REASON).and_then(Json::as_str) {
        Some(why) => RuleAnswer::new("cancel", format!("{results}: {why}")),
        None => RuleAnswer::new("cancel", format!("{results} without a build")),
    }
}
