//! `split_file`: to which branch and project a path belongs, as a function of the configuration says (02.014).

use crate::source::{SourceContext, SourceError};
use lunabot_model::kind::nearest;
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Callback, CallbackSpec, Json};

pub const SPLIT_FILE: CallbackSpec = CallbackSpec {
    option: "split_file",
    args: "path",
    returns: "{path=, branch=, project=, repository=, codebase=}, or branch and path; nil: not of interest",
    on_error: "the poll fails and is repeated from the same revision; `lunabot poller skip NAME REVISION` goes past it",
};

/// Where a path belongs. Names that are absent are those of the poller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    pub path: String,
    pub branch: Option<String>,
    pub project: Option<String>,
    pub repository: Option<String>,
    pub codebase: Option<String>,
}

/// Asks the function. `None`: the path is not of interest.
pub async fn split(
    callback: &Callback,
    path: &str,
    cx: &SourceContext,
) -> Result<Option<Place>, SourceError> {
    let site = CallSite::new("split_file", cx.concerns());
    let answer = cx.script().call(callback, site.clone(), vec![Arg::Value(path.into())]).await?;
    read(&answer).map_err(|problem| {
        let message = format!("split_file({path:?}) returned {problem}");
        cx.script().nonsense(callback, site, &message);
        SourceError::Other(message)
    })
}

/// Reads an answer; the error says what is wrong with it.
fn read(answer: &Json) -> Result<Option<Place>, String> {
    match answer {
        Json::Null => Ok(None),
        Json::Array(two) => match two.as_slice() {
            [Json::Null, Json::Null] => Ok(None),
            [branch, Json::String(path)] => {
                let branch = text("branch", branch)?;
                Ok(Some(Place { path: path.clone(), branch, ..Place::default() }))
            }
            _ => Err(format!("{answer}; return a branch (or nil) and a path")),
        },
        Json::Object(fields) => table(fields).map(Some),
        other => Err(format!("{other}; return a branch and a path, a table with path, or nil")),
    }
}

const NAMES: &[&str] = &["path", "branch", "project", "repository", "codebase"];

fn table(fields: &serde_json::Map<String, Json>) -> Result<Place, String> {
    if let Some(unknown) = fields.keys().find(|name| !NAMES.contains(&name.as_str())) {
        let hint = nearest(unknown, NAMES.iter().copied());
        let hint = hint.map_or(String::new(), |near| format!(", did you mean {near}?"));
        return Err(format!("a table with the unknown field {unknown}{hint}"));
    }
    let field = |name: &str| text(name, fields.get(name).unwrap_or(&Json::Null));
    Ok(Place {
        path: field("path")?.ok_or("a table without path")?,
        branch: field("branch")?,
        project: field("project")?,
        repository: field("repository")?,
        codebase: field("codebase")?,
    })
}

fn text(name: &str, value: &Json) -> Result<Option<String>, String> {
    match value {
        Json::Null => Ok(None),
        Json::String(text) => Ok(Some(text.clone())),
        other => Err(format!("{other} as {name}; that is a text or nil")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_02_014_every_form_of_an_answer_is_read() {
        let place = |branch: Option<&str>, path: &str| Place {
            path: path.into(),
            branch: branch.map(String::from),
            ..Place::default()
        };
        assert_eq!(read(&json!(null)), Ok(None));
        assert_eq!(read(&json!([null, null])), Ok(None));
        assert_eq!(read(&json!([null, "x"])), Ok(Some(place(None, "x"))));
        assert_eq!(read(&json!(["b", ""])), Ok(Some(place(Some("b"), ""))));
        assert_eq!(read(&json!({"path": "x", "branch": null})), Ok(Some(place(None, "x"))));
        let all = json!({"path": "x", "branch": "b", "project": "p", "repository": "r", "codebase": "c"});
        assert_eq!(read(&all).unwrap().unwrap().codebase.as_deref(), Some("c"));
        for wrong in
            [json!("x"), json!(false), json!(["b", null]), json!(["x"]), json!({}), json!({"branch": "b"})]
        {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
        assert!(read(&json!({"pth": "x"})).unwrap_err().ends_with("unknown field pth, did you mean path?"));
        assert!(read(&json!({"path": "x", "branch": 3})).unwrap_err().contains("3 as branch"));
    }
}
