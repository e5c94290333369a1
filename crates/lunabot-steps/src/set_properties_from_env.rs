//! `steps.SetPropertiesFromEnv` (06.039).

use crate::common::{python_text, step_kind};
use async_trait::async_trait;
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Renderable, StringOrList};

step_params! {
    /// Makes properties of the worker's environment.
    pub struct SetPropertiesFromEnvParams {
        /// Names of variables, which are those of the properties too; a text or a list.
        pub variables: Renderable<StringOrList>,
        /// Where the properties say they come from. Default `WorkerEnvironment`.
        #[schemars(extend("default" = "WorkerEnvironment"))]
        pub source: Option<Renderable<String>>,
    }
}

impl OwnChecks for SetPropertiesFromEnvParams {}

/// Declares the step.
pub static SET_PROPERTIES_FROM_ENV: StepKind = StepKind {
    kind: step_kind(
        "SetPropertiesFromEnv",
        &["variables", "source"],
        "Sets properties to variables of the worker's environment, as they were when it connected. Variables that are \
         not there, or empty, are passed over.",
        schema_of::<SetPropertiesFromEnvParams>,
        check_as::<SetPropertiesFromEnvParams>,
    ),
    defaults: StepDefaults::named("SetPropertiesFromEnv").described("Setting", "Set"),
    build: |rendered| {
        let params: SetPropertiesFromEnvParams = read(rendered)?;
        Ok(Box::new(SetPropertiesFromEnv {
            variables: params.variables.literal().unwrap_or_default().0,
            source: given(&params.source).unwrap_or_else(|| "WorkerEnvironment".into()),
        }))
    },
};

struct SetPropertiesFromEnv {
    variables: Vec<String>,
    source: String,
}

#[async_trait]
impl Step for SetPropertiesFromEnv {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let mut log = Vec::new();
        for name in &self.variables {
            if let Some(value) = variable(cx, name).filter(|value| !value.is_empty()) {
                cx.set_property(name, value.as_str().into(), &self.source);
                log.push(format!("{name} = {}", python_text(&value)));
            }
        }
        cx.add_complete_log("properties", &log.join("\n")).await?;
        Ok(Results::Success)
    }
}

/// A variable of the worker's environment; on Windows names are kept in capitals.
fn variable(cx: &StepContext, name: &str) -> Option<String> {
    let info = cx.worker_info();
    let wanted = if info.system == "nt" { name.to_uppercase() } else { name.to_string() };
    info.environ.iter().find(|(known, _)| *known == wanted).map(|(_, value)| value.clone())
}
