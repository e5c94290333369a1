//! Who may use the hooks at all: `change_hook_auth` (02.030).

use crate::auth::kinds::USER_PASSWORD_AUTH;
use crate::auth::{Passwords, credentials};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_model::Json;
use lunabot_model::render::ServiceScope;
use serde::{Deserialize, Deserializer};

/// Checks names and passwords.
#[derive(Debug, Clone)]
pub struct Checker(Passwords);

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
        serde_json::from_value(params)
            .map(|params| Checker(Passwords::Table(params)))
            .map_err(D::Error::custom)
    }
}

impl Checker {
    /// Whether the password is that user's. A secret that cannot be had is an error.
    async fn accepts(&self, user: &str, password: &str, scope: &ServiceScope) -> Result<bool, String> {
        Ok(self.0.person(user, password, scope).await?.is_some())
    }

    /// Finds secrets that cannot be had.
    pub async fn check(&self, scope: &ServiceScope) -> Result<(), String> {
        self.0.check(scope).await
    }
}

/// Lets a request pass if one of the checkers accepts it, or there are none. Who it is, where they asked.
pub async fn admit(
    checkers: &[Checker],
    header: Option<&str>,
    scope: &ServiceScope,
) -> Result<Option<String>, Response> {
    if checkers.is_empty() {
        return Ok(None);
    }
    if let Some((user, password)) = header.and_then(credentials) {
        for checker in checkers {
            match checker.accepts(&user, &password, scope).await {
                Ok(true) => return Ok(Some(user)),
                Ok(false) => {}
                Err(error) => tracing::error!("change_hook_auth: {error}"),
            }
        }
    }
    let realm = [(header::WWW_AUTHENTICATE, "Basic realm=\"Protected area\", charset=\"UTF-8\"")];
    Err((StatusCode::UNAUTHORIZED, realm, "Unauthorized").into_response())
}
