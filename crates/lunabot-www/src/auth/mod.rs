//! Who asks: logins, sessions, proxies in front, and limits (10c). What they may do is [`crate::authz`]'s.

mod cookie;
mod crypt;
mod gate;
mod htpasswd;
pub mod kinds;
mod limits;
mod login;
pub mod oauth;
mod order;
mod passwords;
mod peer;
mod remote;
mod session;
mod user;

pub use gate::{Visitor, gate, limit};
pub use htpasswd::HtPasswd;
pub use limits::Clients;
pub use login::{credentials, login, logout, nothing, send, send_login, too_many, wants_page};
pub use order::OrderError;
pub use passwords::Passwords;
pub use peer::{Asker, Peer, Proxies};
pub use session::Key;
pub use user::User;

use crate::authz::{Anonymous, Authz, error_at};
use axum::http::HeaderMap;
use lunabot_model::config::{Config, ConfigError, RateLimit, WwwConfig};
use lunabot_model::render::ServiceScope;
use lunabot_model::{AnyObject, Json, Problem};
use oauth::OAuth;
use remote::RemoteUser;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A week (10.006).
const SESSION_SECONDS: f64 = 604_800.0;

/// How people log in.
#[derive(Debug, Clone, Default)]
pub enum Way {
    #[default]
    Nobody,
    Passwords(Passwords),
    Proxy(RemoteUser),
    Site(Box<OAuth>),
}

/// Who may come in and do what, as one configuration says.
#[derive(Debug, Clone)]
pub struct Access {
    way: Way,
    /// Buildbot's name of the login.
    name: &'static str,
    /// What tells sessions of one login from those of another.
    via: String,
    pub authz: Authz,
    pub proxies: Proxies,
    pub limit: RateLimit,
    /// Whether people have pictures, from Gravatar (10.032).
    pub avatars: bool,
    /// Where relative paths of the configuration begin.
    pub folder: PathBuf,
    cookies: cookie::Scope,
    session_seconds: i64,
}

impl Default for Access {
    fn default() -> Self {
        Access {
            way: Way::Nobody,
            name: "NoAuth",
            via: String::new(),
            authz: Authz::default(),
            proxies: Proxies::default(),
            limit: RateLimit::default(),
            avatars: true,
            folder: PathBuf::new(),
            cookies: cookie::Scope::default(),
            session_seconds: SESSION_SECONDS as i64,
        }
    }
}

