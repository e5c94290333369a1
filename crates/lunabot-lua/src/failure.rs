//! Errors of the interpreter in the user's words: message with position, traceback without our own frames.

use crate::state::Shared;
use lunabot_model::text::shortened_to;
use lunabot_model::{ScriptError, ScriptErrorKind};
use mlua::{Error, Lua, ObjectLike, Table, Thread};

/// Longest message and traceback that people see.
const MAX_TEXT: usize = 8 * 1024;
/// Longest that is kept before secrets are taken out of it: of one that this cuts nothing is seen.
const MAX_RAW: usize = 4 * MAX_TEXT;

/// An error whose kind is known: it ends a call with that kind where nothing catches it.
#[derive(Debug)]
pub(crate) struct Marked {
    kind: ScriptErrorKind,
    message: String,
}

impl Marked {
    pub fn error(kind: ScriptErrorKind, message: impl Into<String>) -> Error {
        Error::external(Marked { kind, message: message.into() })
    }
}

impl std::fmt::Display for Marked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Marked {}

/// The message alone, with what is in a table that was raised.
pub(crate) fn told(shared: &Shared, error: &Error) -> String {
    with_fields(shared, message_of(error))
}

/// A table that was raised, as what it holds.
pub(crate) fn with_fields(shared: &Shared, message: String) -> String {
    if !message.contains(TABLE) {
        return message;
    }
    let shown = shared.prelude("with_fields").and_then(|show| show.call(message.as_str()));
    shown.unwrap_or(message)
}

/// How Lua tells a table.
const TABLE: &str = "table: 0x";

/// The message alone: `master.lua:12: …`.
pub(crate) fn message_of(error: &Error) -> String {
    split(error).0
}

/// The error as it leaves this room.
pub(crate) fn script_error(error: &Error) -> ScriptError {
    if let Some(Marked { kind, message }) = error.downcast_ref::<Marked>() {
        return ScriptError { kind: *kind, message: message.clone(), traceback: String::new() };
    }
    let kind = if is_memory(error) { ScriptErrorKind::Memory } else { ScriptErrorKind::Raise };
    let (message, traceback) = split(error);
    ScriptError { kind, message, traceback }
}

fn is_memory(error: &Error) -> bool {
    match error {
        Error::MemoryError(_) => true,
        Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => is_memory(cause),
        _ => false,
    }
}

fn split(error: &Error) -> (String, String) {
    match error {
        Error::SyntaxError { message, .. } => (cut(message), String::new()),
        Error::RuntimeError(text) => parts(text),
        Error::MemoryError(_) => ("not enough memory (c.lua.memory_limit)".into(), String::new()),
        Error::CallbackError { traceback, cause } => {
            let (message, inner) = split(cause);
            let traceback = if inner.is_empty() { tidy(traceback) } else { inner };
            (positioned(message, &traceback), traceback)
        }
        Error::WithContext { cause, .. } => split(cause),
        Error::BadArgument { pos, cause, .. } => {
            let (message, traceback) = split(cause);
            (format!("argument {pos}: {message}"), traceback)
        }
        Error::FromLuaConversionError { from, to, message } => {
            (converted(from, to, message.as_deref()), String::new())
        }
        other => parts(&other.to_string()),
    }
}

/// What Lua says where something waits inside a C function, and what it means.
const YIELD: &str = "attempt to yield across a C-call boundary";
pub(crate) const CANNOT_WAIT: &str =
    "cannot wait here, inside a comparator of table.sort, a callback of string.gsub or another C function";

fn parts(text: &str) -> (String, String) {
    let text = &text.replace(YIELD, CANNOT_WAIT);
    let (text, ours) = without_place(text).map_or((text.as_str(), false), |text| (text, true));
    match text.split_once("\nstack traceback:") {
        Some((message, traceback)) if ours || message == CANNOT_WAIT || is_value(message) => {
            let traceback = tidy(traceback);
            let message = if message == "nil" { "an error without a text was raised" } else { message };
            (positioned(message.to_string(), &traceback), traceback)
        }
        Some((message, traceback)) => (cut(message), tidy(traceback)),
        None => (cut(text.trim_end()), String::new()),
    }
}

/// Whether what was raised is no text, to which Lua would have added the line.
fn is_value(message: &str) -> bool {
    message == "nil" || message.starts_with(TABLE)
}

/// An argument of another type, in the user's words.
fn converted(from: &str, to: &str, message: Option<&str>) -> String {
    let wanted = match to {
        "String" | "string" | "str" | "&str" if from == "string" => {
            return "expected text in UTF-8, got other bytes".into();
        }
        "String" | "string" | "str" | "&str" => "a text",
        "f32" | "f64" | "number" => "a number",
        "table" | "Table" => "a table",
        "function" | "Function" => "a function",
        "bool" | "boolean" => "true or false",
        to if to.starts_with(['i', 'u']) && to[1..].bytes().all(|byte| byte.is_ascii_digit()) => {
            "a whole number"
        }
        _ => message.unwrap_or("something else"),
    };
    let got = match from {
        "nil" => "nothing",
        "string" => "a text",
        "integer" | "number" => "a number",
        "boolean" => "true or false",
        "table" => "a table",
        "function" => "a function",
        _ => "an object",
    };
    format!("expected {wanted}, got {got}")
}

/// A message without the place in one of our own files, if it begins with one: it says nothing to the user.
pub(crate) fn without_place(text: &str) -> Option<&str> {
    let (_file, rest) = text.strip_prefix("lunabot:")?.split_once(':')?;
    let (line, message) = rest.split_once(": ")?;
    line.bytes().all(|byte| byte.is_ascii_digit()).then_some(message)
}

/// The message with the place at which a function that waits was left.
pub(crate) fn positioned_in(lua: &Lua, thread: &Thread, message: String) -> String {
    let stack =
        lua.globals().get::<Table>("debug").and_then(|debug| debug.call_function("traceback", thread));
    positioned(message, &tidy(&stack.unwrap_or_else(|_| String::new())))
}

/// Errors of Rust functions have no position: the innermost line of the user's in the traceback is theirs.
fn positioned(message: String, traceback: &str) -> String {
    if crate::script_errors::place_of(&message).is_some() {
        return message;
    }
    // `[C]:` and `(...tail calls...)` are no lines of a file.
    match traceback.lines().find(|line| !line.trim_start().starts_with(['[', '('])) {
        Some(line) => {
            let place = line.trim().splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
            if place.contains(':') { format!("{place}: {message}") } else { message }
        }
        None => message,
    }
}

/// Without the frames of the host itself.
fn tidy(traceback: &str) -> String {
    let ours = ["__mlua", "lunabot:", "[string \"=", "stack traceback:"];
    let lines = traceback.lines().map(str::trim).filter(|line| !line.is_empty());
    let theirs =
        lines.filter(|line| !ours.iter().any(|own| line.starts_with(own)) && !line.starts_with("[C]"));
    cut(&theirs.collect::<Vec<_>>().join("\n"))
}

fn cut(text: &str) -> String {
    shortened_to(MAX_RAW, text).into_owned()
}

/// As people may see it, once the secrets are out of it.
pub(crate) fn seen(text: &str) -> String {
    shortened_to(MAX_TEXT, text).into_owned()
}
