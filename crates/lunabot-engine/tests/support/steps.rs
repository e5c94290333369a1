//! Steps to test with: one that runs a command, and some that misbehave.

use async_trait::async_trait;
use lunabot_engine::step::{
    Channel, CommandOutput, HasShell, LineObserver, LogObserver, OwnChecks, Results, ShellOptions, Step,
    StepContext, StepDefaults, StepError, StepKind,
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

/// What it does, and how often this very one has run.
struct Odd(OddParams, u32);

/// Lines with their channels.
#[derive(Default)]
struct Seen(Vec<String>);

impl LineObserver for Seen {
    fn line(&mut self, channel: Channel, line: &str) {
        self.0.push(format!("{channel:?} {line}"));
    }
}

/// Breaks on whatever it sees.
struct Breaks;

#[async_trait]
impl LogObserver for Breaks {
    async fn received(&mut self, _: Channel, lines: &str) -> Result<(), StepError> {
        Err(StepError::Exception(format!("cannot stand {lines:?}")))
    }
}

#[async_trait]
impl Step for Odd {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        self.1 += 1;
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
            "goes on" => {
                cx.interrupted().await;
                cx.run_mkdir("late").await?;
                Ok(Results::Success)
            }
            "counts its runs" => {
                cx.set_property("runs", self.1.into(), "Odd");
                Ok(Results::Success)
            }
            "asks for commands" => {
                cx.set_property("version", cx.worker_version("shell").into(), "Odd");
                cx.check_worker_has_command("frobnicate")?;
                Ok(Results::Success)
            }
            "keeps data" => {
                for text in ["one", "two"] {
                    cx.set_build_data("report", text.into(), "Odd").await?;
                }
                Ok(Results::Success)
            }
            "looks around" => {
                let made = [cx.run_mkdir("d").await?, cx.run_rmdir("d", None).await?];
                let found = [Some(cx.run_glob("*.c").await?), cx.run_listdir("d").await?];
                cx.set_property("made", made.to_vec().into(), "Odd");
                cx.set_property("found", serde_json::json!(found), "Odd");
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
                for (name, url) in [("docs", "http://x/"), ("api", "http://y/"), ("docs", "http://x/")] {
                    cx.add_url(name, url).await?;
                }
                cx.add_html_log("report", "<b>").await?;
                Ok(Results::Warnings)
            }
            "observes" => {
                let early = cx.observe_lines("stdio", Seen::default()).await;
                let log = cx.log_for_commands("stdio").await?;
                log.add_stdout("half ").await?;
                log.add_stderr("error\n").await?;
                let late = cx.observe_lines("stdio", Seen::default()).await;
                log.add_stdout("line\nrest").await?;
                cx.finish_logs().await?;
                let after = cx.observe_lines("stdio", Seen::default()).await;
                for (name, seen) in [("early", early), ("late", late), ("after", after)] {
                    cx.set_property(name, seen.lock().0.clone().into(), "Odd");
                }
                Ok(Results::Success)
            }
            "breaks observing" => {
                let log = cx.log_for_commands("stdio").await?;
                cx.add_log_observer("stdio", Box::new(Breaks)).await;
                log.add_stdout("a\nb\n").await?;
                log.add_stdout("c\n").await?;
                Ok(Results::Failure)
            }
            "counts" => {
                let sum = |a: Json, b: Json| Json::from(a.as_i64().unwrap() + b.as_i64().unwrap());
                cx.set_statistic("n", 2.into());
                cx.set_property("sum", cx.summary_statistic("n", sum, None).into(), "Odd");
                cx.set_property("sum10", cx.summary_statistic("n", sum, Some(10.into())).into(), "Odd");
                cx.set_property("none", cx.summary_statistic("m", sum, None).into(), "Odd");
                Ok(Results::Success)
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
    build: |args| Ok(Box::new(Odd(lunabot_engine::step::read(args)?, 0))),
};

pub fn all() -> Vec<&'static StepKind> {
    vec![&COMMAND, &ODD]
}
