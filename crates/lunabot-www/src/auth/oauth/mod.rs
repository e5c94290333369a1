//! Logins at another site by OAuth 2 (10.024): to the site with a code challenge, back with a code.
//!
//! What a login has to remember is in a signed cookie of the browser that began it, so that no other browser can end it.

mod idtoken;
pub mod kinds;
mod sites;
mod web;

use super::session::Key;
use super::{User, cookie};
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kinds::{GitHubAuthParams, GitLabAuthParams, OpenIdConnectAuthParams, SiteAuthParams};
use lunabot_model::render::ServiceScope;
use lunabot_model::{AnyObject, Json, Renderable};
use lunabot_net::reqwest::Url;
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest, Sha256};
use sites::{Back, Site};
use subtle::ConstantTimeEq;

/// The cookie of a login that is under way.
const LOGIN: &str = "LUNABOT_LOGIN";
/// How long a person may take at the other site, in seconds.
const LOGIN_SECONDS: i64 = 900;

/// A login at another site.
#[derive(Debug, Clone)]
pub struct OAuth {
    site: Site,
    client_id: Renderable<String>,
    client_secret: Option<Renderable<String>>,
    verify: bool,
    autologin: bool,
    icon: &'static str,
    /// Anybody can have an account there.
    pub public: bool,
    /// `buildbotURL` + `auth/login`: what the site has to be told.
    redirect: String,
}

/// What is done next.
pub struct Step {
    pub to: HeaderValue,
    pub cookie: HeaderValue,
}

impl OAuth {
    /// Reads `c.www.auth`; `None`: it is no login at another site.
    pub fn read(object: &AnyObject, buildbot_url: &str) -> Option<Result<OAuth, String>> {
        let made = match object.kind.as_str() {
            "util.GitHubAuth" => params(object).map(github),
            "util.GitLabAuth" => params(object).map(gitlab),
            "util.GoogleAuth" => params(object).map(google),
            "util.BitbucketAuth" => params(object).map(bitbucket),
            "util.OpenIDConnectAuth" => params(object).map(open_id),
            _ => return None,
        };
        let redirect = format!("{buildbot_url}auth/login");
        Some(made.map(|made| OAuth { redirect, ..made }))
    }

    /// What tells one site from another in sessions.
    pub fn place(&self) -> &str {
        match &self.site {
            Site::GitHub { web, .. } | Site::Bitbucket { web, .. } => web,
            Site::GitLab { instance } => instance,
            Site::OpenId { issuer, .. } => issuer,
        }
    }

    /// What Buildbot's web client is told (10.012).
    pub fn for_client(&self, name: &str) -> Json {
        json!({"name": name, "oauth2": true, "fa_icon": self.icon, "autologin": self.autologin})
    }

    /// Secrets that cannot be had.
    pub async fn check(&self, scope: &ServiceScope) -> Result<(), String> {
        self.credentials(scope).await.map(drop)
    }

    async fn credentials(&self, scope: &ServiceScope) -> Result<(String, Option<String>), String> {
        let id = scope.value(&self.client_id).await.map_err(|error| format!("clientId: {error}"))?;
        let secret = match &self.client_secret {
            Some(secret) => {
                Some(scope.value(secret).await.map_err(|error| format!("clientSecret: {error}"))?)
            }
            None => None,
        };
        if id.is_empty() { Err("clientId: it is empty".into()) } else { Ok((id, secret)) }
    }

