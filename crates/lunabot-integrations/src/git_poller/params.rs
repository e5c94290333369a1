//! The options of `changes.GitPoller` (02.010–02.012).

use crate::git::Encoding;
use crate::poller_params::poller_params;
use lunabot_model::git::{GitAuth, GitCredentialOptions};
use lunabot_model::kind::Params;
use lunabot_model::kinds::projects::CodebaseParams;
use lunabot_model::{Callback, Json, Object, Problem, Renderable, StringOrList};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

poller_params! {
/// Watches branches or tags of a git repository.
pub struct GitPollerParams {
    /// The address, as `git fetch` takes it.
    pub repourl: String,
    /// `true` for all branches, a list of names, or a function that says whether to watch a reference
    /// (`refs/heads/main`). Default: the branch that the remote's HEAD points to.
    #[serde(default)]
    pub branches: Option<Branches>,
    /// The same as `branches = {branch}`.
    #[serde(default)]
    pub branch: Option<String>,
    /// Folder of the mirror; pollers may share one. Default `gitpoller-work`.
    #[serde(default = "default_workdir")]
    pub workdir: String,
    /// The program. Default `git`.
    #[serde(default = "default_gitbin")]
    pub gitbin: String,
    /// Changes bear the time of their commit (default), or the time when they were found.
    #[serde(default = "yes")]
    pub usetimestamps: bool,
    /// A `util.Codebase`, in which the commits and branches that it sees are recorded too.
    #[serde(default)]
    pub codebase: Option<Object<CodebaseParams>>,
    /// How to read names and messages that are not UTF-8.
    #[serde(default = "default_encoding")]
    pub encoding: String,
    /// The first poll of all reports the newest commit of each branch.
    #[serde(default)]
    pub newest_at_first_poll: bool,
    /// A new branch, or one moved to a commit that is known already, is a change too.
    #[serde(default, rename = "buildPushesWithNoCommits")]
    pub build_pushes_with_no_commits: bool,
    /// Watch tags, not branches.
    #[serde(default)]
    pub only_tags: bool,
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
    /// Withdrawn in Buildbot; an error.
    #[serde(default)]
    pub fetch_refspec: Option<Json>,
}
}

fn default_workdir() -> String {
    "gitpoller-work".into()
}
fn default_gitbin() -> String {
    "git".into()
}
fn default_encoding() -> String {
    "utf-8".into()
}
fn yes() -> bool {
    true
}
impl GitPollerParams {
    pub fn auth(&self) -> GitAuth {
        GitAuth {
            ssh_private_key: self.ssh_private_key.clone(),
            ssh_host_key: self.ssh_host_key.clone(),
            ssh_known_hosts: self.ssh_known_hosts.clone(),
            auth_credentials: self.auth_credentials.clone(),
            git_credentials: self.git_credentials.clone(),
        }
    }

    fn check_source(&self, add: &mut impl FnMut(&str, &str)) {
        if self.repourl.trim().is_empty() || self.repourl.starts_with('-') {
            add("repourl", "must be the address of a repository");
        }
        if self.branch.is_some() && self.branches.is_some() {
            add("branch", "branch and branches exclude each other");
        }
        if self.only_tags && (self.branch.is_some() || self.branches.is_some()) {
            add("only_tags", "only_tags excludes branch and branches");
        }
        if self.codebase.as_ref().is_some_and(|codebase| codebase.kind != "util.Codebase") {
            add("codebase", "expected a util.Codebase");
        }
        if self.fetch_refspec.is_some() {
            add("fetch_refspec", "exists no more: just what is watched is fetched; leave it out");
        }
        if let Err(problem) = Encoding::named(&self.encoding) {
            add("encoding", &problem);
        }
    }
}

impl Params for GitPollerParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = self.auth().validate();
        let mut add = |path: &str, message: &str| problems.push(Problem::new(path, message));
        self.check_source(&mut add);
        problems.extend(self.common().problems());
        problems
    }
}

/// Which references to watch.
#[derive(Debug, Clone, PartialEq)]
pub enum Branches {
    /// `true`.
    All,
    /// `false`: the same as not given.
    Default,
    Named(Vec<String>),
    Chosen(Callback),
}

impl<'de> Deserialize<'de> for Branches {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Json::deserialize(d)? {
            Json::Bool(true) => Ok(Branches::All),
            Json::Bool(false) => Ok(Branches::Default),
            value @ Json::Object(_) if Callback::from_json(&value).is_some() => Callback::from_json(&value)
                .map(Branches::Chosen)
                .ok_or_else(|| D::Error::custom("not a function")),
            Json::Object(empty) if empty.is_empty() => Ok(Branches::Named(Vec::new())),
            value @ (Json::Array(_) | Json::String(_)) => {
                StringOrList::deserialize(value).map(|list| Branches::Named(list.0)).map_err(D::Error::custom)
            }
            other => {
                Err(D::Error::custom(format!("expected true, a list of branches or a function, not {other}")))
            }
        }
    }
}

impl JsonSchema for Branches {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Branches".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}},
                                {"type": "object", "x-callback": true}]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lunabot_model::kind::check_as;
    use serde_json::json;

    fn problems(args: Json) -> Vec<String> {
        let mut args = args;
        args.as_object_mut().unwrap().entry("repourl").or_insert(json!("https://h/r.git"));
        check_as::<GitPollerParams>(&args).iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
    }

    /// 02.005: the bounds of times.
    #[test]
    fn row_02_005_times_are_checked() {
        assert_eq!(
            problems(json!({"pollInterval": "10m", "pollRandomDelayMin": 1, "pollRandomDelayMax": 2})),
            [""; 0]
        );
        assert_eq!(problems(json!({"pollInterval": -1})), ["pollInterval: must not be negative"]);
        let message = "pollRandomDelayMin: must not exceed pollRandomDelayMax";
        assert_eq!(problems(json!({"pollRandomDelayMin": 2})), [message]);
        let message = "pollRandomDelayMax: must be less than pollInterval";
        assert_eq!(problems(json!({"pollInterval": 5, "pollRandomDelayMax": 5})), [message]);
    }

    /// 02.010, 02.012.
    #[test]
    fn rows_02_010_02_012_combinations_and_names_are_checked() {
        assert_eq!(
            problems(json!({"branch": "a", "branches": true})),
            ["branch: branch and branches exclude each other"]
        );
        assert_eq!(problems(json!({"only_tags": true, "branches": ["a"]})).len(), 1);
        assert!(problems(json!({"codebase": "c"}))[0].starts_with("codebase: "));
        let lock =
            json!({"$kind": "util.Lock", "$id": 1, "$at": "x", "$args": {"name": "n", "project": "p"}});
        assert_eq!(problems(json!({"codebase": lock})), ["codebase: expected a util.Codebase"]);
        assert!(problems(json!({"encoding": "klingon"}))[0].starts_with("encoding: unknown encoding"));
        assert_eq!(
            problems(json!({"repourl": "--upload-pack=x"})),
            ["repourl: must be the address of a repository"]
        );
        assert_eq!(
            problems(json!({"pollinterval": 3})),
            ["pollinterval: unknown option, did you mean pollInterval?"]
        );
        assert!(problems(json!({"branches": 3}))[0].starts_with("branches: expected true, a list"));
        assert_eq!(problems(json!({"sshHostKey": "k"})), ["sshHostKey: needs sshPrivateKey"]);
    }
}
