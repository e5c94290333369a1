//! Logins with a name and a password (10.021, 10.022).

use super::htpasswd::HtPasswd;
use super::kinds::UserPasswordAuthParams;
use super::user::User;
use lunabot_model::render::ServiceScope;
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Callback, Json};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Longest name or password that is looked at, in bytes.
const MAX_TEXT: usize = 1024;

/// Who knows the passwords.
#[derive(Debug, Clone)]
pub enum Passwords {
    Table(UserPasswordAuthParams),
    File(Arc<HtPasswd>),
    Function(Callback),
}

impl Passwords {
    /// The person whose name and password these are. An error is ours: a secret or a file that cannot be had.
    pub async fn person(
        &self,
        user: &str,
        password: &str,
        scope: &ServiceScope,
    ) -> Result<Option<User>, String> {
        if user.is_empty() || user.len() > MAX_TEXT || password.len() > MAX_TEXT {
            return Ok(None);
        }
        let accepted = match self {
            Passwords::Table(params) => accepts(params, user, password, scope).await?,
            Passwords::File(file) => file.accepts(user, password).await?,
            Passwords::Function(function) => return ask(function, user, password, scope).await,
        };
        Ok(accepted.then(|| User::named(user)))
    }

    /// Whether somebody who has logged in before is still to be let in.
    pub async fn knows(&self, user: &User) -> bool {
        let name = user.text("username").unwrap_or_default();
        match self {
            Passwords::Table(params) => params.users.contains_key(name),
            Passwords::File(file) => file.knows(name).await,
            Passwords::Function(_) => true,
        }
    }

    /// What keeps people from logging in.
    pub async fn check(&self, scope: &ServiceScope) -> Result<(), String> {
        match self {
            Passwords::Table(params) => {
                for user in params.users.keys() {
                    accepts(params, user, "", scope).await?;
                }
                Ok(())
            }
            Passwords::File(file) => file.check().await.map(drop),
            Passwords::Function(_) => Ok(()),
        }
    }
}

async fn accepts(
    params: &UserPasswordAuthParams,
    user: &str,
    password: &str,
    scope: &ServiceScope,
) -> Result<bool, String> {
    let Some(wanted) = params.users.get(user) else { return Ok(false) };
    let wanted = scope.value(wanted).await.map_err(|error| format!("password of {user}: {error}"))?;
    let same: bool = password.as_bytes().ct_eq(wanted.as_bytes()).into();
    Ok(!wanted.is_empty() && same)
}

/// `check_credentials(username, password)`; when it fails nobody gets in.
async fn ask(
    function: &Callback,
    user: &str,
    password: &str,
    scope: &ServiceScope,
) -> Result<Option<User>, String> {
    let site = CallSite::new("check_credentials", "util.CustomAuth");
    let args = vec![Arg::Value(user.into()), Arg::Value(password.into())];
    match scope.script.call(function, site.clone(), args).await {
        Ok(Json::Bool(true)) => Ok(Some(User::named(user))),
        Ok(Json::Bool(false) | Json::Null) => Ok(None),
        Ok(Json::Object(mut info)) => {
            info.entry("username").or_insert_with(|| user.into());
            info.entry("email").or_insert_with(|| user.into());
            Ok(Some(User::from_info(info)))
        }
        // Not shown: it may be the password.
        Ok(_) => {
            scope.script.nonsense(
                function,
                site,
                "check_credentials returned neither true, false, nil nor a table",
            );
            Ok(None)
        }
        Err(error) => Err(error.to_string()),
    }
}
