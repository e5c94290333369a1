//! `steps.SubunitShellCommand` (06.056).

mod stream;

use crate::common::{counted, run_observed, step_kind};
use async_trait::async_trait;
use lunabot_engine::step::{
    HasShell, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults, StepError, StepKind, given,
    read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Problem, Renderable};
use stream::Stream;

step_params! {
    /// Runs tests that report by the subunit protocol, version 1.
    pub struct SubunitParams: shell {
        /// The step fails if no test ran.
        #[serde(rename = "failureOnNoTests")]
        pub failure_on_no_tests: Option<Renderable<bool>>,
    }
}

impl OwnChecks for SubunitParams {
    fn problems(&self) -> Vec<Problem> {
        if self.command.is_some() { Vec::new() } else { vec![Problem::new("", "command is missing")] }
    }
}

/// Declares the step.
pub static SUBUNIT_SHELL_COMMAND: StepKind = StepKind {
    kind: step_kind(
        "SubunitShellCommand",
        &["failureOnNoTests"],
        "Runs a program that reports its tests by the subunit protocol, version 1, and counts them. What failed is the \
         log `problems`, what is no protocol the log `warnings`.",
        schema_of::<SubunitParams>,
        check_as::<SubunitParams>,
    ),
    defaults: StepDefaults::named("shell"),
    build: |rendered| {
        let params: SubunitParams = read(rendered)?;
        let needs_tests = given(&params.failure_on_no_tests) == Some(true);
        Ok(Box::new(Subunit { options: params.shell()?, needs_tests, said: None }))
    },
};

struct Subunit {
    options: ShellOptions,
    needs_tests: bool,
    said: Option<String>,
}

#[async_trait]
impl Step for Subunit {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let (command, mut seen) = run_observed(cx, &self.options, Stream::default()).await?;
        seen.end();
        seen.problems.add_log(cx, "problems").await?;
        seen.other.add_log(cx, "warnings").await?;
        self.said = Some(format!("{} {}", cx.name(), summary(&seen)));
        Ok(match command.results() {
            Results::Cancelled => Results::Cancelled,
            Results::Failure => Results::Failure,
            _ if seen.failures + seen.errors > 0 => Results::Failure,
            _ if seen.total == 0 && self.needs_tests => Results::Failure,
            _ => Results::Success,
        })
    }

    fn description_done(&self, _: Option<&str>) -> Option<String> {
        self.said.clone()
    }
}

fn summary(seen: &Stream) -> String {
    let mut said = match (seen.failures + seen.errors, seen.total) {
        (0, 0) => "no tests run".into(),
        (0, total) => format!("{} passed", counted(total, "test", "tests")),
        (_, total) => format!("Total {total} test(s)"),
    };
    for (count, one, many) in [
        (seen.failures, "failure", "failures"),
        (seen.errors, "error", "errors"),
        (seen.skips, "skip", "skips"),
    ] {
        if count > 0 {
            said.push_str(&format!(" {}", counted(count, one, many)));
        }
    }
    said
}
