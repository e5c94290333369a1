//! `changes.PBChangeSource`: changes from `buildbot sendchange`, over PB (reference row 02.009).

use super::transport::Transport;
use crate::scheduler::port_problem;
use lunabot_data::intake::{ChangeFunctions, Intake};
use lunabot_data::new::NewChange;
use lunabot_model::kind::{Category, Params, check_as, schema_of};
use lunabot_model::{Callback, CallbackSpec, Json, Kind, Problem, Properties};
use lunabot_proto::pb::PbClient;
use lunabot_proto::{Dict, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// The kind of change sources that are served here.
pub const PB_CHANGES: &str = "changes.PBChangeSource";

/// The most changes one connection may report; `sendchange` reports one.
const MOST: usize = 10_000;

/// `changes.PBChangeSource` (02.009).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PbChangesParams {
    /// Who may report changes.
    pub user: String,
    /// A text, or a renderable such as `util.Secret`.
    pub passwd: Json,
    /// Where clients connect; absent: the port of `c.protocols.pb`.
    pub port: Option<Json>,
    /// Files that do not begin with it are left out; it is cut from the others.
    pub prefix: Option<String>,
    /// Unique among change sources.
    pub name: Option<String>,
    /// Alters each change, or drops it by returning nil (lua-api § 2).
    pub change_fn: Option<Callback>,
}

impl Default for PbChangesParams {
    fn default() -> Self {
        PbChangesParams {
            user: "change".into(),
            passwd: "changepw".into(),
            port: None,
            prefix: None,
            name: None,
            change_fn: None,
        }
    }
}

impl Params for PbChangesParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.user.is_empty() {
            problems.push(Problem::new("user", "must not be empty"));
        }
        if !self.passwd.is_object() && self.passwd.as_str().is_none_or(str::is_empty) {
            problems
                .push(Problem::new("passwd", "must be a text that is not empty, or util.Secret \"NAME\""));
        }
        problems.extend(port_problem(self.port.as_ref()));
        problems
    }
}

pub const PB_CHANGE_SOURCE: Kind = Kind {
    namespace: "changes",
    name: "PBChangeSource",
    aliases: &[],
    category: Category::ChangeSource,
    positional: &["user", "passwd", "port", "prefix", "name"],
    flat: false,
    doc: "Takes changes from `lunabot sendchange` or `buildbot sendchange`, over PB.",
    schema: schema_of::<PbChangesParams>,
    check: check_as::<PbChangesParams>,
    callbacks: &[CallbackSpec {
        option: "change_fn",
        args: "change",
        returns: "the change, altered or not; nil: it is dropped",
        on_error: "the client is told, and may report it again",
    }],
    extensible: false,
};

/// What the row of a source is called: as given, or by its port (02.004).
pub(super) fn name(params: &PbChangesParams) -> String {
    let port = params.port.as_ref().filter(|port| !port.is_null()).map(lunabot_model::percent::text);
    let parts = ["PBChangeSource".to_owned()].into_iter().chain(params.prefix.clone()).chain(port);
    params.name.clone().unwrap_or_else(|| parts.collect::<Vec<_>>().join(":"))
}

/// A source that clients may log in for.
#[derive(Clone)]
pub(super) struct Source {
    pub password: String,
    pub prefix: Option<String>,
    pub intake: Arc<Intake>,
    pub functions: ChangeFunctions,
    /// In words, for the list of script errors.
    pub concerns: String,
}

/// Takes the changes of one client until it closes the connection.
pub(super) async fn serve(mut client: PbClient, mut transport: Transport, source: Source) -> Option<()> {
    for _ in 0..MOST {
        let reported = loop {
            for bytes in client.output() {
                transport.writer.write(bytes).await.ok()?;
            }
            match client.reported() {
                Ok(Some(reported)) => break reported,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!("{}: {error}", source.concerns);
                    return None;
                }
            }
            let bytes = transport.reader.read().await.ok().flatten()?;
            client.feed(&bytes);
        };
        // Answered when it is stored.
        let stored = store(&source, reported.change).await;
        if let Err(error) = &stored {
            tracing::warn!("{}: a change was not taken: {error}", source.concerns);
        }
        client.answer(reported.request, stored);
        for bytes in client.output() {
            transport.writer.write(bytes).await.ok()?;
        }
    }
    Some(())
}

async fn store(source: &Source, change: Dict) -> Result<(), String> {
    let change = read(change, source.prefix.as_deref())?;
    let stored = source.intake.add(change, &source.functions, &source.concerns).await;
    stored.map(|_| ()).map_err(|error| error.to_string())
}

/// The names of old and new clients. What is empty is as if absent.
fn read(change: Dict, prefix: Option<&str>) -> Result<NewChange, String> {
    let text = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| change.get(key).and_then(Value::as_str));
        found.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let when = ["when_timestamp", "when"].iter().find_map(|key| change.get(key)?.as_f64());
    let files = change.get("files").and_then(Value::as_items).unwrap_or_default();
    let files = files.iter().filter_map(Value::as_str).filter_map(|file| match prefix {
        Some(prefix) => file.strip_prefix(prefix),
        None => Some(file),
    });
    let mut properties = Properties::new();
    if let Some(sent) = change.get("properties").and_then(Value::as_dict) {
        for (name, value) in sent.iter() {
            properties.set(name, crate::values::plain(value), "Change");
        }
    }
    Ok(NewChange {
        author: text(&["author", "who"]).ok_or("the change names nobody (who)")?,
        committer: text(&["committer"]),
        files: files.map(str::to_owned).collect(),
        comments: text(&["comments"]).unwrap_or_default(),
        revision: text(&["revision"]),
        when_timestamp: when.map(|seconds| seconds as i64),
        branch: text(&["branch"]),
        category: text(&["category"]),
        revlink: text(&["revlink"]),
        properties,
        repository: text(&["repository"]).unwrap_or_default(),
        project: text(&["project"]).unwrap_or_default(),
        codebase: text(&["codebase"]).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_02_009_names_of_old_clients_are_read_and_prefixes_cut() {
        let sent = Dict::new()
            .with("who", "Ada")
            .with("files", vec!["trunk/a.c", "branches/b.c"])
            .with("when", 1_700_000_000.5)
            .with("branch", "")
            .with("links", Value::None)
            .with("properties", Dict::new().with("a", "1"));
        let change = read(sent.clone(), Some("trunk/")).unwrap();
        assert_eq!((change.author.as_str(), change.files.as_slice()), ("Ada", &["a.c".to_owned()][..]));
        assert_eq!((change.when_timestamp, change.branch), (Some(1_700_000_000), None));
        assert_eq!(change.properties.get("a"), Some(&Json::from("1")));
        assert_eq!(read(sent, None).unwrap().files.len(), 2);
        assert!(read(Dict::new(), None).is_err(), "nobody's change");
    }

    #[test]
    fn row_02_009_options_are_checked() {
        let paths = |args| (PB_CHANGE_SOURCE.check)(&args).into_iter().map(|p| p.path).collect::<Vec<_>>();
        assert_eq!(paths(serde_json::json!({})), [""; 0]);
        assert_eq!(
            paths(serde_json::json!({"user": "", "passwd": "", "port": "nowhere"})),
            ["user", "passwd", "port"]
        );
        assert_eq!(paths(serde_json::json!({"port": "9999"})), [""; 0]);
    }
}
