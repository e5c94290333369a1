//! The options of `steps.Git` (06.016, 06.018).

use super::commands::Config;
use crate::source::source_params;
use lunabot_engine::step::OwnChecks;
use lunabot_model::git::{GitAuth, GitCredentialOptions};
use lunabot_model::{Json, Object, Problem, Renderable, StringOrList};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

source_params! {
/// Checks out a git repository.
pub struct GitParams {
    /// The address, as `git clone` takes it.
    pub repourl: Renderable<String>,
    /// Port of the ssh server. Default 22.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// The branch where the build names none. Default `HEAD`, the remote's own.
    #[schemars(extend("default" = "HEAD"))]
    #[serde(default)]
    pub branch: Option<Renderable<String>>,
    /// For mode `full`: `fresh` (default), `clean`, `clobber` or `copy`.
    #[serde(default)]
    pub method: Option<Renderable<String>>,
    /// A repository on the worker from which to borrow objects when cloning.
    #[serde(default)]
    pub reference: Option<Renderable<String>>,
    /// Check out submodules too.
    #[serde(default)]
    pub submodules: bool,
    /// Take submodules at the tip of their remote's branch.
    #[serde(default, rename = "remoteSubmodules")]
    pub remote_submodules: bool,
    /// Fetch all tags.
    #[serde(default)]
    pub tags: bool,
    /// Fetch only so many commits of the history (`true`: one); with mode `incremental`, or `full` and `clobber`.
    #[serde(default)]
    pub shallow: Shallow,
    /// Filters for partial clones.
    #[serde(default)]
    pub filters: Option<StringOrList>,
    /// Show progress, so that long transfers are not taken for silence. Default true.
    #[serde(default = "yes")]
    pub progress: bool,
    /// Try a failed fetch once more.
    #[serde(default, rename = "retryFetch")]
    pub retry_fetch: bool,
    /// Start over with an empty folder when a fetch or clone fails.
    #[serde(default, rename = "clobberOnFailure")]
    pub clobber_on_failure: bool,
    /// Set the property `commit-description` by `git describe`: true, or a table of its options.
    #[serde(default, rename = "getDescription")]
    pub get_description: Describe,
    /// Settings for every git command, by name.
    #[serde(default)]
    pub config: Config,
    /// Name of the remote when cloning.
    #[serde(default)]
    pub origin: Option<Renderable<String>>,
    /// A private key for ssh.
    #[serde(default, rename = "sshPrivateKey")]
    pub ssh_private_key: Option<Renderable<String>>,
    /// The server's public key; needs `sshPrivateKey`, not together with `sshKnownHosts`.
    #[serde(default, rename = "sshHostKey")]
    pub ssh_host_key: Option<Renderable<String>>,
    /// The contents of a `known_hosts` file; needs `sshPrivateKey`.
    #[serde(default, rename = "sshKnownHosts")]
    pub ssh_known_hosts: Option<Renderable<String>>,
    /// `{user, password}` for the address.
    #[serde(default)]
    pub auth_credentials: Option<Renderable<Vec<String>>>,
    /// A `util.GitCredentialOptions`.
    #[serde(default)]
    pub git_credentials: Option<Object<GitCredentialOptions>>,
}
}

pub fn ssh_port() -> u16 {
    22
}
fn yes() -> bool {
    true
}

/// How the tree is brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Incremental,
    Full(Method),
}

/// What a full checkout does with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Clean,
    Fresh,
    Clobber,
    Copy,
}

impl Mode {
    /// 06.018. The error says which values there are.
    pub fn read(mode: Option<&str>, method: Option<&str>) -> Result<Self, Problem> {
        let method = match method {
            None | Some("fresh") => Method::Fresh,
            Some("clean") => Method::Clean,
            Some("clobber") => Method::Clobber,
            Some("copy") => Method::Copy,
            Some(other) => {
                let message = format!("{other:?} is none of clean, fresh, clobber, copy");
                return Err(Problem::new("method", message));
            }
        };
        match mode {
            None | Some("incremental") => Ok(Mode::Incremental),
            Some("full") => Ok(Mode::Full(method)),
            Some(other) => Err(Problem::new("mode", format!("{other:?} is neither incremental nor full"))),
        }
    }
}

impl GitParams {
    pub fn auth(&self) -> GitAuth {
        GitAuth {
            ssh_private_key: self.ssh_private_key.clone(),
            ssh_host_key: self.ssh_host_key.clone(),
            ssh_known_hosts: self.ssh_known_hosts.clone(),
            auth_credentials: self.auth_credentials.clone(),
            git_credentials: self.git_credentials.clone(),
        }
    }

    /// Mode and method, as far as they are known without a build.
    fn check_mode(&self) -> Result<(), Problem> {
        let literal = |option: &Option<Renderable<String>>| option.as_ref().map(Renderable::literal);
        let (mode, method) = (literal(&self.mode), literal(&self.method));
        let known = |option: &Option<Option<String>>| option.clone().flatten();
        let read = Mode::read(known(&mode).as_deref(), known(&method).as_deref())?;
        let settled = mode != Some(None) && method != Some(None);
        let whole = matches!(read, Mode::Incremental | Mode::Full(Method::Clobber));
        if settled && self.shallow.0.is_some() && !whole {
            return Err(Problem::new("shallow", "in mode full needs the method clobber"));
        }
        Ok(())
    }
}

