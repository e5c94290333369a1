//! Steps to test with: one that runs a command, and some that misbehave.

use async_trait::async_trait;
use lunabot_engine::step::{
    CommandOutput, HasShell, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults, StepError,
    StepKind,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{Category, check_as, schema_of};
use lunabot_model::{Json, Kind};

step_params! {
    pub struct CommandParams: shell {}
}
impl OwnChecks for CommandParams {}

struct RunCommand(ShellOptions);

#[async_trait]
impl Step for RunCommand {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let command = cx.make_remote_shell_command(&self.0, CommandOutput::default()).await?;
        Ok(cx.run_command(command).await?.results())
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.0.command.as_ref().map(lunabot_engine::step::CommandLine::summary)
    }
}

step_params! {
    pub struct OddParams {
        /// What it does.
        pub what: String,
    }
}
impl OwnChecks for OddParams {}

struct Odd(OddParams);

#[async_trait]
impl Step for Odd {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        match self.0.what.as_str() {
            "panics" => panic!("on purpose"),
            "raises" => Err(StepError::Exception("no <such> thing".into())),
            "gives up" => Err(StepError::Failed("will not".into())),
            "waits" => {
                cx.interrupted().await;
                Ok(Results::Success)
            }
            "never ends" => std::future::pending().await,
            "sets x" => {
                cx.set_property("x", "set".into(), "Odd");
                Ok(Results::Success)
            }
            "says" => {
                cx.set_summary("one");
                cx.interrupted().await;
                Ok(Results::Success)
            }
            "uses files" => {
                cx.download_file_content_to_worker("build", "f", b"content", Some(0o600)).await?;
                let back = cx.get_file_content_from_worker("build", "f").await?;
                cx.set_property(
                    "back",
                    String::from_utf8_lossy(&back.unwrap_or_default()).as_ref().into(),
                    "Odd",
                );
                cx.set_property("exists", cx.path_exists("build/f").await?.into(), "Odd");
                Ok(Results::Success)
            }
            "logs" => {
                let log = cx.log_for_commands("stdio").await?;
                log.add_stdout("half ").await?;
                log.add_stderr("error\n").await?;
                log.add_stdout("line").await?;
                cx.add_url("docs", "http://x/").await?;
                cx.add_html_log("report", "<b>").await?;
                Ok(Results::Warnings)
            }
            other => panic!("unknown: {other}"),
        }
    }
}

const fn kind(
    name: &'static str,
    schema: fn() -> schemars::Schema,
    check: fn(&Json) -> Vec<lunabot_model::Problem>,
) -> Kind {
    Kind {
        namespace: "steps",
        name,
        aliases: &[],
        category: Category::Step,
        positional: &[],
        flat: false,
        doc: "For tests.",
        schema,
        check,
        callbacks: &[],
        extensible: false,
    }
}

static COMMAND: StepKind = StepKind {
    kind: kind("ShellCommand", schema_of::<CommandParams>, check_as::<CommandParams>),
    defaults: StepDefaults::named("shell"),
    build: |args| Ok(Box::new(RunCommand(lunabot_engine::step::read::<CommandParams>(args)?.shell()?))),
};

static ODD: StepKind = StepKind {
    kind: kind("Odd", schema_of::<OddParams>, check_as::<OddParams>),
    defaults: StepDefaults::named("odd"),
    build: |args| Ok(Box::new(Odd(lunabot_engine::step::read(args)?))),
};

pub fn all() -> Vec<&'static StepKind> {
    vec![&COMMAND, &ODD]
}
