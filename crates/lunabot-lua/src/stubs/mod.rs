//! `lunabot lua-stubs`: definitions for the Lua language server (lua-api § 6), made from the declarations that check the
//! options, so that an editor knows what the master knows.

mod types;

use crate::modules::MODULES;
use crate::shape::{Field, fields_of, fields_of_schema};
use lunabot_model::config::{LuaLimits, WwwConfig};
use lunabot_model::kind::{CallbackSpec, schema_of};
use lunabot_model::{Category, Json, Kind};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use types::{of_method, of_option, of_shape, quoted};

/// Functions of `util`, objects that callbacks get, and the configuration table: what no [`Kind`] declares.
const API: &str = include_str!("api.lua");

/// Of [`API`]: what classes of web hooks have besides.
const EVENTS: &str = "lunabot.EventHandlers";

/// What files of tests are written with.
const TEST: &str = include_str!("test.lua");

/// The files of a library for the language server: names and contents.
pub fn stubs(kinds: &[&'static Kind]) -> Vec<(String, String)> {
    let mut modules: BTreeMap<&str, Vec<&Kind>> =
        MODULES.into_iter().map(|name| (name, Vec::new())).collect();
    for kind in kinds {
        modules.entry(kind.namespace).or_default().push(kind);
    }
    let mut files = vec![
        ("lunabot.lua".to_string(), package()),
        ("api.lua".to_string(), API.to_string()),
        ("test.lua".to_string(), TEST.to_string()),
        ("config.lua".to_string(), sections()),
    ];
    for (name, mut kinds) in modules {
        kinds.sort_by_key(|kind| kind.name);
        files.push((format!("{name}.lua"), module(name, &kinds)));
    }
    files
}

fn package() -> String {
    let mut text = "---@meta lunabot\n\n---@class lunabot\n".to_string();
    for module in MODULES {
        let _ = writeln!(text, "---@field {module} lunabot.{module}");
    }
    text.push_str(
        "---@field master lunabot.Master only inside functions\n---@field basedir string the master's folder\n\
         ---@field config_file string\n---@field version string\nlocal lunabot = {}\nreturn lunabot\n",
    );
    text
}

fn module(name: &str, kinds: &[&Kind]) -> String {
    let mut text = "---@meta _\n\n".to_string();
    kinds.iter().for_each(|kind| class(&mut text, kind));
    let _ = writeln!(text, "---@class lunabot.{name}");
    for kind in kinds {
        for called in std::iter::once(&kind.name).chain(kind.aliases) {
            let _ = writeln!(text, "---@field {called} lunabot.{name}.{}.Class", kind.name);
        }
    }
    text
}

/// The tables of the configuration that have options of their own.
fn sections() -> String {
    let mut text = "---@meta _\n".to_string();
    for (name, schema) in [("Www", schema_of::<WwwConfig>()), ("Lua", schema_of::<LuaLimits>())] {
        let _ = writeln!(text, "\n---@class lunabot.Config.{name}");
        let schema = schema.as_value();
        for field in &fields_of_schema(schema).known {
            let said = one_line(said(schema, field));
            let _ = writeln!(text, "---@field {}? {} {said}", field.name, of_shape(&field.shape));
        }
    }
    text
}

/// The options of a kind, its objects, and what makes them.
fn class(text: &mut String, kind: &Kind) {
    let path = format!("lunabot.{}", kind.path());
    let schema = (kind.schema)();
    let schema = schema.as_value();
    let fields = fields_of(kind);
    let _ = writeln!(text, "---@class {path}.Options");
    for field in &fields.known {
        option(text, kind, schema, field);
    }
    for (place, name) in kind.positional.iter().enumerate().filter(|(_, name)| **name != "*") {
        if let Some(field) = fields.get(name) {
            let taken = of_option(&field.shape, callback(kind, name));
            let _ = writeln!(text, "---@field [{}]? {taken} {name}", place + 1);
        }
    }
    observers(text, kind);
    let rest = fields.rest.as_deref().map(of_shape);
    let flat = kind.flat || kind.positional.contains(&"*");
    if let Some(rest) = rest {
        let _ = writeln!(text, "---@field [string] {rest}");
    }
    if flat {
        let _ = writeln!(text, "---@field [any] any");
    }
    let _ = writeln!(text, "\n---@class {path} : {}", base(kind.category));
    for field in fields.known.iter().filter(|field| is_name(&field.name)) {
        let _ = writeln!(text, "---@field {} {}", field.name, of_shape(&field.shape));
    }
    if kind.extensible {
        // What a class of one's own keeps in its objects.
        let _ = writeln!(text, "---@field [string] any");
    }
    let _ = writeln!(text);
    documented(text, kind.doc);
    let events = if kind.category == Category::WebHook { format!(", {EVENTS}") } else { String::new() };
    let arguments = arguments(kind, &fields, &path, required(schema).next().is_none());
    let _ = writeln!(
        text,
        "---@class {path}.Class : lunabot.Class{events}\n---@overload fun({arguments}): {path}\n---@field [string] any"
    );
    if kind.extensible {
        extensible(text, kind, &path);
    }
    let _ = writeln!(text);
}

/// One table, or positions.
fn arguments(kind: &Kind, fields: &crate::shape::Fields, path: &str, optional: bool) -> String {
    let of = |name: &&str| {
        let field = fields.get(name);
        field.map_or_else(|| "any".to_string(), |field| of_option(&field.shape, callback(kind, name)))
    };
    let mut all = format!("options{}: {path}.Options", if optional { "?" } else { "" });
    let positions = kind.positional.iter().filter(|name| **name != "*").collect::<Vec<_>>();
    if let Some(first) = positions.first() {
        all = format!("{all}|{}", of(first));
    }
    if kind.flat || kind.positional.contains(&"*") {
        all.push_str("|any[]");
    }
    for name in positions.iter().skip(1) {
        all = format!("{all}, {name}?: {}", of(name));
    }
    if kind.positional.contains(&"*") {
        all.push_str(", ...: any");
    }
    all
}

/// `extend`, and what a class of one's own may say: its methods know their `self`.
fn extensible(text: &mut String, kind: &Kind, path: &str) {
    let body = format!("{path}.Body");
    let _ = writeln!(
        text,
        "---@field extend fun(self: {path}.Class, name: string|{body}, body?: {body}): {path}.Class"
    );
    let hooks = lunabot_model::class::hooks(kind.category);
    for hook in hooks {
        let takes = of_method(path, kind.category, hook.takes);
        let _ = writeln!(text, "---@field {} {takes}", hook.name);
    }
    let _ = writeln!(text, "\n---@class {body} : lunabot.Body");
    if kind.category == Category::WebHook {
        for handler in fields(of_api(EVENTS)) {
            let _ = writeln!(text, "---@field {}", handler.replacen(' ', "? ", 1));
        }
    }
    observers(text, kind);
    for hook in hooks {
        let takes = of_method(path, kind.category, hook.takes);
        let _ = writeln!(text, "---Returns {}.\n---@field {}? {takes}", one_line(hook.returns), hook.name);
    }
}

/// What all steps take, in a class as for one.
fn observers(text: &mut String, kind: &Kind) {
    if kind.category == Category::Step && kind.extensible {
        let one = base(Category::Observer);
        let all = format!("{one}|lunabot.Class|({one}|lunabot.Class)[]");
        let _ = writeln!(
            text,
            "---@field observers? table<string, {all}> observers of its logs, by the log's name"
        );
    }
}

fn option(text: &mut String, kind: &Kind, schema: &Json, field: &Field) {
    let kind_of = of_option(&field.shape, callback(kind, &field.name));
    // Positions stand for names, so that none is required by itself.
    let needed =
        required(schema).any(|name| name == field.name) && !kind.positional.contains(&field.name.as_str());
    let mark = if needed { "" } else { "?" };
    let name = if is_name(&field.name) {
        format!("{}{mark}", field.name)
    } else {
        format!("[{}]{mark}", quoted(&field.name))
    };
    let _ = writeln!(text, "---@field {name} {kind_of} {}", one_line(said(schema, field)));
}

/// What the declaration of an option says of it.
fn said<'a>(schema: &'a Json, field: &Field) -> &'a str {
    schema["properties"][&field.name]["description"].as_str().unwrap_or_default()
}

