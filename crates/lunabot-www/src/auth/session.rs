//! Sessions: what is known of a person, signed, in a cookie (10.018). Nothing is kept here, so nothing can be guessed.

use super::user::User;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use lunabot_data::new::StateKey;
use lunabot_data::{Data, DataError};
use lunabot_model::Json;
use serde_json::json;
use sha2::Sha256;

/// Longest token that is looked at, in bytes: more is no cookie that we have set.
const MAX_TOKEN: usize = 8192;

/// Signs and reads tokens: JSON Web Tokens with HS256.
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key of this database, made at its first use; where Buildbot has it.
    pub async fn load(data: &Data) -> Result<Key, DataError> {
        let place = StateKey {
            object: "www".into(),
            class: "buildbot.www.service.WWWService".into(),
            name: "session_secret".into(),
        };
        if let Some(Json::String(known)) = data.get_state(&place).await?
            && known.len() >= 32
        {
            return Ok(Key(known.into_bytes()));
        }
        let made: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
        data.set_state(&place, Json::from(made.as_str())).await?.await?;
        Ok(Key(made.into_bytes()))
    }

    #[cfg(test)]
    pub fn of(text: &str) -> Key {
        Key(text.as_bytes().to_vec())
    }

    fn mac(&self) -> Option<Hmac<Sha256>> {
        Hmac::new_from_slice(&self.0).ok()
    }

    /// A token that says `claims` until `exp`, in seconds since 1970.
    pub fn sign(&self, mut claims: Json, exp: i64) -> String {
        claims["exp"] = exp.into();
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut mac = self.mac().expect("HMAC takes keys of any length");
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    /// What a token says, if it is ours and still good at `now`.
    pub fn read(&self, token: &str, now: i64) -> Option<Json> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let mut mac = self.mac()?;
        mac.update(signed.as_bytes());
        mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let json = |part: &str| serde_json::from_slice::<Json>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let claims = json(claims).filter(|_| json(header).is_some_and(|header| header["alg"] == "HS256"))?;
        (claims["exp"].as_i64()? > now).then_some(claims)
    }

    /// A session of somebody who came in by the login `via`.
    pub fn session(&self, user: &User, via: &str, exp: i64) -> String {
        self.sign(json!({"user_info": user.to_json(), "via": via}), exp)
    }

    /// Whose session it is, if it came about by the login `via`: a name of one says nothing about the same name of another.
    pub fn user(&self, token: &str, via: &str, now: i64) -> Option<User> {
        let claims = self.read(token, now)?;
        if claims["via"] != via { None } else { User::from_json(&claims["user_info"]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_10_018_a_session_is_good_until_it_ends_and_for_its_login_alone() {
        let key = Key::of("one");
        let token = key.session(&User::named("joe"), "UserPasswordAuth", 100);
        assert_eq!(key.user(&token, "UserPasswordAuth", 99), Some(User::named("joe")));
        assert_eq!(key.user(&token, "UserPasswordAuth", 100), None);
        assert_eq!(key.user(&token, "GitHubAuth", 99), None);
        assert_eq!(Key::of("two").user(&token, "UserPasswordAuth", 99), None);
    }

    #[test]
    fn forged_tokens_are_none() {
        let key = Key::of("one");
        let good = key.session(&User::named("joe"), "x", 100);
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let enc = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let admin = enc(r#"{"exp":100,"user_info":{"username":"admin"},"via":"x"}"#);
        let none = enc(r#"{"alg":"none","typ":"JWT"}"#);
        for bad in [
            format!("{header}.{admin}.{signature}"),
            format!("{none}.{admin}."),
            format!("{none}.{claims}.{signature}"),
            format!("{header}.{claims}."),
            format!("{header}.{claims}"),
            format!("{good}.{signature}"),
            "..".into(),
            String::new(),
            "ä.ö.ü".into(),
            "a.".repeat(100_000),
        ] {
            assert_eq!(key.user(&bad, "x", 1), None, "{bad:.80}");
        }
        assert!(key.user(&good, "x", 1).is_some());
    }
}
