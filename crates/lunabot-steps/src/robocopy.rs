//! `steps.Robocopy` (06.058).

use crate::common::{command_of, no_command, step_kind};
use async_trait::async_trait;
use lunabot_engine::step::{
    CommandLine, CommandOutput, HasShell, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults,
    StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Problem, Renderable, StringOrList};

step_params! {
    /// Copies files on a Windows worker.
    pub struct RobocopyParams: shell {
        /// The folder that is copied.
        pub source: Renderable<String>,
        /// Where to.
        pub destination: Renderable<String>,
        /// The same as `exclude_files`.
        pub exclude: Option<Renderable<StringOrList>>,
        /// `/XF`: files that are left out.
        pub exclude_files: Option<Renderable<StringOrList>>,
        /// `/XD`: folders that are left out.
        pub exclude_dirs: Option<Renderable<StringOrList>>,
        /// Only these files.
        pub files: Option<Renderable<StringOrList>>,
        /// `/E`.
        pub recursive: Option<Renderable<bool>>,
        /// `/MIR`.
        pub mirror: Option<Renderable<bool>>,
        /// `/MOVE`.
        #[serde(rename = "move")]
        pub moves: Option<Renderable<bool>>,
        /// `/V /TS /FP`.
        pub verbose: Option<Renderable<bool>>,
        /// Further words.
        pub custom_opts: Option<Renderable<StringOrList>>,
    }
}

impl OwnChecks for RobocopyParams {
    fn problems(&self) -> Vec<Problem> {
        no_command(&self.command).into_iter().collect()
    }
}

/// Declares the step.
pub static ROBOCOPY: StepKind = StepKind {
    kind: step_kind(
        "Robocopy",
        &["source", "destination", "exclude", "exclude_files"],
        "Copies files on a Windows worker with robocopy, whose exit statuses it knows.",
        schema_of::<RobocopyParams>,
        check_as::<RobocopyParams>,
    ),
    defaults: StepDefaults::named("generic"),
    build: |rendered| {
        let params: RobocopyParams = read(rendered)?;
        let mut options = params.shell()?;
        options.command = Some(command_of(words(&params)));
        Ok(Box::new(Robocopy { options, described: params.description_done.is_some() }))
    },
};

fn words(params: &RobocopyParams) -> Vec<String> {
    let list = |option: &Option<Renderable<StringOrList>>| given(option).unwrap_or_default().0;
    let mut words = vec!["robocopy".to_string()];
    words.extend(params.source.literal());
    words.extend(params.destination.literal());
    words.extend(list(&params.files));
    for (option, switch) in [(&params.recursive, "/E"), (&params.mirror, "/MIR"), (&params.moves, "/MOVE")] {
        words.extend((given(option) == Some(true)).then(|| switch.to_string()));
    }
    let mut excluded = list(&params.exclude_files);
    if excluded.is_empty() {
        excluded = list(&params.exclude);
    }
    for (switch, names) in [("/XF", excluded), ("/XD", list(&params.exclude_dirs))] {
        if !names.is_empty() {
            words.push(switch.into());
            words.extend(names);
        }
    }
    if given(&params.verbose) == Some(true) {
        words.extend(["/V", "/TS", "/FP"].map(str::to_string));
    }
    words.extend(list(&params.custom_opts));
    words.extend(["/TEE", "/NP"].map(str::to_string));
    words
}

/// What the bits of the exit status mean: 8 and 16 are failures, 2 and 4 differences, 1 says that something was copied.
fn results(rc: Option<i64>) -> Results {
    match rc {
        Some(0 | 1) => Results::Success,
        Some(rc) if rc < 0 => Results::Failure,
        Some(rc) if rc & 24 != 0 => Results::Failure,
        Some(rc) if rc & 6 != 0 => Results::Warnings,
        Some(_) => Results::Exception,
        None => Results::Failure,
    }
}

struct Robocopy {
    options: ShellOptions,
    described: bool,
}

#[async_trait]
impl Step for Robocopy {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let command = cx.make_remote_shell_command(&self.options, CommandOutput::default()).await?;
        let command = cx.run_command(command).await?;
        Ok(if command.interrupted { Results::Cancelled } else { results(command.rc) })
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.options.command.as_ref().filter(|_| !self.described).map(CommandLine::summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_06_058_words_and_exit_statuses_of_robocopy() {
        let all = json!({
            "source": "s", "destination": "d", "files": ["*.c"], "recursive": true, "mirror": true, "move": true,
            "exclude": ["a"], "exclude_dirs": ["b", "c"], "verbose": true, "custom_opts": ["/R:1"],
        });
        for (args, want) in [
            (json!({"source": "s", "destination": "d"}), "robocopy s d /TEE /NP"),
            (all, "robocopy s d *.c /E /MIR /MOVE /XF a /XD b c /V /TS /FP /R:1 /TEE /NP"),
        ] {
            assert_eq!(words(&serde_json::from_value(args).unwrap()).join(" "), want);
        }
        let codes: Vec<i64> = [0, 1, 2, 4, 8, 9, 16, 32, -1].map(|rc| results(Some(rc)).code()).into();
        assert_eq!(codes, [0, 0, 1, 1, 2, 2, 2, 4, 2]);
    }
}