impl Access {
    /// Reads what a configuration says. Relative paths begin at `folder`.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place.
    pub async fn load(config: &Config, folder: &Path) -> Result<Access, Vec<ConfigError>> {
        let www = &config.www;
        let mut errors = Vec::new();
        let (name, way) = way(config, folder).await.unwrap_or_else(|wrong| {
            errors.push(wrong);
            ("NoAuth", Way::Nobody)
        });
        let authz = Authz::read(www.authz.as_ref(), anonymous(www, &way)).unwrap_or_else(|mut wrong| {
            errors.append(&mut wrong);
            Authz::default()
        });
        let proxies = www.trusted_proxies.as_ref().map(|texts| Proxies::read(&texts.0)).transpose();
        let proxies = proxies.unwrap_or_else(|wrong| {
            errors.push(at("www.trusted_proxies", wrong.message));
            None
        });
        if let Some(Ok(port)) = www.port.as_ref().map(lunabot_model::Endpoint::read)
            && let Err(wrong) = crate::listen::certificate(&port, folder).await
        {
            errors.push(at("www.port", wrong.to_string()));
        }
        let files = crate::hooks::missing_files(www, folder).await;
        errors.extend(files.into_iter().map(|why| at("www.change_hook_auth", why)));
        let avatars = avatars(www).map_err(|wrong| errors.push(wrong));
        let seconds = www.cookie_expiration_time.map_or(SESSION_SECONDS, lunabot_model::Duration::secs);
        if !(1.0..=SESSION_SECONDS * 520.0).contains(&seconds) {
            errors.push(at(
                "www.cookie_expiration_time",
                "expected between a second and ten years, such as \"7d\"",
            ));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let via = match &way {
            Way::Site(site) => format!("{name} {}", site.place()),
            _ => name.to_owned(),
        };
        Ok(Access {
            way,
            name,
            via,
            authz,
            proxies: proxies.unwrap_or_default(),
            limit: www.rate_limit.clone(),
            avatars: avatars.unwrap_or(true),
            folder: folder.to_owned(),
            cookies: cookie::Scope::of(config),
            session_seconds: seconds as i64,
        })
    }

    /// What is odd, but not wrong.
    pub fn warnings(&self, config: &Config) -> Vec<ConfigError> {
        let www = &config.www;
        let mut told = Vec::new();
        let open = self.authz.anonymous == Anonymous::MayControl && !self.authz.guards_control();
        if open && www.allow_anonymous_control.is_none() && reaches_others(www.port.as_ref()) {
            told.push(at(
                "www",
                "nobody has to log in: whoever reaches the port can start and stop builds; set www.auth and www.authz \
                 (docs/security.md), or say that it is meant: www.allow_anonymous_control = true",
            ));
        }
        if matches!(&self.way, Way::Site(site) if site.public) && !self.authz.guards_control() {
            told.push(at(
                "www.auth",
                "whoever has an account there can log in, and start and stop builds; set www.authz with a rule such as \
                 util.AnyControlEndpointMatcher{role = …}",
            ));
        }
        if matches!(self.way, Way::Proxy(_)) && www.trusted_proxies.is_none() {
            told.push(at(
                "www.auth",
                "RemoteUserAuth believes the header of programs of this machine alone; if the proxy runs elsewhere, \
                 name its address in www.trusted_proxies",
            ));
        }
        told
    }

    /// Secrets of logins that nobody knows, and files that cannot be read.
    pub async fn missing(&self, scope: &ServiceScope) -> Option<(String, String)> {
        let wrong = match &self.way {
            Way::Passwords(passwords) => passwords.check(scope).await.err(),
            Way::Site(site) => site.check(scope).await.err(),
            Way::Nobody | Way::Proxy(_) => None,
        };
        wrong.map(|why| ("www.auth".to_string(), why))
    }

    /// Somebody can log in.
    pub fn has_login(&self) -> bool {
        !matches!(self.way, Way::Nobody)
    }

    /// What Buildbot's web client is told of it (10.012).
    pub fn for_client(&self) -> Json {
        match &self.way {
            Way::Site(site) => site.for_client(self.name),
            _ => json!({"name": self.name}),
        }
    }

    /// Who it is, by the proxy's header or the session.
    async fn visitor(&self, key: Option<&Key>, headers: &HeaderMap, asker: Asker, now: i64) -> Arc<User> {
        if let Way::Proxy(remote) = &self.way
            && let Ok(user) = remote.person(headers, asker)
        {
            return Arc::new(user);
        }
        let Some(key) = key else { return User::anonymous() };
        let user = cookie::values(headers, cookie::SESSION).find_map(|token| key.user(token, &self.via, now));
        let Some(user) = user else { return User::anonymous() };
        match &self.way {
            Way::Passwords(passwords) if !passwords.knows(&user).await => User::anonymous(),
            Way::Nobody => User::anonymous(),
            _ => Arc::new(user),
        }
    }
}

fn at(path: &str, message: impl Into<String>) -> ConfigError {
    ConfigError { file: String::new(), line: None, path: path.into(), message: message.into() }
}

/// Without rules: where people can log in those who have not may not act; where nobody can, everybody may.
fn anonymous(www: &WwwConfig, way: &Way) -> Anonymous {
    match (www.allow_anonymous_control, way) {
        (Some(true), _) | (None, Way::Nobody) => Anonymous::MayControl,
        (Some(false), Way::Nobody) => {
            Anonymous::MayNot("nobody may do that here: www.allow_anonymous_control is false")
        }
        _ => Anonymous::MayNot("log in to do that"),
    }
}

async fn way(config: &Config, folder: &Path) -> Result<(&'static str, Way), ConfigError> {
    let www = &config.www;
    let Some(written) = www.auth.as_ref().filter(|auth| !auth.is_null()) else {
        return Ok(("NoAuth", Way::Nobody));
    };
    let object = AnyObject::from_json(written).ok_or_else(|| {
        at("www.auth", "expected a login such as util.UserPasswordAuth{name = util.Secret \"NAME\"}")
    })?;
    let wrong = |why: String| error_at(&object, why);
    let args = &object.args;
    Ok(match object.kind.as_str() {
        "util.NoAuth" => ("NoAuth", Way::Nobody),
        "util.UserPasswordAuth" => {
            let params = read(args).map_err(wrong)?;
            ("UserPasswordAuth", Way::Passwords(Passwords::Table(params)))
        }
        "util.HTPasswdAuth" => {
            let params: kinds::HtPasswdAuthParams = read(args).map_err(wrong)?;
            let file = Arc::new(HtPasswd::new(folder.join(params.file)));
            let told = file.check().await.map_err(wrong)?;
            told.iter().for_each(|line| tracing::warn!("util.HTPasswdAuth: {line}"));
            ("HTPasswdAuth", Way::Passwords(Passwords::File(file)))
        }
        "util.CustomAuth" => {
            let params: kinds::CustomAuthParams = read(args).map_err(wrong)?;
            ("CustomAuth", Way::Passwords(Passwords::Function(params.check_credentials)))
        }
        "util.RemoteUserAuth" => {
            let params: kinds::RemoteUserAuthParams = read(args).map_err(wrong)?;
            let remote = RemoteUser::new(&params)
                .map_err(|Problem { path, message }| wrong(format!("{path}: {message}")))?;
            ("RemoteUserAuth", Way::Proxy(remote))
        }
        other => match OAuth::read(&object, &config.buildbot_url) {
            Some(read) => (site_name(other), Way::Site(Box::new(read.map_err(wrong)?))),
            None => return Err(wrong(format!("a {other} is no login"))),
        },
    })
}

/// The names of logins at other sites, as the client knows them.
fn site_name(kind: &str) -> &'static str {
    let names = ["GitHubAuth", "GitLabAuth", "GoogleAuth", "BitbucketAuth"];
    names.into_iter().find(|name| kind.strip_prefix("util.") == Some(name)).unwrap_or("OpenIDConnectAuth")
}

