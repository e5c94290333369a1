//! Who may do what: the rules of `c.www.authz` (10.027–10.030), in their order, and what holds where none fits.

mod endpoint;
mod explain;
pub mod kinds;
mod roles;
mod rule;

pub use endpoint::{Asked, Facts, encoded};
pub use explain::{Question, explain};

use crate::auth::User;
use kinds::AuthzParams;
use lunabot_data::Data;
use lunabot_model::config::ConfigError;
use lunabot_model::render::ServiceScope;
use lunabot_model::script::CallSite;
use lunabot_model::{AnyObject, Arg, Callback, Json};
use roles::Source;
use rule::Rule;

/// The action that reading is.
pub const GET: &str = "get";
/// The role that everybody has, also who is not logged in.
pub const EVERYBODY: &str = "anonymous";

/// What becomes of those who are not logged in where no rule fits an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    MayControl,
    /// The reason is for people.
    MayNot(&'static str),
}

/// The rules of one configuration.
#[derive(Debug, Clone)]
pub struct Authz {
    policy: Option<Callback>,
    rules: Vec<Rule>,
    sources: Vec<Source>,
    pub anonymous: Anonymous,
}

impl Default for Authz {
    fn default() -> Self {
        Authz { policy: None, rules: Vec::new(), sources: Vec::new(), anonymous: Anonymous::MayControl }
    }
}

/// Who asks, and what helps to judge it.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    pub user: &'a User,
    pub data: Option<&'a Data>,
    pub scope: Option<&'a ServiceScope>,
}

/// Whether something is allowed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    /// In words, for those who are refused and for `authz explain`.
    pub why: String,
    /// What was looked at, in order.
    pub trail: Vec<String>,
}

