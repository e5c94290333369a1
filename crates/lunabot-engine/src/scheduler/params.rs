//! The options of schedulers that follow changes (03.001, 03.010, 03.013).

use lunabot_model::change_filter::{ChangeFilter, FILTERS};
use lunabot_model::kind::{CallbackSpec, Category, Kind, Params, Problem, check_as, schema_of};
use lunabot_model::kinds::filters::BranchValues;
use lunabot_model::{AnyObject, Callback, Duration, Json, Names, percent};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// A struct of options: those of every scheduler that is no form (03.001), and its own.
macro_rules! scheduler_options {
    ($(#[$doc:meta])* $type:ident { $($(#[$attr:meta])* $field:ident: $field_type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $type {
            /// Unique among the schedulers.
            pub name: String,
            /// The builders to start: names or renderables, or a renderable that yields a list of names.
            #[serde(rename = "builderNames")]
            pub builder_names: lunabot_model::Renderable<lunabot_model::Names>,
            /// Properties of the buildset, with the source `Scheduler`; values may be renderables.
            #[serde(default)]
            pub properties: std::collections::BTreeMap<String, lunabot_model::Json>,
            /// The codebases of the buildset: names, or name → defaults (`branch`, `repository`, `revision`). Changes of
            /// other codebases are dropped.
            #[serde(default)]
            #[allow(dead_code, reason = "a Dependent takes the codebases of its upstream")]
            pub codebases: $crate::scheduler::params::Codebases,
            /// Priority of the requests; higher is served first.
            #[serde(default)]
            pub priority: $crate::scheduler::params::Priority,
            /// Its requests are cancelled when they have not started so long after they were made; absent: never.
            #[serde(default, rename = "requestTimeout")]
            pub request_timeout: Option<lunabot_model::Duration>,
            /// Its requests are skipped when their builder has had no connected worker for so long; absent: as the builder says.
            #[serde(default, rename = "ignoreOfflineWorkersTimeout")]
            pub ignore_offline_workers_timeout: Option<lunabot_model::Duration>,
            $($(#[$attr])* pub $field: $field_type,)*
        }

        impl $type {
            /// What its buildsets have in common.
            pub(super) fn common(&self) -> $crate::scheduler::buildset::Common {
                $crate::scheduler::buildset::Common {
                    name: self.name.clone(),
                    builder_names: self.builder_names.source().clone(),
                    properties: self.properties.clone(),
                    priority: self.priority.clone(),
                    patience: lunabot_data::new::Patience::of(
                        self.request_timeout,
                        self.ignore_offline_workers_timeout,
                    ),
                }
            }
        }
    };
}
pub(super) use scheduler_options;

scheduler_options!(
    /// `schedulers.SingleBranchScheduler`, `schedulers.BaseBasicScheduler` and, with `branches` in place of `branch`, `schedulers.AnyBranchScheduler`.
    BranchSchedulerParams {
        /// The branch to follow; `util.null` is the default branch.
        #[serde(default)]
        branch: BranchValues,
        /// The branches to follow (AnyBranchScheduler); default: all.
        #[serde(default)]
        branches: BranchValues,
        /// A `util.ChangeFilter`: the changes to look at.
        #[serde(default)]
        change_filter: Option<AnyObject>,
        /// How long the tree must be quiet after an important change; absent: no wait.
        #[serde(default, rename = "treeStableTimer")]
        tree_stable_timer: Option<Duration>,
        /// Whether a change is worth a build; absent: all are.
        #[serde(default, rename = "fileIsImportant")]
        file_is_important: Option<Callback>,
        /// Drop unimportant changes instead of building them along with the next important one.
        #[serde(default, rename = "onlyImportant")]
        only_important: bool,
        /// Accepted categories; the older form of a change filter.
        #[serde(default)]
        categories: Option<Names>,
        /// Reason of the buildset; may hold `%(name)s` and `%(classname)s`.
        #[serde(default)]
        reason: Option<String>,
        /// Codebases without a change get the source stamp of their last one.
        #[serde(default, rename = "createAbsoluteSourceStamps")]
        create_absolute_source_stamps: bool,
    }
);

impl BranchSchedulerParams {
    /// The filter that all its options together make.
    pub fn filter(&self) -> Result<ChangeFilter, String> {
        let filter = joined_filter(self.change_filter.as_ref(), &[&self.branch, &self.branches])?;
        Ok(match &self.categories {
            Some(lunabot_model::StringOrList(categories)) => filter.with_categories(categories.clone()),
            None => filter,
        })
    }

    /// The reason of its buildsets (03.010).
    pub fn reason_text(&self, classname: &str) -> Result<String, String> {
        reason_text(self.reason.as_deref(), &self.name, classname)
    }
}

const DEFAULT_REASON: &str = "The %(classname)s scheduler named '%(name)s' triggered this build";

/// The reason of a scheduler's buildsets, from the option if it was given.
pub(super) fn reason_text(given: Option<&str>, name: &str, classname: &str) -> Result<String, String> {
    let format = given.filter(|given| !given.is_empty()).unwrap_or(DEFAULT_REASON);
    format_names(format, &[("name", name), ("classname", classname)])
}

/// `change_filter` and the options that narrow it to branches.
pub(super) fn joined_filter(
    filter: Option<&AnyObject>,
    branches: &[&BranchValues],
) -> Result<ChangeFilter, String> {
    let filter = filter.map_or(Ok(ChangeFilter::default()), ChangeFilter::read)?;
    Ok(branches.iter().filter_map(|values| values.0.clone()).fold(filter, ChangeFilter::with_branches))
}

/// What a name and a filter must be, whatever the scheduler; `narrowed` are the options that a filter excludes (03.030).
pub(super) fn shared_problems(
    name: &str,
    filter: Option<&AnyObject>,
    narrowed: &[(&str, bool)],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if name.is_empty() {
        problems.push(Problem::new("name", "a scheduler needs a name"));
    }
    for (option, _) in narrowed.iter().filter(|(_, given)| *given && filter.is_some()) {
        let text = "cannot be combined with change_filter; put it into the filter";
        problems.push(Problem::new(*option, text));
    }
    // What is wrong inside a filter, the filter itself has said.
    if let Some(other) = filter.filter(|object| !FILTERS.contains(&object.kind.as_str())) {
        let text = format!("expected a util.ChangeFilter, not a {}", other.kind);
        problems.push(Problem::new("change_filter", text));
    }
    problems
}

/// Fills `%(key)s` from a short list of values; other keys are an error that names the possible ones.
pub(super) fn format_names(format: &str, values: &[(&str, &str)]) -> Result<String, String> {
    let mut out = String::new();
    for piece in percent::parse(format)? {
        match piece {
            percent::Piece::Text(text) => out.push_str(&text),
            percent::Piece::Field { key, spec } => {
                let key = key.unwrap_or_default();
                let Some((_, value)) = values.iter().find(|(name, _)| *name == key) else {
                    let known: Vec<_> = values.iter().map(|(name, _)| format!("%({name})s")).collect();
                    return Err(format!("%({key})s is not known here; possible are {}", known.join(", ")));
                };
                out.push_str(&percent::format_value(spec, &Json::from(*value))?);
            }
        }
    }
    Ok(out)
}

/// `priority`: a number, a function, or false for 0.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema)]
#[schemars(with = "Option<i64>")]
pub enum Priority {
    #[default]
    Zero,
    Fixed(i64),
    Function(Callback),
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(d)?;
        match &value {
            Json::Null | Json::Bool(false) => Ok(Priority::Zero),
            Json::Number(n) if n.as_i64().is_some() => Ok(Priority::Fixed(n.as_i64().unwrap_or(0))),
            other => Callback::from_json(other).map(Priority::Function).ok_or_else(|| {
                serde::de::Error::custom(format!("expected a whole number or a function, not {other}"))
            }),
        }
    }
}

/// `codebases` (03.001): name → defaults of its source stamp.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(with = "CodebasesForm")]
pub struct Codebases(pub BTreeMap<String, CodebaseDefaults>);

/// How it may be written: with what each stands for, or the names alone.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it describes what is read by hand")]
enum CodebasesForm {
    Names(Vec<String>),
    Defaults(BTreeMap<String, CodebaseDefaults>),
}

impl Default for Codebases {
    fn default() -> Self {
        Codebases(BTreeMap::from([(String::new(), CodebaseDefaults::default())]))
    }
}

/// What a source stamp of a codebase holds where no change says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CodebaseDefaults {
    pub branch: Option<String>,
    pub repository: Option<String>,
    pub revision: Option<String>,
}

