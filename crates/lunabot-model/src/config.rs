//! The plain configuration: what a `master.lua` declares, after loading and before anything is started.
//!
//! [`Config::read`] turns the table that the file returned (as JSON, see [`crate::object`]) into a [`Config`] and
//! collects every mistake (01.001–01.009). It never stops at the first.

mod crosscheck;
mod idle;
mod janitor;
mod keys;
pub mod protocols;
mod read;

pub use keys::CALLBACKS;

use crate::kinds::collapse::CollapseByParams;
use crate::locks::{self, LockUse};
use crate::object::Object;
use crate::{AnyObject, Callback, Duration, Json, Names, Renderable};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// One mistake in a configuration. Printed as `master.lua:12: steps.ShellCommand: timout: unknown option, …`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigError {
    /// Relative to the configuration's folder; empty if unknown.
    pub file: String,
    pub line: Option<u32>,
    /// Where in the configuration: `www.prot`, `builders[3].workernames`; or the kind, `steps.ShellCommand`.
    pub path: String,
    pub message: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// `collapseRequests`: a switch, a function, or a key (01.032, 07.002).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Collapse {
    Switch(bool),
    /// Asked for every pair.
    Callback(Callback),
    /// `util.collapse_by`: asked once per request.
    By(Object<CollapseByParams>),
}

impl<'de> Deserialize<'de> for Collapse {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(d)?;
        if let Some(switch) = value.as_bool() {
            return Ok(Collapse::Switch(switch));
        }
        if let Some(callback) = Callback::from_json(&value) {
            return Ok(Collapse::Callback(callback));
        }
        let by = AnyObject::from_json(&value).filter(|object| object.kind == "util.collapse_by");
        let by = by.ok_or("expected true, false, a function, or util.collapse_by(function(req) … end)");
        by.map_err(D::Error::custom)?.typed().map(Collapse::By).map_err(D::Error::custom)
    }
}

impl schemars::JsonSchema for Collapse {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Collapse".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"anyOf": [
            {"type": "boolean"},
            {"type": "object", "x-callback": true},
            {"type": "object", "x-object": true},
        ]})
    }
}

/// Limits of the script host (lua-api § 2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LuaLimits {
    /// CPU time between two waits of one callback.
    pub callback_cpu_seconds: Duration,
    /// Wall time of one callback.
    pub callback_timeout: Duration,
    /// Bytes, or text such as `"512 MB"`.
    pub memory_limit: Json,
    /// Reload when a file of the configuration changes.
    pub watch: bool,
}

impl LuaLimits {
    /// Bytes that a configuration needs at least.
    pub const MIN_MEMORY: u64 = 16 << 20;

    /// [`LuaLimits::memory_limit`] in bytes; `None`: it is no number of bytes.
    pub fn memory_bytes(&self) -> Option<u64> {
        let Json::String(text) = &self.memory_limit else {
            // In Lua `2^30` is a float.
            if self.memory_limit.is_null() {
                return LuaLimits::default().memory_bytes();
            }
            let whole = |bytes: &f64| bytes.fract() == 0.0 && (0.0..9e15).contains(bytes);
            return self.memory_limit.as_f64().filter(whole).map(|bytes| bytes as u64);
        };
        let (number, unit) =
            text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
        let scale: u64 = match unit.trim().to_ascii_uppercase().as_str() {
            "" | "B" => 1,
            "K" | "KB" | "KIB" => 1 << 10,
            "M" | "MB" | "MIB" => 1 << 20,
            "G" | "GB" | "GIB" => 1 << 30,
            _ => return None,
        };
        number.trim().parse::<u64>().ok()?.checked_mul(scale)
    }
}

impl crate::kind::Params for LuaLimits {
    fn validate(&self) -> Vec<crate::Problem> {
        /// Longer than anything that is meant.
        const YEAR: f64 = 366.0 * 86_400.0;
        let times = [
            ("callback_cpu_seconds", self.callback_cpu_seconds),
            ("callback_timeout", self.callback_timeout),
        ];
        let wrong = times.into_iter().filter(|(_, time)| !(time.0 > 0.0 && time.0 <= YEAR));
        let told = "expected more than 0 seconds and at most a year";
        let mut problems: Vec<_> = wrong.map(|(name, _)| crate::Problem::new(name, told)).collect();
        if self.memory_bytes().is_none_or(|bytes| bytes < Self::MIN_MEMORY) {
            let got = &self.memory_limit;
            let told = format!("expected bytes or a text such as \"512 MB\", and at least 16 MB, got {got}");
            problems.push(crate::Problem::new("memory_limit", told));
        }
        problems
    }
}

impl Default for LuaLimits {
    fn default() -> Self {
        LuaLimits {
            callback_cpu_seconds: Duration(1.0),
            callback_timeout: Duration(60.0),
            memory_limit: Json::from(512 * 1024 * 1024),
            watch: false,
        }
    }
}

