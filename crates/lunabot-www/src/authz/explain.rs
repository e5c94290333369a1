//! Why somebody may do something or not: `lunabot authz explain`.

use super::{Asked, GET, Judge};
use crate::auth::{Access, User};
use lunabot_data::Data;
use lunabot_model::render::ServiceScope;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use std::sync::Arc;

/// Somebody, and what they want.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// A user name, or `anonymous`.
    pub user: String,
    /// Absent: the user name.
    pub email: Option<String>,
    pub groups: Vec<String>,
    /// `get`, or an action: `force`, `stop` …
    pub action: String,
    /// As at `/api/v2/`, with or without that.
    pub path: String,
    /// The builder to be forced; absent: all that the scheduler has.
    pub builder: Option<String>,
}

impl Question {
    fn user(&self) -> Arc<User> {
        let mut info = Map::new();
        info.insert("username".into(), self.user.as_str().into());
        info.insert("email".into(), self.email.as_ref().unwrap_or(&self.user).as_str().into());
        if !self.groups.is_empty() {
            info.insert("groups".into(), json!(self.groups));
        }
        if self.user == super::EVERYBODY { User::anonymous() } else { Arc::new(User::from_info(info)) }
    }

    fn path(&self) -> &str {
        let path = self.path.trim_start_matches('/');
        path.strip_prefix("api/v2/").or_else(|| path.strip_prefix("api/latest/")).unwrap_or(path)
    }
}

/// Judges a question as a request would be, and says how; without `data`, by what the path alone says.
pub async fn explain(
    access: &Access,
    question: &Question,
    data: Option<&Data>,
    scope: &ServiceScope,
) -> (bool, Vec<String>) {
    let action = if question.action.eq_ignore_ascii_case(GET) { GET } else { question.action.as_str() };
    if action.eq_ignore_ascii_case("post") {
        return (
            false,
            vec!["name the action in place of POST: force, stop, rebuild, cancel, enable …".into()],
        );
    }
    let user = question.user();
    let params = question.builder.as_ref().map_or(json!({}), |builder| json!({"builderNames": [builder]}));
    let asked = Asked { path: question.path(), action, params: &params };
    let verdict = access.authz.judge(Judge { user: &user, data, scope: Some(scope) }, &asked).await;
    let mut lines = verdict.trail;
    let word = if verdict.allowed { "allowed" } else { "denied" };
    lines.push(format!("{word}: {}", verdict.why));
    (verdict.allowed, lines)
}
