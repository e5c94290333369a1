//! From the table that the file returned to a [`Config`], collecting every mistake (01.001–01.009, 01.016–01.050).

use super::keys::{CALLBACKS, KNOWN, REFUSED, REFUSED_WWW};
use super::{
    BuilderConfig, Collapse, Config, ConfigError, DeclaredBuilder, LogCompression, LuaLimits, WwwConfig,
    crosscheck, janitor,
};
use crate::kind::{self, Params};
use crate::kinds::factories;
use crate::{AnyObject, Callback, Duration, Endpoint, Json, Problem, text};
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde_json::Map;
use std::collections::BTreeMap;

impl Config {
    /// Reads and checks a whole configuration.
    ///
    /// # Errors
    /// Every mistake found (a `null` in a list of objects is one that could not be made, whose error is told already,
    /// and nothing is told that would follow from it). Those of declared objects carry the place of the object; for plain tables only the path is
    /// known, and whoever has the source adds file and line.
    pub fn read(table: &Json) -> Result<Config, Vec<ConfigError>> {
        let Some(map) = table.as_object() else {
            let text = format!(
                "the file must return the configuration table (return c), it returned {}",
                name_of(table)
            );
            return Err(vec![error("", text)]);
        };
        let mut reader = Reader { map, errors: Vec::new() };
        reader.keys();
        let mut config = reader.config();
        let janitors = reader.janitors();
        crosscheck::check(&config, map, &mut reader.errors);
        janitor::install(&mut config, &janitors, &mut reader.errors);
        if reader.errors.is_empty() { Ok(config) } else { Err(reader.errors) }
    }
}

/// A mistake whose file and line are not known here.
pub(super) fn error(path: impl Into<String>, message: impl Into<String>) -> ConfigError {
    ConfigError { file: String::new(), line: None, path: path.into(), message: message.into() }
}

/// A mistake in what was declared at `at` (`master.lua:12`).
pub(super) fn error_at(at: &str, path: impl Into<String>, message: impl Into<String>) -> ConfigError {
    let (file, line) = match at.rsplit_once(':') {
        Some((file, line)) => (file.to_string(), line.parse().ok()),
        None => (at.to_string(), None),
    };
    ConfigError { file, line, path: path.into(), message: message.into() }
}

/// What a value is, in the user's words.
fn name_of(value: &Json) -> String {
    match value {
        Json::Null => "nothing".into(),
        Json::Bool(b) => b.to_string(),
        Json::Number(n) => format!("the number {n}"),
        Json::String(_) => "a text".into(),
        Json::Array(_) => "a list".into(),
        Json::Object(map) => match map.get("$kind").and_then(Json::as_str) {
            Some(kind) => format!("a {kind}"),
            None if map.contains_key("$fn") => "a function".into(),
            None => "a table".into(),
        },
    }
}

