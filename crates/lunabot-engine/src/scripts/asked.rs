//! The distributor's questions, put to functions (reference 07.011, 07.014–07.018).

use super::changes::RequestChanges;
use super::objects::{BuilderView, builder_object, id_of, master_object, request_object};
use super::worker::{WorkerView, wfb_object};
use crate::Generation;
use crate::build::{Prospect, properties};
use crate::distributor::{Actor, Answer, Noted, Question, Remark, Suits, Verdict};
use crate::locks::rendered::rendered;
use crate::plan::{BuilderPlan, WorkerPlan};
use crate::worker::latent::LatentClass;
use lunabot_data::Data;
use lunabot_data::new::PendingRequest;
use lunabot_model::locks::LockUse;
use lunabot_model::resources::Change;
use lunabot_model::script::{CallSite, ScriptError, ScriptErrorKind};
use lunabot_model::{Arg, BuildRequestId, BuilderId, Callback, Json, Properties, WorkerId};
use std::sync::Arc;
use std::time::Duration;

/// A question with a snapshot of all it is about.
pub(crate) struct Asked {
    generation: Arc<Generation>,
    data: Data,
    about: About,
}

enum About {
    Order(Vec<BuilderView>),
    Request {
        builder: BuilderView,
        requests: Vec<Arc<PendingRequest>>,
    },
    Worker {
        builder: BuilderView,
        request: Arc<PendingRequest>,
        workers: Vec<WorkerView>,
    },
    Suits {
        builder: BuilderView,
        request: Arc<PendingRequest>,
        worker: Arc<WorkerPlan>,
        class: Arc<LatentClass>,
    },
    Locks {
        builder: BuilderView,
        request: Arc<PendingRequest>,
        worker: WorkerView,
    },
    Start {
        builder: BuilderView,
        request: Arc<PendingRequest>,
        worker: WorkerView,
    },
    /// There is nothing to be asked, or something of the question is gone meanwhile.
    Nothing(Answer),
}

/// An answer, and what a function said to it.
pub(crate) struct Reply {
    pub answer: Answer,
    pub noted: Vec<Noted>,
    /// The function exceeds its limits: when to ask it again, should nothing else happen by which it would be asked.
    pub again: Option<Duration>,
}

/// What a function answered, what that means, and when to ask it again; `None`: there is no function.
type Told = Option<(Answer, Remark, Option<Duration>)>;

impl Reply {
    fn plain(answer: Answer) -> Self {
        Reply { answer, noted: Vec::new(), again: None }
    }

    /// `request`: the one that was asked about; `None`: all of the builder.
    fn told(told: Told, default: Answer, builder: BuilderId, request: Option<BuildRequestId>) -> Self {
        match told {
            Some((answer, remark, again)) => {
                Reply { answer, noted: vec![Noted { builder, request, remark }], again }
            }
            None => Reply::plain(default),
        }
    }
}

impl Asked {
    pub fn new(actor: &Actor, generation: Arc<Generation>, question: Question) -> Self {
        let about = About::of(actor, &question).unwrap_or_else(|| About::Nothing(default_answer(&question)));
        Asked { generation, data: actor.services.data.clone(), about }
    }

