//! How a change enters: what the configuration says about every change is applied before it is stored (02.002).
//!
//! Pollers and change hooks both add their changes here, so that `codebaseGenerator`, `revlink` and functions over
//! changes work the same for all.

mod told;

pub use told::read_change;

use crate::new::NewChange;
use crate::{Data, DataError};
use lunabot_model::kind::nearest;
use lunabot_model::resources::Change;
use lunabot_model::revlink::{self, Revlink};
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Callback, Json, Properties, ScriptError, ScriptHost};
use serde_json::json;
use std::sync::{Arc, Weak};

/// The door for changes under one loaded configuration.
#[derive(Clone)]
pub struct Intake {
    pub data: Data,
    pub script: Arc<dyn ScriptHost>,
    /// `c.codebaseGenerator`.
    pub codebase_generator: Option<Callback>,
    /// `c.revlink`; none: the links of well-known hosts.
    pub revlink: Option<Revlink>,
}

/// The same for what the interpreter may hold, which would keep it for ever otherwise.
#[derive(Clone)]
pub struct WeakIntake {
    data: Data,
    script: Weak<dyn ScriptHost>,
    codebase_generator: Option<Callback>,
    revlink: Option<Revlink>,
}

impl WeakIntake {
    pub fn data(&self) -> &Data {
        &self.data
    }

    pub fn script(&self) -> &Weak<dyn ScriptHost> {
        &self.script
    }

    /// The door itself. The error: its configuration is gone.
    pub fn upgrade(&self) -> Result<Intake, String> {
        Ok(Intake {
            data: self.data.clone(),
            script: self.script.upgrade().ok_or("the configuration is gone")?,
            codebase_generator: self.codebase_generator.clone(),
            revlink: self.revlink.clone(),
        })
    }
}

/// Functions that one source applies to its changes.
#[derive(Debug, Clone, Default)]
pub struct ChangeFunctions {
    pub category: Option<Callback>,
    /// Alters a change, or drops it by returning nil.
    pub change_fn: Option<Callback>,
}

/// Why a change was not stored. It has to be reported again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IntakeError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error("{0}")]
    Nonsense(String),
}

impl Intake {
    pub fn downgrade(&self) -> WeakIntake {
        let Intake { data, script, codebase_generator, revlink } = self.clone();
        WeakIntake { data, script: Arc::downgrade(&script), codebase_generator, revlink }
    }

    /// Stores a change; durable when it returns. `None`: the source's `change_fn` dropped it.
    /// `concerns` names the source in words, for the list of script errors.
    pub async fn add(
        &self,
        mut change: NewChange,
        functions: &ChangeFunctions,
        concerns: &str,
    ) -> Result<Option<Change>, IntakeError> {
        if change.revlink.as_deref().unwrap_or_default().is_empty() {
            change.revlink = self.link(&change, concerns).await;
        }
        if let Some(callback) = &functions.category {
            change.category = self.category(callback, &change, concerns).await?;
        }
        if change.codebase.is_empty() {
            change.codebase = self.codebase(&change, concerns).await;
        }
        if let Some(callback) = &functions.change_fn {
            match self.altered(callback, change, concerns).await? {
                Some(altered) => change = altered,
                None => return Ok(None),
            }
        }
        Ok(Some(self.data.add_change(change).await?))
    }

    /// An error of the function means no link; the host has recorded it.
    async fn link(&self, change: &NewChange, concerns: &str) -> Option<String> {
        let revision = change.revision.as_deref().filter(|r| !r.is_empty())?;
        if change.repository.is_empty() {
            return None;
        }
        let callback = match &self.revlink {
            None => return revlink::known(revision, &change.repository),
            Some(Revlink::Match(matcher)) => return matcher.link(revision, &change.repository),
            Some(Revlink::Function(callback)) => callback,
        };
        let site = CallSite::new("revlink", concerns);
        let args = vec![Arg::Value(revision.into()), Arg::Value(change.repository.as_str().into())];
        match self.script.call(callback, site.clone(), args).await {
            Ok(Json::String(link)) => Some(link),
            Ok(Json::Null) | Err(_) => None,
            Ok(other) => {
                self.script.nonsense(
                    callback,
                    site,
                    &format!("revlink returned {}; wanted a text or nil", self.script.shown(&other)),
                );
                None
            }
        }
    }

    /// An error of the function means no codebase.
    async fn codebase(&self, change: &NewChange, concerns: &str) -> String {
        let Some(callback) = &self.codebase_generator else { return String::new() };
        let site = CallSite::new("codebaseGenerator", concerns);
        match self.script.call(callback, site.clone(), vec![Arg::Value(to_json(change))]).await {
            Ok(Json::String(codebase)) => codebase,
            Ok(Json::Null) | Err(_) => String::new(),
            Ok(other) => {
                let shown = self.script.shown(&other);
                let message = format!("codebaseGenerator returned {shown}; wanted the name of a codebase");
                self.script.nonsense(callback, site, &message);
                String::new()
            }
        }
    }