struct Reader<'a> {
    map: &'a Map<String, Json>,
    errors: Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    /// Every key is one that we know (01.002).
    fn keys(&mut self) {
        for key in self.map.keys() {
            if KNOWN.contains(&key.as_str()) {
                continue;
            }
            let message = match REFUSED.iter().find(|(name, _)| name == key) {
                Some((_, why)) => (*why).to_string(),
                None => match kind::nearest(key, KNOWN.iter().copied()) {
                    Some(near) => format!("unknown configuration key, did you mean {near}?"),
                    None => "unknown configuration key".to_string(),
                },
            };
            self.errors.push(error(text::named(key), message));
        }
    }

    fn config(&mut self) -> Config {
        self.refusals();
        let buildbot_url = slashed(self.text("buildbotURL", "http://localhost:8080/"));
        Config {
            title: self.text("title", "Lunabot"),
            title_url: slashed(self.text("titleURL", &buildbot_url)),
            buildbot_url,
            workers: self.objects("workers", "worker."),
            builders: self.builders(),
            schedulers: self.objects("schedulers", "schedulers."),
            change_sources: self.objects("change_source", "changes."),
            services: self.objects("services", ""),
            secrets_providers: self.objects("secretsProviders", "secrets."),
            projects: self.objects("projects", "util.Project"),
            codebases: self.objects("codebases", "util.Codebase"),
            protocols: self.parsed("protocols").unwrap_or_default(),
            db_url: self.db_url(),
            www: self.www(),
            lua: self.section::<LuaLimits>("lua").unwrap_or_default(),
            properties: self.properties(),
            collapse_requests: self.collapse(),
            prioritize_builders: self.function("prioritizeBuilders"),
            select_next_worker: self.function("select_next_worker"),
            codebase_generator: self.function("codebaseGenerator"),
            revlink: self.revlink(),
            log_encoding: self.given("logEncoding").cloned().unwrap_or_else(|| "utf-8".into()),
            log_compression: self.log_compression(),
            change_horizon: self.horizon(),
            log_max_size: self.parsed("logMaxSize"),
            log_max_tail_size: self.parsed("logMaxTailSize"),
        }
    }

    /// Options that exist but whose other values do not yet.
    fn refusals(&mut self) {
        if let Some(mq) = self.given("mq")
            && mq.get("type").is_some_and(|t| t != "simple")
        {
            self.errors.push(error("mq.type", "not supported yet; the type is \"simple\""));
        }
    }

    fn log_compression(&mut self) -> LogCompression {
        let Some(method) = self.given("logCompressionMethod") else { return LogCompression::default() };
        match LogCompression::deserialize(method) {
            Ok(known) => known,
            Err(_) => {
                let yet = matches!(method.as_str(), Some("lz4" | "br"));
                let what = if yet { "is not supported yet" } else { "is no compression" };
                let text = format!("{method} {what}; there are \"zstd\", \"gz\", \"bz2\" and \"raw\"");
                self.errors.push(error("logCompressionMethod", text));
                LogCompression::default()
            }
        }
    }

    /// The value of a key, nil and null left out.
    fn given(&self, key: &str) -> Option<&'a Json> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn parsed<T: serde::de::DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.given(key)?;
        match serde_path_to_error::deserialize(value) {
            Ok(parsed) => Some(parsed),
            Err(e) => {
                let problem = kind::problem_of(&e, value);
                self.errors.push(error(join(key, &problem.path), problem.message));
                None
            }
        }
    }

    fn text(&mut self, key: &str, default: &str) -> String {
        self.parsed(key).unwrap_or_else(|| default.to_string())
    }

    fn function(&mut self, key: &str) -> Option<Callback> {
        debug_assert!(CALLBACKS.iter().any(|spec| spec.option == key), "{key} is to be declared");
        let value = self.given(key)?;
        let found = Callback::from_json(value);
        if found.is_none() {
            let text = format!("expected a function, got {}", name_of(value));
            self.errors.push(error(key, text));
        }
        found
    }

    fn revlink(&mut self) -> Option<crate::revlink::Revlink> {
        match crate::revlink::Revlink::read(self.given("revlink")?) {
            Ok(revlink) => Some(revlink),
            Err(problem) => {
                self.errors.push(error("revlink", problem));
                None
            }
        }
    }

    fn collapse(&mut self) -> Option<Collapse> {
        let value = self.given("collapseRequests")?;
        let read = serde_path_to_error::deserialize(value);
        match (read, AnyObject::from_json(value)) {
            (Ok(rule), _) => return Some(rule),
            (Err(e), Some(object)) => {
                let problem = kind::problem_of(&e, value);
                self.errors.push(error_at(&object.at, join(&object.kind, &problem.path), problem.message));
            }
            (Err(e), None) => {
                self.errors.push(error("collapseRequests", kind::problem_of(&e, value).message));
            }
        }
        None
    }

    /// One object or a list of them, all of kinds that begin with `prefix`.
    fn objects(&mut self, key: &str, prefix: &str) -> Vec<AnyObject> {
        let Some(value) = self.given(key) else { return Vec::new() };
        let items = match value {
            Json::Array(items) => {
                items.iter().enumerate().map(|(i, v)| (format!("{key}[{}]", i + 1), v)).collect()
            }
            Json::Object(map) if map.is_empty() => Vec::new(),
            one => vec![(key.to_string(), one)],
        };
        let mut found = Vec::new();
        // `null`: an object that could not be made; its error is told already.
        for (path, item) in items.into_iter().filter(|(_, item): &(String, &Json)| !item.is_null()) {
            match AnyObject::from_json(item) {
                Some(object) if object.kind.starts_with(prefix) => found.push(object),
                Some(object) => self.errors.push(error_at(
                    &object.at,
                    path,
                    format!("a {} does not belong here", object.kind),
                )),
                None => self
                    .errors
                    .push(error(path, format!("expected {}, got {}", wanted(prefix), name_of(item)))),
            }
        }
        found
    }

    /// The configurators that the master carries out itself. Those of classes of the configuration have done their work
    /// while it was loaded (01.025).
    fn janitors(&mut self) -> Vec<AnyObject> {
        let mut all = self.objects("configurators", "util.");
        let mut wrong = |object: &AnyObject, text: String| {
            self.errors.push(error_at(&object.at, object.kind.clone(), text));
        };
        all.retain(|object| match object.kind.as_str() {
            "util.JanitorConfigurator" => true,
            "util.Configurator" => {
                let class = object.class.as_ref();
                if class.and_then(|class| class.pointer("/hooks/configure")).is_none() {
                    wrong(
                        object,
                        "does nothing by itself: extend it with a method configure(self, c)".into(),
                    );
                }
                false
            }
            other => {
                wrong(object, format!("a {other} does not belong into configurators"));
                false
            }
        });
        all
    }

    fn builders(&mut self) -> Vec<DeclaredBuilder> {
        let Some(value) = self.given("builders") else { return Vec::new() };
        let Some(items) = value.as_array() else {
            if value.as_object().is_none_or(|map| !map.is_empty()) {
                self.errors
                    .push(error("builders", format!("expected a list of builders, got {}", name_of(value))));
            }
            return Vec::new();
        };
        let made = items.iter().enumerate().filter(|(_, item)| !item.is_null());
        let read = made.map(|(i, item)| builder(&format!("builders[{}]", i + 1), item));
        let mut found = Vec::new();
        for result in read {
            match result {
                Ok(builder) => found.push(builder),
                Err(errors) => self.errors.extend(errors),
            }
        }
        found
    }

    fn section<P: Params>(&mut self, key: &str) -> Option<P> {
        let value = self.given(key)?;
        let problems = kind::check_as::<P>(value);
        if problems.is_empty() {
            return self.parsed(key);
        }
        self.errors.extend(problems.into_iter().map(|p| error(join(key, &p.path), p.message)));
        None
    }

    fn www(&mut self) -> WwwConfig {
        if let Some(Json::Object(www)) = self.given("www") {
            let refused: Vec<_> = REFUSED_WWW.iter().filter(|(key, _)| www.contains_key(*key)).collect();
            if !refused.is_empty() {
                self.errors.extend(refused.iter().map(|(key, why)| error(format!("www.{key}"), *why)));
                return WwwConfig::default();
            }
        }
        self.section("www").unwrap_or_default()
    }

    fn horizon(&mut self) -> Option<i64> {
        let horizon: Option<i64> = self.parsed("changeHorizon");
        if horizon.is_some_and(|horizon| horizon < 1) {
            self.errors.push(error(
                "changeHorizon",
                "expected a number of changes above 0; leave it out to keep all",
            ));
        }
        horizon
    }

    fn properties(&mut self) -> BTreeMap<String, Json> {
        self.parsed("properties").unwrap_or_default()
    }

    /// `c.db = {db_url = …}` or `c.db_url` (01.027).
    fn db_url(&mut self) -> String {
        const DEFAULT: &str = "sqlite:///state.sqlite";
        let url = match self.given("db").cloned() {
            Some(Json::Object(db)) => {
                let unknown = db.keys().find(|key| *key != "db_url");
                if let Some(key) = unknown {
                    let known = key == "engine_kwargs";
                    let text =
                        if known { "not supported yet" } else { "unknown option, did you mean db_url?" };
                    self.errors.push(error(format!("db.{key}"), text));
                }
                db.get("db_url").and_then(Json::as_str).unwrap_or(DEFAULT).to_string()
            }
            Some(other) => {
                self.errors
                    .push(error("db", format!("expected {{db_url = \"…\"}}, got {}", name_of(&other))));
                return DEFAULT.to_string();
            }
            None => self.text("db_url", DEFAULT),
        };
        let known = ["sqlite:", "postgresql:", "postgres:"].iter().any(|scheme| url.starts_with(scheme));
        if !known {
            let text = format!(
                "{url} is not supported; write sqlite:///state.sqlite or postgresql://user@host/name"
            );
            self.errors.push(error("db.db_url", text));
        }
        url
    }
}

