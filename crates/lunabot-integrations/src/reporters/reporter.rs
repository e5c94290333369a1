//! One reporter: from something that happened to reports, and from reports to whom they are for (11.001–11.004).

use super::details::{self, Wants};
use super::formatters::{About, Context, Formatter};
use super::generators::{Generator, Way};
use super::kinds::ReporterParams;
use super::means::{Fault, Live, Means, Thing, master};
use super::own::{GENERATOR_METHODS, GeneratorHandle, REPORTER_METHODS, ReporterHandle};
use super::reports::{self, Draft};
use super::texts::{self, Named};
use lunabot_data::{Due, Interest, Memory};
use lunabot_model::{AnyObject, Arg, Callback, Json, Properties, ScriptObject, Templates, reporters};
use serde_json::{Map, json};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// A reporter as declared, with all that it works with.
pub(crate) struct Reporter {
    pub name: String,
    pub means: Means,
    pub retry_for: Duration,
    pub generators: Vec<Generator>,
    thing: Thing,
    send: Option<Callback>,
    itself: Weak<Reporter>,
}

/// What a reporter is made of.
pub(crate) struct Parts {
    params: ReporterParams,
    thing: Thing,
    generators: Vec<Generator>,
}

impl Parts {
    /// The error says what is wrong.
    pub fn read(object: &AnyObject, templates: &dyn Templates) -> Result<Parts, String> {
        let params: ReporterParams = object.typed().map_err(|error| error.to_string())?.args;
        let thing = Thing::read(object)?;
        if thing.hook("sendMessage").is_none() && params.send.is_none() {
            return Err(
                "delivers nothing by itself: extend it with a method sendMessage(self, reports), or give it \
                        send = function(reports) … end"
                    .into(),
            );
        }
        let read = |object: &AnyObject| {
            Generator::read(object).map_err(|error| format!("{} at {}: {error}", object.kind, object.at))
        };
        let generators = params.generators.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let formatters =
            generators.iter().flat_map(|one| std::iter::once(&one.formatter).chain(&one.start_formatter));
        for formatter in formatters {
            let AnyObject { kind, at, .. } = &formatter.thing.object;
            formatter.judge(templates).map_err(|error| format!("{kind} at {at}: {error}"))?;
        }
        Ok(Parts { params, thing, generators })
    }
}

/// The event that something is reported of.
pub(crate) struct Happened {
    /// `builds`, `12`, `finished`.
    pub key: Vec<String>,
    /// The row then.
    pub row: Json,
}

impl Happened {
    pub fn of(due: &Due) -> Self {
        Happened { key: due.topic.split('/').map(str::to_owned).collect(), row: due.payload.clone() }
    }

    fn is(&self, what: &str) -> bool {
        self.key.last().is_some_and(|last| last == what)
    }
}

impl Reporter {
    /// The error says what is wrong.
    pub fn read(object: &AnyObject, means: Means) -> Result<Arc<Reporter>, String> {
        let Parts { params, thing, generators } = Parts::read(object, &*means.templates)?;
        Ok(Arc::new_cyclic(|itself| Reporter {
            name: reporters::name_of(object),
            means,
            retry_for: params.retry_for.std(),
            generators,
            thing,
            send: params.send,
            itself: itself.clone(),
        }))
    }

    /// What the store writes down for it.
    pub fn interest(&self, wake: &Arc<Notify>) -> Interest {
        let wants = self.generators.iter().map(Generator::wish).collect();
        Interest { reporter: self.name.clone(), wants, wake: wake.clone() }
    }

    /// Makes the reports of an event and delivers them.
    pub async fn deliver(&self, due: &Due) -> Result<(), Fault> {
        let happened = Happened::of(due);
        let mut reports = Vec::new();
        for (place, generator) in self.generators.iter().enumerate() {
            if generator.happenings.iter().any(|one| lunabot_data::Happening::of(&due.topic) == Some(*one)) {
                reports.extend(self.report(place, generator, &happened).await?);
            }
        }
        if reports.is_empty() {
            return Ok(());
        }
        self.send(reports.into()).await
    }

