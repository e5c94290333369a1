//! `steps.LogRenderable` (06.043).

use crate::common::step_kind;
use async_trait::async_trait;
use lunabot_engine::step::{OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, read};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Renderable};

step_params! {
    /// Writes a value into a log.
    pub struct LogRenderableParams {
        /// The value: a renderable, or a list or table with renderables in it.
        pub content: Renderable<Json>,
    }
}

impl OwnChecks for LogRenderableParams {}

/// Declares the step.
pub static LOG_RENDERABLE: StepKind = StepKind {
    kind: step_kind(
        "LogRenderable",
        &["content"],
        "Writes a computed value into the log Output: a text as it is, anything else as indented JSON.",
        schema_of::<LogRenderableParams>,
        check_as::<LogRenderableParams>,
    ),
    defaults: StepDefaults::named("LogRenderable").described("Logging", "Logged"),
    build: |rendered| {
        let params: LogRenderableParams = read(rendered)?;
        Ok(Box::new(LogRenderable(params.content.source().clone())))
    },
};

struct LogRenderable(Json);

#[async_trait]
impl Step for LogRenderable {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let text = match &self.0 {
            Json::String(text) => text.clone(),
            other => format!("{other:#}"),
        };
        cx.add_complete_log("Output", &text).await?;
        Ok(Results::Success)
    }
}