impl<'de> Deserialize<'de> for Codebases {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let all = match Json::deserialize(d)? {
            Json::Null => return Ok(Codebases::default()),
            Json::Array(names) => {
                let names = names.into_iter().map(|name| match name {
                    Json::String(name) => Ok((name, CodebaseDefaults::default())),
                    other => Err(D::Error::custom(format!("expected the name of a codebase, not {other}"))),
                });
                names.collect::<Result<BTreeMap<_, _>, _>>()?
            }
            table => BTreeMap::deserialize(table).map_err(D::Error::custom)?,
        };
        if all.is_empty() {
            return Err(D::Error::custom(
                "at least one codebase is needed; leave the option out for the one without a name",
            ));
        }
        Ok(Codebases(all))
    }
}

impl Params for BranchSchedulerParams {
    fn validate(&self) -> Vec<Problem> {
        let narrowed = [
            ("branch", self.branch.0.is_some()),
            ("branches", self.branches.0.is_some()),
            ("categories", self.categories.is_some()),
        ];
        let mut problems = shared_problems(&self.name, self.change_filter.as_ref(), &narrowed);
        if let Err(error) = self.reason_text("") {
            problems.push(Problem::new("reason", error));
        }
        if self.tree_stable_timer.is_some_and(|timer| timer.secs() < 0.0) {
            problems.push(Problem::new("treeStableTimer", "must not be negative"));
        }
        problems
    }
}

