//! The options of schedulers for try jobs.

use crate::scheduler::params::{Codebases, PRIORITY, scheduler_options, shared_problems};
use lunabot_model::kind::{Category, Kind, Params, Problem, check_as, schema_of};
use lunabot_model::{Endpoint, Json};

scheduler_options!(
    /// `schedulers.Try_Userpass`.
    TryUserpassParams {
        /// Where clients connect; absent: the port of `c.protocols.pb`.
        #[serde(default)]
        port: Option<Json>,
        /// Who may submit jobs: `{{"ann", "password"}, …}`, or names and passwords as a map. A password may be a renderable
        /// such as `util.Secret`.
        #[serde(default)]
        userpass: Json,
    }
);

scheduler_options!(
    /// `schedulers.Try_Jobdir`.
    TryJobdirParams {
        /// The maildir that jobs are laid into; relative to the master's folder. Made if it is missing.
        jobdir: String,
    }
);

impl TryUserpassParams {
    /// Users and what their passwords are rendered from. The error says what is wrong.
    pub fn users(&self) -> Result<Vec<(String, Json)>, String> {
        let users: Vec<(String, Json)> = match &self.userpass {
            Json::Object(all) if !all.contains_key("$kind") => {
                all.iter().map(|(user, password)| (user.clone(), password.clone())).collect()
            }
            Json::Array(pairs) => pairs.iter().map(pair).collect::<Result<_, _>>()?,
            _ => return Err("is missing: {{\"ann\", \"password\"}}, or { ann = \"password\" }".into()),
        };
        if users.is_empty() {
            return Err("names nobody who may submit jobs".into());
        }
        for (at, (user, password)) in users.iter().enumerate() {
            if user.is_empty() {
                return Err("a user's name must not be empty".into());
            }
            if users[..at].iter().any(|(other, _)| other == user) {
                return Err(format!("names the user {user} twice"));
            }
            if !password.is_object() && password.as_str().is_none_or(str::is_empty) {
                return Err(format!(
                    "the password of {user} must be a text that is not empty, or util.Secret \"NAME\""
                ));
            }
        }
        Ok(users)
    }
}

fn pair(pair: &Json) -> Result<(String, Json), String> {
    match pair.as_array().map(Vec::as_slice) {
        Some([Json::String(user), password]) => Ok((user.clone(), password.clone())),
        _ => Err("must hold pairs of a user and a password: {\"ann\", \"password\"}".into()),
    }
}

/// Jobs name no codebase: there must be exactly one that they are for.
fn codebase_problem(codebases: &Codebases) -> Option<Problem> {
    let text = "try jobs name no codebase: leave the option out, or name the one that patches are for";
    (codebases.0.len() > 1).then(|| Problem::new("codebases", text))
}

impl Params for TryUserpassParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = shared_problems(&self.name, None, &[]);
        problems.extend(codebase_problem(&self.codebases));
        problems.extend(self.users().err().map(|text| Problem::new("userpass", text)));
        problems.extend(port_problem(self.port.as_ref()));
        problems
    }
}

/// What is wrong with a port of its own.
pub(crate) fn port_problem(port: Option<&Json>) -> Option<Problem> {
    let port = port.filter(|port| !port.is_null())?;
    match Endpoint::read(port) {
        Ok(Endpoint::Unix { .. } | Endpoint::Systemd(_)) => {
            Some(Problem::new("port", "clients connect over TCP"))
        }
        Ok(Endpoint::Tcp { .. } | Endpoint::Ssl { .. }) => None,
        Err(wrong) => Some(Problem::new("port", wrong.to_string())),
    }
}

impl Params for TryJobdirParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = shared_problems(&self.name, None, &[]);
        problems.extend(codebase_problem(&self.codebases));
        if self.jobdir.is_empty() {
            problems.push(Problem::new("jobdir", "must name a folder"));
        }
        problems
    }
}

pub const TRY_USERPASS: Kind = Kind {
    namespace: "schedulers",
    name: "Try_Userpass",
    aliases: &[],
    category: Category::Scheduler,
    positional: &["name", "builderNames", "port", "userpass"],
    flat: false,
    doc: "Builds the patches that `lunabot try` or `buildbot try` send over PB.",
    schema: schema_of::<TryUserpassParams>,
    check: check_as::<TryUserpassParams>,
    callbacks: &[PRIORITY],
    extensible: false,
};

pub const TRY_JOBDIR: Kind = Kind {
    name: "Try_Jobdir",
    positional: &["name", "builderNames", "jobdir"],
    doc: "Builds the patches that `lunabot tryserver` or `buildbot tryserver` lay into a folder.",
    schema: schema_of::<TryJobdirParams>,
    check: check_as::<TryJobdirParams>,
    ..TRY_USERPASS
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_03_022_row_03_023_options_are_checked() {
        let secret = json!({"$kind": "util.Secret", "$id": 1, "$at": "", "$args": {"name": "w"}});
        for (kind, args, wanted) in [
            (&TRY_USERPASS, json!({"userpass": [["ann", "pw"], ["bob", secret]]}), ""),
            (&TRY_USERPASS, json!({"userpass": {"ann": "pw"}, "port": 8031}), ""),
            (&TRY_USERPASS, json!({"userpass": {"ann": "pw"}, "codebases": ["src"]}), ""),
            (&TRY_USERPASS, json!({}), "userpass: is missing"),
            (&TRY_USERPASS, json!({"userpass": []}), "userpass: names nobody"),
            (&TRY_USERPASS, json!({"userpass": ["ann", "pw"]}), "userpass: must hold pairs"),
            (&TRY_USERPASS, json!({"userpass": [["ann", ""]]}), "userpass: the password of ann"),
            (
                &TRY_USERPASS,
                json!({"userpass": [["a", "x"], ["a", "y"]]}),
                "userpass: names the user a twice",
            ),
            (&TRY_USERPASS, json!({"userpass": {"a": "x"}, "port": "here"}), "port: \"here\" is not a place"),
            (
                &TRY_USERPASS,
                json!({"userpass": {"a": "x"}, "port": "unix:/x"}),
                "port: clients connect over TCP",
            ),
            (
                &TRY_USERPASS,
                json!({"userpass": {"a": "x"}, "codebases": ["one", "two"]}),
                "codebases: try jobs name no codebase",
            ),
            (&TRY_JOBDIR, json!({"jobdir": "jobs"}), ""),
            (&TRY_JOBDIR, json!({}), ": jobdir is missing"),
            (&TRY_JOBDIR, json!({"jobdir": ""}), "jobdir: must name a folder"),
        ] {
            let mut all = json!({"name": "try", "builderNames": ["b"]});
            all.as_object_mut().unwrap().extend(args.as_object().unwrap().clone());
            let problems = (kind.check)(&all);
            let told = problems.first().map(|p| format!("{}: {}", p.path, p.message)).unwrap_or_default();
            assert!(told.contains(wanted) && wanted.is_empty() == told.is_empty(), "{args}: {told}");
        }
    }
}