/// `c.www`, as far as it is supported.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WwwConfig {
    /// A port, `"host:port"`, or an endpoint `tcp:8010:interface=127.0.0.1`; absent: no web server.
    pub port: Option<Json>,
    /// Origins that may use the API from a browser (09.056); default: the origin of `buildbotURL`.
    pub allowed_origins: Option<Names>,
    /// Dialect → options or true (02.028).
    pub change_hook_dialects: BTreeMap<String, Json>,
    /// One or more checkers, `util.UserPasswordAuth`: whoever uses a hook must be accepted by one (02.030).
    pub change_hook_auth: Option<Json>,
    /// How long answers of the API may be kept (09.048); 0: not at all.
    pub json_cache_seconds: i64,
    /// How people log in (10.003): a `util.UserPasswordAuth` or another; absent: nobody can.
    pub auth: Option<Json>,
    /// Who may do what: a `util.Authz` (10.027).
    pub authz: Option<Json>,
    /// Whether those who are not logged in may do what no rule is about. Absent: only where nobody can log in.
    pub allow_anonymous_control: Option<bool>,
    /// How long a session lasts (10.006); absent: a week.
    pub cookie_expiration_time: Option<Duration>,
    /// Addresses and networks of proxies in front; what they say about clients is believed. Absent: this machine's.
    pub trusted_proxies: Option<Names>,
    /// How much one client may ask.
    pub rate_limit: RateLimit,
    /// Where pictures of people come from (10.003): a list of `util.AvatarGravatar{}`, which is the default.
    pub avatar_methods: Option<Json>,
    /// Versions of the API below this one are not served (09.055); there is version 2.
    pub rest_minimum_version: i64,
    /// Buildbot's own web client, served beside the master's pages.
    pub client: Option<ClientConfig>,
    /// View plug-ins of the client, where Buildbot has them (10.002); the same as `client.plugins`.
    pub plugins: BTreeMap<String, Json>,
    /// A list of `util.Dashboard` (lua-api § 3).
    pub dashboards: Option<Json>,
    /// Settings of the client until a person changes them (10.009, 10.038).
    pub ui_default_config: BTreeMap<String, Json>,
    /// The page that the client begins with (10.009), such as `"builders"` or `"console"`.
    pub default_page: Option<String>,
    /// Seconds after which an idle listener at `/ws` is pinged (10.009); absent or 0: 30.
    pub ws_ping_interval: Option<Duration>,
    /// Colours of the client's side bar: variable → value (10.009).
    pub theme: BTreeMap<String, String>,
    /// More names and versions on the client's page "About" (10.008).
    pub versions: Vec<(String, String)>,
}

/// `c.www.rate_limit`: how much one client, an IP address (of IPv6 a network of 64 bits), may ask. Programs of the master's
/// own machine are not limited, but for logins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// Requests per second in the long run; 0: no limit.
    pub requests: f64,
    /// Requests at once, after a silence.
    pub burst: u32,
    /// Failed logins in a minute; 0: no limit.
    pub logins: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        RateLimit { requests: 20.0, burst: 600, logins: 10 }
    }
}

/// `c.www.client`: the web client of Buildbot 4.3, as the Python package `buildbot-www` installs it (10.039).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// The folder `static` of the package; relative to the configuration's folder.
    pub dir: String,
    /// Where it is served; `/client/` unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// View plug-in → its settings; `dir` among them is its folder, by default that of the package `buildbot_NAME` beside the client's.
    #[serde(default)]
    pub plugins: BTreeMap<String, Json>,
}

/// `util.BuilderConfig` (01.052–01.067).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuilderConfig {
    /// Unique; must not begin with `_`.
    pub name: String,
    /// One worker that may run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workername: Option<String>,
    /// The workers that may run it; one text or a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workernames: Option<Names>,
    /// A `util.BuildFactory`.
    pub factory: AnyObject,
    /// Folder of its builds; default: the name with unsafe characters replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builddir: Option<String>,
    /// Folder below the worker's base directory; default: `builddir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workerbuilddir: Option<String>,
    #[serde(default)]
    pub tags: Names,
    #[serde(default, rename = "nextBuild", skip_serializing_if = "Option::is_none")]
    pub next_build: Option<Callback>,
    #[serde(default, rename = "nextWorker", skip_serializing_if = "Option::is_none")]
    pub next_worker: Option<Callback>,
    #[serde(default, rename = "canStartBuild", skip_serializing_if = "Option::is_none")]
    pub can_start_build: Option<Callback>,
    /// Whether a build is made at all; else it ends as skipped at once, without any step (05.007).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub do_build_if: Option<Callback>,
    #[serde(default, rename = "collapseRequests", skip_serializing_if = "Option::is_none")]
    pub collapse_requests: Option<Collapse>,
    /// Locks that its builds hold: locks, accesses, or what yields them (05.061, 05.062).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "locks::option_schema")]
    pub locks: Option<Json>,
    /// Requests that waited so long while none of its workers was connected are skipped; absent: they wait for ever.
    #[serde(default, rename = "ignoreOfflineWorkersTimeout", skip_serializing_if = "Option::is_none")]
    pub ignore_offline_workers_timeout: Option<Duration>,
    /// Environment of every step; the step's own wins.
    #[serde(default)]
    pub env: BTreeMap<String, Json>,
    #[serde(default)]
    pub properties: BTreeMap<String, Json>,
    /// Properties for names that nothing else sets.
    #[serde(default, rename = "defaultProperties")]
    pub default_properties: BTreeMap<String, Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `markdown` or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description_format: Option<String>,
    /// Name of a project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

