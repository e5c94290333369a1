//! `util.GerritChangeFilter` (02.023): a change filter that also looks at what Gerrit tells of a change.

use super::filters::{BranchValues, CALLBACKS, ChangeFilterParams, Values, decides};
use crate::kind::{CallbackSpec, Category, Kind, Params, Problem, check_as, schema_of};
use crate::{Callback, Json, pattern};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// The property that holds the type of the event.
pub const EVENT_TYPE: &str = "event.type";
/// The property that holds the branch that a review is for; the branch of its change is the patch set.
pub const TARGET: &str = "event.change.branch";

/// What a change filter takes, and the conditions on Gerrit's events. Here `branch` is the branch that the review is for.
#[derive(Debug, Clone, Default)]
pub struct GerritChangeFilterParams {
    /// The other conditions; the branch is taken out of them.
    pub common: ChangeFilterParams,
    pub event: EventParams,
    pub branch: BranchValues,
    pub branch_not_eq: BranchValues,
    pub branch_re: Values,
    pub branch_not_re: Values,
    pub branch_fn: Option<Callback>,
}

/// Conditions on the type of the event.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventParams {
    /// Accepted type or types of events, such as `patchset-created`.
    pub eventtype: Values,
    /// Regular expressions, matched from the start of the type; one of them must match.
    pub eventtype_re: Values,
    /// Decides about the type.
    pub eventtype_fn: Option<Callback>,
}

impl<'de> Deserialize<'de> for GerritChangeFilterParams {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut options = serde_json::Map::deserialize(d)?;
        let own = ["eventtype", "eventtype_re", "eventtype_fn"];
        let event = own.iter().filter_map(|name| options.remove_entry(*name)).collect();
        let event = EventParams::deserialize(Json::Object(event)).map_err(D::Error::custom)?;
        let mut common = ChangeFilterParams::deserialize(Json::Object(options)).map_err(D::Error::custom)?;
        Ok(GerritChangeFilterParams {
            event,
            branch: std::mem::take(&mut common.branch),
            branch_not_eq: std::mem::take(&mut common.branch_not_eq),
            branch_re: std::mem::take(&mut common.branch_re),
            branch_not_re: std::mem::take(&mut common.branch_not_re),
            branch_fn: common.branch_fn.take(),
            common,
        })
    }
}

impl JsonSchema for GerritChangeFilterParams {
    fn schema_name() -> Cow<'static, str> {
        "GerritChangeFilterParams".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = ChangeFilterParams::json_schema(generator);
        let own = EventParams::json_schema(generator);
        if let (Some(Json::Object(all)), Some(Json::Object(own))) =
            (schema.get_mut("properties"), own.get("properties"))
        {
            all.extend(own.clone());
        }
        schema
    }
}

impl Params for GerritChangeFilterParams {
    fn validate(&self) -> Vec<Problem> {
        let patterns = [
            ("eventtype_re", &self.event.eventtype_re),
            ("branch_re", &self.branch_re),
            ("branch_not_re", &self.branch_not_re),
        ];
        let wrong = patterns.into_iter().flat_map(|(option, values)| {
            let patterns = values.0.iter().flatten();
            patterns.filter_map(move |p| pattern::anchored(p).err().map(|error| Problem::new(option, error)))
        });
        self.common.validate().into_iter().chain(wrong).collect()
    }
}

const ALL_CALLBACKS: &[CallbackSpec] = &[
    CALLBACKS[0],
    CALLBACKS[1],
    CALLBACKS[2],
    CALLBACKS[3],
    CALLBACKS[4],
    CALLBACKS[5],
    decides("eventtype_fn", "type of the event"),
];

pub const GERRIT_CHANGE_FILTER: Kind = Kind {
    namespace: "util",
    name: "GerritChangeFilter",
    aliases: &[],
    category: Category::Filter,
    positional: &["branch", "branch_re", "branch_fn", "eventtype", "eventtype_re", "eventtype_fn"],
    flat: false,
    doc: "Which changes of Gerrit a scheduler looks at: as util.ChangeFilter, and by the type of the event. The branch \
          is the one that a review is for.",
    schema: schema_of::<GerritChangeFilterParams>,
    check: check_as::<GerritChangeFilterParams>,
    callbacks: ALL_CALLBACKS,
    extensible: false,
};
