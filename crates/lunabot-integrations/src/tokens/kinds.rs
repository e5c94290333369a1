//! What `util.jwt` and `util.GitHubAppToken` are told.

use super::signing::Algorithm;
use crate::forge_api::address;
use lunabot_model::kind::{Params, Problem, check_as, schema_of};
use lunabot_model::kinds::renderables::renderable;
use lunabot_model::{Duration, Json, Kind, Renderable, StringOrList};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Claims that have options of their own, and these.
const OWN_CLAIMS: [(&str, &str); 5] = [
    ("iss", "write issuer = …"),
    ("sub", "write subject = …"),
    ("aud", "write audience = …"),
    ("exp", "write lifetime = …"),
    ("iat", "it is when the token is made"),
];

/// `util.jwt`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtParams {
    /// The file of the key, relative to the configuration's folder: a private key in PEM form, or for `HS256` and its like
    /// any text. Read whenever a token is made. Nobody else may be able to use it.
    #[serde(default)]
    pub key_file: Option<Renderable<String>>,
    /// The key itself, in place of a file; usually a `util.Secret`.
    #[serde(default)]
    pub key: Option<Renderable<String>>,
    /// How it is signed. Default `RS256`.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// `iss`: who makes the token.
    #[serde(default)]
    pub issuer: Option<Renderable<String>>,
    /// `sub`: whom it is about.
    #[serde(default)]
    pub subject: Option<Renderable<String>>,
    /// `aud`: whom it is for; a text or a list.
    #[serde(default)]
    pub audience: Option<Renderable<StringOrList>>,
    /// How long it is good for, from when it is made. Default 540 seconds.
    #[serde(default = "nine_minutes")]
    #[schemars(extend("default" = 540))]
    pub lifetime: Duration,
    /// Further claims; values may be renderables.
    #[serde(default)]
    pub claims: BTreeMap<String, Json>,
    /// `kid` of the header: which of its keys the other side is to look at.
    #[serde(default)]
    pub key_id: Option<Renderable<String>>,
}

fn nine_minutes() -> Duration {
    Duration(540.0)
}

impl Params for JwtParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = key_problems(&self.key_file, &self.key, self.algorithm);
        if self.lifetime.secs() < 1.0 {
            problems.push(Problem::new("lifetime", "must be at least a second"));
        }
        let own = OWN_CLAIMS.iter().filter(|(claim, _)| self.claims.contains_key(*claim));
        problems.extend(own.map(|(claim, remedy)| Problem::new(format!("claims.{claim}"), *remedy)));
        problems
    }
}

/// `util.GitHubAppToken`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GitHubAppTokenParams {
    /// The number of the app, or its client id.
    pub app_id: Renderable<NumberOrText>,
    /// The number of its installation in an organisation or account.
    pub installation_id: Renderable<NumberOrText>,
    /// The file of the app's private key, relative to the configuration's folder. Read whenever a token is fetched. Nobody
    /// else may be able to use it.
    #[serde(default)]
    pub key_file: Option<Renderable<String>>,
    /// The key itself, in place of a file; usually a `util.Secret`.
    #[serde(default)]
    pub key: Option<Renderable<String>>,
    /// The interface to ask. Default `https://api.github.com`.
    #[serde(default = "api_url")]
    #[schemars(extend("default" = "https://api.github.com"))]
    pub api_url: Renderable<String>,
}

fn api_url() -> Renderable<String> {
    Json::from("https://api.github.com").into()
}

impl Params for GitHubAppTokenParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = key_problems(&self.key_file, &self.key, Algorithm::RS256);
        let url = self.api_url.literal().map(|url| address(&url));
        problems.extend(url.and_then(Result::err).map(|problem| Problem::new("api_url", problem)));
        problems
    }
}

/// A text that may be written as a number.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberOrText(pub String);

impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Json::deserialize(d)? {
            Json::Number(number) => Ok(NumberOrText(number.to_string())),
            Json::String(text) if !text.is_empty() => Ok(NumberOrText(text)),
            other => Err(D::Error::custom(format!("expected a number or a text, not {other}"))),
        }
    }
}

impl JsonSchema for NumberOrText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NumberOrText".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "integer"}, {"type": "string"}]})
    }
}

/// A key that is written out is looked at here; files and secrets are read when they are needed.
fn key_problems(
    file: &Option<Renderable<String>>,
    key: &Option<Renderable<String>>,
    algorithm: Algorithm,
) -> Vec<Problem> {
    match (file, key) {
        (None, None) => vec![Problem::new("", "has no key: give key_file, or key = util.Secret \"NAME\"")],
        (Some(_), Some(_)) => vec![Problem::new("key", "give this or key_file, not both")],
        (_, key) => {
            let key = key.as_ref().and_then(Renderable::literal);
            let problem = key.and_then(|key| algorithm.sign(&key, &[]).err());
            problem.map(|problem| Problem::new("key", problem)).into_iter().collect()
        }
    }
}

/// The value of an option that has been rendered.
pub(super) fn value<T: DeserializeOwned>(option: &Option<Renderable<T>>) -> Option<T> {
    option.as_ref()?.literal()
}

pub(super) const JWT: Kind = renderable(
    "jwt",
    &[],
    "A signed JSON Web Token (RFC 7519), made when it is needed and used again for half of its lifetime; masked like a \
     secret.",
    schema_of::<JwtParams>,
    check_as::<JwtParams>,
);

pub(super) const GITHUB_APP_TOKEN: Kind = renderable(
    "GitHubAppToken",
    &[],
    "The token of a GitHub app's installation, fetched when it is needed and anew five minutes before it expires; masked \
     like a secret.",
    schema_of::<GitHubAppTokenParams>,
    check_as::<GitHubAppTokenParams>,
);
