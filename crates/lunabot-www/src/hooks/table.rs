//! The dialects there are, and those that a configuration lists.

use super::auth::Checker;
use super::bitbucket::{BitbucketCloud, BitbucketServer};
use super::own::{Own, OwnDialect, take_class};
use super::{Dialect, DialectOptions, base, gitea, github, gitlab, gitorious, kinds, poller, served};
use crate::auth::reaches_others;
use lunabot_model::config::{ConfigError, WwwConfig};
use lunabot_model::render::ServiceScope;
use lunabot_model::{AnyObject, Json, Kind, Problem, kind};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

type Read = fn(&Json) -> Result<Arc<dyn Dialect>, Vec<Problem>>;

/// Name and reader of each dialect.
const DIALECTS: &[(&str, Read)] = &[
    ("base", read::<base::Base>),
    ("bitbucketcloud", read::<BitbucketCloud>),
    ("bitbucketserver", read::<BitbucketServer>),
    ("gitea", read::<gitea::Gitea>),
    ("github", read::<github::GitHub>),
    ("gitlab", read::<gitlab::GitLab>),
    ("gitorious", read::<gitorious::Gitorious>),
    ("poller", read::<poller::PollerHook>),
];

/// What classes of the configuration may extend, and the dialect that each does the work of.
const HANDLERS: &[(&Kind, Read)] = &[
    (&kinds::BASE, read::<Own>),
    (&kinds::BITBUCKET_CLOUD, read::<BitbucketCloud>),
    (&kinds::BITBUCKET_SERVER, read::<BitbucketServer>),
    (&kinds::GITEA, read::<gitea::Gitea>),
    (&kinds::GITHUB, read::<github::GitHub>),
    (&kinds::GITLAB, read::<gitlab::GitLab>),
];

/// Dialects of services that are gone (02.036).
const GONE: &[(&str, &str)] = &[(
    "bitbucket",
    "Bitbucket's POST service is gone; use bitbucketcloud with a web hook of the repository",
)];

/// A dialect as the configuration lists it.
pub(super) struct Entry {
    pub dialect: Arc<dyn Dialect>,
}

impl Entry {
    /// Senders prove themselves.
    pub fn protected(&self) -> bool {
        self.dialect.guard().is_some_and(|guard| guard.secret.is_some())
    }
}

/// The hooks of one configuration.
#[derive(Default)]
pub struct Hooks {
    pub(super) dialects: BTreeMap<String, Entry>,
    pub(super) auth: Vec<Checker>,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.dialects.keys()).finish()
    }
}

impl Hooks {
    /// The hooks that are right; [`wrong`] tells of the others, and no configuration with such is gone over to.
    pub fn new(www: &WwwConfig) -> Self {
        let listed = listed(www).filter_map(|(name, options)| {
            let dialect = made(name, options).ok()?;
            Some((name.to_string(), Entry { dialect }))
        });
        Hooks { dialects: listed.collect(), auth: checkers(www).unwrap_or_default() }
    }

    pub(super) async fn missing_secrets(&self, scope: &ServiceScope) -> Vec<(String, String)> {
        let mut missing = Vec::new();
        for (name, entry) in &self.dialects {
            let path = || format!("www.change_hook_dialects.{name}");
            if let Some(guard) = entry.dialect.guard()
                && let Err(error) = guard.secret(scope).await
            {
                missing.push((path(), error));
            }
            for (option, value) in entry.dialect.secrets() {
                if let Err(error) = scope.value(value).await {
                    missing.push((path(), format!("{option}: {error}")));
                }
            }
        }
        for checker in &self.auth {
            if let Err(error) = checker.check(scope).await {
                missing.push(("www.change_hook_auth".into(), error));
            }
        }
        missing
    }
}

/// What is wrong with the hooks of a configuration.
pub fn wrong(www: &WwwConfig) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for (name, options) in listed(www) {
        let problems = made(name, options).err().unwrap_or_default();
        errors.extend(problems.into_iter().map(|p| error_at(name, &p.path, p.message)));
    }
    if let Err(problem) = checkers(www) {
        let (file, line) = (String::new(), None);
        errors.push(ConfigError {
            file,
            line,
            path: "www.change_hook_auth".into(),
            message: problem.message,
        });
    }
    errors
}

/// Files of `change_hook_auth` that cannot be read; relative ones begin at `folder`.
pub async fn missing_files(www: &WwwConfig, folder: &Path) -> Vec<String> {
    let mut missing = Vec::new();
    // What is wrong otherwise is told by [`wrong`].
    for checker in checkers(www).unwrap_or_default() {
        missing.extend(checker.check_file(folder).await.err());
    }
    missing
}