impl OwnChecks for GitParams {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.auth().validate();
        problems.extend(self.check_mode().err());
        if self.repourl.literal().is_some_and(|url| url.is_empty() || url.starts_with('-')) {
            problems.push(Problem::new("repourl", "must be the address of a repository"));
        }
        problems
    }
}

/// A depth: `true` is one commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shallow(pub Option<u32>);

impl<'de> Deserialize<'de> for Shallow {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(d)?;
        match (&value, value.as_u64().and_then(|depth| u32::try_from(depth).ok())) {
            (Json::Null | Json::Bool(false), _) | (_, Some(0)) => Ok(Shallow(None)),
            (Json::Bool(true), _) => Ok(Shallow(Some(1))),
            (_, Some(depth)) => Ok(Shallow(Some(depth))),
            (other, None) => {
                Err(D::Error::custom(format!("expected true, false or a number of commits, not {other}")))
            }
        }
    }
}

impl JsonSchema for Shallow {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Shallow".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["boolean", "integer"]})
    }
}

/// The arguments of `git describe`, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Describe(pub Option<Vec<String>>);

/// Options that are given or not.
const SWITCHES: &[&str] =
    &["all", "always", "contains", "debug", "long", "exact-match", "first-parent", "tags"];
/// Options with a pattern.
const PATTERNS: &[&str] = &["match", "exclude"];
/// Options with a number, for which zero counts.
const NUMBERS: &[&str] = &["abbrev", "candidates"];

impl<'de> Deserialize<'de> for Describe {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Json::deserialize(d)? {
            Json::Null | Json::Bool(false) => Ok(Describe(None)),
            Json::Bool(true) => Ok(Describe(Some(Vec::new()))),
            Json::Array(empty) if empty.is_empty() => Ok(Describe(Some(Vec::new()))),
            Json::Object(options) => {
                describe_args(&options).map(|args| Describe(Some(args))).map_err(D::Error::custom)
            }
            other => {
                Err(D::Error::custom(format!("expected true, false or a table of options, not {other}")))
            }
        }
    }
}

impl JsonSchema for Describe {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Describe".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["boolean", "object"]})
    }
}

fn describe_args(options: &serde_json::Map<String, Json>) -> Result<Vec<String>, String> {
    let known = || SWITCHES.iter().chain(PATTERNS).chain(NUMBERS).chain(&["dirty"]).copied();
    if let Some(unknown) = options.keys().find(|name| !known().any(|known| known == name.as_str())) {
        return Err(format!(
            "{unknown:?} is no option of describe; there are {}",
            known().collect::<Vec<_>>().join(", ")
        ));
    }
    let mut args = Vec::new();
    for name in known() {
        match (name, options.get(name)) {
            (_, None | Some(Json::Null | Json::Bool(false))) => {}
            ("dirty", Some(Json::String(mark))) if !mark.is_empty() => args.push(format!("--dirty={mark}")),
            ("dirty", Some(_)) => args.push("--dirty".into()),
            (_, Some(Json::Bool(true))) if SWITCHES.contains(&name) => args.push(format!("--{name}")),
            (_, Some(Json::String(pattern))) if PATTERNS.contains(&name) => {
                args.extend([format!("--{name}"), pattern.clone()]);
            }
            (_, Some(Json::Number(number))) if NUMBERS.contains(&name) => {
                args.push(format!("--{name}={number}"));
            }
            (_, Some(other)) => return Err(format!("{name} cannot be {other}")),
        }
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lunabot_model::kind::check_as;
    use serde_json::json;

    fn problems(args: Json) -> Vec<String> {
        let mut args = args;
        args.as_object_mut().unwrap().entry("repourl").or_insert(json!("https://h/r.git"));
        check_as::<GitParams>(&args).iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
    }

    /// 06.018: what goes together.
    #[test]
    fn modes_methods_and_depths_are_checked() {
        assert_eq!(problems(json!({"mode": "full", "method": "clobber", "shallow": true})), [""; 0]);
        assert_eq!(problems(json!({"shallow": 5})), [""; 0]);
        let message = "shallow: in mode full needs the method clobber";
        assert_eq!(problems(json!({"mode": "full", "shallow": true})), [message]);
        assert_eq!(problems(json!({"mode": "ful"})), ["mode: \"ful\" is neither incremental nor full"]);
        assert!(problems(json!({"method": "x"}))[0].starts_with("method: \"x\" is none of"));
        let later = json!({"$kind": "util.Property", "$id": 1, "$at": "m.lua:1", "$args": {"key": "m"}});
        assert_eq!(problems(json!({"mode": later, "shallow": true})), [""; 0]);
        assert_eq!(problems(json!({"repourl": ""})), ["repourl: must be the address of a repository"]);
    }

    #[test]
    fn describe_takes_gits_options() {
        let read = |value: Json| serde_json::from_value::<Describe>(value).map(|d| d.0);
        assert_eq!(read(json!(false)).unwrap(), None);
        assert_eq!(read(json!({})).unwrap(), Some(vec![]));
        let args = read(json!({"abbrev": 0, "tags": true, "match": "v*", "dirty": "-mod"})).unwrap().unwrap();
        assert_eq!(args, ["--tags", "--match", "v*", "--abbrev=0", "--dirty=-mod"]);
        assert!(read(json!({"tag": true})).unwrap_err().to_string().contains("\"tag\" is no option"));
    }
}