fn check_single(args: &Json) -> Vec<Problem> {
    let mut problems = check_as::<BranchSchedulerParams>(args);
    if args.get("branches").is_some() {
        problems.push(Problem::new(
            "branches",
            "not an option of SingleBranchScheduler; use branch or change_filter",
        ));
    } else if args.get("branch").is_none() && args.get("change_filter").is_none() {
        problems.push(Problem::new(
            "",
            "branch is missing; give branch (util.null for the default branch) or change_filter",
        ));
    }
    problems
}

fn check_any(args: &Json) -> Vec<Problem> {
    let mut problems = check_as::<BranchSchedulerParams>(args);
    for (option, remedy) in [
        ("branch", "use branches or change_filter"),
        ("createAbsoluteSourceStamps", "only SingleBranchScheduler has it"),
    ] {
        if args.get(option).is_some() {
            problems.push(Problem::new(option, format!("not an option of AnyBranchScheduler; {remedy}")));
        }
    }
    problems
}

fn check_base(args: &Json) -> Vec<Problem> {
    let mut problems = check_as::<BranchSchedulerParams>(args);
    if args.get("createAbsoluteSourceStamps").is_some() {
        let text = "not an option of BaseBasicScheduler; extend SingleBranchScheduler, which has it";
        problems.push(Problem::new("createAbsoluteSourceStamps", text));
    }
    problems
}

pub(super) const FILE_IS_IMPORTANT: CallbackSpec = CallbackSpec {
    option: "fileIsImportant",
    args: "change",
    returns: "true or false; nil is false",
    on_error: "the change counts as important",
};

pub(super) const PRIORITY: CallbackSpec = CallbackSpec {
    option: "priority",
    args: "builderNames, changesByCodebase",
    returns: "an integer",
    on_error: "0",
};

pub(super) const CALLBACKS: &[CallbackSpec] = &[FILE_IS_IMPORTANT, PRIORITY];

pub const SINGLE_BRANCH: Kind = Kind {
    namespace: "schedulers",
    name: "SingleBranchScheduler",
    aliases: &["Scheduler"],
    category: Category::Scheduler,
    positional: &["name"],
    flat: false,
    doc: "Starts builders when changes arrive on one branch, once the tree has been quiet for treeStableTimer.",
    schema: schema_of::<BranchSchedulerParams>,
    check: check_single,
    callbacks: CALLBACKS,
    extensible: true,
};

