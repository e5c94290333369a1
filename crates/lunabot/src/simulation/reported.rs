//! What reporters of a simulated master deliver, and to whom it is told.

use super::master::Simulation;
use super::story::{row, word};
use lunabot_integrations::Reporters;
use lunabot_integrations::reporters::{Declared, Site};
use lunabot_model::config::Config;
use lunabot_model::kind::nearest;
use lunabot_model::reporters::{REPORTER, name_of};
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Json, ScriptError, ScriptErrorKind, ScriptHost, SecretSource, Templates};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// By the virtual clock: longer than reporters are waited for that are stopped.
const FAREWELL: Duration = Duration::from_secs(60);

/// Reports as functions were given them, with the names of their reporters, in order.
#[derive(Default)]
pub struct Reported(Mutex<Vec<(String, Json)>>);

impl Reported {
    fn all(&self) -> MutexGuard<'_, Vec<(String, Json)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a call is to deliver, if it is one that delivers: the reporter and the reports.
    pub fn of(site: &CallSite, args: &[Arg]) -> Option<(String, Vec<Json>)> {
        let reporter = site.concerns.strip_prefix("reporter ")?;
        match (site.callback.as_str(), args) {
            ("sendMessage", [_, Arg::Value(Json::Array(reports))])
            | ("send", [Arg::Value(Json::Array(reports))]) => Some((reporter.into(), reports.clone())),
            _ => None,
        }
    }

    /// What came of it. One that returns what it should not has delivered all the same.
    pub fn note(&self, (reporter, reports): (String, Vec<Json>), answer: &Result<Json, ScriptError>) {
        if answer.as_ref().is_err_and(|error| error.kind != ScriptErrorKind::Nonsense) {
            return;
        }
        self.all().extend(reports.into_iter().map(|report| (reporter.clone(), report)));
    }
}

/// What reporters work by.
pub fn declared(
    config: &Config,
    script: Arc<dyn ScriptHost>,
    secrets: Arc<dyn SecretSource>,
    templates: Arc<dyn Templates>,
) -> Declared {
    let site = Site { title: config.title.clone(), url: config.buildbot_url.clone() };
    Declared { services: config.services.clone(), site, script, secrets, templates }
}

/// The names of the reporters.
pub fn names(config: &Config) -> Vec<String> {
    config.services.iter().filter(|object| object.kind == REPORTER).map(name_of).collect()
}

impl Simulation {
    /// What was reported by all, or by one.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn reports(&self, of: Option<&str>) -> Result<Vec<Json>, String> {
        if let Some(name) = of.filter(|name| !self.reporters.iter().any(|known| known == name)) {
            let hint = match nearest(name, self.reporters.iter().map(String::as_str)) {
                Some(near) => format!(", did you mean {near}?"),
                None => format!("; there are: {}", self.reporters.join(", ")),
            };
            return Err(format!("reports: there is no reporter {name}{hint}"));
        }
        let all = self.reported.all();
        let wanted = all.iter().filter(|(reporter, _)| of.is_none_or(|name| name == reporter));
        Ok(wanted
            .map(|(reporter, report)| {
                let mut report = report.clone();
                report["reporter"] = reporter.as_str().into();
                report["result"] = word(&report["results"]);
                row("the report", report)
            })
            .collect())
    }

    /// The same in lines, for who reads that a test failed.
    pub fn reported_in_words(&self) -> Vec<String> {
        let all = self.reported.all();
        let line = |(reporter, report): &(String, Json)| {
            let words = report["subject"].as_str().or(report["body"].as_str()).unwrap_or_default();
            format!("{reporter} reported: {}", words.trim().lines().next().unwrap_or_default())
        };
        all.iter().map(line).collect()
    }

    /// Ends the reporters. What they have under way may wait for the clock.
    pub async fn end_reporters(&self, reporters: &Reporters) {
        let clock = &self.shared.clock;
        let goes_on = async {
            super::master::turns().await;
            clock.advance_to(lunabot_model::Clock::mono(clock) + FAREWELL);
        };
        tokio::join!(reporters.stop(), goes_on);
    }
}
