//! Sample kinds, a clock, and a folder with a configuration.

use lunabot_lua::{Host, LoadFailure, LoadOptions, Loaded, Records};
use lunabot_model::kind::{CallbackSpec, Params, check_as, schema_of};
use lunabot_model::script::CallSite;
use lunabot_model::{
    Arg, BoxFuture, Callback, Category, Clock, Duration, Json, Kind, Mono, Names, Renderable, ScriptError,
    Templates, Time,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// There are no pages here, so no templates.
#[derive(Debug)]
struct NoTemplates;

impl Templates for NoTemplates {
    fn fill(&self, _: &str, _: bool, _: Json) -> Result<String, String> {
        Err("there are no templates here".into())
    }

    fn judge(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn render(&self, _: &Path, name: &str, _: Json) -> Result<String, String> {
        Err(format!("{name} cannot be filled here"))
    }
}

/// The real clock: what is tested here is how long Lua computes. Waiting may be faster.
#[derive(Debug)]
pub struct RealClock(Instant, u32);

impl RealClock {
    pub fn new() -> Self {
        RealClock::times(1)
    }

    /// What waits is woken so many times earlier.
    #[expect(clippy::disallowed_methods, reason = "an implementation of the clock")]
    pub fn times(faster: u32) -> Self {
        RealClock(Instant::now(), faster)
    }
}

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "an implementation of the clock")]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Time(i64::try_from(since.as_micros()).unwrap())
    }
    fn mono(&self) -> Mono {
        Mono(self.0.elapsed() * self.1)
    }
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        let until = self.0 + deadline.0 / self.1;
        Box::pin(async move { tokio::time::sleep_until(until.into()).await })
    }
}

/// A clock that stands still.
#[derive(Debug)]
pub struct Still(pub Time);

impl Clock for Still {
    fn now(&self) -> Time {
        self.0
    }
    fn mono(&self) -> Mono {
        Mono(std::time::Duration::ZERO)
    }
    fn sleep_until(&self, _: Mono) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code)]
pub struct Shell {
    command: Renderable<Names>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    timeout: Option<Duration>,
    #[serde(default)]
    env: BTreeMap<String, Option<Renderable<String>>>,
    #[serde(default, rename = "decodeRC")]
    decode_rc: BTreeMap<i64, i64>,
    #[serde(default)]
    count: Option<i64>,
    #[serde(default)]
    mode: Option<String>,
    #[serde(default, rename = "doStepIf")]
    do_step_if: Option<Callback>,
    #[serde(default = "yes", rename = "haltOnFailure")]
    halt_on_failure: bool,
}
fn yes() -> bool {
    true
}
impl Params for Shell {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code)]
pub struct SecretFiles {
    populated_secret_list: Renderable<Vec<Vec<String>>>,
    #[serde(default, rename = "alwaysRun")]
    always_run: bool,
}
impl Params for SecretFiles {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code)]
pub struct Worker {
    name: String,
    #[serde(default)]
    password: Option<Renderable<String>>,
    #[serde(default)]
    max_builds: Option<i64>,
}
impl Params for Worker {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code)]
pub struct Scheduler {
    name: String,
    #[serde(rename = "builderNames")]
    builder_names: Names,
    #[serde(default, rename = "treeStableTimer")]
    tree_stable_timer: Option<Duration>,
    #[serde(default)]
    change_filter: Option<lunabot_model::AnyObject>,
}
impl Params for Scheduler {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code)]
pub struct Source {
    name: String,
    #[serde(default, rename = "pollInterval")]
    poll_interval: Option<Duration>,
}
impl Params for Source {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code)]
pub struct Users {
    users: BTreeMap<String, String>,
}
impl Params for Users {}

const fn kind(
    namespace: &'static str,
    name: &'static str,
    category: Category,
    positional: &'static [&'static str],
    schema: fn() -> schemars::Schema,
    check: fn(&Json) -> Vec<lunabot_model::Problem>,
) -> Kind {
    Kind {
        namespace,
        name,
        aliases: &[],
        category,
        positional,
        flat: false,
        doc: "",
        schema,
        check,
        callbacks: &[],
        extensible: false,
    }
}

const DO_STEP_IF: &[CallbackSpec] =
    &[CallbackSpec { option: "doStepIf", args: "step", returns: "boolean", on_error: "EXCEPTION" }];

