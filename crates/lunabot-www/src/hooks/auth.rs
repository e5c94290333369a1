//! Who may use the hooks at all: `change_hook_auth` (02.030).

use crate::auth::kinds::{
    CUSTOM_AUTH, CustomAuthParams, HTPASSWD_AUTH, HtPasswdAuthParams, USER_PASSWORD_AUTH,
};
use crate::auth::{Asker, HtPasswd, Passwords, credentials, too_many};
use crate::router::App;
use crate::site::Site;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_model::Json;
use lunabot_model::render::ServiceScope;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use std::path::Path;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokio::io::AsyncReadExt as _;

/// Longest file of plain passwords that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Checks names and passwords. Files are relative to the configuration's folder, and read anew each time.
#[derive(Debug, Clone)]
pub enum Checker {
    Known(Passwords),
    /// Of Apache's `htpasswd`.
    Hashed(String),
    /// Lines `user:password`, as Buildbot's `"file:PATH"` wants them.
    Plain(String),
}

impl<'de> Deserialize<'de> for Checker {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(d)?;
        if let Some(file) =
            value.as_str().and_then(|text| text.strip_prefix("file:")).filter(|file| !file.is_empty())
        {
            return Ok(Checker::Plain(file.into()));
        }
        let kind = value.get("$kind").and_then(Json::as_str).unwrap_or_default();
        let args = value.get("$args").cloned().unwrap_or_default();
        if kind == USER_PASSWORD_AUTH.path() {
            return params(args).map(|params| Checker::Known(Passwords::Table(params)));
        }
        if kind == HTPASSWD_AUTH.path() {
            return params(args).map(|params: HtPasswdAuthParams| Checker::Hashed(params.file));
        }
        if kind == CUSTOM_AUTH.path() {
            let known =
                |params: CustomAuthParams| Checker::Known(Passwords::Function(params.check_credentials));
            return params(args).map(known);
        }
        Err(D::Error::custom(
            "expected a util.UserPasswordAuth{user = \"password\"}, util.HTPasswdAuth, util.CustomAuth, or \"file:PATH\" for a \
             file of lines user:password; other checkers are not supported yet",
        ))
    }
}

fn params<T: DeserializeOwned, E: Error>(args: Json) -> Result<T, E> {
    serde_json::from_value(args).map_err(E::custom)
}

impl Checker {
    /// Whether the password is that user's. A secret or a file that cannot be had is an error.
    async fn accepts(
        &self,
        user: &str,
        password: &str,
        folder: &Path,
        scope: &ServiceScope,
    ) -> Result<bool, String> {
        match self {
            Checker::Known(passwords) => Ok(passwords.person(user, password, scope).await?.is_some()),
            Checker::Hashed(file) => {
                let passwords = Passwords::File(Arc::new(HtPasswd::new(folder.join(file))));
                Ok(passwords.person(user, password, scope).await?.is_some())
            }
            Checker::Plain(file) => {
                let text = plain(&folder.join(file)).await?;
                let known =
                    text.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| *name == user);
                Ok(known.is_some_and(|(_, known)| {
                    let same: bool = password.as_bytes().ct_eq(known.as_bytes()).into();
                    same && !known.is_empty()
                }))
            }
        }
    }

    /// Finds secrets that cannot be had.
    pub async fn check(&self, scope: &ServiceScope) -> Result<(), String> {
        match self {
            Checker::Known(passwords) => passwords.check(scope).await,
            Checker::Hashed(_) | Checker::Plain(_) => Ok(()),
        }
    }

    /// Finds files that cannot be read.
    pub async fn check_file(&self, folder: &Path) -> Result<(), String> {
        match self {
            Checker::Known(_) => Ok(()),
            Checker::Hashed(file) => HtPasswd::new(folder.join(file)).check().await.map(drop),
            Checker::Plain(file) => plain(&folder.join(file)).await.map(drop),
        }
    }
}

async fn plain(path: &Path) -> Result<String, String> {
    let wrong = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await.map_err(wrong)?;
    file.take(MAX_FILE).read_to_string(&mut text).await.map_err(wrong)?;
    Ok(text)
}

/// Lets a request pass if one of the checkers accepts it, or there are none; who it is, where they asked. Whoever guesses has to wait.
pub async fn admit(
    app: &App,
    site: &Site,
    asker: Asker,
    header: Option<&str>,
    scope: &ServiceScope,
) -> Result<Option<String>, Response> {
    let (checkers, access) = (&site.hooks.auth, &site.access);
    if checkers.is_empty() {
        return Ok(None);
    }
    if let Some((user, password)) = header.and_then(credentials) {
        app.clients.login(asker, &access.limit, &*app.www.clock).map_err(|wait| too_many(&wait))?;
        for checker in checkers {
            match checker.accepts(&user, &password, &access.folder, scope).await {
                Ok(true) => {
                    app.clients.logged_in(asker);
                    return Ok(Some(user));
                }
                Ok(false) => {}
                Err(error) => tracing::error!("change_hook_auth: {error}"),
            }
        }
    }
    let realm = [(header::WWW_AUTHENTICATE, "Basic realm=\"Protected area\", charset=\"UTF-8\"")];
    Err((StatusCode::UNAUTHORIZED, realm, "Unauthorized").into_response())
}
