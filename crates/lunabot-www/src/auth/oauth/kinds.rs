//! Kinds of logins at other sites (10.024).

use crate::auth::kinds::kind;
use lunabot_model::kind::{Kind, Params, Problem};
use lunabot_model::{Names, Renderable};
use lunabot_net::reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

/// `util.GitHubAuth`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GitHubAuthParams {
    #[serde(rename = "clientId")]
    pub client_id: Renderable<String>,
    #[serde(rename = "clientSecret")]
    pub client_secret: Renderable<String>,
    /// GitHub Enterprise: `https://github.example.org`.
    #[serde(default, rename = "serverURL")]
    pub server: Option<String>,
    /// The client sends people to log in by itself.
    #[serde(default)]
    pub autologin: bool,
    /// 3 or 4; the same is asked for either way.
    #[serde(default = "three", rename = "apiVersion")]
    pub api_version: i64,
    /// Teams become groups too, as `organisation/team`.
    #[serde(default, rename = "getTeamsMembership")]
    pub teams: bool,
    #[serde(default = "yes")]
    pub ssl_verify: bool,
}

fn three() -> i64 {
    3
}

fn yes() -> bool {
    true
}

impl Params for GitHubAuthParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = wrong_site("serverURL", self.server.as_deref());
        if !matches!(self.api_version, 3 | 4) {
            problems.push(Problem::new("apiVersion", "expected 3 or 4"));
        }
        problems
    }
}

/// `util.GitLabAuth`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GitLabAuthParams {
    /// `https://gitlab.com`, or an instance of one's own.
    #[serde(rename = "instanceUri")]
    pub instance: String,
    #[serde(rename = "clientId")]
    pub client_id: Renderable<String>,
    #[serde(rename = "clientSecret")]
    pub client_secret: Renderable<String>,
    /// The client sends people to log in by itself.
    #[serde(default)]
    pub autologin: bool,
    #[serde(default = "yes")]
    pub ssl_verify: bool,
}

impl Params for GitLabAuthParams {
    fn validate(&self) -> Vec<Problem> {
        wrong_site("instanceUri", Some(&self.instance))
    }
}

/// `util.GoogleAuth`, `util.BitbucketAuth`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteAuthParams {
    #[serde(rename = "clientId")]
    pub client_id: Renderable<String>,
    #[serde(rename = "clientSecret")]
    pub client_secret: Renderable<String>,
    /// The client sends people to log in by itself.
    #[serde(default)]
    pub autologin: bool,
    #[serde(default = "yes")]
    pub ssl_verify: bool,
}

impl Params for SiteAuthParams {}

/// `util.OpenIDConnectAuth`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenIdConnectAuthParams {
    /// The provider's address, below which its `.well-known/openid-configuration` is found.
    pub issuer: String,
    #[serde(rename = "clientId")]
    pub client_id: Renderable<String>,
    /// Absent for a public client, which PKCE alone protects.
    #[serde(default, rename = "clientSecret")]
    pub client_secret: Option<Renderable<String>>,
    /// What the provider is asked to tell; `openid` is always among it.
    #[serde(default = "scopes")]
    pub scopes: Names,
    /// The claim that becomes the user name.
    #[serde(default = "username")]
    pub username_claim: String,
    /// The claim that becomes the groups: a list, or a path to one with dots, `realm_access.roles`.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// The client sends people to log in by itself.
    #[serde(default)]
    pub autologin: bool,
    #[serde(default = "yes")]
    pub ssl_verify: bool,
}

fn scopes() -> Names {
    lunabot_model::StringOrList(["openid", "email", "profile"].map(String::from).to_vec())
}

fn username() -> String {
    "preferred_username".into()
}

fn groups() -> String {
    "groups".into()
}

impl Params for OpenIdConnectAuthParams {
    fn validate(&self) -> Vec<Problem> {
        wrong_site("issuer", Some(&self.issuer))
    }
}

fn wrong_site(option: &str, address: Option<&str>) -> Vec<Problem> {
    let wrong = address.filter(|text| {
        !Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
        })
    });
    let wrong = wrong
        .map(|text| Problem::new(option, format!("{text} is not an address such as https://example.org")));
    wrong.into_iter().collect()
}

const SITE: &[&str] = &["clientId", "clientSecret", "autologin", "ssl_verify"];

pub static GITHUB: Kind = kind::<GitHubAuthParams>(
    "GitHubAuth",
    &["clientId", "clientSecret", "serverURL", "autologin", "apiVersion", "getTeamsMembership"],
    "People log in at GitHub.",
);
pub static GITLAB: Kind = kind::<GitLabAuthParams>(
    "GitLabAuth",
    &["instanceUri", "clientId", "clientSecret"],
    "People log in at GitLab.",
);
pub static GOOGLE: Kind = kind::<SiteAuthParams>("GoogleAuth", SITE, "People log in at Google.");
pub static BITBUCKET: Kind = kind::<SiteAuthParams>("BitbucketAuth", SITE, "People log in at Bitbucket.");
pub static OPEN_ID: Kind = kind::<OpenIdConnectAuthParams>(
    "OpenIDConnectAuth",
    &["issuer", "clientId", "clientSecret"],
    "People log in at a provider of OpenID Connect: Keycloak, Authentik, Okta, Entra …",
);
