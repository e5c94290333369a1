//! Kinds that say who may do what (10.027, 10.028, 10.030).

use crate::auth::kinds::kind;
use lunabot_model::kind::{CallbackSpec, Kind, Params, Problem};
use lunabot_model::{AnyObject, Callback, Names, pattern};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `util.Authz` (10.027).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthzParams {
    /// The rules, `util.AnyControlEndpointMatcher{…}` and others. The first that fits counts.
    #[serde(rename = "allowRules")]
    pub rules: Vec<AnyObject>,
    /// Who has which roles, `util.RolesFromGroups{…}` and others. A person has the roles of all of them.
    #[serde(rename = "roleMatchers")]
    pub roles: Vec<AnyObject>,
    /// How roles and builders in rules are written.
    #[serde(rename = "stringsMatcher")]
    pub strings: Strings,
    /// Asked before the rules.
    pub policy: Option<Callback>,
}

impl Params for AuthzParams {}

/// How patterns of rules are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strings {
    /// As file names: `*`, `?`, `[seq]`. Also called `util.fnmatchStrMatcher`.
    #[default]
    Fnmatch,
    /// A regular expression that fits from the beginning of the text; `$` ends it. Also called `util.reStrMatcher`.
    Regex,
}

/// A pattern of a rule.
#[derive(Debug, Clone)]
pub enum Pattern {
    Fnmatch(String),
    Regex(Regex),
}

impl Strings {
    /// The error says why it is no pattern.
    pub fn pattern(self, wanted: &str) -> Result<Pattern, String> {
        Ok(match self {
            Strings::Fnmatch => Pattern::Fnmatch(wanted.to_owned()),
            Strings::Regex => Pattern::Regex(pattern::anchored(wanted)?),
        })
    }
}

impl Pattern {
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Pattern::Fnmatch(glob) => lunabot_model::glob::matches(glob, text),
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }
}

fn yes() -> bool {
    true
}

/// A rule about endpoints.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleParams {
    /// Whoever has a role that fits this pattern may; `anonymous` is everybody.
    pub role: String,
    /// Whoever has not may not; `false`: the rules that follow decide.
    #[serde(default = "yes", rename = "defaultDeny")]
    pub deny: bool,
}

impl Params for RuleParams {
    fn validate(&self) -> Vec<Problem> {
        self.role.is_empty().then(|| Problem::new("role", "is empty")).into_iter().collect()
    }
}

/// A rule about builds of some builders.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuilderRuleParams {
    /// A pattern of builders' names; absent: all.
    #[serde(default)]
    pub builder: Option<String>,
    /// Whoever has a role that fits this pattern may; `anonymous` is everybody.
    pub role: String,
    /// Whoever has not may not; `false`: the rules that follow decide.
    #[serde(default = "yes", rename = "defaultDeny")]
    pub deny: bool,
}

impl Params for BuilderRuleParams {
    fn validate(&self) -> Vec<Problem> {
        self.role.is_empty().then(|| Problem::new("role", "is empty")).into_iter().collect()
    }
}

/// A rule with a function.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointMatcherParams {
    /// Whoever has a role that fits this pattern may; `anonymous` is everybody.
    pub role: String,
    /// Whether the rule is about this endpoint and action.
    #[serde(rename = "match")]
    pub matches: Callback,
    /// Whoever has not may not; `false`: the rules that follow decide.
    #[serde(default = "yes", rename = "defaultDeny")]
    pub deny: bool,
}

impl Params for EndpointMatcherParams {}

/// `util.RolesFromGroups` (10.030).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RolesFromGroupsParams {
    /// Groups that begin with it give the rest of their name as a role.
    #[serde(rename = "groupPrefix")]
    pub prefix: String,
}

impl Params for RolesFromGroupsParams {}

/// `util.RolesFromEmails`, `util.RolesFromDomain`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct RoleTableParams {
    /// Role → who has it.
    #[serde(flatten)]
    pub roles: BTreeMap<String, Names>,
}

impl Params for RoleTableParams {}

