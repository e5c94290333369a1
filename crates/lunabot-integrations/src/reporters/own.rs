//! What functions of the configuration can do with a reporter and a generator of theirs (11.019, 11.049).

use super::formatters::Formatter;
use super::generators::Generator;
use super::means::Fault;
use super::reporter::Reporter;
use super::reports::rewire;
use lunabot_data::Memory;
use lunabot_model::script::LiveObject;
use lunabot_model::{AnyObject, Arg, BoxFuture, CallError, Json, Results, ScriptError, ScriptErrorKind};
use std::sync::{Arc, Weak};

/// `spawn` and `callLater` stay with the script host.
pub(super) const REPORTER_METHODS: &[&str] = &["getState", "setState", "spawn", "callLater", "sendMessage"];

/// What the methods of a reporter act on.
pub(super) struct ReporterHandle(pub Memory);

impl LiveObject for ReporterHandle {
    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            match self.0.call(method, &args).await {
                Some(answer) => answer,
                // What the base does.
                None if method == "sendMessage" => Ok(Json::Null),
                None => Err(format!("no method {method}")),
            }
        })
    }
}

/// What a class can call of its base.
pub(super) const GENERATOR_METHODS: [&str; 5] = [
    "generate",
    "is_message_needed_by_props",
    "is_message_needed_by_results",
    "build_message",
    "buildset_message",
];

/// What the methods of a generator act on. It must not hold the interpreter.
pub(super) struct GeneratorHandle {
    pub reporter: Weak<Reporter>,
    /// Which of its generators it is.
    pub place: usize,
}

impl LiveObject for GeneratorHandle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move {
            let reporter = self.reporter.upgrade().ok_or("the reporter has ended")?;
            let _works = reporter.means.working.begin();
            let told = |error: ScriptError| CallError::new(error.kind, error.message);
            let answer = self.base(&reporter, method, args).await.map_err(|fault| match fault {
                Fault::Script(error) => told(error),
                Fault::Render(error) => told(error.into()),
                Fault::Other(text) => CallError::new(ScriptErrorKind::Raise, text),
            })?;
            Ok(Arg::Value(answer))
        })
    }
}

impl GeneratorHandle {
    async fn base(&self, reporter: &Arc<Reporter>, method: &str, args: Vec<Arg>) -> Result<Json, Fault> {
        let place = self.place;
        match (method, args.as_slice()) {
            ("generate", [_, _, Arg::Value(key), message]) => {
                let key: Vec<String> = serde_json::from_value(key.clone())
                    .map_err(|_| wrong(method, "key: expected a list of texts"))?;
                let message = table(method, "message", message)?;
                Ok(reporter.generate(place, &key, &message).await?.unwrap_or_default())
            }
            ("is_message_needed_by_props" | "is_message_needed_by_results", [build]) => {
                let build = table(method, "build", build)?;
                Ok(reporter.needed_by_itself(place, method, &build).await?.into())
            }
            ("build_message", [formatter, _, _, build]) => {
                let build = table(method, "build", build)?;
                let formatter = Handed::of(&reporter.generators[place], method, formatter)?;
                reporter.build_message(place, formatter.get(), &build).await
            }
            ("buildset_message", [formatter, _, _, Arg::Value(Json::Array(builds)), results @ ..]) => {
                let mut builds = builds.clone();
                builds.iter_mut().for_each(|build| rewire(build, &[]));
                let formatter = Handed::of(&reporter.generators[place], method, formatter)?;
                let set = set_with(method, &builds, results.first())?;
                reporter.buildset_message(place, formatter.get(), &builds, &set).await
            }
            ("generate", _) => Err(wrong(method, "takes (self, master, reporter, key, message)")),
            ("build_message", _) => Err(wrong(method, "takes (self, formatter, master, reporter, build)")),
            ("buildset_message", _) => {
                Err(wrong(method, "takes (self, formatter, master, reporter, builds, results)"))
            }
            _ => Err(wrong(method, "takes (self, build)")),
        }
    }
}

fn wrong(method: &str, message: &str) -> Fault {
    Fault::Other(format!("{method}: {message}"))
}

/// A build or another table that was handed over.
fn table(method: &str, name: &str, arg: &Arg) -> Result<Json, Fault> {
    match arg {
        Arg::Value(value @ Json::Object(_)) => {
            let mut value = value.clone();
            rewire(&mut value, &[]);
            Ok(value)
        }
        _ => Err(wrong(method, &format!("{name}: expected a table"))),
    }
}

/// A formatter that a class hands to its base.
enum Handed<'a> {
    /// One of the generator's.
    Known(&'a Formatter),
    /// Another that the configuration has declared.
    Other(Box<Formatter>),
}

impl<'a> Handed<'a> {
    fn of(generator: &'a Generator, method: &str, arg: &Arg) -> Result<Self, Fault> {
        if let Arg::Value(Json::Null) = arg {
            return Ok(Handed::Known(&generator.formatter));
        }
        if let Some(known) = id_of(arg).and_then(|id| generator.formatter_of(id)) {
            return Ok(Handed::Known(known));
        }
        let object = match arg {
            Arg::Value(value) => AnyObject::from_json(value),
            _ => None,
        };
        let object = object.ok_or_else(|| {
            wrong(
                method,
                "formatter: expected that of the generator, or one such as reporters.MessageFormatter{…}",
            )
        })?;
        let other = Formatter::read(&object).and_then(|other| other.fits(false).map(|()| other));
        Ok(Handed::Other(Box::new(other.map_err(|error| wrong(method, &format!("formatter: {error}")))?)))
    }

    fn get(&self) -> &Formatter {
        match self {
            Handed::Known(known) => known,
            Handed::Other(other) => other,
        }
    }
}

/// The buildset of these builds, with the results that were handed over, if any were.
fn set_with(method: &str, builds: &[Json], results: Option<&Arg>) -> Result<Json, Fault> {
    let mut set = builds.first().map(|build| build["buildset"].clone()).unwrap_or_default();
    let results = match results {
        None | Some(Arg::Value(Json::Null)) => return Ok(set),
        Some(Arg::Value(results)) if results.as_i64().and_then(Results::from_code).is_some() => results,
        Some(_) => return Err(wrong(method, "results: expected one such as util.SUCCESS, or nil")),
    };
    if set.is_object() {
        set["results"] = results.clone();
    }
    Ok(set)
}

/// The number of a formatter that was handed over.
fn id_of(formatter: &Arg) -> Option<u64> {
    let of_key = |key: &str| key.rsplit(' ').next()?.parse().ok();
    match formatter {
        Arg::Object(object) => of_key(&object.key),
        Arg::Instance(instance) => Some(instance.of),
        Arg::Value(value) => value["$id"].as_u64(),
        _ => None,
    }
}
