//! `steps.Assert` (06.043).

use crate::common::step_kind;
use async_trait::async_trait;
use lunabot_engine::step::{OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, read};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::render::truthy;
use lunabot_model::{Json, Renderable};

step_params! {
    /// Fails unless something holds.
    pub struct AssertParams {
        /// What has to be true: a renderable, such as `util.Property "branch":eq("main")`. False are nil, false, 0 and
        /// what is empty.
        pub check: Renderable<Json>,
    }
}

impl OwnChecks for AssertParams {}

/// Declares the step.
pub static ASSERT: StepKind = StepKind {
    kind: step_kind(
        "Assert",
        &["check"],
        "Fails unless a value, computed from the build's properties, is true. Needs no worker.",
        schema_of::<AssertParams>,
        check_as::<AssertParams>,
    ),
    defaults: StepDefaults::named("Assert").described("Checking..", "checked"),
    build: |rendered| {
        let params: AssertParams = read(rendered)?;
        Ok(Box::new(Assert(truthy(params.check.source()))))
    },
};

struct Assert(bool);

#[async_trait]
impl Step for Assert {
    async fn run(&mut self, _: &StepContext) -> Result<Results, StepError> {
        Ok(if self.0 { Results::Success } else { Results::Failure })
    }
}