    /// Never fails: a function that does has its documented outcome.
    pub async fn answer(self) -> Reply {
        let Asked { generation, data, about } = self;
        match about {
            About::Order(builders) => order(&generation, builders).await,
            About::Request { builder, requests } => {
                let told = next_build(&generation, &data, &builder, &requests).await;
                Reply::told(told, Answer::Request(None), builder.plan.id, None)
            }
            About::Worker { builder, request, workers } => {
                let told = next_worker(&generation, &data, &builder, &request, workers).await;
                Reply::told(told, Answer::Worker(None), builder.plan.id, Some(id_of_request(&request)))
            }
            About::Suits { builder, request, worker, class } => {
                let changes = changes_of(&data, &request).await;
                let suits = class.suits(prepared(&builder, &request, &changes, &worker)).await;
                let (verdict, again) = match suits {
                    Ok(true) => (Verdict::Yes, None),
                    Ok(false) => (Verdict::No, None),
                    Err(error) => failed(&error),
                };
                let suits = verdict == Verdict::Yes;
                let remark = Remark {
                    rule: "isCompatibleWithBuild",
                    worker: Some(worker.id),
                    verdict,
                    at: class.place("isCompatibleWithBuild").into(),
                };
                let told = Some((Answer::Start(suits), remark, again));
                Reply::told(told, Answer::Start(true), builder.plan.id, Some(id_of_request(&request)))
            }
            About::Locks { builder, request, worker } => {
                Reply::plain(Answer::Locks(locks(&data, &builder, &request, worker).await))
            }
            About::Start { builder, request, worker } => {
                let told = can_start(&generation, &data, &builder, &request, worker).await;
                Reply::told(told, Answer::Start(true), builder.plan.id, Some(id_of_request(&request)))
            }
            About::Nothing(answer) => Reply::plain(answer),
        }
    }
}

fn id_of_request(request: &PendingRequest) -> BuildRequestId {
    request.request.buildrequestid
}

fn default_answer(question: &Question) -> Answer {
    match question {
        Question::Order(_) => Answer::Order(None),
        Question::NextBuild { .. } => Answer::Request(None),
        Question::NextWorker { .. } => Answer::Worker(None),
        Question::Locks { .. } => Answer::Locks(Vec::new()),
        Question::Compatible { .. } | Question::CanStart { .. } => Answer::Start(false),
    }
}

impl About {
    fn of(actor: &Actor, question: &Question) -> Option<About> {
        let builder = |id: BuilderId| BuilderView::of(actor, id);
        let worker = |id: WorkerId, plan: &Arc<BuilderPlan>| WorkerView::of(actor, id, plan);
        match question {
            Question::Order(builders) => {
                Some(About::Order(builders.iter().filter_map(|id| builder(*id)).collect()))
            }
            Question::NextBuild { builder: id, requests } => {
                let requests = requests.iter().filter_map(|id| actor.details.get(*id).cloned());
                Some(About::Request { builder: builder(*id)?, requests: requests.collect() })
            }
            Question::NextWorker { builder: id, request, workers } => {
                let builder = builder(*id)?;
                let workers = workers.iter().filter_map(|id| worker(*id, &builder.plan)).collect();
                Some(About::Worker { request: actor.details.get(*request)?.clone(), builder, workers })
            }
            Question::Compatible { builder: id, request, worker } => match actor.suits(*worker) {
                Suits::Yes => Some(About::Nothing(Answer::Start(true))),
                Suits::No => Some(About::Nothing(Answer::Start(false))),
                Suits::Ask(class) => Some(About::Suits {
                    builder: builder(*id)?,
                    request: actor.details.get(*request)?.clone(),
                    worker: actor.workers.get(worker)?.clone(),
                    class,
                }),
            },
            Question::Locks { builder: id, request, worker: on } => {
                let builder = builder(*id)?;
                let worker = worker(*on, &builder.plan)?;
                Some(About::Locks { request: actor.details.get(*request)?.clone(), builder, worker })
            }
            Question::CanStart { builder: id, request, worker: on } => {
                let builder = builder(*id)?;
                let worker = worker(*on, &builder.plan)?;
                Some(About::Start { request: actor.details.get(*request)?.clone(), builder, worker })
            }
        }
    }
}

/// 07.011.
async fn order(generation: &Generation, builders: Vec<BuilderView>) -> Reply {
    let Some(callback) = &generation.config.prioritize_builders else {
        return Reply::plain(Answer::Order(None));
    };
    let (order, verdict) = match ordered(generation, callback, &builders).await {
        Ok(order) => (Some(order), Verdict::Ordered),
        Err(failed) => (None, failed),
    };
    let remark = remark(callback, "prioritizeBuilders", verdict);
    let of = |view: &BuilderView| Noted { builder: view.plan.id, request: None, remark: remark.clone() };
    // Whatever comes of it builds go on.
    Reply { answer: Answer::Order(order), noted: builders.iter().map(of).collect(), again: None }
}

