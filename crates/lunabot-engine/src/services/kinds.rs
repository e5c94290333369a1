//! The kinds of services of this room (01.024, 03.025, 03.026).

use super::stamps::StampRule;
use lunabot_model::kind::{CallbackSpec, Category, Params, check_as, schema_of};
use lunabot_model::{AnyObject, Callback, Json, Kind, Names, Problem};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The kinds of this room that declare services.
pub static KINDS: &[Kind] = &[OLD_BUILD_CANCELLER, FAILING_BUILDSET_CANCELLER, BUILDBOT_SERVICE];

/// Builders, perhaps others that are meant with them, and the source stamps in question.
#[derive(Debug, Clone)]
pub struct Filter {
    pub builders: Names,
    /// Only in a FailingBuildsetCanceller: whose requests are cancelled; `None`: all.
    pub doomed: Option<Names>,
    pub stamps: AnyObject,
}

const WRITE_TWO: &str = "write {{\"builder\", …}, util.SourceStampFilter{…}}";
const WRITE_THREE: &str =
    "write {{\"builder\", …}, {\"builder to cancel\", …} or util.null for all, util.SourceStampFilter{…}}";

impl Filter {
    fn read(item: &Json, parts: usize) -> Result<Filter, String> {
        let write = if parts == 2 { WRITE_TWO } else { WRITE_THREE };
        let items = item.as_array().filter(|items| items.len() == parts).ok_or(write)?;
        let names = |value: &Json| Names::deserialize(value).map_err(|error| format!("{error}; {write}"));
        let stamps = items.last().and_then(AnyObject::from_json).ok_or(write)?;
        StampRule::read(&stamps)?;
        let doomed =
            items.get(1).filter(|value| parts == 3 && !value.is_null() && **value != Json::Bool(false));
        let doomed = doomed.map(names).transpose()?;
        Ok(Filter { builders: names(&items[0])?, doomed, stamps })
    }

    fn read_all<'de, D: Deserializer<'de>>(d: D, parts: usize) -> Result<Vec<Filter>, D::Error> {
        let items = Vec::<Json>::deserialize(d)?;
        items.iter().map(|item| Filter::read(item, parts).map_err(D::Error::custom)).collect()
    }
}

fn pairs<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Filter>, D::Error> {
    Filter::read_all(d, 2)
}

fn triples<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Filter>, D::Error> {
    Filter::read_all(d, 3)
}

/// `util.OldBuildCanceller`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OldBuildCancellerParams {
    /// Unique among the services.
    pub name: String,
    /// Pairs of builders and a `util.SourceStampFilter`: what is watched.
    #[serde(deserialize_with = "pairs")]
    #[schemars(with = "Vec<Vec<Json>>")]
    pub filters: Vec<Filter>,
    /// Gives the branch that counts for a source stamp; default: the branch, all patch sets of a Gerrit change as one.
    #[serde(default)]
    pub branch_key: Option<Callback>,
}

impl Params for OldBuildCancellerParams {
    fn validate(&self) -> Vec<Problem> {
        unnamed(&self.name)
    }
}

/// `util.FailingBuildsetCanceller`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailingBuildsetCancellerParams {
    /// Unique among the services.
    pub name: String,
    /// Triples of builders whose failure counts, builders whose requests are cancelled then (`util.null`: all), and a
    /// `util.SourceStampFilter`.
    #[serde(deserialize_with = "triples")]
    #[schemars(with = "Vec<Vec<Json>>")]
    pub filters: Vec<Filter>,
}

impl Params for FailingBuildsetCancellerParams {
    fn validate(&self) -> Vec<Problem> {
        unnamed(&self.name)
    }
}

/// `util.BuildbotService`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildbotServiceParams {
    /// Unique among the services; its state is kept under it. Default: the name of the class.
    #[serde(default)]
    pub name: Option<String>,
}

impl Params for BuildbotServiceParams {
    fn validate(&self) -> Vec<Problem> {
        self.name.as_deref().map(unnamed).unwrap_or_default()
    }
}

fn unnamed(name: &str) -> Vec<Problem> {
    if name.is_empty() { vec![Problem::new("name", "is empty")] } else { Vec::new() }
}

pub const OLD_BUILD_CANCELLER: Kind = Kind {
    namespace: "util",
    name: "OldBuildCanceller",
    aliases: &[],
    category: Category::Service,
    positional: &["name", "filters", "branch_key"],
    flat: false,
    doc: "Cancels requests and builds of a branch when a request with a newer change of it arrives for the same builder.",
    schema: schema_of::<OldBuildCancellerParams>,
    check: check_as::<OldBuildCancellerParams>,
    callbacks: &[CallbackSpec {
        option: "branch_key",
        args: "sourcestamp",
        returns: "a text; nil: this one is not watched",
        on_error: "not watched",
    }],
    extensible: false,
};

pub const FAILING_BUILDSET_CANCELLER: Kind = Kind {
    name: "FailingBuildsetCanceller",
    positional: &["name", "filters"],
    doc: "Cancels the other requests of a buildset when one of its builds fails.",
    schema: schema_of::<FailingBuildsetCancellerParams>,
    check: check_as::<FailingBuildsetCancellerParams>,
    callbacks: &[],
    ..OLD_BUILD_CANCELLER
};

pub const BUILDBOT_SERVICE: Kind = Kind {
    name: "BuildbotService",
    aliases: &["Service"],
    positional: &[],
    doc: "The base of services of your own: extend it with startService and stopService.",
    schema: schema_of::<BuildbotServiceParams>,
    check: check_as::<BuildbotServiceParams>,
    callbacks: &[],
    extensible: true,
    ..OLD_BUILD_CANCELLER
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn filters_that_are_none_say_how_to_write_them() {
        let stamps = json!({"$kind": "util.SourceStampFilter", "$id": 1, "$at": "m.lua:1", "$args": {}});
        let other = json!({"$kind": "util.ChangeFilter", "$id": 1, "$at": "m.lua:1", "$args": {}});
        let check = |kind: &Kind, filters: Json| {
            let problems = (kind.check)(&json!({"name": "n", "filters": filters}));
            problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join(" ")
        };
        let old = |filters| check(&OLD_BUILD_CANCELLER, filters);
        assert_eq!(old(json!([[["a", "b"], stamps], ["c", stamps]])), "");
        assert!(old(json!([["a"]])).contains("write {{\"builder\""));
        assert!(old(json!([[3, stamps]])).contains("expected a text or a list of texts"));
        assert!(
            old(json!([["a", other]])).contains("expected a util.SourceStampFilter, not a util.ChangeFilter")
        );
        let failing = |filters| check(&FAILING_BUILDSET_CANCELLER, filters);
        assert_eq!(failing(json!([["a", null, stamps], [["a"], ["b"], stamps], ["a", false, stamps]])), "");
        assert!(failing(json!([["a", stamps]])).contains("builder to cancel"));
    }
}
