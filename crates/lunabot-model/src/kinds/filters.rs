//! Kinds of filters (reference 3c). [`crate::change_filter`] carries them out.

use crate::kind::{CallbackSpec, Category, Kind, Params, Problem, check_as, schema_of};
use crate::{Callback, pattern};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// `util.ChangeFilter` (03.027, 03.028). All conditions must hold.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeFilterParams {
    /// Decides about the whole change.
    pub filter_fn: Option<Callback>,
    /// Accepted project or projects.
    pub project: Values,
    /// Refused project or projects.
    pub project_not_eq: Values,
    /// Regular expressions, matched from the start of the project; one of them must match.
    pub project_re: Values,
    /// Regular expressions of which none may match.
    pub project_not_re: Values,
    /// Decides about the project.
    pub project_fn: Option<Callback>,
    pub repository: Values,
    pub repository_not_eq: Values,
    pub repository_re: Values,
    pub repository_not_re: Values,
    pub repository_fn: Option<Callback>,
    /// Accepted branch or branches; `util.null` is the default branch, which is not the same as leaving this out.
    pub branch: BranchValues,
    pub branch_not_eq: BranchValues,
    pub branch_re: Values,
    pub branch_not_re: Values,
    pub branch_fn: Option<Callback>,
    pub category: Values,
    pub category_not_eq: Values,
    pub category_re: Values,
    pub category_not_re: Values,
    pub category_fn: Option<Callback>,
    pub codebase: Values,
    pub codebase_not_eq: Values,
    pub codebase_re: Values,
    pub codebase_not_re: Values,
    pub codebase_fn: Option<Callback>,
    /// Property → accepted value or values.
    pub property_eq: BTreeMap<String, Values>,
    /// Property → refused value or values.
    pub property_not_eq: BTreeMap<String, Values>,
    /// Property → regular expressions of which one must match.
    pub property_re: BTreeMap<String, Values>,
    /// Property → regular expressions of which none may match.
    pub property_not_re: BTreeMap<String, Values>,
}

/// `util.SourceStampFilter` (03.029). All conditions must hold.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SourceStampFilterParams {
    /// Decides about the whole source stamp, a table.
    pub filter_fn: Option<Callback>,
    /// Accepted project or projects.
    pub project_eq: Values,
    /// Refused project or projects.
    pub project_not_eq: Values,
    /// Regular expressions, matched from the start of the project; one of them must match.
    pub project_re: Values,
    /// Regular expressions of which none may match.
    pub project_not_re: Values,
    pub codebase_eq: Values,
    pub codebase_not_eq: Values,
    pub codebase_re: Values,
    pub codebase_not_re: Values,
    pub repository_eq: Values,
    pub repository_not_eq: Values,
    pub repository_re: Values,
    pub repository_not_re: Values,
    /// Accepted branch or branches; `util.null` is the default branch.
    pub branch_eq: BranchValues,
    pub branch_not_eq: BranchValues,
    pub branch_re: Values,
    pub branch_not_re: Values,
}

impl Params for SourceStampFilterParams {
    fn validate(&self) -> Vec<Problem> {
        wrong_patterns(&[
            ("project_re", &self.project_re),
            ("project_not_re", &self.project_not_re),
            ("codebase_re", &self.codebase_re),
            ("codebase_not_re", &self.codebase_not_re),
            ("repository_re", &self.repository_re),
            ("repository_not_re", &self.repository_not_re),
            ("branch_re", &self.branch_re),
            ("branch_not_re", &self.branch_not_re),
        ])
    }
}

fn wrong_patterns(options: &[(&str, &Values)]) -> Vec<Problem> {
    let wrong = |(option, values): &(&str, &Values)| {
        let errors = values.0.iter().flatten().filter_map(|p| pattern::anchored(p).err());
        errors.map(|error| Problem::new(*option, error)).collect::<Vec<_>>()
    };
    options.iter().flat_map(wrong).collect()
}

/// One text or a list of texts; `None`: the condition was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Option<crate::StringOrList>")]
pub struct Values(pub Option<Vec<String>>);