async fn ordered(
    generation: &Generation,
    callback: &Callback,
    builders: &[BuilderView],
) -> Result<Vec<BuilderId>, Verdict> {
    let site = CallSite::new("prioritizeBuilders", "the master");
    let objects = builders.iter().map(builder_object).collect();
    let args = vec![Arg::Object(master_object()), Arg::List(objects)];
    let result = generation.host.call(callback, site.clone(), args).await;
    let result = result.map_err(|error| failed(&error).0)?;
    let items = match &result {
        Json::Array(items) => items.as_slice(),
        // An empty table is an empty list.
        Json::Object(map) if map.is_empty() => &[],
        _ => return Err(nonsense(generation, callback, site, &result, "a list of builders")),
    };
    let order: Option<Vec<BuilderId>> = items.iter().map(|item| id_of(item, "builder")).collect();
    order.ok_or_else(|| nonsense(generation, callback, site, &result, "a list of the builders given"))
}

/// Until a function is asked again that has exceeded its limits: as long as one is suspended that does so again and again.
const EXCEEDED: Duration = Duration::from_secs(30);

fn failed(error: &ScriptError) -> (Verdict, Option<Duration>) {
    let again = match error.kind {
        ScriptErrorKind::Suspended(left) => Some(left),
        ScriptErrorKind::Cpu | ScriptErrorKind::Deadline | ScriptErrorKind::Memory => Some(EXCEEDED),
        _ => None,
    };
    (Verdict::failed(&error.message), again)
}

/// Records a result that means nothing.
fn nonsense(
    generation: &Generation,
    callback: &Callback,
    site: CallSite,
    result: &Json,
    expected: &str,
) -> Verdict {
    let shown = generation.host.shown(result);
    let text = format!("{} returned {shown}; expected {expected}", site.callback);
    generation.host.nonsense(callback, site, &text);
    Verdict::failed(&text)
}

fn remark(callback: &Callback, rule: &'static str, verdict: Verdict) -> Remark {
    Remark { rule, worker: None, verdict, at: callback.at.as_str().into() }
}

fn site(option: &str, builder: &BuilderView) -> CallSite {
    CallSite::new(option, format!("builder {}", builder.plan.config.name))
}

async fn changes_of(data: &Data, request: &Arc<PendingRequest>) -> RequestChanges {
    RequestChanges::read_or_none(data, vec![request.clone()]).await
}

/// 07.015.
async fn next_build(
    generation: &Generation,
    data: &Data,
    builder: &BuilderView,
    requests: &[Arc<PendingRequest>],
) -> Told {
    let callback = builder.plan.config.next_build.as_ref()?;
    let changes = RequestChanges::read_or_none(data, requests.to_vec()).await;
    let objects = requests.iter().map(|request| request_object(builder, request, &changes));
    let args = vec![Arg::Object(builder_object(builder)), Arg::List(objects.collect())];
    let site = site("nextBuild", builder);
    let known = |id: &i64| requests.iter().any(|request| id_of_request(request) == *id);
    let (chosen, verdict, again) = match generation.host.call(callback, site.clone(), args).await {
        Err(error) => {
            let (verdict, again) = failed(&error);
            (None, verdict, again)
        }
        Ok(result) => match id_of(&result, "buildrequest").filter(known) {
            Some(request) => (Some(request), Verdict::Request(request), None),
            None if result.is_null() => (None, Verdict::None, None),
            None => {
                (None, nonsense(generation, callback, site, &result, "one of the requests, or nil"), None)
            }
        },
    };
    Some((Answer::Request(chosen), remark(callback, "nextBuild", verdict), again))
}

