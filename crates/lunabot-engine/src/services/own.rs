//! `util.BuildbotService`: services of classes of the configuration (01.024, lua-api § 3).
//!
//! One small task per service. A reload stops what is gone or differs and starts what is new; a service whose declaration
//! is the same is not touched (01.011): it goes on in the interpreter that it began in.

use super::Around;
use crate::scripts::acting::{Acting, FIRST_PAUSE, LONGEST_PAUSE, Own, recalled, remembered};
use crate::scripts::args::{Args, Method, NOTHING, Reply, call, methods, names};
use lunabot_data::{Data, Memory};
use lunabot_model::object::same;
use lunabot_model::script::LiveObject;
use lunabot_model::{AnyObject, Arg, BoxFuture, CallError, ClassOf, Clock, Json, ScriptError};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The kind of such services.
pub(super) const KIND: &str = "util.BuildbotService";
/// Under which their state is kept.
const STATE: &str = "BuildbotService";

/// The services that run.
#[derive(Default)]
pub(super) struct OwnServices {
    running: Mutex<BTreeMap<String, Running>>,
    /// Those that are gone from the configuration, and may still be at their farewell.
    leaving: Mutex<BTreeMap<String, JoinHandle<()>>>,
    tasks: TaskTracker,
    board: Board,
}

struct Running {
    /// The object as declared, to compare with.
    object: Json,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// How each is, in words.
type Board = Arc<Mutex<BTreeMap<String, String>>>;

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OwnServices {
    /// Makes those declared the running ones.
    pub fn apply(&self, declared: &[AnyObject], around: &Around) -> Result<(), String> {
        let mut wanted = BTreeMap::new();
        for object in declared.iter().filter(|object| object.kind == KIND) {
            let own = read(object, around).map_err(|error| format!("{}: {KIND}: {error}", object.at))?;
            let json = serde_json::to_value(object).map_err(|error| error.to_string())?;
            wanted.insert(own.name.clone(), (json, own));
        }
        let mut running = held(&self.running);
        let stays = |name: &String, service: &Running| {
            wanted.get(name).is_some_and(|(object, _)| same(object, &service.object))
        };
        let mut leaving = held(&self.leaving);
        leaving.retain(|_, task| !task.is_finished());
        for (name, service) in running.extract_if(.., |name, service| !stays(name, service)) {
            service.stop.cancel();
            leaving.insert(name, service.task);
        }
        for (name, (object, own)) in wanted {
            if let Entry::Vacant(place) = running.entry(name) {
                let before = leaving.remove(place.key());
                place.insert(self.start(object, own, around, before));
            }
        }
        Ok(())
    }

    fn start(&self, object: Json, own: Own, around: &Around, before: Option<JoinHandle<()>>) -> Running {
        let stop = CancellationToken::new();
        let service = Service {
            own: Arc::new(own),
            data: around.data.clone(),
            clock: around.clock.clone(),
            stop: stop.clone(),
            board: self.board.clone(),
        };
        let task = self.tasks.spawn(async move {
            if let Some(before) = before {
                // How it ended is told already.
                let _ = before.await;
            }
            service.live().await;
        });
        Running { object, stop, task }
    }

    /// How each is, by name.
    pub fn status(&self) -> Vec<(String, String)> {
        held(&self.board).iter().map(|(name, how)| (name.clone(), how.clone())).collect()
    }

    /// Stops all, and waits for them.
    pub async fn shut_down(&self) {
        held(&self.running).values().for_each(|service| service.stop.cancel());
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn read(object: &AnyObject, around: &Around) -> Result<Own, String> {
    let class = object.class.as_ref().ok_or("does nothing by itself: extend it")?;
    let class = ClassOf::read(class)?;
    let name = object.arg("name").and_then(Json::as_str).unwrap_or(&class.name).to_owned();
    let (host, secrets) = (around.generation.host.clone(), around.generation.secrets.clone());
    let concerns = format!("service {name}");
    Ok(Own { what: "service", name, concerns, object: object.clone(), class, host, secrets })
}

/// The task of one service.
struct Service {
    own: Arc<Own>,
    data: Data,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    board: Board,
}

impl Service {
    async fn live(self) {
        if let Some(acting) = self.begin().await {
            self.stop.cancelled().await;
            acting.farewell("stopService", &*self.clock).await;
        }
        held(&self.board).remove(&self.own.name);
    }

    /// Starts it, again and again until it succeeds; nothing: it was stopped before.
    async fn begin(&self) -> Option<Acting> {
        let mut pause = FIRST_PAUSE;
        self.tell("starting".into());
        loop {
            let error = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                started = self.start() => match started {
                    Ok(acting) => {
                        self.tell("well".into());
                        return Some(acting);
                    }
                    Err(error) => error,
                },
            };
            tracing::error!(
                service = %self.own.name, "could not be started: {error}; it will be tried again in {} s", pause.as_secs()
            );
            self.tell(format!("failing: {error}"));
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = self.clock.sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    /// One attempt, with an object of its own: what it began, and did not finish, ends with it.
    async fn start(&self) -> Result<Acting, ScriptError> {
        let handle = Handle(Memory { data: self.data.clone(), object: self.own.name.clone(), class: STATE });
        let acting = self.own.begin(&NAMES, Arc::new(handle)).await?;
        acting.hook("startService", Vec::new()).await?;
        Ok(acting)
    }

    fn tell(&self, how: String) {
        held(&self.board).insert(self.own.name.clone(), how);
    }
}

/// What the methods of a service act on.
struct Handle(Memory);

static METHODS: &[Method<Handle>] = methods! {
    "getState"("key", "default*") => get_state,
    "setState"("key", "value*") => set_state,
    "startService"() => nothing,
    "stopService"() => nothing,
};
/// `spawn` and `callLater` stay with the script host.
static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| names(&[METHODS]).into_iter().chain(["spawn", "callLater"]).collect());

impl LiveObject for Handle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move { call(&[METHODS], self, method, args).await })
    }
}

async fn get_state(this: &Handle, args: Args) -> Reply {
    recalled(&this.0, args).await
}

async fn set_state(this: &Handle, args: Args) -> Reply {
    remembered(&this.0, args).await
}

/// What the base does.
async fn nothing(_: &Handle, _: Args) -> Reply {
    Ok(NOTHING)
}