impl BuilderConfig {
    /// A builder with nothing but a name, a worker and a factory.
    pub fn plain(name: &str, worker: &str, factory: AnyObject) -> Self {
        let written = serde_json::json!({"name": name, "workername": worker, "factory": factory});
        serde_json::from_value(written).expect("what a builder needs is there")
    }

    /// All workers that may run it, each once, in order.
    pub fn workers(&self) -> Vec<String> {
        let mut names: Vec<String> = self.workername.iter().cloned().collect();
        for name in self.workernames.iter().flat_map(|names| &names.0) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

/// `util.BuildFactory` (05.065).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FactoryConfig {
    pub steps: Vec<AnyObject>,
    /// Folder of the steps below the builder's; may be a renderable, or a function of the source stamps (05.035).
    pub workdir: Option<Renderable<String>>,
    /// The class of its builds: one that extends `util.Build`.
    #[serde(rename = "buildClass")]
    pub build_class: Option<AnyObject>,
    /// Whether its builds are measured, so that an end of the next can be expected. Default true.
    #[serde(rename = "useProgress")]
    #[schemars(extend("default" = true))]
    pub use_progress: Option<bool>,
}

/// A builder with the place where it was declared.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredBuilder {
    pub at: String,
    pub config: BuilderConfig,
    pub factory: FactoryConfig,
}

/// Everything a master runs by. Made only by [`Config::read`].
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub title: String,
    pub title_url: String,
    /// Ends in a slash.
    pub buildbot_url: String,
    pub workers: Vec<AnyObject>,
    pub builders: Vec<DeclaredBuilder>,
    pub schedulers: Vec<AnyObject>,
    pub change_sources: Vec<AnyObject>,
    pub services: Vec<AnyObject>,
    pub secrets_providers: Vec<AnyObject>,
    pub projects: Vec<AnyObject>,
    pub codebases: Vec<AnyObject>,
    /// Protocol name → its options.
    pub protocols: BTreeMap<String, Json>,
    /// `sqlite:///state.sqlite`, `sqlite:////abs/path`, `postgresql://…`; relative to the base directory.
    pub db_url: String,
    pub www: WwwConfig,
    pub lua: LuaLimits,
    /// Global build properties; their source is the name of the configuration file (01.031).
    pub properties: BTreeMap<String, Json>,
    pub collapse_requests: Option<Collapse>,
    pub prioritize_builders: Option<Callback>,
    pub select_next_worker: Option<Callback>,
    pub codebase_generator: Option<Callback>,
    /// `None`: the links of well-known hosts (01.036).
    pub revlink: Option<crate::revlink::Revlink>,
    /// A name or a function; the engine reads it (01.044).
    pub log_encoding: Json,
    pub log_compression: LogCompression,
    /// So many of the newest changes are kept (14.024); absent: all.
    pub change_horizon: Option<i64>,
    /// Longest kept part of a log, in bytes: head and tail (13.015).
    pub log_max_size: Option<u64>,
    pub log_max_tail_size: Option<u64>,
}

/// How the texts of logs are packed where that makes them smaller: `c.logCompressionMethod` (13.011). Texts that are stored
/// already are read whatever the method is now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogCompression {
    Raw,
    Gz,
    Bz2,
    #[default]
    Zstd,
}

impl Config {
    /// Every use of a lock that can be seen without rendering anything: of workers, builders and steps.
    pub fn locks(&self) -> impl Iterator<Item = LockUse> {
        let workers = self.workers.iter().filter_map(|worker| worker.arg("locks"));
        let builders = self.builders.iter().filter_map(|builder| builder.config.locks.as_ref());
        let steps = self.builders.iter().flat_map(|builder| &builder.factory.steps);
        let steps = steps.filter_map(|step| step.arg("locks"));
        // What cannot be read has its error told where it was written.
        workers.chain(builders).chain(steps).flat_map(|value| locks::literal_uses(value).unwrap_or_default())
    }
}