fn callback<'a>(kind: &'a Kind, option: &str) -> Option<&'a CallbackSpec> {
    kind.callbacks.iter().find(|spec| spec.option == option)
}

fn required(schema: &Json) -> impl Iterator<Item = &str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// The class of a kind's objects, for options that want one.
fn base(category: Category) -> &'static str {
    match category {
        Category::Renderable => "lunabot.Renderable",
        Category::Lock => "lunabot.Lock",
        Category::Factory => "lunabot.Factory",
        Category::Command => "lunabot.Command",
        Category::Step => "lunabot.Step",
        Category::Observer => "lunabot.Observer",
        Category::Build => "lunabot.Build",
        Category::Scheduler => "lunabot.Scheduler",
        Category::Worker => "lunabot.LatentWorker",
        Category::ChangeSource | Category::Service | Category::Reporter => "lunabot.Acting",
        Category::Generator => "lunabot.Generator",
        Category::Formatter => "lunabot.Formatter",
        Category::WebHook => "lunabot.WebHook",
        _ => "lunabot.Object",
    }
}

/// The fields and methods that all objects of a category have beside their options.
pub(crate) fn members(category: Category) -> impl Iterator<Item = &'static str> {
    let head = |text: &'static str| text.lines().next()?.split_once(" : ")?.1.split(", ").next();
    let classes = std::iter::successors(Some(of_api(base(category))), move |one| head(one).map(of_api));
    classes.flat_map(fields).filter_map(|field| field.split([' ', '?']).next()).filter(|name| is_name(name))
}

