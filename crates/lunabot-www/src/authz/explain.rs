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
    /// `get`, an action (`force`, `stop` …), or `post`: every action of the path.
    pub action: String,
    /// As at `/api/v2/`, with or without that.
    pub path: String,
    /// The builders to be forced; none: all that the scheduler has.
    pub builders: Vec<String>,
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

    /// `known`: the actions of the path.
    fn no_such_action(&self, known: &[&str]) -> String {
        let path = self.path();
        if known.is_empty() {
            return format!("denied: nothing can be posted to {path}");
        }
        format!("denied: {path} has no action {}; it has {}", self.action, known.join(", "))
    }

    /// Below `/api/v2/`.
    pub fn path(&self) -> &str {
        let path = self.path.trim_start_matches('/');
        path.strip_prefix("api/v2/").or_else(|| path.strip_prefix("api/latest/")).unwrap_or(path)
    }
}

/// Judges a question as a request would be, and says how; without `data`, by what the path alone says. `POST` stands
/// for every action of the path.
pub async fn explain(
    access: &Access,
    question: &Question,
    data: Option<&Data>,
    scope: &ServiceScope,
) -> (bool, Vec<String>) {
    let mut all = (true, Vec::new());
    let known = lunabot_data::actions_of(question.path());
    let actions = match question.action.to_ascii_lowercase().as_str() {
        GET => vec![GET],
        "post" => known.clone(),
        action => known.iter().copied().filter(|known| *known == action).collect(),
    };
    if actions.is_empty() {
        return (false, vec![question.no_such_action(&known)]);
    }
    for action in &actions {
        let (allowed, lines) = explain_one(access, question, action, data, scope).await;
        if actions.len() > 1 {
            all.1.push(format!("{action}:"));
        }
        all.0 &= allowed;
        all.1.extend(lines);
    }
    all
}

async fn explain_one(
    access: &Access,
    question: &Question,
    action: &str,
    data: Option<&Data>,
    scope: &ServiceScope,
) -> (bool, Vec<String>) {
    let user = question.user();
    let params = match question.builders.as_slice() {
        [] => json!({}),
        builders => json!({"builderNames": builders}),
    };
    let asked = Asked { path: question.path(), action, params: &params };
    let verdict = access.authz.judge(Judge { user: &user, data, scope: Some(scope) }, &asked).await;
    let mut lines = verdict.trail;
    let word = if verdict.allowed { "allowed" } else { "denied" };
    lines.push(format!("{word}: {}", verdict.why));
    (verdict.allowed, lines)
}