fn wanted(prefix: &str) -> String {
    match prefix.trim_end_matches('.') {
        "" => "an object".into(),
        "worker" => "a worker such as worker.LocalWorker{\"name\"}".into(),
        "changes" => "a change source such as changes.GitPoller{…}".into(),
        "schedulers" => "a scheduler such as schedulers.ForceScheduler{…}".into(),
        "secrets" => "a provider such as secrets.SecretInAFile{…}".into(),
        "util" => "a configurator such as util.JanitorConfigurator{…}".into(),
        kind => format!("a {kind}"),
    }
}

/// A builder, declared or as a plain table.
fn builder(path: &str, item: &Json) -> Result<DeclaredBuilder, Vec<ConfigError>> {
    // Taken apart by hand: a copy of every step of every builder would be most of the time of a load.
    let text = |name: &str| item.get(name).and_then(Json::as_str).unwrap_or_default();
    let (at, args) = match (item.get("$kind").and_then(Json::as_str), item.get("$args")) {
        (Some("util.BuilderConfig"), Some(args)) => (text("$at").to_string(), args),
        (Some(kind), _) => {
            return Err(vec![error_at(text("$at"), path, format!("a {kind} is not a builder"))]);
        }
        (None, _) if item.is_object() => (text("$at").to_string(), item),
        (None, _) => {
            return Err(vec![error(path, format!("expected a util.BuilderConfig, got {}", name_of(item)))]);
        }
    };
    let declared = item.get("$kind").is_some();
    let tell = |p: Problem| match at.as_str() {
        _ if !declared => error(join(path, &p.path), p.message),
        at => error_at(
            at,
            join("util.BuilderConfig", &p.path).replace("util.BuilderConfig.", "util.BuilderConfig: "),
            p.message,
        ),
    };
    // A plain table has the place among its options, given by whoever has the source.
    let options = args.as_object().into_iter().flatten().filter(|(name, _)| *name != "$at");
    let options = MapDeserializer::<_, serde_json::Error>::new(options.map(|(name, value)| (&**name, value)));
    let read = serde_path_to_error::deserialize::<_, BuilderConfig>(options);
    let config = read.map_err(|e| vec![tell(kind::problem_of(&e, args))])?;
    let problems = config.validate();
    if !problems.is_empty() {
        return Err(problems.into_iter().map(tell).collect());
    }
    let factory = factories::expand(&config.factory)
        .map_err(|e| vec![error_at(&config.factory.at, &config.factory.kind, e.to_string())])?;
    let steps = factory.steps.iter().filter(|step| !step.kind.starts_with("steps."));
    let wrong: Vec<_> =
        steps.map(|s| error_at(&s.at, &config.factory.kind, format!("a {} is not a step", s.kind))).collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let at = if at.is_empty() { config.factory.at.clone() } else { at };
    Ok(DeclaredBuilder { at, config, factory })
}

