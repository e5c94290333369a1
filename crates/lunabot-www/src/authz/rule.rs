//! One of `allowRules` (10.028).

use super::endpoint::{Asked, Facts};
use super::kinds::{BuilderRuleParams, EndpointMatcherParams, Pattern, RuleParams, Strings};
use super::odd;
use super::{EVERYBODY, GET, Judge};
use lunabot_model::script::CallSite;
use lunabot_model::{AnyObject, Arg, Callback, Json};
use serde::de::DeserializeOwned;

/// What a rule is about.
#[derive(Debug, Clone)]
enum About {
    Everything,
    Control,
    Force(Option<Pattern>),
    Stop(Option<Pattern>),
    Rebuild(Option<Pattern>),
    EnableScheduler,
    Function(Callback),
}

/// A rule: what it is about, and which role it takes.
#[derive(Debug, Clone)]
pub struct Rule {
    about: About,
    role: Pattern,
    /// The role as it is written.
    pub role_text: String,
    /// Those without the role may not; else the next rule decides.
    pub deny: bool,
    pub kind: String,
    pub at: String,
}

impl Rule {
    /// Reads one of `allowRules`. The error says what is wrong.
    pub fn read(object: &AnyObject, strings: Strings) -> Result<Rule, String> {
        let name = object.kind.strip_prefix("util.").unwrap_or_default();
        let (about, role, deny) = match name {
            "AnyEndpointMatcher" => plain(object, About::Everything)?,
            "AnyControlEndpointMatcher" => plain(object, About::Control)?,
            "EnableSchedulerEndpointMatcher" => plain(object, About::EnableScheduler)?,
            "ForceBuildEndpointMatcher" => of_builder(object, About::Force, strings)?,
            "StopBuildEndpointMatcher" => of_builder(object, About::Stop, strings)?,
            "RebuildBuildEndpointMatcher" => of_builder(object, About::Rebuild, strings)?,
            "EndpointMatcher" => {
                let params: EndpointMatcherParams = read(object)?;
                (About::Function(params.matches), params.role, params.deny)
            }
            _ => return Err(format!("a {} is no rule", object.kind)),
        };
        let pattern = strings.pattern(&role).map_err(|why| format!("role: {why}"))?;
        Ok(Rule { about, role: pattern, role_text: role, deny, kind: name.into(), at: object.at.clone() })
    }

    pub fn may_refuse_reading(&self) -> bool {
        self.deny && matches!(self.about, About::Everything | About::Function(_)) && !self.is_for_everybody()
    }

    fn is_for_everybody(&self) -> bool {
        self.role_text == EVERYBODY
    }

    /// Whether somebody with these roles may do what the rule is about.
    pub fn lets_in(&self, roles: &[String]) -> bool {
        self.is_for_everybody() || roles.iter().any(|role| self.role.fits(role))
    }

    pub fn guards_all_control(&self) -> bool {
        self.deny && matches!(self.about, About::Everything | About::Control) && !self.is_for_everybody()
    }

    /// Whether the path does not say enough to judge this action.
    pub fn needs_facts(&self, action: &str) -> bool {
        let of_builder =
            matches!(self.about, About::Force(Some(_)) | About::Stop(Some(_)) | About::Rebuild(Some(_)));
        of_builder && !action.eq_ignore_ascii_case(GET) || matches!(self.about, About::Function(_))
    }

    /// Whether it decides about this. `None`: its function failed.
    pub async fn is_about(
        &self,
        judge: Judge<'_>,
        asked: &Asked<'_>,
        facts: &Facts,
        builder: Option<&str>,
    ) -> Option<bool> {
        let action = asked.action;
        let of = |pattern: &Option<Pattern>| {
            pattern.as_ref().is_none_or(|pattern| builder.is_some_and(|builder| pattern.fits(builder)))
        };
        Some(match &self.about {
            About::Everything => true,
            About::Control => !action.eq_ignore_ascii_case(GET),
            About::Force(pattern) => facts.kind == "forceschedulers" && action == "force" && of(pattern),
            // 10.029: cancelling a request is stopping it.
            About::Stop(pattern) => match facts.kind.as_str() {
                "builds" => action == "stop" && of(pattern),
                "buildrequests" => matches!(action, "stop" | "cancel") && of(pattern),
                _ => false,
            },
            About::Rebuild(pattern) => facts.kind == "builds" && action == "rebuild" && of(pattern),
            About::EnableScheduler => facts.kind == "schedulers" && action == "enable",
            About::Function(function) => return self.ask(function, judge, asked, facts).await,
        })
    }

    async fn ask(
        &self,
        function: &Callback,
        judge: Judge<'_>,
        asked: &Asked<'_>,
        facts: &Facts,
    ) -> Option<bool> {
        let scope = judge.scope?;
        let site = CallSite::new("match", format!("util.EndpointMatcher at {}", self.at));
        let args = [facts.to_json(asked), asked.action.into(), judge.user.to_json()].map(Arg::Value);
        match scope.script.call(function, site.clone(), args.into()).await {
            Ok(Json::Bool(about)) => Some(about),
            Ok(Json::Null) => Some(false),
            Ok(other) => {
                odd(scope, function, site, "match", &other, "true or false");
                None
            }
            Err(_) => None,
        }
    }
}

fn read<T: DeserializeOwned>(object: &AnyObject) -> Result<T, String> {
    serde_json::from_value(object.args.clone()).map_err(|e| e.to_string())
}

fn plain(object: &AnyObject, about: About) -> Result<(About, String, bool), String> {
    let params: RuleParams = read(object)?;
    Ok((about, params.role, params.deny))
}

fn of_builder(
    object: &AnyObject,
    about: fn(Option<Pattern>) -> About,
    strings: Strings,
) -> Result<(About, String, bool), String> {
    let params: BuilderRuleParams = read(object)?;
    let pattern = params.builder.as_deref().map(|pattern| strings.pattern(pattern)).transpose();
    let pattern = pattern.map_err(|why| format!("builder: {why}"))?;
    Ok((about(pattern), params.role, params.deny))
}
