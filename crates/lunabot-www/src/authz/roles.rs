//! Which roles a person has (10.030).

use super::endpoint::Facts;
use super::kinds::{
    RoleParams, RoleTableParams, RolesFromGroupsParams, RolesFromUsernameParams, RolesParams,
};
use super::odd;
use crate::auth::User;
use lunabot_model::render::ServiceScope;
use lunabot_model::script::CallSite;
use lunabot_model::{AnyObject, Arg, Callback, Json};
use std::collections::BTreeMap;

/// Gives roles.
#[derive(Debug, Clone)]
pub enum Source {
    Groups(String),
    Emails(BTreeMap<String, Vec<String>>),
    Domains(BTreeMap<String, Vec<String>>),
    Usernames { roles: Vec<String>, usernames: Vec<String> },
    Owner(String),
    WorkerOwner(String),
    Function(Callback),
}

impl Source {
    /// Reads one of `roleMatchers`. The error says what is wrong.
    pub fn read(object: &AnyObject) -> Result<Source, String> {
        let args = &object.args;
        let table = || -> Result<BTreeMap<String, Vec<String>>, String> {
            let params: RoleTableParams = read(args)?;
            Ok(params.roles.into_iter().map(|(role, names)| (role, names.0)).collect())
        };
        Ok(match object.kind.as_str() {
            "util.RolesFromGroups" => Source::Groups(read::<RolesFromGroupsParams>(args)?.prefix),
            "util.RolesFromEmails" => Source::Emails(table()?),
            "util.RolesFromDomain" => Source::Domains(table()?),
            "util.RolesFromUsername" => {
                let params: RolesFromUsernameParams = read(args)?;
                Source::Usernames { roles: params.roles.0, usernames: params.usernames.0 }
            }
            "util.RolesFromOwner" => Source::Owner(read::<RoleParams>(args)?.role),
            "util.RolesFromWorkerOwner" => Source::WorkerOwner(read::<RoleParams>(args)?.role),
            "util.Roles" => Source::Function(read::<RolesParams>(args)?.function),
            other => return Err(format!("a {other} gives no roles")),
        })
    }

    /// Roles that a person has everywhere.
    pub async fn general(&self, user: &User, scope: Option<&ServiceScope>) -> Vec<String> {
        let email = user.text("email").unwrap_or_default();
        match self {
            Source::Function(function) => match scope {
                Some(scope) => ask(function, user, scope).await,
                None => Vec::new(),
            },
            _ if user.is_anonymous() => Vec::new(),
            Source::Groups(prefix) => {
                let groups = user.groups().into_iter();
                groups.filter_map(|group| group.strip_prefix(prefix.as_str()).map(str::to_owned)).collect()
            }
            Source::Emails(roles) => {
                having(roles, |known| !email.is_empty() && known.eq_ignore_ascii_case(email))
            }
            Source::Domains(roles) => {
                let domain = email.rsplit_once('@').map(|(_, domain)| domain);
                having(roles, |known| domain.is_some_and(|domain| known.eq_ignore_ascii_case(domain)))
            }
            Source::Usernames { roles, usernames } => {
                let username = user.text("username").unwrap_or_default();
                if usernames.iter().any(|known| known == username) { roles.clone() } else { Vec::new() }
            }
            Source::Owner(_) | Source::WorkerOwner(_) => Vec::new(),
        }
    }

    /// The role that a person has for one thing.
    pub fn for_thing(&self, user: &User, facts: &Facts) -> Option<&str> {
        let role = match self {
            Source::Owner(role) => (facts.owner.as_deref() == Some(user.name())).then_some(role),
            Source::WorkerOwner(role) => {
                let admin = facts.admin.as_deref().unwrap_or_default();
                addresses(admin).any(|address| address.eq_ignore_ascii_case(user.name())).then_some(role)
            }
            _ => None,
        };
        role.filter(|_| !user.is_anonymous()).map(String::as_str)
    }
}

fn read<T: serde::de::DeserializeOwned>(args: &Json) -> Result<T, String> {
    serde_json::from_value(args.clone()).map_err(|e| e.to_string())
}

fn having(roles: &BTreeMap<String, Vec<String>>, is: impl Fn(&str) -> bool) -> Vec<String> {
    let fitting = roles.iter().filter(|(_, members)| members.iter().any(|member| is(member)));
    fitting.map(|(role, _)| role.clone()).collect()
}

/// `Joe <joe@example.org>, Ann <ann@example.org>`: what is in brackets, or words that are addresses.
fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', ';', '<', '>', '(', ')', '\n', '\r', '\t']).filter(|word| word.contains('@'))
}

async fn ask(function: &Callback, user: &User, scope: &ServiceScope) -> Vec<String> {
    let site = CallSite::new("fn", "util.Roles");
    match scope.script.call(function, site.clone(), vec![Arg::Value(user.to_json())]).await {
        Ok(Json::Null) => Vec::new(),
        Ok(Json::String(role)) => vec![role],
        Ok(Json::Array(items)) if items.iter().all(Json::is_string) => {
            items.iter().filter_map(Json::as_str).map(str::to_owned).collect()
        }
        // A list that is empty in Lua.
        Ok(Json::Object(empty)) if empty.is_empty() => Vec::new(),
        Ok(other) => {
            odd(scope, function, site, "it", &other, "a role, a list of roles, or nil");
            Vec::new()
        }
        // The script host has told of it.
        Err(_) => Vec::new(),
    }
}