/// What [`API`] says of a class, from its name on.
fn of_api(class: &str) -> &'static str {
    let named = |text: &&str| text.split([' ', '\n']).next() == Some(class);
    API.split("---@class ").find(named).unwrap_or_default()
}

fn fields(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().skip(1).map_while(|line| line.strip_prefix("---@field "))
}

fn is_name(text: &str) -> bool {
    const WORDS: [&str; 22] = [
        "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
        "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
    ];
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain && !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && !WORDS.contains(&text)
}

fn documented(text: &mut String, doc: &str) {
    for line in doc.lines() {
        let _ = writeln!(text, "---{}", without_references(line.trim()));
    }
}

fn one_line(text: &str) -> String {
    without_references(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Without ` (05.061, 05.062)` and the like: the numbers of our own specification say nothing to a user.
fn without_references(text: &str) -> String {
    let mut parts = text.split(" (");
    let mut kept = parts.next().unwrap_or_default().to_string();
    for part in parts {
        match part.split_once(')').filter(|(inside, _)| inside.split(", ").all(is_reference)) {
            Some((_, after)) => kept.push_str(after),
            None => {
                kept.push_str(" (");
                kept.push_str(part);
            }
        }
    }
    kept
}

/// `05.061`, `04b`, `item 5`, `lua-api § 2`.
fn is_reference(text: &str) -> bool {
    let row = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let row = row.len() >= 2 && row.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '–');
    row || text.starts_with("item ") || text.starts_with("lua-api ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn references_are_left_out_and_remarks_are_not() {
        for (text, wanted) in [
            ("Locks (05.061, 05.062).", "Locks."),
            ("Of a build (04b, item 5).", "Of a build."),
            ("Drops it (lua-api § 2).", "Drops it."),
            (
                "An IP address (of IPv6 a network of 64 bits), may",
                "An IP address (of IPv6 a network of 64 bits), may",
            ),
            ("At most (in seconds)", "At most (in seconds)"),
        ] {
            assert_eq!(super::without_references(text), wanted);
        }
    }

    #[test]
    fn every_function_of_the_configuration_is_known() {
        for spec in lunabot_model::config::CALLBACKS {
            assert!(super::API.contains(&format!("---@field {}? ", spec.option)), "{}", spec.option);
        }
    }
}
