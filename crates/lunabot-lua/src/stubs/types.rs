//! What an option takes, in the language server's words.

use crate::shape::{Form, ITEMS, Shape};
use lunabot_model::Category;
use lunabot_model::kind::CallbackSpec;

/// The type of a value of this shape: `string|lunabot.Renderable`.
pub(super) fn of_shape(shape: &Shape) -> String {
    of_option(shape, None)
}

/// The same of an option that may be a function which the master calls.
pub(super) fn of_option(shape: &Shape, callback: Option<&CallbackSpec>) -> String {
    let function = callback.map(|spec| format!("({})", of_callback(spec)));
    let mut all: Vec<String> = function.into_iter().collect();
    for choice in shape.choices() {
        let text = of_form(&choice.form);
        let said = all.contains(&text) || callback.is_some() && text == FUNCTION;
        all.extend((!said).then_some(text));
    }
    let any = all.iter().any(|text| text == "any");
    if (shape.renderable || shape.choices().iter().any(|choice| choice.renderable)) && !any {
        all.push("lunabot.Renderable".into());
    }
    if any && callback.is_none() { "any".into() } else { all.join("|") }
}

const FUNCTION: &str = "function";

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
        Form::Callback => FUNCTION.into(),
        Form::Object => "lunabot.Object|lunabot.Class".into(),
        // `false` items of lists are dropped, lists in lists are spliced (lua-api § 1).
        Form::List(item) => format!("({}|false|any[])[]", of_shape(item)),
        Form::Numbered(item) => format!("table<integer, {}>", of_shape(item)),
        Form::Map(item) => format!("table<string, {}>", of_shape(item)),
        Form::Struct(fields) => {
            let field = |f: &crate::shape::Field| match &f.shape.form {
                Form::List(item) if f.name == ITEMS => format!("[integer]: {}", of_shape(item)),
                _ => format!("{}?: {}", key(&f.name), of_shape(&f.shape)),
            };
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

/// `fun(builder: lunabot.BuilderView, wfb: lunabot.WorkerForBuilder): any, any?`.
fn of_callback(spec: &CallbackSpec) -> String {
    // Of a dashboard: what a browser asks.
    let of = if spec.option == "app" { of_http } else { of_argument };
    of_function(typed(spec.args.split(',').map(str::trim), of))
}

/// A method of a class: `fun(self: lunabot.util.Build, last: any): any, any?`.
pub(super) fn of_method(path: &str, category: Category, takes: &[&str]) -> String {
    let of = match category {
        Category::WebHook => of_http,
        Category::Generator => of_report,
        _ => of_argument,
    };
    of_function(std::iter::once(format!("self: {path}")).chain(typed(takes.iter().copied(), of)))
}

fn of_function(arguments: impl Iterator<Item = String>) -> String {
    format!("fun({}): any, any?", arguments.collect::<Vec<_>>().join(", "))
}

/// `build: lunabot.Build` and so on.
fn typed<'a>(
    arguments: impl Iterator<Item = &'a str>,
    of: fn(&str) -> &'static str,
) -> impl Iterator<Item = String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let names = arguments.map(move |argument| argument.chars().map(plain).collect::<String>());
    names.filter(|name| super::is_name(name)).map(move |name| format!("{name}: {}", of(&name)))
}

/// What a browser or a forge asks, not a request for a build.
fn of_http(name: &str) -> &'static str {
    if name == "request" { "lunabot.HttpRequest" } else { of_argument(name) }
}

/// What is known of a build, not one that runs.
fn of_report(name: &str) -> &'static str {
    if name == "build" { "lunabot.ReportedBuild" } else { of_argument(name) }
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
        "reports" => "lunabot.Report[]",
        "props" => "lunabot.Properties",
        "step" => "lunabot.Step",
        "build" => "lunabot.Build",
        "cmd" => "lunabot.Command",
        "important" => "boolean",
        "results" => "integer",
        "line" | "data" => "string",
        "path" | "value" => "string",
        _ => "any",
    }
}

pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
