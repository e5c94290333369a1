//! Tokens that are made when they are needed: `util.jwt`, which the master signs, and `util.GitHubAppToken`, which GitHub
//! gives for one (lua-api § 2, "Helpers").
//!
//! A token is used again while it is fresh; those who want the same one at the same time wait for one to be made. Nothing is
//! tried again here: whoever wanted it says that it failed, and asks again in its own time.

mod declared;
mod kinds;
mod signing;

pub use declared::unusable_keys;
pub use kinds::{GitHubAppTokenParams, JwtParams};
pub use signing::Algorithm;

use crate::forge_api::{ForgeApi, Login};
use crate::secrets::text_of;
use crate::source::SourceError;
use kinds::{GITHUB_APP_TOKEN, JWT, NumberOrText, value};
use lunabot_model::kind;
use lunabot_model::{Clock, Json, Kind, Renderable, Time, Token};
use moka::future::Cache;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The kinds of tokens.
pub static KINDS: &[Kind] = &[JWT, GITHUB_APP_TOKEN];

/// How many tokens are kept.
const MOST: u64 = 1000;
/// Clocks differ: a token is said to have been made so long ago. GitHub advises it.
const DRIFT: i64 = 60;
/// The form in which GitHub wants to be asked to answer.
const GITHUB_FORM: &str = "application/vnd.github+json";
/// How long GitHub may take to see the token by which an app asks for another; it takes no more than ten minutes.
const ASKING: Duration = Duration::from_secs(540);
/// A token of GitHub's is not used in its last time: what begins with it should end with it.
const LAST_TIME: Duration = Duration::from_secs(300);

/// How long GitHub's tokens last.
const LONGEST: Duration = Duration::from_secs(3600);

/// Makes tokens, and keeps them.
pub struct Tokens {
    base: PathBuf,
    clock: Arc<dyn Clock>,
    /// By kind and options. A failure is there for those who wait together.
    kept: Cache<String, Result<Kept, String>>,
}

#[derive(Clone)]
struct Kept {
    token: Token,
    fresh_until: Time,
}

impl Tokens {
    /// Relative key files are below `base`.
    pub fn new(base: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Tokens { base, clock, kept: Cache::new(MOST) }
    }

    /// A token of this kind, with its options rendered. The error says what is wrong, and shows no secret.
    pub async fn get(&self, kind: &str, options: &Json) -> Result<Token, String> {
        let now = self.clock.now();
        let fresh = |made: &Result<Kept, String>| made.as_ref().is_ok_and(|kept| now < kept.fresh_until);
        let entry = self.kept.entry(format!("{kind} {options}"));
        let made = entry.or_insert_with_if(self.make(kind, options), |made| !fresh(made)).await;
        made.into_value().map(|kept| kept.token)
    }

    async fn make(&self, kind: &str, options: &Json) -> Result<Kept, String> {
        match kind {
            "util.jwt" => self.jwt(read(options)?).await,
            "util.GitHubAppToken" => self.github_app(read(options)?).await,
            other => Err(format!("{other} is no kind of token")),
        }
    }

    async fn jwt(&self, options: JwtParams) -> Result<Kept, String> {
        let (now, lifetime) = (self.clock.now(), options.lifetime.std());
        let expires = now + lifetime;
        let mut claims = Json::Object(options.claims.into_iter().collect());
        for (claim, said) in [("iss", value(&options.issuer)), ("sub", value(&options.subject))] {
            said.into_iter().for_each(|said| claims[claim] = said.into());
        }
        if let Some(audience) = value(&options.audience) {
            claims["aud"] = if let [one] = &audience.0[..] { json!(one) } else { json!(audience.0) };
        }
        claims["iat"] = (now.secs() - DRIFT).into();
        claims["exp"] = expires.secs().into();
        let mut header = json!({"alg": options.algorithm.name(), "typ": "JWT"});
        value(&options.key_id).into_iter().for_each(|id| header["kid"] = id.into());
        let key = Key::of(&options.key_file, &options.key)?;
        let text = self.signed(options.algorithm, key, header, claims).await?;
        Ok(Kept { token: Token { text, expires }, fresh_until: now + lifetime / 2 })
    }

    /// Asks GitHub for a token of the app's installation.
    async fn github_app(&self, options: GitHubAppTokenParams) -> Result<Kept, String> {
        let now = self.clock.now();
        let text = |id: Renderable<NumberOrText>| id.literal().map(|id| id.0).unwrap_or_default();
        let (app, installation) = (text(options.app_id), text(options.installation_id));
        let claims = json!({"iat": now.secs() - DRIFT, "exp": (now + ASKING).secs(), "iss": app});
        let key = Key::of(&options.key_file, &options.key)?;
        let header = json!({"alg": "RS256", "typ": "JWT"});
        let proof = self.signed(Algorithm::RS256, key, header, claims).await?;
        let told = |error: SourceError| error.to_string().replace(&proof, "<jwt>");
        let url = options.api_url.literal().unwrap_or_default();
        let api = ForgeApi::new(&url, Login::Bearer(proof.clone())).map_err(told)?;
        let path = ["app", "installations", &installation, "access_tokens"];
        let answer = api.post(api.url(&path, &[]), GITHUB_FORM).await.map_err(told)?;
        let token = answer["token"].as_str().filter(|token| !token.is_empty());
        let text = token.ok_or("the answer has no token")?.to_string();
        let expires = answer["expires_at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        let expires = expires.map(|at| Time::from_secs(at.as_second()));
        // A token that lasts nobody knows how long is fetched each time.
        let fresh_until = expires.map_or(now, |at| Time(at.0 - LAST_TIME.as_micros() as i64));
        let expires = expires.unwrap_or(now + LONGEST);
        Ok(Kept { token: Token { text, expires }, fresh_until })
    }

    async fn signed(
        &self,
        algorithm: Algorithm,
        key: Key,
        header: Json,
        claims: Json,
    ) -> Result<String, String> {
        let base = self.base.clone();
        let signing = move || {
            key.used(&base, |key| signing::token(algorithm, key, &header, &claims)) //
        };
        tokio::task::spawn_blocking(signing).await.map_err(|error| error.to_string())?
    }
}

fn read<T: DeserializeOwned>(options: &Json) -> Result<T, String> {
    kind::read(options).map_err(|problem| problem.to_string())
}

/// Where a key is.
enum Key {
    File(String),
    Text(String),
}

impl Key {
    fn of(file: &Option<Renderable<String>>, key: &Option<Renderable<String>>) -> Result<Self, String> {
        let file = value(file).map(Key::File);
        file.or_else(|| value(key).map(Key::Text)).ok_or_else(|| "has no key".into())
    }

    /// Does something with the key, in a thread that may wait for a disk. The error names the option, and the file.
    fn used<T>(&self, base: &Path, act: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
        match self {
            Key::Text(key) => act(key).map_err(|error| format!("key: {error}")),
            Key::File(name) => {
                let file = base.join(name);
                let fault = |error: String| format!("key_file: {}: {error}", file.display());
                let text = text_of(&file).map_err(fault)?;
                act(text.trim_end_matches(['\r', '\n'])).map_err(fault)
            }
        }
    }
}
