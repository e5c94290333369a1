//! A command as tests see it.

use lunabot_model::Json;
use lunabot_proto::{Command, Value, names};
use serde_json::json;

/// What a command says of itself.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The words of a shell command, else the command's name and its paths; by this text it is answered.
    pub line: String,
    words: Vec<String>,
    workdir: String,
    /// What a command for files is about.
    pub path: String,
}

/// Where commands for files have their paths.
const PATHS: &[&str] = &["file", "path", "dir", "workersrc", "workerdest", "fromdir", "todir"];

impl Seen {
    /// Secrets in it are hidden by `conceal`.
    pub fn of(command: &Command, conceal: impl Fn(String) -> String) -> Self {
        let text_of = |value: &Value| conceal(text_of(value));
        let text = |name: &str| command.args.get(name).map(&text_of).unwrap_or_default();
        let workdir = text("workdir");
        if command.name == names::SHELL {
            let words: Vec<String> = match command.args.get("command") {
                Some(Value::List(words)) => words.iter().map(&text_of).collect(),
                Some(line) => vec![text_of(line)],
                None => Vec::new(),
            };
            return Seen { line: words.join(" "), words, workdir, path: String::new() };
        }
        let paths: Vec<String> =
            PATHS.iter().filter_map(|name| command.args.get(name)).map(&text_of).collect();
        let words: Vec<String> = std::iter::once(command.name.clone()).chain(paths.iter().cloned()).collect();
        let path = paths.into_iter().next().unwrap_or_default();
        Seen { line: words.join(" "), words, workdir, path }
    }

    /// The argument of a function that answers.
    pub fn to_json(&self, command: &Command) -> Json {
        json!({
            "name": command.name, "line": self.line, "words": self.words, "workdir": self.workdir,
            "path": self.path, "env": command.args.get("env").map(plain).unwrap_or(json!({})),
        })
    }

    /// Whether a file that a test knows by `name` is the one that the command is about.
    pub fn is_about(&self, name: &str) -> bool {
        let path = self.path.trim_start_matches("./");
        let below = format!("{}/{path}", self.workdir);
        path == name || below == name || path.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'))
    }
}

/// A word; of one that is hidden, what is shown in its place.
fn text_of(value: &Value) -> String {
    if let Some(parts) = value.as_items() {
        let hidden = parts.first().and_then(Value::as_str) == Some("obfuscated");
        return match parts.get(2).filter(|_| hidden) {
            Some(shown) => text_of(shown),
            None => parts.iter().map(text_of).collect::<Vec<_>>().join(" "),
        };
    }
    match value {
        Value::Str(text) => text.clone(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.as_i64().map(|number| number.to_string()).unwrap_or_default(),
    }
}

fn plain(value: &Value) -> Json {
    if let Some(dict) = value.as_dict() {
        return dict.iter().map(|(name, value)| (name.to_owned(), plain(value))).collect();
    }
    if let Some(items) = value.as_items() {
        return items.iter().map(plain).collect();
    }
    if value.is_none() { Json::Null } else { text_of(value).into() }
}
