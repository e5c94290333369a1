//! `steps.WarningCountingShellCommand`, `steps.Compile` (06.006).

use crate::common::{DO_STEP_IF, HIDE_STEP_IF, step_kind};
use crate::warnings::{Counting, HasWarnings, WARNING_EXTRACTOR, warning_params};
use async_trait::async_trait;
use lunabot_engine::step::{
    CommandLine, HasShell, LOG_ENCODING, OverAll, OwnChecks, Results, Step, StepContext, StepDefaults,
    StepError, StepKind, read,
};
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::kinds::locks::LOCKS;
use lunabot_model::{CallbackSpec, Kind, Problem};

/// The functions that a step takes that counts warnings.
pub const CALLBACKS: &[CallbackSpec] = &[DO_STEP_IF, HIDE_STEP_IF, LOG_ENCODING, LOCKS, WARNING_EXTRACTOR];

/// Their positional options, in Buildbot's order.
pub const POSITIONAL: &[&str] = &[
    "warningPattern",
    "warningExtractor",
    "maxWarnCount",
    "directoryEnterPattern",
    "directoryLeavePattern",
    "suppressionFile",
    "suppressionList",
];

warning_params! {
    /// Runs a program and counts the warnings it prints.
    pub struct WarningCountingParams {}
}

impl OwnChecks for WarningCountingParams {
    fn problems(&self) -> Vec<Problem> {
        let missing = self.command.is_none().then(|| Problem::new("", "command is missing"));
        missing.into_iter().chain(self.warning_problems()).collect()
    }
}

/// Declares the step.
pub static WARNING_COUNTING_SHELL_COMMAND: StepKind = StepKind {
    kind: Kind {
        callbacks: CALLBACKS,
        ..step_kind(
            "WarningCountingShellCommand",
            POSITIONAL,
            "Runs a program and counts the lines of its output that look like warnings: the log `warnings (N)`, and \
             the property `warnings-count`, which adds up over the build. Warnings give the step WARNINGS, more than \
             maxWarnCount of them FAILURE.",
            schema_of::<WarningCountingParams>,
            check_as::<WarningCountingParams>,
        )
    },
    defaults: StepDefaults::named("generic"),
    build: |rendered| {
        let params: WarningCountingParams = read(rendered)?;
        Ok(Box::new(WarningCounting(counting(&params, params.description_done.is_some(), &[])?)))
    },
};

warning_params! {
    /// Compiles, and counts the compiler's warnings.
    pub struct CompileParams {}
}

impl OwnChecks for CompileParams {
    fn problems(&self) -> Vec<Problem> {
        self.warning_problems()
    }
}

/// Declares the step.
pub static COMPILE: StepKind = StepKind {
    kind: Kind {
        callbacks: CALLBACKS,
        ..step_kind(
            "Compile",
            POSITIONAL,
            "A WarningCountingShellCommand that runs `make all` unless told otherwise, and ends the build if it fails.",
            schema_of::<CompileParams>,
            check_as::<CompileParams>,
        )
    },
    defaults: StepDefaults::named("compile").halting().described("compiling", "compile"),
    build: |rendered| {
        let params: CompileParams = read(rendered)?;
        Ok(Box::new(WarningCounting(counting(&params, true, &["make", "all"])?)))
    },
};

/// A counted command from its options; `command` is run where they name none.
pub fn counting<P: HasShell + HasWarnings>(
    params: &P,
    described: bool,
    command: &[&str],
) -> Result<Counting, StepError> {
    let mut shell = params.shell()?;
    let words = || CommandLine::Words(command.iter().map(|word| (*word).into()).collect());
    shell.command.get_or_insert_with(words);
    Ok(Counting { shell, warnings: params.warnings()?, described })
}

struct WarningCounting(Counting);

#[async_trait]
impl Step for WarningCounting {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        Ok(self.0.run(cx).await?.results(&self.0.warnings))
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.0.summary()
    }

    fn over_all(&self) -> Option<&dyn OverAll> {
        Some(&self.0)
    }
}