fn read<T: serde::de::DeserializeOwned>(args: &Json) -> Result<T, String> {
    serde_json::from_value(args.clone()).map_err(|e| e.to_string())
}

/// 10.003: pictures come from Gravatar; other sources are refused by the name of their kind.
fn avatars(www: &WwwConfig) -> Result<bool, ConfigError> {
    let all = match &www.avatar_methods {
        None | Some(Json::Null) => return Ok(true),
        Some(Json::Array(items)) => items.as_slice(),
        Some(Json::Object(empty)) if empty.is_empty() => &[],
        Some(one) => std::slice::from_ref(one),
    };
    if all.iter().all(|item| item["$kind"] == "util.AvatarGravatar") {
        return Ok(!all.is_empty());
    }
    Err(at("www.avatar_methods", "expected a list of util.AvatarGravatar{}, or {} for no pictures"))
}

/// Whether the web is to be reached from other machines.
pub(crate) fn reaches_others(port: Option<&Json>) -> bool {
    use lunabot_model::Endpoint;
    match port.map(Endpoint::read) {
        Some(Ok(Endpoint::Tcp { host, .. } | Endpoint::Ssl { host, .. })) => {
            let literal = host.trim_start_matches('[').trim_end_matches(']');
            let loopback = literal.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
            !loopback && host != "localhost"
        }
        Some(Ok(Endpoint::Systemd(_))) => true,
        _ => false,
    }
}