    async fn send(&self, reports: Json) -> Result<(), Fault> {
        let (callback, what, args) = match (self.thing.hook("sendMessage"), &self.send) {
            (Some(callback), _) => (callback, "sendMessage", vec![self.this().await?, Arg::Value(reports)]),
            (None, Some(callback)) => (callback, "send", vec![Arg::Value(reports)]),
            (None, None) => return Ok(()),
        };
        match self.means.call(callback, what, args).await {
            Ok(Json::Null) => Ok(()),
            // It has ended well: what it returned must not make it deliver twice.
            Ok(_) => {
                let told = format!(
                    "{what} returned something, which says nothing; raise an error where reports were not delivered"
                );
                self.means.nonsense(callback, what, &told);
                Ok(())
            }
            Err(Fault::Script(error)) if error.kind == lunabot_model::ScriptErrorKind::Nonsense => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What the reporter is to a function.
    pub async fn this(&self) -> Result<Arg, Fault> {
        let fields = Map::from_iter([("name".to_owned(), self.name.as_str().into())]);
        let data = self.means.data.clone();
        let handle =
            Arc::new(ReporterHandle(Memory { data, object: self.name.clone(), class: "ReporterBase" }));
        if !self.thing.has_class() {
            let plain = ScriptObject::new("reporter", self.name.as_str(), fields.into(), handle);
            return Ok(Arg::Object(plain.with_methods(&["getState", "setState"])));
        }
        let live = || Live { what: "reporter", fields, methods: REPORTER_METHODS, handle };
        self.thing.this(&self.means, live).await
    }

    pub(super) async fn this_generator(&self, place: usize) -> Result<Arg, Fault> {
        let live = || Live {
            what: "generator",
            fields: Map::new(),
            methods: &GENERATOR_METHODS,
            handle: Arc::new(GeneratorHandle { reporter: self.itself.clone(), place }),
        };
        self.generators[place].thing.this(&self.means, live).await
    }

    async fn report(
        &self,
        place: usize,
        generator: &Generator,
        happened: &Happened,
    ) -> Result<Option<Json>, Fault> {
        let Some(message) = self.message_of(generator, happened).await? else { return Ok(None) };
        let key = json!(happened.key);
        let Some(callback) = generator.thing.hook("generate") else {
            return self.generate(place, &happened.key, &message).await;
        };
        let args = vec![
            self.this_generator(place).await?,
            master(0),
            self.this().await?,
            Arg::Value(key),
            Arg::Value(message.clone()),
        ];
        let answer = self.means.call(callback, "generate", args).await?;
        self.checked(callback, "generate", answer, &[message])
    }

    /// What a generator is told: a build with what is wanted of it, a buildset, or a worker. Nothing: it is gone.
    async fn message_of(&self, generator: &Generator, happened: &Happened) -> Result<Option<Json>, Fault> {
        let found = match happened.key.first().map(String::as_str) {
            Some("builds") => {
                let new = happened.is("new");
                let mut room = details::LONGEST_LOGS;
                details::build(&self.means, &happened.row, &wants(generator, new), &mut room).await?
            }
            Some("buildrequests") => {
                details::request(&self.means, &happened.row, happened.is("cancel")).await?
            }
            Some("buildsets") => {
                details::buildset(&self.means, &happened.row["bsid"]).await?.map(|(set, _)| set)
            }
            _ => Some(happened.row.clone()),
        };
        if found.is_none() {
            tracing::warn!(reporter = %self.name, key = happened.key.join("/"), "is gone already, and not reported");
        }
        Ok(found)
    }

    /// What the generator does by itself.
    pub async fn generate(
        &self,
        place: usize,
        key: &[String],
        message: &Json,
    ) -> Result<Option<Json>, Fault> {
        let generator = &self.generators[place];
        match key.first().map(String::as_str) {
            Some("builds" | "buildrequests")
                if matches!(generator.way, Way::Status | Way::StartEnd | Way::Request) =>
            {
                let new = key.last().is_some_and(|last| last == "new");
                self.generate_for_build(place, new, message).await
            }
            Some("buildsets") if matches!(generator.way, Way::Set | Way::SetCombined) => {
                self.generate_for_set(place, message).await
            }
            Some("workers") if generator.way == Way::WorkerMissing => {
                self.generate_for_worker(generator, message).await
            }
            _ => Ok(None),
        }
    }

    async fn generate_for_build(&self, place: usize, new: bool, build: &Json) -> Result<Option<Json>, Fault> {
        let generator = &self.generators[place];
        if !self.needed(place, "is_message_needed_by_props", build).await? {
            return Ok(None);
        }
        let judged = !new && generator.way == Way::Status;
        if judged && !self.needed(place, "is_message_needed_by_results", build).await? {
            return Ok(None);
        }
        let start = generator.start_formatter.as_ref().filter(|_| new);
        self.message(place, start.unwrap_or(&generator.formatter), build).await
    }

    /// Asks the class, or decides.
    pub(super) async fn needed(
        &self,
        place: usize,
        method: &'static str,
        build: &Json,
    ) -> Result<bool, Fault> {
        let generator = &self.generators[place];
        let Some(callback) = generator.thing.hook(method) else {
            return self.needed_by_itself(place, method, build).await;
        };
        let args = vec![self.this_generator(place).await?, Arg::Value(build.clone())];
        match self.means.call(callback, method, args).await? {
            Json::Bool(needed) => Ok(needed),
            Json::Null => Ok(false),
            other => {
                let shown = self.means.script.shown(&other);
                let told = format!("{method} returned {shown}; return true or false");
                Err(self.means.nonsense(callback, method, &told))
            }
        }
    }

    pub async fn needed_by_itself(&self, place: usize, method: &str, build: &Json) -> Result<bool, Fault> {
        let generator = &self.generators[place];
        if method == "is_message_needed_by_results" {
            let previous = details::results_of(&build["prev_build"]);
            return Ok(
                details::results_of(build).is_some_and(|results| generator.modes.wants(results, previous))
            );
        }
        let properties = match generator.asks_properties() {
            true => self.properties_of(build).await?,
            false => Properties::new(),
        };
        Ok(generator.needed_by_props(&build["builder"], &properties))
    }

    pub(super) async fn properties_of(&self, build: &Json) -> Result<Properties, Fault> {
        match details::properties_in(build) {
            Some(properties) => Ok(properties),
            None => Ok(details::properties_of(&self.means.data, build).await?),
        }
    }

    /// The report of a build: that of the class, or its own.
    async fn message(
        &self,
        place: usize,
        formatter: &Formatter,
        build: &Json,
    ) -> Result<Option<Json>, Fault> {
        let generator = &self.generators[place];
        let Some(callback) = generator.thing.hook("build_message") else {
            return self.build_message(place, formatter, build).await.map(Some);
        };
        let args = vec![
            self.this_generator(place).await?,
            formatter.this(&self.means).await?,
            master(0),
            self.this().await?,
            Arg::Value(build.clone()),
        ];
        let answer = self.means.call(callback, "build_message", args).await?;
        self.checked(callback, "build_message", answer, std::slice::from_ref(build))
    }

    pub async fn build_message(
        &self,
        place: usize,
        formatter: &Formatter,
        build: &Json,
    ) -> Result<Json, Fault> {
        let generator = &self.generators[place];
        let mut draft = Draft::default();
        self.add_build(&mut draft, generator, formatter, build, false).await?;
        let site = self.means.site();
        let builder = build["builder"]["name"].as_str().unwrap_or_default();
        let results = details::results_of(build);
        let subject = match (&generator.chosen.subject, generator.way) {
            (Some(subject), _) => Some(subject.as_str()),
            (None, Way::Status | Way::Set) => Some(texts::SUBJECT),
            (None, _) => None,
        };
        let named = Named { results, title: &site.title, builder };
        let subject = subject.map(|subject| texts::subject(subject, &named));
        Ok(draft.report(subject, results, &build["buildset"]))
    }

    pub(super) async fn add_build(
        &self,
        draft: &mut Draft,
        generator: &Generator,
        formatter: &Formatter,
        build: &Json,
        in_set: bool,
    ) -> Result<(), Fault> {
        let context = Context::of(&self.means, &generator.modes, About::Build { build, in_set }).await?;
        let users = context.users.clone();
        let message = formatter.message(&self.means, context).await?;
        draft.merge(message)?;
        draft.users.extend(users);
        draft.add(build, generator.chosen.add_patch, &generator.chosen.add_logs);
        Ok(())
    }

    /// What a class made, if it is a report.
    pub(super) fn checked(
        &self,
        callback: &Callback,
        what: &str,
        answer: Json,
        builds: &[Json],
    ) -> Result<Option<Json>, Fault> {
        match reports::checked(answer, builds, |value| self.means.script.shown(value)) {
            Ok(report) => Ok(report),
            Err(wrong) => Err(self.means.nonsense(callback, what, &format!("{what} returned {wrong}"))),
        }
    }
}

/// What a generator needs of a build.
pub(super) fn wants(generator: &Generator, new: bool) -> Wants {
    let formatter = generator.start_formatter.as_ref().filter(|_| new).unwrap_or(&generator.formatter);
    let mut wants = formatter.wants(&generator.chosen.add_logs);
    let has = |hook| generator.thing.hook(hook).is_some();
    let decides = has("generate");
    wants.previous = !new && (generator.modes.looks_back() || decides || has("is_message_needed_by_results"));
    // A class is told the properties by which it decides.
    wants.properties |= decides || has("is_message_needed_by_props");
    wants
}
