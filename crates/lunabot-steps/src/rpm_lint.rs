//! `steps.RpmLint` (06.057).

use crate::common::{command_of, no_command, step_kind};
use crate::package_messages::PackageMessages;
use crate::warning_counting_shell_command::{CALLBACKS, counting};
use crate::warnings::{Counting, HasWarnings, warning_params};
use async_trait::async_trait;
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Kind, Problem, Renderable};

warning_params! {
    /// Checks RPM packages.
    pub struct RpmLintParams {
        /// What is checked: a package, a `.spec` file or a folder. Default `.`.
        #[schemars(extend("default" = "."))]
        pub fileloc: Option<Renderable<String>>,
        /// A configuration file of rpmlint.
        pub config: Option<Renderable<Option<String>>>,
    }
}

impl OwnChecks for RpmLintParams {
    fn problems(&self) -> Vec<Problem> {
        no_command(&self.command).into_iter().chain(self.warning_problems()).collect()
    }
}

/// Declares the step.
pub static RPM_LINT: StepKind = StepKind {
    kind: Kind {
        callbacks: CALLBACKS,
        ..step_kind(
            "RpmLint",
            &["fileloc", "config"],
            "Checks RPM packages with `rpmlint -i`; its warnings and errors are logs.",
            schema_of::<RpmLintParams>,
            check_as::<RpmLintParams>,
        )
    },
    defaults: StepDefaults::named("rpmlint")
        .warning_on_failure()
        .described("Checking for RPM/SPEC issues", "Finished checking RPM/SPEC issues"),
    build: |rendered| {
        let params: RpmLintParams = read(rendered)?;
        let mut words = vec!["rpmlint".to_string(), "-i".into()];
        if let Some(config) = given(&params.config).flatten().filter(|config| !config.is_empty()) {
            words.extend(["-f".into(), config]);
        }
        words.push(given(&params.fileloc).filter(|file| !file.is_empty()).unwrap_or_else(|| ".".into()));
        let mut counting = counting(&params, true, &[])?;
        counting.shell.command = Some(command_of(words));
        Ok(Box::new(RpmLint(counting)))
    },
};

struct RpmLint(Counting);

#[async_trait]
impl Step for RpmLint {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let messages = cx.observe_lines("stdio", PackageMessages::default()).await;
        let (counted, _) = self.0.run_silently(cx).await?;
        let messages = std::mem::take(&mut *messages.lock());
        messages.add_logs(cx).await?;
        Ok(counted.results(&self.0.warnings))
    }
}
