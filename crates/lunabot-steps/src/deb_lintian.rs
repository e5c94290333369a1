//! `steps.DebLintian` (06.057).

use crate::common::{command_of, no_command, run_observed, step_kind};
use crate::package_messages::PackageMessages;
use async_trait::async_trait;
use lunabot_engine::step::{
    HasShell, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults, StepError, StepKind, given,
    read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Problem, Renderable, StringOrList};

step_params! {
    /// Checks Debian packages.
    pub struct DebLintianParams: shell {
        /// The `.changes` or `.deb` file.
        pub fileloc: Renderable<String>,
        /// `--suppress-tags` for each.
        #[serde(rename = "suppressTags")]
        pub suppress_tags: Option<Renderable<StringOrList>>,
    }
}

impl OwnChecks for DebLintianParams {
    fn problems(&self) -> Vec<Problem> {
        let empty = self.fileloc.literal().filter(String::is_empty);
        let empty = empty.map(|_| Problem::new("fileloc", "must not be empty"));
        no_command(&self.command).into_iter().chain(empty).collect()
    }
}

/// Declares the step.
pub static DEB_LINTIAN: StepKind = StepKind {
    kind: step_kind(
        "DebLintian",
        &["fileloc", "suppressTags"],
        "Checks Debian packages with lintian. Errors fail the step, and with it warn the build; warnings give it \
         WARNINGS.",
        schema_of::<DebLintianParams>,
        check_as::<DebLintianParams>,
    ),
    defaults: StepDefaults::named("lintian")
        .forgiving()
        .warning_on_failure()
        .described("Lintian running", "Lintian"),
    build: |rendered| {
        let params: DebLintianParams = read(rendered)?;
        let mut words = vec!["lintian".to_string(), "-v".into()];
        words.extend(params.fileloc.literal());
        for tag in given(&params.suppress_tags).unwrap_or_default().0 {
            words.extend(["--suppress-tags".into(), tag]);
        }
        let mut options = params.shell()?;
        options.command = Some(command_of(words));
        Ok(Box::new(DebLintian(options)))
    },
};

struct DebLintian(ShellOptions);

#[async_trait]
impl Step for DebLintian {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let (command, messages) = run_observed(cx, &self.0, PackageMessages::default()).await?;
        messages.add_logs(cx).await?;
        Ok(match (command.interrupted, command.rc) {
            (true, _) => Results::Cancelled,
            (false, Some(0)) if messages.errors.count() > 0 => Results::Failure,
            (false, Some(0)) if messages.warnings.count() > 0 => Results::Warnings,
            (false, Some(0)) => Results::Success,
            (false, _) => Results::Failure,
        })
    }
}