/// As [`Values`], where nil is a value of its own (03.028).
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(with = "OneOrMany<Option<String>>")]
pub struct BranchValues(pub Option<Vec<Option<String>>>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn list(self) -> Vec<T> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Values(Option::<OneOrMany<String>>::deserialize(d)?.map(OneOrMany::list)))
    }
}

impl<'de> Deserialize<'de> for BranchValues {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(BranchValues(Some(OneOrMany::<Option<String>>::deserialize(d)?.list())))
    }
}

impl Params for ChangeFilterParams {
    fn validate(&self) -> Vec<Problem> {
        let simple = [
            ("project_re", &self.project_re),
            ("project_not_re", &self.project_not_re),
            ("repository_re", &self.repository_re),
            ("repository_not_re", &self.repository_not_re),
            ("branch_re", &self.branch_re),
            ("branch_not_re", &self.branch_not_re),
            ("category_re", &self.category_re),
            ("category_not_re", &self.category_not_re),
            ("codebase_re", &self.codebase_re),
            ("codebase_not_re", &self.codebase_not_re),
        ];
        let simple = simple.into_iter().map(|(option, values)| (option.to_string(), values));
        let of_properties = [("property_re", &self.property_re), ("property_not_re", &self.property_not_re)];
        let of_properties = of_properties.into_iter().flat_map(|(option, map)| {
            map.iter().map(move |(name, values)| (format!("{option}.{name}"), values)) //
        });
        let wrong = |(option, values): (String, &Values)| {
            let patterns = values.0.iter().flatten();
            patterns
                .filter_map(|p| pattern::anchored(p).err())
                .map(|e| Problem::new(&option, e))
                .collect::<Vec<_>>()
        };
        simple.chain(of_properties).flat_map(wrong).collect()
    }
}

pub(super) const fn decides(option: &'static str, args: &'static str) -> CallbackSpec {
    CallbackSpec { option, args, returns: "true or false; nil is false", on_error: "no match" }
}

pub(super) const CALLBACKS: &[CallbackSpec] = &[
    decides("filter_fn", "change"),
    decides("project_fn", "project"),
    decides("repository_fn", "repository"),
    decides("branch_fn", "branch"),
    decides("category_fn", "category"),
    decides("codebase_fn", "codebase"),
];

pub const CHANGE_FILTER: Kind = Kind {
    namespace: "util",
    name: "ChangeFilter",
    aliases: &[],
    category: Category::Filter,
    positional: &[
        "filter_fn",
        "project",
        "project_not_eq",
        "project_re",
        "project_not_re",
        "project_fn",
        "repository",
        "repository_not_eq",
        "repository_re",
        "repository_not_re",
        "repository_fn",
        "branch",
        "branch_not_eq",
        "branch_re",
        "branch_not_re",
        "branch_fn",
        "category",
        "category_not_eq",
        "category_re",
        "category_not_re",
        "category_fn",
        "codebase",
        "codebase_not_eq",
        "codebase_re",
        "codebase_not_re",
        "codebase_fn",
        "property_eq",
        "property_not_eq",
        "property_re",
        "property_not_re",
    ],
    flat: false,
    doc: "Which changes a scheduler looks at. All conditions that are given must hold; without any, every change \
          passes.",
    schema: schema_of::<ChangeFilterParams>,
    check: check_as::<ChangeFilterParams>,
    callbacks: CALLBACKS,
    extensible: false,
};

pub const SOURCE_STAMP_FILTER: Kind = Kind {
    name: "SourceStampFilter",
    positional: &[
        "filter_fn",
        "project_eq",
        "project_not_eq",
        "project_re",
        "project_not_re",
        "repository_eq",
        "repository_not_eq",
        "repository_re",
        "repository_not_re",
        "branch_eq",
        "branch_not_eq",
        "branch_re",
        "branch_not_re",
        "codebase_eq",
        "codebase_not_eq",
        "codebase_re",
        "codebase_not_re",
    ],
    doc: "Which source stamps a service looks at. All conditions that are given must hold.",
    schema: schema_of::<SourceStampFilterParams>,
    check: check_as::<SourceStampFilterParams>,
    callbacks: &[decides("filter_fn", "sourcestamp")],
    ..CHANGE_FILTER
};