/// `util.RolesFromUsername`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolesFromUsernameParams {
    pub roles: Names,
    pub usernames: Names,
}

impl Params for RolesFromUsernameParams {
    fn validate(&self) -> Vec<Problem> {
        let empty = [("roles", &self.roles), ("usernames", &self.usernames)]
            .into_iter()
            .filter(|(_, names)| names.0.is_empty());
        empty.map(|(option, _)| Problem::new(option, "is empty: nobody would get a role")).collect()
    }
}

/// `util.RolesFromOwner`, `util.RolesFromWorkerOwner`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleParams {
    /// The role that owners have.
    pub role: String,
}

impl Params for RoleParams {}

/// `util.Roles`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolesParams {
    /// Gives a person's roles.
    #[serde(rename = "fn")]
    pub function: Callback,
}

impl Params for RolesParams {}

const RULE: &[&str] = &["role", "defaultDeny"];

pub static AUTHZ: Kind = Kind {
    callbacks: &[CallbackSpec {
        option: "policy",
        args: "user, action, endpoint",
        returns: "true: allowed; false, or a text that says why: denied; nil: the rules decide",
        on_error: "denied",
    }],
    ..kind::<AuthzParams>(
        "Authz",
        &["allowRules", "roleMatchers", "stringsMatcher"],
        "Who may read, and who may force, stop and change what. For c.www.authz.",
    )
};

pub static ANY_ENDPOINT: Kind =
    kind::<RuleParams>("AnyEndpointMatcher", RULE, "A rule about everything, reading included.");

pub static ANY_CONTROL: Kind =
    kind::<RuleParams>("AnyControlEndpointMatcher", RULE, "A rule about everything but reading.");

pub static FORCE_BUILD: Kind =
    kind::<BuilderRuleParams>("ForceBuildEndpointMatcher", &["builder"], "A rule about forcing builds.");

pub static STOP_BUILD: Kind = kind::<BuilderRuleParams>(
    "StopBuildEndpointMatcher",
    &["builder"],
    "A rule about stopping builds and cancelling requests.",
);

pub static REBUILD_BUILD: Kind =
    kind::<BuilderRuleParams>("RebuildBuildEndpointMatcher", &["builder"], "A rule about building again.");

pub static ENABLE_SCHEDULER: Kind = kind::<RuleParams>(
    "EnableSchedulerEndpointMatcher",
    RULE,
    "A rule about switching schedulers on and off.",
);

pub static ENDPOINT: Kind = Kind {
    callbacks: &[CallbackSpec {
        option: "match",
        args: "endpoint, action, user",
        returns: "boolean",
        on_error: "denied",
    }],
    ..kind::<EndpointMatcherParams>("EndpointMatcher", &["role"], "A rule about what a function says.")
};

pub static FROM_GROUPS: Kind = kind::<RolesFromGroupsParams>(
    "RolesFromGroups",
    &["groupPrefix"],
    "Each group that a login tells of is a role.",
);

pub static FROM_EMAILS: Kind =
    kind::<RoleTableParams>("RolesFromEmails", &[], "Role = addresses of those who have it.");

pub static FROM_DOMAIN: Kind =
    kind::<RoleTableParams>("RolesFromDomain", &[], "Role = domains of the addresses of those who have it.");

pub static FROM_USERNAME: Kind = kind::<RolesFromUsernameParams>(
    "RolesFromUsername",
    &["roles", "usernames"],
    "People of these names have these roles.",
);

pub static FROM_OWNER: Kind =
    kind::<RoleParams>("RolesFromOwner", &["role"], "Whoever started a build has a role for it.");

pub static FROM_WORKER_OWNER: Kind = kind::<RoleParams>(
    "RolesFromWorkerOwner",
    &["role"],
    "Whoever a worker names as its admin has a role for that worker.",
);

pub static ROLES: Kind = Kind {
    callbacks: &[CallbackSpec {
        option: "fn",
        args: "user",
        returns: "a role, a list of roles, or nil",
        on_error: "no roles",
    }],
    ..kind::<RolesParams>("Roles", &["fn"], "A function gives a person's roles.")
};
