//! The texts of a step (reference 05.022, 05.023, 05.025, 05.026).

use super::context::Inner;
use super::{BaseStepParams, StepDefaults, SummaryPolicy};
use lunabot_model::results::ResultFlags;
use lunabot_model::{Renderable, Results, StringOrList};
use std::sync::atomic::Ordering;

/// What a step's texts are made of.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    description: Option<String>,
    done: Option<String>,
    suffix: Option<String>,
    /// Whether `descriptionDone` was given for this step: then it goes before the step's own words.
    done_given: bool,
    /// From [`super::Step::current_summary`].
    pub own_current: Option<String>,
    /// From [`super::Step::result_summary`].
    pub own_result: Option<String>,
    /// From [`super::Step::tells_its_result`].
    pub tells_its_result: bool,
}

impl Texts {
    pub fn of(base: &BaseStepParams, class: &StepDefaults) -> Self {
        let text = |option: &Option<Renderable<StringOrList>>| {
            let words = option.as_ref().and_then(Renderable::literal)?;
            Some(words.0.join(" ")).filter(|text| !text.is_empty())
        };
        let done = text(&base.description_done);
        Texts {
            description: text(&base.description).or_else(|| class.description.map(str::to_string)),
            done_given: done.is_some(),
            done: done.or_else(|| class.description_done.map(str::to_string)),
            suffix: text(&base.description_suffix),
            own_current: None,
            own_result: None,
            tells_its_result: false,
        }
    }

    /// The options have changed while the step ran.
    pub fn renew(&mut self, base: &BaseStepParams, class: &StepDefaults) {
        let own_current = self.own_current.take();
        *self = Texts { own_current, ..Texts::of(base, class) };
    }

    /// `descriptionDone`, of the configuration or else of the class.
    pub fn done(&self) -> Option<&str> {
        self.done.as_deref()
    }

    /// The step has found another `descriptionDone`.
    pub fn found(&mut self, done: Option<String>) {
        if done.is_some() {
            self.done = done;
            self.done_given = true;
        }
    }

    pub fn current(&self) -> String {
        match (&self.description, &self.own_current) {
            (Some(text), _) => self.suffixed(text),
            (None, Some(own)) => own.clone(),
            (None, None) => "running".into(),
        }
    }

    pub fn result(&self, results: Results, step: &Inner) -> String {
        let timed_out = step.timed_out.load(Ordering::Relaxed);
        let max_lines = step.max_lines_reached.load(Ordering::Relaxed);
        self.result_text(results, timed_out, max_lines)
    }

    fn result_text(&self, results: Results, timed_out: bool, max_lines: bool) -> String {
        let own = self.own_result.as_ref().filter(|_| !self.done_given);
        let described = self.done.as_ref().or(self.description.as_ref());
        let mut text = match (own, described) {
            (Some(own), _) => own.clone(),
            (None, Some(described)) => self.suffixed(described),
            (None, None) => "finished".into(),
        };
        if results != Results::Success && !(self.tells_its_result && own.is_some()) {
            text.push_str(&format!(" ({results})"));
        }
        match (timed_out, max_lines, own.is_some()) {
            (true, ..) => text.push_str(" (timed out)"),
            (false, true, true) => text.push_str(" (max lines)"),
            (false, true, false) => text.push_str(" (max lines reached)"),
            (false, false, _) => {}
        }
        text
    }

    fn suffixed(&self, text: &str) -> String {
        match &self.suffix {
            Some(suffix) => format!("{text} {suffix}"),
            None => text.to_string(),
        }
    }
}

/// Whether a step's text is shown as part of the build's (05.026).
pub(crate) fn counts_for_build(policy: Option<&SummaryPolicy>, flags: ResultFlags, results: Results) -> bool {
    match policy {
        Some(SummaryPolicy::Switch(all)) => *all,
        Some(SummaryPolicy::Results(wanted)) => wanted.contains(&results),
        None => match results {
            Results::Exception | Results::Retry | Results::Cancelled => true,
            Results::Failure => flags.flunk_on_failure || flags.halt_on_failure || flags.warn_on_failure,
            Results::Warnings => flags.warn_on_warnings || flags.flunk_on_warnings,
            Results::Success | Results::Skipped => false,
        },
    }
}

/// Text for an HTML log, as it stands.
pub(crate) fn preformatted(text: &str) -> String {
    format!("<pre>{}</pre>", crate::logs::html(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(args: serde_json::Value, class: StepDefaults) -> Texts {
        Texts::of(&serde_json::from_value(args).unwrap(), &class)
    }

    #[test]
    fn row_05_022_texts_of_plain_steps() {
        let plain = texts(json!({}), StepDefaults::named("generic"));
        assert_eq!(
            (plain.current().as_str(), plain.result_text(Results::Success, false, false).as_str()),
            ("running", "finished")
        );
        let described = json!({"description": ["making", "docs"], "descriptionSuffix": "(html)"});
        let described = texts(described, StepDefaults::named("generic"));
        assert_eq!(described.current(), "making docs (html)");
        assert_eq!(
            described.result_text(Results::Failure, true, false),
            "making docs (html) (failure) (timed out)"
        );
        assert_eq!(
            described.result_text(Results::Failure, false, true),
            "making docs (html) (failure) (max lines reached)"
        );
    }

    #[test]
    fn row_05_023_a_command_speaks_for_itself_unless_description_done_is_given() {
        let mut shell = texts(json!({"description": "testing"}), StepDefaults::named("shell"));
        shell.own_result = Some("'make test'".into());
        assert_eq!(shell.result_text(Results::Failure, false, true), "'make test' (failure) (max lines)");
        let mut done = texts(json!({"descriptionDone": "tested"}), StepDefaults::named("shell"));
        done.own_result = Some("'make test'".into());
        assert_eq!(done.result_text(Results::Success, false, false), "tested");
        done.found(Some("7 tests".into()));
        assert_eq!(done.result_text(Results::Failure, false, false), "7 tests (failure)");
    }

    #[test]
    fn row_05_026_which_results_speak_for_the_build() {
        let plain = StepDefaults::named("x").flags;
        let counts = |policy: Option<SummaryPolicy>, flags| {
            Results::ALL.map(|results| counts_for_build(policy.as_ref(), flags, results))
        };
        assert_eq!(counts(None, plain), [false, false, true, false, true, true, true]);
        let quiet = ResultFlags { flunk_on_failure: false, ..plain };
        assert_eq!(counts(None, quiet), [false, false, false, false, true, true, true]);
        let warns = ResultFlags { warn_on_warnings: true, ..quiet };
        assert_eq!(counts(None, warns), [false, true, false, false, true, true, true]);
        assert_eq!(counts(Some(SummaryPolicy::Switch(false)), warns), [false; 7]);
        let only = SummaryPolicy::Results(vec![Results::Success]);
        assert!(counts(Some(only), plain)[0]);
    }
}