impl Authz {
    /// Reads `c.www.authz`; absent: no rules.
    pub fn read(written: Option<&Json>, anonymous: Anonymous) -> Result<Authz, Vec<ConfigError>> {
        let none = Authz { anonymous, ..Authz::default() };
        let object = match written {
            None | Some(Json::Null) => return Ok(none),
            // `{}`, as Buildbot's documentation has it where it says nothing.
            Some(Json::Object(empty)) if empty.is_empty() => return Ok(none),
            Some(value) => AnyObject::from_json(value).filter(|object| object.kind == kinds::AUTHZ.path()),
        };
        let Some(object) = object else {
            let message = "expected a util.Authz{allowRules = {…}, roleMatchers = {…}}".into();
            return Err(vec![ConfigError {
                file: String::new(),
                line: None,
                path: "www.authz".into(),
                message,
            }]);
        };
        let params: AuthzParams = match object.typed() {
            Ok(object) => object.args,
            Err(e) => return Err(vec![error_at(&object, e.to_string())]),
        };
        let mut errors = Vec::new();
        let mut rules = Vec::new();
        for object in &params.rules {
            match Rule::read(object, params.strings) {
                Ok(rule) => rules.push(rule),
                Err(why) => errors.push(error_at(object, why)),
            }
        }
        let mut sources = Vec::new();
        for object in &params.roles {
            match Source::read(object) {
                Ok(source) => sources.push(source),
                Err(why) => errors.push(error_at(object, why)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Authz { policy: params.policy, rules, sources, anonymous })
    }

    /// Whether reading anything can be refused at all: where not, nobody is asked.
    pub fn restricts_reading(&self) -> bool {
        self.policy.is_some() || self.rules.iter().any(Rule::may_refuse_reading)
    }

    /// Whether a rule stands in the way of every action of those without a role.
    pub fn guards_control(&self) -> bool {
        self.policy.is_some() || self.rules.iter().any(Rule::guards_all_control)
    }

    /// Judges one question. Forcing several builders is allowed where forcing each of them is, reading a path where reading
    /// of everything on it is.
    pub async fn judge(&self, judge: Judge<'_>, asked: &Asked<'_>) -> Verdict {
        if self.policy.is_none() && self.rules.is_empty() {
            return self.without_rule(judge.user, asked, Vec::new());
        }
        let path = endpoint::canonical(asked.path);
        let asked = &Asked { path: &path, ..*asked };
        let mut facts = match judge.data {
            Some(data) if self.needs_facts(asked.action) => Facts::read(asked, data).await,
            _ => Facts::of_path(asked),
        };
        let mut roles: Vec<String> = Vec::new();
        for source in &self.sources {
            roles.extend(source.general(judge.user, judge.scope).await);
            roles.extend(source.for_thing(judge.user, &facts).map(str::to_owned));
        }
        roles.sort();
        roles.dedup();
        let reading = asked.action.eq_ignore_ascii_case(GET);
        let mut last = None;
        for kind in if reading { facts.kinds.clone() } else { vec![facts.kind.clone()] } {
            facts.kind = kind;
            let verdict = self.judge_kind(judge, asked, &facts, &roles).await;
            if !verdict.allowed {
                return verdict;
            }
            last = Some(verdict);
        }
        last.unwrap_or_else(|| self.without_rule(judge.user, asked, Vec::new()))
    }

    async fn judge_kind(
        &self,
        judge: Judge<'_>,
        asked: &Asked<'_>,
        facts: &Facts,
        roles: &[String],
    ) -> Verdict {
        if let Some(verdict) = self.ask_policy(judge, asked, facts, roles).await {
            return verdict;
        }
        let subjects: Vec<Option<&str>> = match facts.builders.as_slice() {
            [] => vec![None],
            builders => builders.iter().map(|builder| Some(builder.as_str())).collect(),
        };
        let mut last = None;
        for builder in subjects {
            let verdict = self.by_rules(judge, asked, facts, builder, roles).await;
            if !verdict.allowed {
                return verdict;
            }
            last = Some(verdict);
        }
        last.unwrap_or_else(|| self.without_rule(judge.user, asked, Vec::new()))
    }

    /// Whether more than the path has to be known.
    fn needs_facts(&self, action: &str) -> bool {
        let by_thing = |source: &Source| matches!(source, Source::Owner(_) | Source::WorkerOwner(_));
        self.policy.is_some()
            || self.rules.iter().any(|rule| rule.needs_facts(action))
            || self.sources.iter().any(by_thing)
    }

    async fn by_rules(
        &self,
        judge: Judge<'_>,
        asked: &Asked<'_>,
        facts: &Facts,
        builder: Option<&str>,
        roles: &[String],
    ) -> Verdict {
        let mut trail = vec![match roles {
            [] => format!("{} has no roles", judge.user.name()),
            roles => format!("{} has the roles {}", judge.user.name(), roles.join(", ")),
        }];
        if let Some(builder) = builder {
            trail.push(format!("it is about builder {builder}"));
        }
        for (number, rule) in (1..).zip(&self.rules) {
            let shown = format!("rule {number}, {} at {}", rule.kind, rule.at);
            match rule.is_about(judge, asked, facts, builder).await {
                Some(true) => {}
                Some(false) => {
                    trail.push(format!("{shown}: not about this"));
                    continue;
                }
                None => {
                    trail.push(format!("{shown}: its function failed"));
                    let why = "a rule of this master failed; its log says more".into();
                    return Verdict { allowed: false, why, trail };
                }
            }
            let role = &rule.role_text;
            if rule.lets_in(roles) {
                trail.push(format!("{shown}: has role '{role}'"));
                return Verdict { allowed: true, why: format!("{shown} allows it"), trail };
            }
            if rule.deny {
                trail.push(format!("{shown}: needs role '{role}'"));
                // 09.052
                return Verdict { allowed: false, why: format!("you need to have role '{role}'"), trail };
            }
            trail.push(format!("{shown}: has not role '{role}', and defaultDeny = false: the next rule"));
        }
        self.without_rule(judge.user, asked, trail)
    }

    fn without_rule(&self, user: &User, asked: &Asked<'_>, trail: Vec<String>) -> Verdict {
        let control = !asked.action.eq_ignore_ascii_case(GET);
        match self.anonymous {
            Anonymous::MayNot(why) if control && user.is_anonymous() => {
                Verdict { allowed: false, why: why.into(), trail }
            }
            _ => Verdict { allowed: true, why: "no rule is about it".into(), trail },
        }
    }

    /// `policy(user, action, endpoint)`; `None`: the rules decide.
    async fn ask_policy(
        &self,
        judge: Judge<'_>,
        asked: &Asked<'_>,
        facts: &Facts,
        roles: &[String],
    ) -> Option<Verdict> {
        let policy = self.policy.as_ref()?;
        let denied = |why: &str| Verdict { allowed: false, why: why.into(), trail: Vec::new() };
        let Some(scope) = judge.scope else { return Some(denied("the policy cannot be asked here")) };
        let mut user = judge.user.to_json();
        user["roles"] = roles.into();
        user["name"] = judge.user.name().into();
        let args = [user, asked.action.into(), facts.to_json(asked)].map(Arg::Value);
        let site = CallSite::new("policy", "util.Authz");
        let answer = scope.script.call(policy, site.clone(), args.into()).await;
        let at = &policy.at;
        Some(match answer {
            Ok(Json::Null) => return None,
            Ok(Json::Bool(true)) => {
                Verdict { allowed: true, why: format!("the policy at {at} allows it"), trail: Vec::new() }
            }
            Ok(Json::Bool(false)) => denied("the policy of this master does not allow it"),
            Ok(Json::String(why)) => denied(&why),
            Ok(other) => {
                odd(scope, policy, site, "policy", &other, "true, false, a text or nil");
                denied("the policy of this master failed; its log says more")
            }
            Err(_) => denied("the policy of this master failed; its log says more"),
        })
    }
}

/// Records that `what` returned something else than is `wanted`.
fn odd(scope: &ServiceScope, function: &Callback, site: CallSite, what: &str, got: &Json, wanted: &str) {
    let message = format!("{what} returned {}; wanted {wanted}", scope.script.shown(got));
    scope.script.nonsense(function, site, &message);
}

/// A mistake in an object, at its place.
pub(crate) fn error_at(object: &AnyObject, message: String) -> ConfigError {
    let (file, line) = object.at.rsplit_once(':').unwrap_or((&object.at, ""));
    ConfigError { file: file.into(), line: line.parse().ok(), path: object.kind.clone(), message }
}