/// Dialects whose senders prove nothing though they could (02.033).
pub fn unprotected(www: &WwwConfig) -> Vec<ConfigError> {
    let hooks = Hooks::new(www);
    if !hooks.auth.is_empty() {
        return Vec::new();
    }
    let reached = reaches_others(www.port.as_ref());
    let open = hooks.dialects.iter().filter_map(|(name, entry)| {
        let why = match entry.dialect.guard() {
            Some(_) => (!entry.protected()).then_some(NO_SECRET)?,
            None => (reached && UNPROVEN.contains(&name.as_str())).then_some(NO_PROOF)?,
        };
        Some(error_at(name, "", why.into()))
    });
    open.collect()
}

const NO_SECRET: &str = "has no secret: whoever reaches the master can report changes that nobody made; \
                         set secret = util.Secret \"NAME\" here, and its value in the forge";

/// Dialects whose senders have no way to prove themselves.
const UNPROVEN: &[&str] = &["base", "gitorious", "poller"];
const NO_PROOF: &str = "its senders prove nothing: whoever reaches the master can report changes that nobody made; \
                        set www.change_hook_auth = {util.UserPasswordAuth{…}}";

/// The dialects that are not switched off.
fn listed(www: &WwwConfig) -> impl Iterator<Item = (&str, &Json)> {
    let all = www.change_hook_dialects.iter().map(|(name, options)| (name.as_str(), options));
    all.filter(|(_, options)| !options.is_null() && **options != Json::Bool(false))
}

fn made(name: &str, options: &Json) -> Result<Arc<dyn Dialect>, Vec<Problem>> {
    let (class, options) = take_class(options).map_err(|problem| vec![problem])?;
    match class {
        Some(class) => own(name, &class, &options),
        None => built_in(name, &options),
    }
}

fn whole(text: impl Into<String>) -> Vec<Problem> {
    vec![Problem::new("", text)]
}

fn built_in(name: &str, options: &Json) -> Result<Arc<dyn Dialect>, Vec<Problem>> {
    if let Some((_, why)) = GONE.iter().find(|(gone, _)| *gone == name) {
        return Err(whole(*why));
    }
    let names = || DIALECTS.iter().map(|(name, _)| *name);
    match DIALECTS.iter().find(|(known, _)| *known == name) {
        Some((_, read)) => read(options),
        None => Err(whole(match kind::nearest(name, names()) {
            Some(near) => format!("unknown dialect, did you mean {near}?"),
            None => format!(
                "unknown dialect; there are {}; one of your own needs a class: {name} = {{ class = \
                 webhooks.BaseHookHandler:extend{{…}} }}",
                names().collect::<Vec<_>>().join(", ")
            ),
        })),
    }
}

/// A dialect that a class reads; its name is part of an address. The options are those of what the class extends.
fn own(name: &str, class: &AnyObject, options: &Json) -> Result<Arc<dyn Dialect>, Vec<Problem>> {
    if name.is_empty() || name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        return Err(whole("names of dialects are made of a-z, A-Z, 0-9 and _"));
    }
    if name == served::NAME {
        return Err(whole("is where self:serve of change sources is found; take another name"));
    }
    let handler = HANDLERS.iter().find(|(kind, _)| kind.path() == class.kind);
    let (_, read) = handler.ok_or_else(|| whole(format!("{} reads no web hooks", class.kind)))?;
    OwnDialect::around(class, read(options)?).map_err(whole)
}

fn read<D: Dialect + DialectOptions + 'static>(options: &Json) -> Result<Arc<dyn Dialect>, Vec<Problem>> {
    // `true` and `{}` are no options; a list that is empty in Lua is an empty table.
    let none = Json::Object(serde_json::Map::new());
    let options = if *options == Json::Bool(true) { &none } else { options };
    if !options.is_object() || options.get("$kind").is_some() {
        return Err(vec![Problem::new("", "expected true or a table of options")]);
    }
    let dialect = kind::read::<D>(options).map_err(|problem| vec![problem])?;
    let problems = dialect.problems();
    if problems.is_empty() { Ok(Arc::new(dialect)) } else { Err(problems) }
}

fn checkers(www: &WwwConfig) -> Result<Vec<Checker>, Problem> {
    match &www.change_hook_auth {
        None => Ok(Vec::new()),
        Some(Json::Array(items)) => items.iter().map(kind::read).collect(),
        Some(Json::Object(empty)) if empty.is_empty() => Ok(Vec::new()),
        Some(one) => Ok(vec![kind::read(one)?]),
    }
}

