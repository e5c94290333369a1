//! Constructors, made from the tables of kinds: `X{a, b, k = v}` becomes checked, named options (lua-api § 1, "Calls").

use crate::class::Class;
use crate::convert::{Reader, unknown_option, words};
use crate::declared::Declared;
use crate::extend;
use crate::modules::known_option;
use crate::origin::{Origin, origin, raise};
use crate::shape::{Fields, Form, Shape};
use crate::state::Shared;
use lunabot_model::script::LiveKind;
use lunabot_model::text::named as shown;
use lunabot_model::{Category, Json, Kind, Problem};
use mlua::{AnyUserData, Lua, MultiValue, Table, Value};
use serde_json::Map;
use std::rc::Rc;

/// Told of what Buildbot has and we do not have yet.
const NOT_YET: &str = "not supported yet";

/// What was written between the braces.
#[derive(Default, Clone)]
pub(crate) struct Written {
    pub positional: Vec<Value>,
    pub named: Vec<(String, Value)>,
}

/// The options of an object, as far as they are good, and what is wrong with the others.
pub(crate) struct Options {
    pub args: Map<String, Json>,
    pub problems: Vec<Problem>,
    /// Something in it is wrong: what follows from that is not told again.
    pub poisoned: bool,
}

/// Makes an object of a class. Mistakes are recorded while the file is loaded, and raised later.
pub(crate) fn construct(
    lua: &Lua,
    shared: &Shared,
    class: &Rc<Class>,
    args: MultiValue,
) -> mlua::Result<AnyUserData> {
    // What is made of a bare class once the file has returned is told where the class is written.
    let found = origin(lua);
    let at = match &class.extended {
        Some(own) if found.file.is_empty() => own.at.clone(),
        _ => found,
    };
    let any_time = matches!(
        class.kind.category,
        Category::Renderable | Category::Command | Category::Step | Category::Observer
    );
    if !shared.loading() && !any_time {
        let path = class.path();
        return Err(raise(lua, format!("{path} can only be made while the configuration is loaded")));
    }
    let mut written = match written(class, args) {
        Ok(written) => written,
        Err(message) => {
            shared.complain(lua, &class.path(), message)?;
            let nothing = Options { args: Map::new(), problems: Vec::new(), poisoned: true };
            return Declared::make(lua, shared, class, at, nothing);
        }
    };
    if let Some(class) = extend::observed(lua, shared, class, &mut written, &at)? {
        return extend::construct(lua, shared, &class, written, at);
    }
    if class.extended.is_some() {
        return extend::construct(lua, shared, class, written, at);
    }
    let options = options(lua, shared, class.kind, written);
    report(lua, shared, &class.path(), &at, &options.problems)?;
    if let Some(live) = live_kind(shared, class) {
        let object = (live.make)(&Json::Object(options.args)).map_err(|error| raise(lua, error))?;
        return match crate::live::Live::make(lua, object)? {
            Value::UserData(object) => Ok(object),
            _ => Err(raise(lua, "no object")),
        };
    }
    Declared::make(lua, shared, class, at, options)
}

/// In functions, objects of some kinds act at once.
fn live_kind(shared: &Shared, class: &Class) -> Option<LiveKind> {
    let path = class.kind.path();
    shared.options.live.iter().find(|live| !shared.loading() && live.path == path).copied()
}

/// Tells the problems of one object: all of them while loading, else the first is raised.
pub(crate) fn report(
    lua: &Lua,
    shared: &Shared,
    path: &str,
    at: &Origin,
    problems: &[Problem],
) -> mlua::Result<()> {
    for problem in problems {
        let place = match problem.path.as_str() {
            "" => String::new(),
            path => format!("{}: ", shown(path)),
        };
        let message = format!("{place}{}", problem.message);
        if !shared.loading() {
            return Err(raise(lua, format!("{path}: {message}")));
        }
        shared.record(at, path, message);
    }
    Ok(())
}

/// Takes the arguments of a call apart. The error says how to write it.
pub(crate) fn written(class: &Class, mut args: MultiValue) -> Result<Written, String> {
    let name = class.path();
    if args.len() > 1 && is_function(class) {
        return as_function(args);
    }
    if args.len() > 1 {
        let colon = matches!(args.front(), Some(Value::Table(t)) if t.metatable().is_some());
        return Err(if colon {
            format!("is called with a dot, not a colon: {name}{{…}}")
        } else {
            format!("takes one table: write {name}{{a, b, k = v}}")
        });
    }
    let mut written = Written::default();
    match args.pop_front() {
        None | Some(Value::Nil) => {}
        Some(Value::Table(table)) => take_apart(&table, &mut written)?,
        Some(other) => written.positional.push(other),
    }
    Ok(written)
}

