//! The steps of the master's own janitor (14.025, 14.026): taking out what is old.

use crate::common::step_kind;
use async_trait::async_trait;
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, Tidied, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::retention::Rule;
use lunabot_model::{Duration, Problem};

step_params! {
    /// Takes out the texts of old logs.
    pub struct LogChunksJanitorParams {
        /// How long they are kept after the end of their build.
        #[serde(rename = "logHorizon")]
        pub log_horizon: Duration,
        /// Rules whose builds are left alone.
        #[serde(default)]
        pub spared: Vec<Rule>,
    }
}

impl OwnChecks for LogChunksJanitorParams {}

/// Declares the step.
pub static LOG_CHUNKS_JANITOR: StepKind = StepKind {
    kind: step_kind(
        "LogChunksJanitor",
        &["logHorizon"],
        "Takes out the texts of logs of builds that ended before the horizon; the logs' rows stay, with type d.",
        schema_of::<LogChunksJanitorParams>,
        check_as::<LogChunksJanitorParams>,
    ),
    defaults: StepDefaults::named("LogChunksJanitor").halting(),
    build: |rendered| {
        let params: LogChunksJanitorParams = read(rendered)?;
        let rule = Rule { logs: Some(params.log_horizon), ..Rule::default() };
        Ok(Box::new(Janitor {
            rules: last(params.spared, rule),
            told: |done| format!("deleted {} logchunks", done.chunks),
            done: None,
        }))
    },
};

step_params! {
    /// Takes out old build data.
    pub struct BuildDataJanitorParams {
        /// How long they are kept after the end of their build.
        pub build_data_horizon: Duration,
        /// Rules whose builds are left alone.
        #[serde(default)]
        pub spared: Vec<Rule>,
    }
}

impl OwnChecks for BuildDataJanitorParams {}

/// Declares the step.
pub static BUILD_DATA_JANITOR: StepKind = StepKind {
    kind: step_kind(
        "BuildDataJanitor",
        &["build_data_horizon"],
        "Takes out the build data of builds that ended before the horizon.",
        schema_of::<BuildDataJanitorParams>,
        check_as::<BuildDataJanitorParams>,
    ),
    defaults: StepDefaults::named("BuildDataJanitor").halting(),
    build: |rendered| {
        let params: BuildDataJanitorParams = read(rendered)?;
        let rule = Rule { build_data: Some(params.build_data_horizon), ..Rule::default() };
        let told = |done: &Tidied| format!("deleted {} build data key-value pairs", done.data);
        Ok(Box::new(Janitor { rules: last(params.spared, rule), told, done: None }))
    },
};

step_params! {
    /// Takes out what rules say.
    pub struct RetentionJanitorParams {
        /// The first that fits a build counts.
        pub rules: Vec<Rule>,
    }
}

impl OwnChecks for RetentionJanitorParams {
    fn problems(&self) -> Vec<Problem> {
        let each = self.rules.iter().enumerate();
        each.flat_map(|(i, rule)| rule.problems(&format!("rules[{i}]"))).collect()
    }
}

/// Declares the step.
pub static RETENTION_JANITOR: StepKind = StepKind {
    kind: step_kind(
        "RetentionJanitor",
        &["rules"],
        "Takes out builds, texts of logs and build data by rules per builder, tag and result.",
        schema_of::<RetentionJanitorParams>,
        check_as::<RetentionJanitorParams>,
    ),
    defaults: StepDefaults::named("RetentionJanitor").halting(),
    build: |rendered| {
        let params: RetentionJanitorParams = read(rendered)?;
        let told = |done: &Tidied| {
            format!(
                "deleted {} builds, {} logs, {} build data key-value pairs",
                done.builds, done.logs, done.data
            )
        };
        Ok(Box::new(Janitor { rules: params.rules, told, done: None }))
    },
};

fn last(mut rules: Vec<Rule>, rule: Rule) -> Vec<Rule> {
    rules.push(rule);
    rules
}

struct Janitor {
    rules: Vec<Rule>,
    told: fn(&Tidied) -> String,
    done: Option<Tidied>,
}

#[async_trait]
impl Step for Janitor {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let told = self.told;
        let progress = |done: &Tidied| cx.set_summary(&told(done));
        self.done = Some(cx.tidy(&self.rules, &progress).await?);
        Ok(Results::Success)
    }

    fn current_summary(&self) -> Option<String> {
        Some("looking for what is old".into())
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.done.as_ref().map(self.told)
    }
}