static SAMPLES: &[Kind] = &[
    Kind {
        callbacks: DO_STEP_IF,
        extensible: true,
        ..kind("steps", "ShellCommand", Category::Step, &["command"], schema_of::<Shell>, check_as::<Shell>)
    },
    kind("steps", "Git", Category::Step, &[], schema_of::<Shell>, check_as::<Shell>),
    kind(
        "steps",
        "DownloadSecretsToWorker",
        Category::Step,
        &["populated_secret_list"],
        schema_of::<SecretFiles>,
        check_as::<SecretFiles>,
    ),
    kind(
        "steps",
        "RemoveWorkerFileSecret",
        Category::Step,
        &["populated_secret_list"],
        schema_of::<SecretFiles>,
        check_as::<SecretFiles>,
    ),
    kind("worker", "LocalWorker", Category::Worker, &["name"], schema_of::<Worker>, check_as::<Worker>),
    kind(
        "worker",
        "Worker",
        Category::Worker,
        &["name", "password"],
        schema_of::<Worker>,
        check_as::<Worker>,
    ),
    kind(
        "schedulers",
        "ForceScheduler",
        Category::Scheduler,
        &["name", "builderNames"],
        schema_of::<Scheduler>,
        check_as::<Scheduler>,
    ),
    kind(
        "schedulers",
        "SingleBranchScheduler",
        Category::Scheduler,
        &["name"],
        schema_of::<Scheduler>,
        check_as::<Scheduler>,
    ),
    Kind {
        extensible: true,
        ..kind(
            "changes",
            "PollingChangeSource",
            Category::ChangeSource,
            &["name"],
            schema_of::<Source>,
            check_as::<Source>,
        )
    },
    Kind {
        flat: true,
        ..kind("util", "UserPasswordAuth", Category::Value, &["users"], schema_of::<Users>, check_as::<Users>)
    },
];

pub fn kinds() -> Vec<&'static Kind> {
    lunabot_model::kinds::KINDS.iter().chain(SAMPLES).collect()
}

/// A folder with a `master.lua`.
pub struct Folder {
    pub dir: TempDir,
    pub records: Arc<Records>,
    pub kept: Arc<lunabot_lua::Kept>,
}

impl Folder {
    pub fn new(master: &str) -> Self {
        let folder =
            Folder { dir: tempfile::tempdir().unwrap(), records: Arc::default(), kept: Arc::default() };
        folder.write("master.lua", master);
        folder
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn options(&self) -> LoadOptions {
        LoadOptions {
            config_file: self.dir.path().join("master.lua"),
            kinds: kinds(),
            defaults: HashMap::default(),
            live: Vec::new(),
            generation: 1,
            clock: Arc::new(RealClock::new()),
            basedir: self.dir.path().to_path_buf(),
            version: "0".into(),
            lua_path: Vec::new(),
            master: None,
            records: self.records.clone(),
            templates: Arc::new(NoTemplates),
            kept: self.kept.clone(),
            reverse_pairs: false,
            test_file: None,
        }
    }

    pub async fn load(&self) -> Result<Loaded, LoadFailure> {
        Host::load(self.options()).await
    }
}

/// What every configuration here begins with.
pub const HEAD: &str = r#"local lunabot = require "lunabot"
local steps, util, worker, schedulers = lunabot.steps, lunabot.util, lunabot.worker, lunabot.schedulers
local c = {}
c.workers = { worker.LocalWorker{"local"} }
local f = util.BuildFactory{}
c.builders = { util.BuilderConfig{name = "one", workernames = {"local"}, factory = f} }
c.schedulers = { schedulers.ForceScheduler{name = "force", builderNames = {"one"}} }
"#;

/// The lines of [`HEAD`].
pub const HEAD_LINES: u32 = 7;

/// A configuration with `extra` in it, loaded.
pub async fn load(extra: &str) -> Loaded {
    let folder = Folder::new(&format!("{HEAD}{extra}\nreturn c\n"));
    folder.load().await.unwrap_or_else(|failure| panic!("{failure}"))
}

/// The error messages of a configuration with `extra` in it.
pub async fn errors(extra: &str) -> Vec<String> {
    let folder = Folder::new(&format!("{HEAD}{extra}\nreturn c\n"));
    match folder.load().await {
        Ok(_) => Vec::new(),
        Err(failure) => failure.errors.iter().map(ToString::to_string).collect(),
    }
}

/// Configurations whose `c.prioritizeBuilders` is a function of the test.
pub async fn function(body: &str) -> (Loaded, Callback) {
    function_with(body, "").await
}

pub async fn function_with(body: &str, extra: &str) -> (Loaded, Callback) {
    let loaded = load(&format!("{extra}\nc.prioritizeBuilders = {body}")).await;
    let callback = loaded.config.prioritize_builders.clone().unwrap();
    (loaded, callback)
}

pub async fn call(loaded: &Loaded, callback: &Callback, args: Vec<Arg>) -> Result<Json, ScriptError> {
    loaded.host.call(callback, CallSite::new("prioritizeBuilders", "the master"), args).await
}
