//! What an option takes, in the language server's words.

use crate::shape::{Form, Shape};
use lunabot_model::kind::CallbackSpec;

/// The type of a value of this shape: `string|lunabot.Renderable`.
pub(super) fn of_shape(shape: &Shape) -> String {
    let mut all: Vec<String> = Vec::new();
    for choice in shape.choices() {
        let text = of_form(&choice.form);
        if !all.contains(&text) {
            all.push(text);
        }
    }
    let any = all.iter().any(|text| text == "any");
    if (shape.renderable || shape.choices().iter().any(|choice| choice.renderable)) && !any {
        all.push("lunabot.Renderable".into());
    }
    if any { "any".into() } else { all.join("|") }
}

fn of_form(form: &Form) -> String {
    match form {
        Form::Any => "any".into(),
        Form::Null => "lunabot.Null".into(),
        Form::Bool => "boolean".into(),
        Form::Integer => "integer".into(),
        Form::Number => "number".into(),
        Form::Text { .. } => "string".into(),
        Form::Choice(all) => all.iter().map(|one| quoted(one)).collect::<Vec<_>>().join("|"),
        Form::OneOf(all) => all.iter().map(f64::to_string).collect::<Vec<_>>().join("|"),
        Form::Duration => "number|string".into(),
        Form::Callback => "function".into(),
        Form::Object => "lunabot.Object".into(),
        // `false` items of lists are dropped, lists in lists are spliced (lua-api § 1).
        Form::List(item) => format!("({}|false|any[])[]", of_shape(item)),
        Form::Numbered(item) => format!("table<integer, {}>", of_shape(item)),
        Form::Map(item) => format!("table<string, {}>", of_shape(item)),
        Form::Struct(fields) => {
            let field = |f: &crate::shape::Field| format!("{}?: {}", key(&f.name), of_shape(&f.shape));
            let mut all: Vec<String> = fields.known.iter().map(field).collect();
            all.extend(fields.rest.as_deref().map(|rest| format!("[string]: {}", of_shape(rest))));
            format!("{{ {} }}", all.join(", "))
        }
        Form::Either(all) => all.iter().map(of_shape).collect::<Vec<_>>().join("|"),
    }
}

fn key(name: &str) -> String {
    if super::is_name(name) { name.to_owned() } else { format!("[{}]", quoted(name)) }
}

/// `fun(builder: any, wfb: any): any`.
pub(super) fn of_callback(spec: &CallbackSpec) -> String {
    let name = |argument: &str| -> String {
        argument.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
    };
    let arguments: Vec<String> = spec
        .args
        .split(',')
        .map(name)
        .filter(|argument| super::is_name(argument))
        .map(|argument| format!("{argument}: {}", of_argument(&argument)))
        .collect();
    format!("fun({}): any", arguments.join(", "))
}

/// What callbacks get under these names (lua-api § 2, "Objects").
fn of_argument(name: &str) -> &'static str {
    match name {
        "master" => "lunabot.Master",
        "builder" => "lunabot.BuilderView",
        "builders" => "lunabot.BuilderView[]",
        "req" | "req1" | "req2" | "request" => "lunabot.Request",
        "requests" => "lunabot.Request[]",
        "wfb" => "lunabot.WorkerForBuilder",
        "wfbs" => "lunabot.WorkerForBuilder[]",
        "change" => "lunabot.Change",
        "props" => "lunabot.Properties",
        "path" | "value" => "string",
        _ => "any",
    }
}

pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
