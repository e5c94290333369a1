//! `steps.Cppcheck` (06.052).

use crate::common::{command_of, no_command, run_observed, step_kind};
use crate::kept::Kept;
use async_trait::async_trait;
use lunabot_engine::step::{
    Channel, HasShell, LineObserver, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults,
    StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Problem, Renderable, StringOrList};
use regex::Regex;
use std::sync::LazyLock;

/// The classes of messages, the worst first.
const MESSAGES: [&str; 6] = ["error", "warning", "style", "performance", "portability", "information"];

step_params! {
    /// Runs cppcheck.
    pub struct CppcheckParams: shell {
        /// The program. Default `cppcheck`.
        #[schemars(extend("default" = "cppcheck"))]
        pub binary: Option<Renderable<String>>,
        /// What is checked. Default `.`.
        #[schemars(extend("default" = "."))]
        pub source: Option<Renderable<StringOrList>>,
        /// Classes of checks, for `--enable`.
        pub enable: Option<Renderable<StringOrList>>,
        /// Whether findings count that may be wrong.
        pub inconclusive: Option<Renderable<bool>>,
        /// Further words.
        pub extra_args: Option<Renderable<StringOrList>>,
    }
}

impl OwnChecks for CppcheckParams {
    fn problems(&self) -> Vec<Problem> {
        no_command(&self.command).into_iter().collect()
    }
}

/// Declares the step.
pub static CPPCHECK: StepKind = StepKind {
    kind: step_kind(
        "Cppcheck",
        &[],
        "Runs cppcheck and sorts its messages by class: a log and a property `cppcheck-…` for each. Errors fail the \
         step, other messages give it WARNINGS.",
        schema_of::<CppcheckParams>,
        check_as::<CppcheckParams>,
    ),
    defaults: StepDefaults::named("cppcheck").described("running cppcheck", "cppcheck"),
    build: |rendered| {
        let params: CppcheckParams = read(rendered)?;
        let mut options = params.shell()?;
        options.command = Some(command_of(words(&params)));
        Ok(Box::new(Cppcheck { options, findings: None }))
    },
};

fn words(params: &CppcheckParams) -> Vec<String> {
    let list = |option| given::<StringOrList>(option).map(|list| list.0);
    let mut words = vec![given(&params.binary).unwrap_or_else(|| "cppcheck".into())];
    words.extend(list(&params.source).unwrap_or_else(|| vec![".".into()]));
    let enable = list(&params.enable).unwrap_or_default();
    if !enable.is_empty() {
        words.push(format!("--enable={}", enable.join(",")));
    }
    if given(&params.inconclusive) == Some(true) {
        words.push("--inconclusive".into());
    }
    words.extend(list(&params.extra_args).unwrap_or_default());
    words
}

struct Cppcheck {
    options: ShellOptions,
    findings: Option<Findings>,
}

/// Messages by class.
#[derive(Debug, Default)]
struct Findings([Kept; MESSAGES.len()]);

/// `[a.c:3]: (error) text`, with or without the place.
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    let classes = MESSAGES.join("|");
    Regex::new(&format!(r"^(?:\[.+\]: )?\(({classes})\) .+")).expect("a constant pattern")
});

impl LineObserver for Findings {
    fn line(&mut self, _: Channel, line: &str) {
        let Some(found) = LINE.captures(line) else { return };
        if let Some(at) = MESSAGES.iter().position(|class| *class == &found[1]) {
            self.0[at].add(line);
        }
    }
}

impl Findings {
    fn counts(&self) -> impl Iterator<Item = (&'static str, &Kept)> {
        MESSAGES.into_iter().zip(&self.0)
    }

    fn total(&self) -> u64 {
        self.0.iter().map(Kept::count).sum()
    }

    fn results(&self) -> Results {
        match (self.0[0].count(), self.total()) {
            (0, 0) => Results::Success,
            (0, _) => Results::Warnings,
            _ => Results::Failure,
        }
    }
}

#[async_trait]
impl Step for Cppcheck {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let (command, findings) = run_observed(cx, &self.options, Findings::default()).await?;
        for (class, kept) in findings.counts() {
            cx.set_property(&format!("cppcheck-{class}"), kept.count().into(), "Cppcheck");
            kept.add_log(cx, class).await?;
        }
        cx.set_property("cppcheck-total", findings.total().into(), "Cppcheck");
        let results = match command.results() {
            Results::Success => findings.results(),
            other => other,
        };
        self.findings = Some(findings);
        Ok(results)
    }

    fn description_done(&self, done: Option<&str>) -> Option<String> {
        let findings = self.findings.as_ref()?;
        let counts = findings.counts().filter(|(_, kept)| kept.count() > 0);
        let counts = counts.map(|(class, kept)| format!(" {class}={}", kept.count())).collect::<String>();
        Some(format!("{}{counts}", done.unwrap_or("cppcheck")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_06_052_the_words_of_the_command() {
        let all = json!({
            "binary": "cpp", "source": ["a", "b"], "enable": ["style", "all"], "inconclusive": true,
            "extra_args": ["-q"],
        });
        for (args, want) in [(json!({}), "cppcheck ."), (all, "cpp a b --enable=style,all --inconclusive -q")]
        {
            assert_eq!(words(&serde_json::from_value(args).unwrap()).join(" "), want);
        }
    }
}
