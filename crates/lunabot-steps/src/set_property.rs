//! `steps.SetProperty` and `steps.SetProperties` (06.042).

use crate::common::step_kind;
use async_trait::async_trait;
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Problem, Renderable};
use std::collections::BTreeMap;

step_params! {
    /// Sets one property of the build.
    pub struct SetPropertyParams {
        /// Its name.
        pub property: Renderable<String>,
        /// Its value; any plain value or a renderable.
        pub value: Renderable<Json>,
    }
}

impl OwnChecks for SetPropertyParams {
    fn problems(&self) -> Vec<Problem> {
        match self.property.literal() {
            Some(name) if name.is_empty() => vec![Problem::new("property", "must not be empty")],
            _ => Vec::new(),
        }
    }
}

/// Declares the step.
pub static SET_PROPERTY: StepKind = StepKind {
    kind: step_kind(
        "SetProperty",
        &["property", "value"],
        "Sets a property of the build, without the worker. A rebuild does not inherit it.",
        schema_of::<SetPropertyParams>,
        check_as::<SetPropertyParams>,
    ),
    defaults: StepDefaults::named("SetProperty").described("Setting", "Set"),
    build: build_one,
};

fn build_one(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: SetPropertyParams = read(rendered)?;
    let unnamed = || StepError::Exception("property: not a text".into());
    let name = params.property.literal().ok_or_else(unnamed)?;
    Ok(Box::new(SetProperties(BTreeMap::from([(name, params.value.source().clone())]))))
}

step_params! {
    /// Sets properties of the build.
    pub struct SetPropertiesParams {
        /// Name → value; a table, or a renderable that yields one.
        pub properties: Option<Renderable<BTreeMap<String, Json>>>,
    }
}

impl OwnChecks for SetPropertiesParams {}

/// Declares the step.
pub static SET_PROPERTIES: StepKind = StepKind {
    kind: step_kind(
        "SetProperties",
        &["properties"],
        "Sets several properties of the build, without the worker. A rebuild does not inherit them.",
        schema_of::<SetPropertiesParams>,
        check_as::<SetPropertiesParams>,
    ),
    defaults: StepDefaults::named("SetProperties").described("Setting Properties..", "Properties Set"),
    build: build_many,
};

fn build_many(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: SetPropertiesParams = read(rendered)?;
    Ok(Box::new(SetProperties(given(&params.properties).unwrap_or_default())))
}

struct SetProperties(BTreeMap<String, Json>);

#[async_trait]
impl Step for SetProperties {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        for (name, value) in &self.0 {
            cx.try_set_property(name, value.clone(), cx.name())?;
        }
        Ok(Results::Success)
    }
}