/// Functions of ours are written in snake_case and called like functions (rule 3).
fn is_function(class: &Class) -> bool {
    class.kind.name.starts_with(char::is_lowercase) && class.kind.name.contains('_')
}

/// Positional arguments, keywords in one last table.
fn as_function(args: MultiValue) -> Result<Written, String> {
    let mut written = Written::default();
    let mut positional: Vec<Value> = args.into_iter().collect();
    if let Some(Value::Table(table)) = positional.pop_if(|last| last.is_table()) {
        take_apart(&table, &mut written)?;
    }
    positional.append(&mut written.positional);
    written.positional = positional;
    Ok(written)
}

fn take_apart(table: &Table, written: &mut Written) -> Result<(), String> {
    let mut items: Vec<(i64, Value)> = Vec::new();
    let mut odd = None;
    let walked = table.for_each(|key: Value, value: Value| {
        match key {
            Value::Integer(number) => items.push((number, value)),
            Value::String(name) => written.named.push((name.to_string_lossy(), value)),
            other => odd = Some(words(&other)),
        }
        Ok(())
    });
    if let Some(odd) = odd {
        return Err(format!("options have names, got {odd} as a name"));
    }
    walked.map_err(|error| error.to_string())?;
    written.named.sort_by(|a, b| a.0.cmp(&b.0));
    items.sort_by_key(|(number, _)| *number);
    for (expected, (number, value)) in (1i64..).zip(items) {
        if number != expected {
            return Err(format!("argument {expected} is nil"));
        }
        written.positional.push(value);
    }
    Ok(())
}

/// Reads and checks what was written.
pub(crate) fn options(lua: &Lua, shared: &Shared, kind: &'static Kind, written: Written) -> Options {
    let (args, problems, poisoned) = read(lua, shared, kind, written);
    finish(kind, args, problems, poisoned)
}

/// Checks options that are already JSON.
pub(crate) fn finish(
    kind: &'static Kind,
    args: Map<String, Json>,
    mut problems: Vec<Problem>,
    poisoned: bool,
) -> Options {
    // What is not an option was left out; the others can be judged without it.
    let left_out =
        |problem: &Problem| problem.message.starts_with("unknown option") || problem.message == NOT_YET;
    let mut poisoned = poisoned || !problems.iter().all(left_out);
    let args = Json::Object(args);
    if !poisoned {
        let found = (kind.check)(&args);
        poisoned = !found.is_empty();
        problems.extend(found.into_iter().map(from_one));
    }
    let args = if let Json::Object(args) = args { args } else { Map::new() };
    Options { args, problems, poisoned }
}

/// Reads without the kind's own check.
pub(crate) fn read(
    lua: &Lua,
    shared: &Shared,
    kind: &'static Kind,
    written: Written,
) -> (Map<String, Json>, Vec<Problem>, bool) {
    let fields = shared.fields(kind);
    let mut reader = Reader::new(lua, shared);
    let mut args = Map::new();
    match named(lua, kind, &fields, written) {
        Ok(named) => {
            for (name, value) in named {
                let Some(shape) = fields.shape(&name) else {
                    let message = not_an_option(&mut reader, kind, &fields, &name, &value);
                    reader.problems.push(Problem::new(&name, message));
                    continue;
                };
                if args.contains_key(&name) {
                    let message = "given twice: by its position and by its name";
                    reader.problems.push(Problem::new(&name, message));
                    continue;
                }
                reader.functions = kind.callbacks.iter().any(|spec| spec.option == name);
                if let Some(read) = reader.option(&name, &value, shape) {
                    args.insert(name, read);
                }
            }
        }
        Err(message) => reader.problems.push(Problem::new("", message)),
    }
    (args, reader.problems, reader.poisoned)
}