fn error_at(name: &str, option: &str, message: String) -> ConfigError {
    let dot = if option.is_empty() { "" } else { "." };
    let path = format!("www.change_hook_dialects.{name}{dot}{option}");
    ConfigError { file: String::new(), line: None, path, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn www(dialects: Json) -> WwwConfig {
        WwwConfig { change_hook_dialects: serde_json::from_value(dialects).unwrap(), ..WwwConfig::default() }
    }

    fn handler(name: &str) -> Json {
        json!({"$kind": format!("webhooks.{name}"), "$id": 1, "$at": "master.lua:3", "$args": {}})
    }

    fn told(dialects: Json) -> Vec<String> {
        wrong(&www(dialects)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_options_are_taken_02_033_02_035_02_037_02_040() {
        let function = json!({"$fn": {"id": 1, "generation": 1, "fingerprint": "f", "at": "master.lua:1"}});
        let secret =
            json!({"$kind": "util.Secret", "$id": 1, "$at": "master.lua:2", "$args": {"secret_name": "s"}});
        let dialects = json!({
            "base": true, "bitbucket": false, "gitorious": true,
            "github": {"secret": secret, "strict": true, "codebase": function, "github_property_whitelist": ["github.*"],
                       "skips": {}, "github_api_endpoint": "https://g.example.org/api/v3", "pullrequest_ref": "head",
                       "token": secret, "debug": true, "verify": false},
            "gitlab": {"secret": "s", "codebase": "c"},
            "gitea": {"secret": "s", "onlyIncludePushCommit": true, "onlyMergeablePullRequest": false},
            "bitbucketcloud": {"bitbucket_property_whitelist": "bitbucket.*", "codebase": "c"},
            "bitbucketserver": {}, "poller": {"allowed": ["a"]},
        });
        assert_eq!(told(dialects.clone()), [""; 0]);
        assert_eq!(Hooks::new(&www(dialects)).dialects.len(), 8);
    }

    #[test]
    fn bad_options_are_told_with_their_place_02_028_02_031_02_033() {
        for (dialects, wanted) in [
            (json!({"github": {"secrt": "x"}}), "github.secrt: unknown option, did you mean secret?"),
            (
                json!({"github": {"strict": true}}),
                "github.strict: strict mode is requested, but there is no secret",
            ),
            (
                json!({"github": {"secret": ""}}),
                "github.secret: must not be empty; leave it out to do without",
            ),
            (json!({"github": {"secret": 3}}), "github.secret: "),
            (json!({"github": {"skips": ["("]}}), "github.skips: '(' is not a regular expression"),
            (json!({"github": {"pullrequest_ref": "x"}}), "github.pullrequest_ref: must be"),
            (
                json!({"github": {"github_api_endpoint": "ftp://x"}}),
                "github.github_api_endpoint: ftp://x is not the address",
            ),
            (json!({"github": {"class": {}}}), "github.class: expected a class of webhooks"),
            (json!({"base": {"custom_class": "x"}}), "base.custom_class: expected a class of webhooks"),
            (
                json!({"x": {"class": handler("BaseHookHandler"), "custom_class": 1}}),
                "x.custom_class: is the same",
            ),
            (
                json!({"x": {"class": handler("BaseHookHandler"), "secret": "s"}}),
                "x.secret: where does the sender prove that it knows it?",
            ),
            (
                json!({"x": {"class": handler("BaseHookHandler"), "token_header": "t"}}),
                "x.token_header: needs a secret",
            ),
            (
                json!({"x": {"class": handler("BaseHookHandler"), "secret": "s", "token_header": "a b"}}),
                "x.token_header: \"a b\" is not the name of a header",
            ),
            (
                json!({"x": {"class": handler("GitHubEventHandler"), "secrt": "s"}}),
                "x.secrt: unknown option, did you mean secret?",
            ),
            (json!({"a-b": {"class": handler("BaseHookHandler")}}), "a-b: names of dialects are made of"),
            (json!({"custom": {"class": handler("BaseHookHandler")}}), "custom: is where self:serve"),
            (json!({"gitlab": 3}), "gitlab: expected true or a table of options"),
            (json!({"githb": true}), "githb: unknown dialect, did you mean github?"),
            (json!({"mine": true}), "mine: unknown dialect; there are base, bitbucketcloud"),
            (json!({"bitbucket": true}), "bitbucket: Bitbucket's POST service is gone; use bitbucketcloud"),
        ] {
            let told = told(dialects.clone());
            let wanted = format!("www.change_hook_dialects.{wanted}");
            assert!(told.len() == 1 && told[0].starts_with(&wanted), "{dialects}: {told:?}");
        }
    }

    #[test]
    fn a_forge_without_a_secret_is_warned_of_02_033() {
        let open = json!({"base": true, "poller": true, "github": true, "gitea": {"secret": "s"}});
        let mut www = www(open);
        let told: Vec<String> = unprotected(&www).iter().map(ToString::to_string).collect();
        assert!(
            told.len() == 1 && told[0].starts_with("www.change_hook_dialects.github: has no secret"),
            "{told:?}"
        );
        www.change_hook_auth =
            Some(json!([{"$kind": "util.UserPasswordAuth", "$args": {"users": {"a": "b"}}}]));
        assert_eq!(unprotected(&www).len(), 0);
        www.change_hook_auth = Some(json!(["memory:x"]));
        assert!(
            wrong(&www)[0].to_string().starts_with("www.change_hook_auth: expected a util.UserPasswordAuth")
        );
    }
}
