//! Who asks.

use lunabot_model::Json;
use serde_json::{Map, json};
use std::sync::{Arc, LazyLock};

/// What the owner of an action is called when nobody is logged in (09.078).
const ANONYMOUS: &str = "anonymous";
/// What is kept of one text, in bytes: a session is a cookie.
const MAX_TEXT: usize = 256;
/// Groups that are kept.
const MAX_GROUPS: usize = 100;
/// Bytes of all groups together.
const MAX_GROUP_BYTES: usize = 1800;

/// What is known of a person (10.019): `username`, `email`, `full_name`, `groups`, and whatever else a login tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(Map<String, Json>);

impl User {
    /// Nobody is logged in.
    pub fn anonymous() -> Arc<User> {
        static ANYBODY: LazyLock<Arc<User>> =
            LazyLock::new(|| Arc::new(User(Map::from_iter([("anonymous".to_string(), Json::Bool(true))]))));
        Arc::clone(&ANYBODY)
    }

    /// Somebody of whom only this name is known; it is the address too (10.021).
    pub fn named(name: &str) -> User {
        User::from_info(json!({"username": name, "email": name}).as_object().cloned().unwrap_or_default())
    }

    /// Somebody who is logged in; texts and lists are cut to what a cookie can hold.
    pub fn from_info(info: Map<String, Json>) -> User {
        let mut user = User(info);
        user.0.remove("anonymous");
        user.0.values_mut().for_each(shorten);
        let all = user.groups().len();
        let mut bytes = 0;
        let kept: Vec<String> = user
            .groups()
            .into_iter()
            .take(MAX_GROUPS)
            .take_while(|group| {
                bytes += group.len() + 3;
                bytes <= MAX_GROUP_BYTES
            })
            .collect();
        if kept.len() < all {
            tracing::warn!(
                "{} is in {all} groups; only the first {} fit into the session",
                user.name(),
                kept.len()
            );
        }
        if all > 0 {
            user.0.insert("groups".into(), json!(kept));
        }
        user
    }

    /// What a session says; `None`: it tells of nobody.
    pub fn from_json(info: &Json) -> Option<User> {
        let user = User(info.as_object()?.clone());
        (!user.is_anonymous()).then_some(user)
    }

    pub fn is_anonymous(&self) -> bool {
        self.0.contains_key("anonymous") || self.name() == ANONYMOUS
    }

    /// The first of address, name and full name: the `owner` of what they do (09.078).
    pub fn name(&self) -> &str {
        let texts = ["email", "username", "full_name"].into_iter().filter_map(|key| self.text(key));
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or(ANONYMOUS)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Json::as_str)
    }

    pub fn groups(&self) -> Vec<String> {
        let groups = self.0.get("groups").and_then(Json::as_array);
        groups.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
    }

    pub fn to_json(&self) -> Json {
        Json::Object(self.0.clone())
    }
}

fn shorten(value: &mut Json) {
    if let Json::String(text) = value
        && text.len() > MAX_TEXT
    {
        let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_09_078_the_owner_is_the_address_the_name_or_the_full_name() {
        let name = |info: Json| User::from_info(info.as_object().unwrap().clone()).name().to_owned();
        assert_eq!(name(json!({"email": "j@x", "username": "j", "full_name": "J"})), "j@x");
        assert_eq!(name(json!({"email": "", "username": "j", "full_name": "J"})), "j");
        assert_eq!(name(json!({"full_name": "J"})), "J");
        assert_eq!(User::anonymous().name(), "anonymous");
        assert_eq!(User::anonymous().to_json(), json!({"anonymous": true}));
        // Nobody becomes nobody by what another site says of them.
        assert!(
            !User::from_info(json!({"anonymous": true, "username": "j"}).as_object().unwrap().clone())
                .is_anonymous()
        );
    }

    #[test]
    fn what_is_kept_of_a_person_fits_into_a_cookie() {
        let groups: Vec<String> = (0..5000).map(|n| format!("organisation/team-{n}")).collect();
        let info = json!({"username": "j", "full_name": "ä".repeat(5000), "groups": groups});
        let user = User::from_info(info.as_object().unwrap().clone());
        assert!(user.to_json().to_string().len() < 2600);
        assert_eq!(user.groups()[0], "organisation/team-0");
    }
}