/// 07c item 4: the builder's function, else the master's.
async fn next_worker(
    generation: &Generation,
    data: &Data,
    builder: &BuilderView,
    request: &Arc<PendingRequest>,
    workers: Vec<WorkerView>,
) -> Told {
    let own = builder.plan.config.next_worker.as_ref().map(|callback| (callback, "nextWorker"));
    let global =
        generation.config.select_next_worker.as_ref().map(|callback| (callback, "select_next_worker"));
    let (callback, option) = own.or(global)?;
    let changes = changes_of(data, request).await;
    let objects = workers.iter().map(|worker| {
        let properties = prepared(builder, request, &changes, &worker.plan);
        wfb_object(worker, &properties)
    });
    let args = vec![
        Arg::Object(builder_object(builder)),
        Arg::List(objects.collect()),
        Arg::Object(request_object(builder, request, &changes)),
    ];
    let site = site(option, builder);
    let known = |id: &i64| workers.iter().any(|worker| worker.plan.id == *id);
    let (chosen, verdict, again) = match generation.host.call(callback, site.clone(), args).await {
        Err(error) => {
            let (verdict, again) = failed(&error);
            (None, verdict, again)
        }
        Ok(result) => match id_of(&result, "wfb").filter(known) {
            Some(worker) => (Some(worker), Verdict::Worker(worker), None),
            None if result.is_null() => (None, Verdict::None, None),
            None => (None, nonsense(generation, callback, site, &result, "one of the workers, or nil"), None),
        },
    };
    Some((Answer::Worker(chosen), remark(callback, option, verdict), again))
}

/// 07.017: the builder's computed locks. Those that cannot be computed are none: the build starts and tells why.
async fn locks(
    data: &Data,
    builder: &BuilderView,
    request: &Arc<PendingRequest>,
    worker: WorkerView,
) -> Vec<LockUse> {
    let changes = changes_of(data, request).await;
    let prospect = Prospect {
        properties: prepared(builder, request, &changes, &worker.plan),
        builder: builder.plan.clone(),
        worker: Some(worker.handle),
        sourcestamps: request.buildset.sourcestamps.clone(),
    };
    let option = builder.plan.config.locks.as_ref();
    rendered(option, &prospect).await.unwrap_or_else(|error| {
        tracing::warn!(builder = builder.plan.config.name, "locks: {error}");
        Vec::new()
    })
}

/// 07.017, 07.018.
async fn can_start(
    generation: &Generation,
    data: &Data,
    builder: &BuilderView,
    request: &Arc<PendingRequest>,
    worker: WorkerView,
) -> Told {
    let callback = builder.plan.config.can_start_build.as_ref()?;
    let changes = changes_of(data, request).await;
    let properties = prepared(builder, request, &changes, &worker.plan);
    let args = vec![
        Arg::Object(builder_object(builder)),
        Arg::Object(wfb_object(&worker, &properties)),
        Arg::Object(request_object(builder, request, &changes)),
    ];
    let site = site("canStartBuild", builder);
    let (verdict, again) = match generation.host.call(callback, site.clone(), args).await {
        Ok(Json::Bool(true)) => (Verdict::Yes, None),
        Ok(Json::Bool(false)) => (Verdict::No, None),
        Ok(Json::Null) => (Verdict::None, None),
        Ok(other) => (nonsense(generation, callback, site, &other, "true, false or nil"), None),
        Err(error) => failed(&error),
    };
    let answer = Answer::Start(verdict == Verdict::Yes);
    let remark = Remark { worker: Some(worker.plan.id), ..remark(callback, "canStartBuild", verdict) };
    Some((answer, remark, again))
}

/// Items 1 to 5 of 04b.
fn prepared(
    builder: &BuilderView,
    request: &PendingRequest,
    changes: &RequestChanges,
    worker: &WorkerPlan,
) -> Properties {
    let changes: Vec<Change> = changes.of(request).into_iter().cloned().collect();
    properties::before_build(&builder.plan, &changes, &[&request.properties], Some(worker))
}
