//! `schedulers.Triggerable` (03.021): builds what a Trigger step, or a program, asks for.

use super::Surroundings;
use super::buildset::{AddError, Added, Common, Wanted};
use super::params::{PRIORITY, scheduler_options, shared_problems};
use super::stamps::with_defaults;
use super::trigger::TriggerOrder;
use lunabot_model::kind::{Category, Kind, Params, Problem, check_as, schema_of};

scheduler_options!(
    /// `schedulers.Triggerable`.
    TriggerableParams {
        /// Reason of the buildsets; the property `reason` of a trigger comes first.
        #[serde(default)]
        reason: Option<String>,
    }
);

impl Params for TriggerableParams {
    fn validate(&self) -> Vec<Problem> {
        shared_problems(&self.name, None, &[])
    }
}

pub const TRIGGERABLE: Kind = Kind {
    namespace: "schedulers",
    name: "Triggerable",
    aliases: &[],
    category: Category::Scheduler,
    positional: &["name", "builderNames"],
    flat: false,
    doc: "Starts builders when a Trigger step of another build asks for it.",
    schema: schema_of::<TriggerableParams>,
    check: check_as::<TriggerableParams>,
    callbacks: &[PRIORITY],
    extensible: false,
};

/// A Triggerable of the configuration that is in force.
pub(super) struct Triggerable {
    pub common: Common,
    pub params: TriggerableParams,
    pub around: Surroundings,
}

/// Why a trigger made no buildset.
#[derive(Debug, thiserror::Error)]
pub(super) enum TriggerFault {
    #[error("{0}")]
    Order(String),
    #[error(transparent)]
    Add(#[from] AddError),
}

impl Triggerable {
    pub async fn trigger(&self, order: TriggerOrder) -> Result<Added, TriggerFault> {
        let wanted = wanted(&order, &self.params.codebases, || self.reason()).map_err(TriggerFault::Order)?;
        Ok(self.common.add(&self.around, Wanted { waited_for: order.waited_for, ..wanted }).await?)
    }

    fn reason(&self) -> String {
        let given = self.params.reason.clone().filter(|reason| !reason.is_empty());
        given.unwrap_or_else(|| {
            format!("The Triggerable scheduler named '{}' triggered this build", self.params.name)
        })
    }
}

/// The buildset that an order asks for; nobody waits for it yet.
pub(super) fn wanted(
    order: &TriggerOrder,
    codebases: &super::params::Codebases,
    default_reason: impl FnOnce() -> String,
) -> Result<Wanted, String> {
    let reason = order.properties.get("reason").map(lunabot_model::percent::text);
    Ok(Wanted {
        reason: reason.filter(|reason| !reason.is_empty()).unwrap_or_else(default_reason),
        stamps: with_defaults(codebases, &order.sourcestamps)?,
        properties: order.properties.clone(),
        inherited_priority: order.priority,
        parent_buildid: order.parent_buildid,
        parent_relationship: order.parent_relationship.clone(),
        ..Wanted::default()
    })
}