    async fn category(
        &self,
        callback: &Callback,
        change: &NewChange,
        concerns: &str,
    ) -> Result<Option<String>, IntakeError> {
        let site = CallSite::new("category", concerns);
        match self.script.call(callback, site.clone(), vec![Arg::Value(to_json(change))]).await? {
            Json::String(category) => Ok(Some(category)),
            Json::Null => Ok(None),
            other => {
                let message =
                    format!("category returned {}; wanted a text or nil", self.script.shown(&other));
                self.script.nonsense(callback, site, &message);
                Err(IntakeError::Nonsense(message))
            }
        }
    }

    async fn altered(
        &self,
        callback: &Callback,
        change: NewChange,
        concerns: &str,
    ) -> Result<Option<NewChange>, IntakeError> {
        let site = CallSite::new("change_fn", concerns);
        let answer = self.script.call(callback, site.clone(), vec![Arg::Value(to_json(&change))]).await?;
        if answer.is_null() {
            return Ok(None);
        }
        from_json(&answer, change).map(Some).map_err(|problem| {
            let message =
                format!("change_fn returned a change that is none: {}", self.script.conceal(&problem));
            self.script.nonsense(callback, site, &message);
            IntakeError::Nonsense(message)
        })
    }
}

/// A change as functions of the configuration see it: the resource's names, `who`, and properties as values.
pub fn to_json(change: &NewChange) -> Json {
    json!({
        "author": change.author, "who": change.author, "committer": change.committer,
        "files": change.files, "comments": change.comments, "revision": change.revision,
        "when_timestamp": change.when_timestamp, "branch": change.branch, "category": change.category,
        "revlink": change.revlink, "properties": change.properties.as_dict(),
        "repository": change.repository, "project": change.project, "codebase": change.codebase,
    })
}

/// What a change has, as [`to_json`] names it.
const FIELDS: [&str; 14] = [
    "author",
    "who",
    "committer",
    "files",
    "comments",
    "revision",
    "when_timestamp",
    "branch",
    "category",
    "revlink",
    "properties",
    "repository",
    "project",
    "codebase",
];

/// Reads [`to_json`]'s form back. Names that are absent or nil become empty; properties keep their sources.
fn from_json(value: &Json, old: NewChange) -> Result<NewChange, String> {
    let fields = value.as_object().ok_or_else(|| format!("{value} is not a change"))?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let near = nearest(unknown, FIELDS).map_or(String::new(), |near| format!(", did you mean {near}?"));
        return Err(format!("a change has no {unknown}{near}"));
    }
    let text = |name: &str| match fields.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("{name} is {other}, not a text")),
    };
    let files = match fields.get("files") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Object(empty)) if empty.is_empty() => Vec::new(),
        Some(list) => serde_json::from_value(list.clone()).map_err(|e| format!("files: {e}"))?,
    };
    // Either name may have been written to.
    let who = text("who")?.filter(|who| *who != old.author);
    Ok(NewChange {
        author: who.or(text("author")?).filter(|author| !author.is_empty()).ok_or("author is missing")?,
        committer: text("committer")?,
        files,
        comments: text("comments")?.unwrap_or_default(),
        revision: text("revision")?,
        when_timestamp: fields.get("when_timestamp").and_then(Json::as_f64).map(|when| when as i64),
        branch: text("branch")?,
        category: text("category")?,
        revlink: text("revlink")?,
        properties: properties(fields.get("properties"), &old.properties)?,
        repository: text("repository")?.unwrap_or_default(),
        project: text("project")?.unwrap_or_default(),
        codebase: text("codebase")?.unwrap_or_default(),
    })
}

fn properties(value: Option<&Json>, old: &Properties) -> Result<Properties, String> {
    let mut all = Properties::new();
    match value {
        None | Some(Json::Null) => {}
        Some(Json::Array(empty)) if empty.is_empty() => {}
        Some(Json::Object(fields)) => {
            for (name, value) in fields {
                match old.property(name).filter(|p| &p.value == value) {
                    Some(same) => all.insert(name, same.clone()),
                    None => all.set(name, value.clone(), "Change"),
                }
            }
        }
        Some(other) => return Err(format!("properties is {other}, not a table")),
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_survives_the_way_through_a_function() {
        let mut change =
            NewChange { author: "A <a>".into(), files: vec!["x".into()], ..NewChange::default() };
        change.properties.set("p", 1, "Hook");
        assert_eq!(from_json(&to_json(&change), change.clone()), Ok(change.clone()));
        let mut by = to_json(&change);
        by["who"] = "B".into();
        assert_eq!(from_json(&by, change.clone()).map(|read| read.author), Ok("B".into()));
        by["catgory"] = "x".into();
        assert_eq!(
            from_json(&by, change.clone()),
            Err("a change has no catgory, did you mean category?".into())
        );
        let mut altered = to_json(&change);
        altered["branch"] = json!("b");
        altered["properties"]["q"] = json!(true);
        let altered = from_json(&altered, change).unwrap();
        assert_eq!((altered.branch.as_deref(), altered.properties.len()), (Some("b"), 2));
        assert_eq!(altered.properties.property("p").unwrap().source, "Hook");
        assert!(from_json(&json!({"author": 3}), NewChange::default()).unwrap_err().contains("author is 3"));
    }
}