fn join(outer: &str, inner: &str) -> String {
    match inner {
        "" => outer.to_string(),
        inner if inner.starts_with('[') => format!("{outer}{inner}"),
        inner => format!("{outer}.{inner}"),
    }
}

fn slashed(mut url: String) -> String {
    if !url.ends_with('/') {
        url.push('/');
    }
    url
}

impl Params for WwwConfig {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(Err(wrong)) = self.port.as_ref().map(Endpoint::read) {
            problems.push(Problem::new("port", wrong.to_string()));
        }
        if self.json_cache_seconds < 0 {
            problems.push(Problem::new("json_cache_seconds", "must not be below 0; 0 keeps nothing"));
        }
        if !(self.rate_limit.requests >= 0.0 && self.rate_limit.requests.is_finite()) {
            problems.push(Problem::new("rate_limit.requests", "must not be below 0; 0 takes the limit away"));
        }
        let ping = self.ws_ping_interval.map_or(0.0, Duration::secs);
        if !(0.0..=86_400.0).contains(&ping) {
            problems
                .push(Problem::new("ws_ping_interval", "expected seconds up to a day; 0: none of its own"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, line: u32, args: Json) -> Json {
        json!({"$kind": kind, "$id": line, "$at": format!("master.lua:{line}"), "$args": args})
    }

    fn good() -> Json {
        let factory = object("util.BuildFactory", 5, json!({"steps": []}));
        json!({
            "workers": [object("worker.LocalWorker", 1, json!({"name": "local"}))],
            "builders": [object("util.BuilderConfig", 2, json!({"name": "b", "workernames": ["local"], "factory": factory}))],
            "schedulers": [object("schedulers.ForceScheduler", 3, json!({"name": "force", "builderNames": ["b"]}))],
        })
    }

    fn told(table: &Json) -> Vec<String> {
        Config::read(table).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_table_gets_its_defaults() {
        let mut table = good();
        table["titleURL"] = json!("https://example.org");
        let config = Config::read(&table).unwrap();
        assert_eq!(
            (config.title_url.as_str(), config.db_url.as_str()),
            ("https://example.org/", "sqlite:///state.sqlite")
        );
        assert_eq!(config.builders[0].config.workers(), ["local"]);
    }

    #[test]
    fn several_mistakes_are_told_together_01_001() {
        let mut table = good();
        table["tittle"] = json!("x");
        table["www"] = json!({"prot": 8010});
        table["builders"][0]["$args"]["workernames"] = json!(["locl"]);
        table["schedulers"][0]["$args"]["builderNames"] = json!(["c"]);
        let again = table["schedulers"][0].clone();
        table["schedulers"].as_array_mut().unwrap().push(again);
        let told = told(&table);
        for part in [
            "tittle: unknown configuration key, did you mean title?",
            "www.prot: unknown option, did you mean port?",
            "master.lua:2: util.BuilderConfig: builder 'b' uses unknown worker 'locl', did you mean 'local'?",
            "master.lua:3: schedulers.ForceScheduler: Unknown builder 'c' in scheduler 'force'; there are b",
            "master.lua:3: schedulers.ForceScheduler: scheduler name 'force' used multiple times, first at master.lua:3",
        ] {
            assert!(told.iter().any(|line| line == part), "{part} is not in {told:#?}");
        }
    }

    #[test]
    fn row_05_063_one_lock_has_one_count_and_both_places_are_told() {
        let lock = |line, max| object("util.MasterLock", line, json!({"name": "db", "maxCount": max}));
        let mut table = good();
        table["workers"][0]["$args"]["locks"] = json!([lock(11, 2)]);
        table["builders"][0]["$args"]["locks"] = lock(12, 2);
        let step =
            |max| json!([object("steps.ShellCommand", 4, json!({"command": "x", "locks": [lock(13, max)]}))]);
        table["builders"][0]["$args"]["factory"]["$args"]["steps"] = step(2);
        assert!(told(&table).is_empty(), "{:?}", told(&table));
        table["builders"][0]["$args"]["factory"]["$args"]["steps"] = step(3);
        assert_eq!(
            told(&table),
            [
                "master.lua:13: util.MasterLock: lock \"db\" is declared with other counts than at master.lua:11; \
              declare it once and use it in both places"
            ]
        );
    }

    #[test]
    fn what_is_not_supported_says_so() {
        let mut table = good();
        table["multiMaster"] = json!(true);
        table["www"] = json!({"debug": true});
        table["db_url"] = json!("mysql://x");
        let told = told(&table);
        assert_eq!(told[0], "multiMaster: not supported yet");
        assert!(told.contains(&"www.debug: not supported yet".to_string()), "{told:?}");
        assert!(
            told.iter().any(|line| line.starts_with("db.db_url: mysql://x is not supported")),
            "{told:?}"
        );
    }

    #[test]
    fn services_are_services_and_name_builders_that_exist() {
        let mut table = good();
        let watching = |line, filters| {
            object("util.OldBuildCanceller", line, json!({"name": line.to_string(), "filters": filters}))
        };
        table["services"] = json!([
            watching(7, json!([["b", {}], [["b", "c"], {}]])),
            object("util.ChangeFilter", 8, json!({})),
        ]);
        assert_eq!(
            told(&table),
            [
                "master.lua:7: util.OldBuildCanceller: filters: unknown builder 'c'; there are b",
                "master.lua:8: util.ChangeFilter: a util.ChangeFilter does not belong into services",
            ]
        );
    }

    #[test]
    fn nothing_configured_and_nobody_to_drive_01_004() {
        assert_eq!(told(&json!({})).len(), 2);
        assert!(told(&json!(3))[0].contains("must return the configuration table"));
        let mut table = good();
        table["schedulers"] = json!([]);
        assert!(told(&table)[0].contains("has no scheduler to drive it"));
    }

    #[test]
    fn names_of_workers_are_checked_01_019() {
        for (name, part) in [("9x", "not begin with a digit"), ("a b", "must be of"), ("debug", "reserved")] {
            let mut table = good();
            table["workers"][0]["$args"]["name"] = json!(name);
            assert!(told(&table).iter().any(|line| line.contains(part)), "{name}");
        }
    }
}