/// What is told of a name that is no option: what the kind itself says of it, if it knows it.
fn not_an_option(
    reader: &mut Reader<'_>,
    kind: &'static Kind,
    fields: &Fields,
    name: &str,
    value: &Value,
) -> String {
    let mut alone = Reader::new(reader.lua, reader.shared);
    alone.functions = true;
    let value = alone.option(name, value, &Shape::ANY).unwrap_or(Json::Null);
    let own = (kind.check)(&Json::Object(Map::from_iter([(name.to_string(), value)]))).into_iter();
    let own = own.filter(|problem| problem.path == name && !problem.message.starts_with("unknown option"));
    match own.map(|problem| problem.message).next() {
        Some(own) => own,
        None if known_option(&kind.path(), name) => NOT_YET.to_string(),
        None => unknown_option(name, fields),
    }
}

/// Gives positional arguments their names.
pub(crate) fn named(
    lua: &Lua,
    kind: &'static Kind,
    fields: &Fields,
    written: Written,
) -> Result<Vec<(String, Value)>, String> {
    let written = if kind.flat { unflatten(lua, kind, fields, written)? } else { written };
    let (mut names, given) = (kind.positional.iter(), written.positional.len());
    let mut named = Vec::with_capacity(given + written.named.len());
    let mut positional = written.positional.into_iter();
    while let Some(value) = positional.next() {
        match names.next() {
            Some(&"*") => {
                let rest = std::iter::once(value).chain(positional.by_ref());
                let list = lua.create_sequence_from(rest).map_err(|e| e.to_string())?;
                named.push(("*".to_string(), Value::Table(list)));
            }
            Some(name) => named.push(((*name).to_string(), value)),
            None => {
                let allowed = kind.positional.len();
                let list =
                    if allowed == 0 { String::new() } else { format!(" ({})", kind.positional.join(", ")) };
                let s = if allowed == 1 { "" } else { "s" };
                return Err(format!("takes {allowed} positional argument{s}{list}, got {given}"));
            }
        }
    }
    named.extend(written.named);
    Ok(named)
}

/// The only positional argument is a list or map that may be written flat (rule 2).
fn unflatten(lua: &Lua, kind: &'static Kind, fields: &Fields, written: Written) -> Result<Written, String> {
    let Some(option) = kind.positional.first() else { return Ok(written) };
    let shape = fields.shape(option).cloned().unwrap_or(Shape::ANY);
    if shape.allows(|form| matches!(form, Form::Map(_))) {
        return flat_map(lua, kind, fields, written);
    }
    let tables = written.positional.iter().filter(|value| value.is_table()).count();
    let lists = tables > 0 && shape.allows(|form| matches!(form, Form::List(item) if !item.allows(|f| matches!(f, Form::Any | Form::Struct(_) | Form::Map(_)))));
    match (written.positional.len(), tables) {
        (0, _) | (1, 1) => Ok(written),
        _ if lists => {
            let name = kind.path();
            Err(format!("write either {name}{{a, b}} or {name}{{{{a, b}}}}, not a mix of both"))
        }
        _ => {
            let list = lua.create_sequence_from(written.positional).map_err(|e| e.to_string())?;
            Ok(Written { positional: vec![Value::Table(list)], named: written.named })
        }
    }
}

fn flat_map(lua: &Lua, kind: &'static Kind, fields: &Fields, written: Written) -> Result<Written, String> {
    let (options, entries): (Vec<_>, Vec<_>) = written
        .named
        .into_iter()
        .partition(|(name, _)| fields.get(name).is_some() || known_option(&kind.path(), name));
    if entries.is_empty() {
        return Ok(Written { positional: written.positional, named: options });
    }
    if !written.positional.is_empty() {
        let name = kind.path();
        return Err(format!("write either {name}{{k = v}} or {name}{{{{k = v}}}}, not a mix of both"));
    }
    let map = lua.create_table_from(entries).map_err(|e| e.to_string())?;
    Ok(Written { positional: vec![Value::Table(map)], named: options })
}

/// Kinds count items from 0, Lua from 1.
fn from_one(problem: Problem) -> Problem {
    Problem { path: one_based(&problem.path), message: problem.message }
}

fn one_based(path: &str) -> String {
    let mut parts = path.split('[');
    let mut text = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (number, rest) = part.split_once(']').unwrap_or((part, ""));
        match number.parse::<u64>() {
            Ok(number) => text.push_str(&format!("[{}]{rest}", number + 1)),
            Err(_) => text.push_str(&format!("[{part}")),
        }
    }
    text
}