    /// To the site.
    pub async fn begin(
        &self,
        key: &Key,
        cookies: &cookie::Scope,
        scope: &ServiceScope,
        back: &str,
        now: i64,
    ) -> Result<Step, String> {
        let (client_id, _) = self.credentials(scope).await?;
        let places = self.site.places(&web::client(self.verify)?).await?;
        let [state, nonce, verifier] = [random(), random(), random()];
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let mut url = Url::parse(&places.authorize).map_err(|e| format!("{}: {e}", places.authorize))?;
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &client_id),
            ("redirect_uri", &self.redirect),
            ("scope", &places.scope),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let back: String = back.chars().take(1000).collect();
        let login =
            json!({"state": state, "nonce": nonce, "verifier": verifier, "back": back, "at": self.place()});
        let token = key.sign(login, now.saturating_add(LOGIN_SECONDS));
        let to = HeaderValue::from_str(url.as_str()).map_err(|e| e.to_string())?;
        Ok(Step { to, cookie: cookies.set(LOGIN, &token, LOGIN_SECONDS) })
    }

    /// Back from the site: who it is, and where they were going.
    pub async fn end(
        &self,
        key: &Key,
        headers: &HeaderMap,
        scope: &ServiceScope,
        answer: &Answer<'_>,
        now: i64,
    ) -> Result<(User, String), String> {
        let begun = cookie::values(headers, LOGIN).find_map(|token| key.read(token, now));
        let begun =
            begun.ok_or("this login was not begun in this browser, or took too long; begin it again")?;
        let text = |name: &str| begun[name].as_str().unwrap_or_default();
        let same: bool = text("state").as_bytes().ct_eq(answer.state.as_bytes()).into();
        if text("state").is_empty() || !same || text("at") != self.place() {
            return Err("this is the answer to another login; begin it again".into());
        }
        if let Some(error) = answer.error {
            let word: String =
                error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
            return Err(format!("the site has refused it: {word}"));
        }
        let client = web::client(self.verify)?;
        let places = self.site.places(&client).await?;
        let (client_id, secret) = self.credentials(scope).await?;
        let code = answer.code.ok_or("the site sent no code")?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect),
            ("code_verifier", text("verifier")),
        ];
        let mut request = client.post(&places.token);
        match &secret {
            Some(secret) if places.basic => {
                request = request.basic_auth(encoded(&client_id), Some(encoded(secret)));
            }
            Some(secret) => form.extend([("client_id", client_id.as_str()), ("client_secret", secret)]),
            None => form.push(("client_id", &client_id)),
        }
        let tokens = web::json(request.form(&form), &places.token).await?;
        let back =
            Back { client: &client, tokens: &tokens, client_id: &client_id, nonce: text("nonce"), now };
        let user = self.site.person(&back, &places).await?;
        Ok((user, text("back").to_owned()))
    }

    /// Takes the cookie of the login away.
    pub fn ended(cookies: &cookie::Scope) -> HeaderValue {
        cookies.set(LOGIN, "", 0)
    }
}

/// What the site sends the browser back with.
pub struct Answer<'a> {
    pub state: &'a str,
    pub code: Option<&'a str>,
    pub error: Option<&'a str>,
}

fn params<T: DeserializeOwned>(object: &AnyObject) -> Result<T, String> {
    serde_json::from_value(object.args.clone()).map_err(|e| e.to_string())
}

fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Names and secrets in a header are encoded as in forms (RFC 6749, 2.3.1).
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn trimmed(address: &str) -> String {
    address.trim_end_matches('/').to_owned()
}

fn github(params: GitHubAuthParams) -> OAuth {
    let (web, api, public) = match params.server.as_deref().map(trimmed) {
        Some(server) => (server.clone(), format!("{server}/api/v3"), false),
        None => ("https://github.com".into(), "https://api.github.com".into(), true),
    };
    OAuth {
        site: Site::GitHub { web, api, teams: params.teams },
        client_id: params.client_id,
        client_secret: Some(params.client_secret),
        verify: params.ssl_verify,
        autologin: params.autologin,
        icon: "fa-github",
        public,
        redirect: String::new(),
    }
}

fn gitlab(params: GitLabAuthParams) -> OAuth {
    let instance = trimmed(&params.instance);
    OAuth {
        public: instance == "https://gitlab.com",
        site: Site::GitLab { instance },
        client_id: params.client_id,
        client_secret: Some(params.client_secret),
        verify: params.ssl_verify,
        autologin: params.autologin,
        icon: "fa-git",
        redirect: String::new(),
    }
}

fn of_site(params: SiteAuthParams, site: Site, icon: &'static str) -> OAuth {
    OAuth {
        site,
        client_id: params.client_id,
        client_secret: Some(params.client_secret),
        verify: params.ssl_verify,
        autologin: params.autologin,
        icon,
        public: true,
        redirect: String::new(),
    }
}

fn google(params: SiteAuthParams) -> OAuth {
    let scopes = ["openid", "email", "profile"].map(String::from).to_vec();
    let issuer = "https://accounts.google.com".into();
    // The whole address: the part before the @ is anybody's at another domain.
    let site = Site::OpenId { issuer, scopes, username: "email".into(), groups: "groups".into() };
    of_site(params, site, "fa-google-plus")
}

fn bitbucket(params: SiteAuthParams) -> OAuth {
    let site =
        Site::Bitbucket { web: "https://bitbucket.org".into(), api: "https://api.bitbucket.org".into() };
    of_site(params, site, "fa-bitbucket")
}

fn open_id(params: OpenIdConnectAuthParams) -> OAuth {
    OAuth {
        site: Site::OpenId {
            issuer: params.issuer,
            scopes: params.scopes.0,
            username: params.username_claim,
            groups: params.groups_claim,
        },
        client_id: params.client_id,
        client_secret: params.client_secret,
        verify: params.ssl_verify,
        autologin: params.autologin,
        icon: "fa-openid",
        public: false,
        redirect: String::new(),
    }
}
