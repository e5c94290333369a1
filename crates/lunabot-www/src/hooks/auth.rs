//! Who may use the hooks at all: `change_hook_auth` (02.030).

use super::guard::equal;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lunabot_model::kind::{self, Params};
use lunabot_model::render::ServiceScope;
use lunabot_model::{Category, Json, Kind, Problem, Renderable};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// `util.UserPasswordAuth`, as far as hooks need it.
pub static USER_PASSWORD_AUTH: Kind = Kind {
    namespace: "util",
    name: "UserPasswordAuth",
    aliases: &[],
    category: Category::Value,
    positional: &["users"],
    flat: true,
    doc: "Names of users and their passwords, for change_hook_auth.",
    schema: kind::schema_of::<UserPasswordAuthParams>,
    check: kind::check_as::<UserPasswordAuthParams>,
    callbacks: &[],
    extensible: false,
};

/// Users and passwords.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPasswordAuthParams {
    /// User → password; a password may be a `util.Secret`.
    pub users: BTreeMap<String, Renderable<String>>,
}

impl Params for UserPasswordAuthParams {
    fn validate(&self) -> Vec<Problem> {
        let empty =
            self.users.iter().filter(|(_, password)| password.literal().is_some_and(|p| p.is_empty()));
        empty
            .map(|(user, _)| Problem::new(format!("users.{user}"), "the password must not be empty"))
            .collect()
    }
}

/// Checks names and passwords.
#[derive(Debug, Clone)]
pub struct Checker(UserPasswordAuthParams);

impl<'de> Deserialize<'de> for Checker {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let value = Json::deserialize(d)?;
        let kind = value.get("$kind").and_then(Json::as_str).unwrap_or_default();
        if kind != USER_PASSWORD_AUTH.path() {
            let text =
                "expected a util.UserPasswordAuth{user = \"password\"}; other checkers are not supported yet";
            return Err(D::Error::custom(text));
        }
        let params = value.get("$args").cloned().unwrap_or_default();
        serde_json::from_value(params).map(Checker).map_err(D::Error::custom)
    }
}

impl Checker {
    /// Whether the password is that user's. A secret that cannot be had is an error.
    async fn accepts(&self, user: &str, password: &str, scope: &ServiceScope) -> Result<bool, String> {
        let Some(wanted) = self.0.users.get(user) else { return Ok(false) };
        let wanted = scope.value(wanted).await.map_err(|error| format!("password of {user}: {error}"))?;
        Ok(!wanted.is_empty() && equal(password, &wanted))
    }

    /// Finds secrets that cannot be had.
    pub async fn check(&self, scope: &ServiceScope) -> Result<(), String> {
        for user in self.0.users.keys() {
            self.accepts(user, "", scope).await?;
        }
        Ok(())
    }
}

/// Lets a request pass if one of the checkers accepts it, or there are none.
pub async fn admit(checkers: &[Checker], header: Option<&str>, scope: &ServiceScope) -> Result<(), Response> {
    if checkers.is_empty() {
        return Ok(());
    }
    if let Some((user, password)) = header.and_then(credentials) {
        for checker in checkers {
            match checker.accepts(&user, &password, scope).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => tracing::error!("change_hook_auth: {error}"),
            }
        }
    }
    let realm = [(header::WWW_AUTHENTICATE, "Basic realm=\"Protected area\", charset=\"UTF-8\"")];
    Err((StatusCode::UNAUTHORIZED, realm, "Unauthorized").into_response())
}

/// User and password of HTTP basic authentication.
fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.into(), password.into()))
}
