//! What a poller of numbered revisions remembers across restarts, and how it adds them: each once, in order.

use crate::source::{SourceContext, SourceError};
use lunabot_data::Answer;
use lunabot_data::intake::ChangeFunctions;
use lunabot_data::new::NewChange;
use lunabot_model::Json;
use serde_json::json;

/// The newest revision that was looked at.
const LAST_REV: &str = "lastRev";
/// The revision whose changes are being added. Written before them: after a failure or a kill in between, it says that
/// some of them are there already.
const ADDING: &str = "adding";

/// A position in a numbered history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counted {
    last: Option<u64>,
    adding: Option<u64>,
}

impl Counted {
    pub async fn load(cx: &SourceContext) -> Result<Self, SourceError> {
        let number = |stored: Option<Json>| stored.as_ref().and_then(Json::as_u64);
        Ok(Counted { last: number(cx.state(LAST_REV).await?), adding: number(cx.state(ADDING).await?) })
    }

    /// `None`: nothing was looked at yet.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// From now on `revision` and all before it count as looked at.
    pub async fn move_to(&mut self, cx: &SourceContext, revision: u64) -> Result<(), SourceError> {
        self.last = Some(revision);
        Ok(cx.data().set_state(&cx.key(LAST_REV), json!(revision)).await?.await?)
    }

    /// Adds the changes of one revision that are not there yet, and moves on.
    pub async fn add(
        &mut self,
        cx: &SourceContext,
        revision: u64,
        changes: Vec<NewChange>,
        functions: &ChangeFunctions,
    ) -> Result<(), SourceError> {
        let stored = match self.adding == Some(revision) {
            true => stored(cx, revision).await?,
            false => Vec::new(),
        };
        if !changes.is_empty() {
            cx.data().set_state(&cx.key(ADDING), json!(revision)).await?.detach();
            self.adding = Some(revision);
        }
        for change in changes {
            if !stored.iter().any(|row| is_row_of(row, &change)) {
                cx.intake.add(change, functions, &cx.concerns()).await?;
            }
        }
        self.move_to(cx, revision).await
    }
}

/// `lunabot poller skip`: goes past `revision`, which must lie ahead, and be there: `newest` is what the server has.
pub async fn skip(cx: &SourceContext, revision: &str, newest: Option<u64>) -> Result<String, SourceError> {
    let refuse = |told: String| Err(SourceError::Other(told));
    let Ok(number) = revision.trim_start_matches('r').parse::<u64>() else {
        return refuse(format!("{revision:?} is no revision of {}: a number is wanted", cx.name));
    };
    let mut counted = Counted::load(cx).await?;
    if let Some(last) = counted.last.filter(|last| number <= *last) {
        return refuse(format!("{} has come to revision {last} already", cx.name));
    }
    if let Some(newest) = newest.filter(|newest| number > *newest) {
        return refuse(format!("there is no revision {number} here yet: the newest is {newest}"));
    }
    let before = counted.last.map_or("the beginning".to_string(), |last| format!("revision {last}"));
    counted.move_to(cx, number).await?;
    Ok(format!("{} goes on after revision {number}; it had come to {before}", cx.name))
}

async fn stored(cx: &SourceContext, revision: u64) -> Result<Vec<Json>, SourceError> {
    match cx.data().get("changes", &format!("revision={revision}")).await? {
        Answer::List { items, .. } => Ok(items),
        Answer::One { .. } | Answer::Raw => Ok(Vec::new()),
    }
}

fn is_row_of(row: &Json, change: &NewChange) -> bool {
    let texts = [("repository", &change.repository), ("project", &change.project)];
    row["branch"].as_str() == change.branch.as_deref()
        && texts.iter().all(|(name, text)| row[*name].as_str() == Some(text.as_str()))
        && (change.codebase.is_empty() || row["codebase"].as_str() == Some(change.codebase.as_str()))
}