pub const ANY_BRANCH: Kind = Kind {
    namespace: "schedulers",
    name: "AnyBranchScheduler",
    aliases: &[],
    category: Category::Scheduler,
    positional: &["name"],
    flat: false,
    doc: "Starts builders when changes arrive on any branch; each branch waits on its own.",
    schema: schema_of::<BranchSchedulerParams>,
    check: check_any,
    callbacks: CALLBACKS,
    extensible: true,
};

pub const BASE_BASIC: Kind = Kind {
    name: "BaseBasicScheduler",
    aliases: &[],
    doc: "The base of schedulers of your own: extend it with gotChange, activate and deactivate.",
    check: check_base,
    ..SINGLE_BRANCH
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn messages(kind: &Kind, args: Json) -> String {
        let problems = (kind.check)(&args);
        problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect::<Vec<_>>().join("\n")
    }

    fn filter(args: Json) -> Json {
        json!({"$kind": "util.ChangeFilter", "$id": 1, "$at": "m.lua:1", "$args": args})
    }

    #[test]
    fn options_of_the_single_branch_scheduler_03_010_03_030() {
        for (args, want) in [
            (json!({"branch": "main"}), ""),
            (json!({"branch": null, "treeStableTimer": "1m", "priority": 3}), ""),
            (json!({"change_filter": filter(json!({"branch": "x"}))}), ""),
            (json!({}), ": branch is missing"),
            (json!({"branches": ["a"]}), "branches: not an option of SingleBranchScheduler"),
            (json!({"branch": "a", "change_filter": filter(json!({}))}), "branch: cannot be combined"),
            (
                json!({"categories": ["a"], "change_filter": filter(json!({}))}),
                "categories: cannot be combined",
            ),
            (json!({"branch": "a", "reason": "%(foo)s"}), "reason: %(foo)s is not known here"),
            (json!({"branch": "a", "codebases": {}}), "codebases: at least one codebase"),
            (json!({"branch": "a", "codebases": {"x": {"revison": "1"}}}), "codebases"),
            (json!({"branch": "a", "codebases": ["x", 3]}), "codebases: expected the name"),
            (json!({"branch": "a", "priority": "high"}), "priority: expected a whole number or a function"),
            (json!({"branch": "a", "treeStableTimer": -1}), "treeStableTimer: must not be negative"),
            (json!({"branch": "a", "treeStableTimr": 3}), "did you mean treeStableTimer?"),
            (
                json!({"branch": "a", "change_filter": {"$kind": "util.Lock", "$id": 1, "$at": "", "$args": {}}}),
                "expected a util.ChangeFilter",
            ),
        ] {
            let mut all = json!({"name": "s", "builderNames": ["b"]});
            all.as_object_mut().unwrap().extend(args.as_object().unwrap().clone());
            let found = messages(&SINGLE_BRANCH, all);
            assert!(found.contains(want) && (want.is_empty() == found.is_empty()), "{args}: {found}");
        }
    }

    #[test]
    fn options_of_the_any_branch_scheduler_03_013() {
        assert_eq!(messages(&ANY_BRANCH, json!({"name": "s", "builderNames": ["b"]})), "");
        assert_eq!(messages(&ANY_BRANCH, json!({"name": "s", "builderNames": ["b"], "branches": ["a"]})), "");
        let found = messages(&ANY_BRANCH, json!({"name": "", "builderNames": ["b"], "branch": "a"}));
        assert!(
            found.contains("name: a scheduler needs a name") && found.contains("use branches"),
            "{found}"
        );
    }

    #[test]
    fn reasons_03_010() {
        let params = |reason: Option<&str>| -> BranchSchedulerParams {
            serde_json::from_value(json!({"name": "x", "builderNames": [], "reason": reason})).unwrap()
        };
        assert_eq!(
            params(None).reason_text("SingleBranchScheduler").unwrap(),
            "The SingleBranchScheduler scheduler named 'x' triggered this build"
        );
        assert_eq!(params(Some("%(name)s/%(classname)s 100%%")).reason_text("C").unwrap(), "x/C 100%");
    }
}
