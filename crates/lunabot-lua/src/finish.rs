//! From the table that the file returned to the plain configuration: what could change until now is filled in
//! (steps of factories, fingerprints), then everything is checked together.

use crate::class::Class;
use crate::convert::Reader;
use crate::declared::Declared;
use crate::fingerprint::Fingerprints;
use crate::locate::{locate, named_items};
use crate::shape::{Form, HOLD_VALUES, Shape};
use crate::vm::{Vm, shown};
use lunabot_model::config::{Config, ConfigError};
use lunabot_model::{Category, Json};
use mlua::{Table, Value};
use serde_json::Map;
use std::collections::HashMap;

/// Objects inside objects that are followed; the reader's own limit is lower.
const MAX_DEPTH: usize = 500;

/// Reads the configuration. Mistakes are recorded; `None`: there are some.
pub(crate) fn finish(vm: &Vm, table: &Table, source: &str) -> mlua::Result<Option<Config>> {
    if let Some(prelude) = &*vm.shared.prelude.borrow() {
        // `lunabot.master.config`.
        prelude.raw_set("config", table)?;
    }
    let mut json = read(vm, table);
    place_builders(vm, &mut json, source);
    let mut filler = Filler::new(vm, table)?;
    filler.fill(&mut json, 0);
    let read = Config::read(&json);
    let (config, errors) = match read {
        Ok(config) => (Some(config), Vec::new()),
        Err(errors) => (None, errors),
    };
    for error in errors {
        keep(vm, error);
    }
    place(vm, source);
    Ok(config.filter(|_| vm.shared.errors.borrow().is_empty()))
}

fn read(vm: &Vm, table: &Table) -> Json {
    let mut reader = Reader::new(&vm.lua, &vm.shared);
    reader.functions = true;
    let mut map = Map::new();
    let mut odd = None;
    let mut entries: Vec<(String, Value)> = Vec::new();
    let _ = table.for_each(|key: Value, value: Value| {
        match key {
            Value::String(name) => entries.push((name.to_string_lossy(), value)),
            other => odd = Some(crate::convert::words(&other)),
        }
        Ok(())
    });
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in entries {
        let shape = match name.as_str() {
            "builders" => builders_shape(vm),
            name => Shape { rendered: HOLD_VALUES.contains(&name), ..Shape::ANY },
        };
        if let Some(json) = reader.option(&name, &value, &shape) {
            map.insert(name, flat(json));
        }
    }
    let mut errors = vm.shared.errors.borrow_mut();
    errors.extend(odd.map(|odd| error("", format!("the configuration has names as keys, got {odd}"))));
    errors.extend(reader.problems.into_iter().map(|problem| error(&problem.path, problem.message)));
    Json::Object(map)
}

fn error(path: &str, message: String) -> ConfigError {
    ConfigError { file: String::new(), line: None, path: path.to_string(), message }
}

/// Entries may be plain tables; those are read as the options of a builder.
fn builders_shape(vm: &Vm) -> Shape {
    let plain = Shape::plain;
    let Some(kind) = vm.shared.kind("util.BuilderConfig") else { return Shape::ANY };
    let fields = (*vm.shared.fields(kind)).clone();
    let item = Form::Either(vec![plain(Form::Object), plain(Form::Struct(fields)), plain(Form::Null)]);
    plain(Form::List(Box::new(plain(item))))
}

/// Builders that are plain tables are told where they are written, as far as the source says it.
fn place_builders(vm: &Vm, json: &mut Json, source: &str) {
    let file = shown(&vm.shared, &vm.shared.options.config_file);
    let builders = json.get_mut("builders").and_then(Json::as_array_mut);
    let plain = |builder: &Json| builder.is_object() && builder.get("$kind").is_none();
    let mut plain = builders.into_iter().flatten().filter(|builder| plain(builder)).peekable();
    if plain.peek().is_none() {
        return;
    }
    let mut lines = named_items(source, "builders");
    for builder in plain {
        let line = builder["name"].as_str().and_then(|name| lines.get_mut(name)?.pop_front());
        if let Some(line) = line {
            builder["$at"] = format!("{file}:{line}").into();
        }
    }
}

/// Lists of objects inside lists are spliced in, and `false` items dropped.
fn flat(json: Json) -> Json {
    let Json::Array(items) = json else { return json };
    let empty = |item: &Json| item.as_object().is_some_and(Map::is_empty);
    let objects = |item: &Json| {
        item.is_array() || item == &Json::Bool(false) || item.get("$kind").is_some() || empty(item)
    };
    if !items.iter().any(objects) {
        return Json::Array(items);
    }
    let spliced = items.into_iter().flat_map(|item| match flat(item) {
        Json::Array(inner) => inner,
        Json::Bool(false) => Vec::new(),
        Json::Object(map) if map.is_empty() => Vec::new(),
        other => vec![other],
    });
    Json::Array(spliced.collect())
}

/// Fills in what was left open while the file ran.
struct Filler<'a> {
    vm: &'a Vm,
    prints: Vec<String>,
    classes: Vec<String>,
    factories: HashMap<u64, Json>,
}

/// What tells versions of a class apart: its fields, and those of what it extends. Not the options of a worker among
/// them, which its objects have: it depends on the option whether an instance is another one for it.
fn telling(vm: &Vm, class: &Class) -> mlua::Result<Vec<Table>> {
    let options = vm.shared.fields(class.kind);
    let mut all = Vec::new();
    for one in class.chain() {
        if class.kind.category != Category::Worker {
            all.push(one.fields.clone());
            continue;
        }
        let kept = vm.lua.create_table()?;
        for pair in one.fields.pairs::<Value, Value>() {
            let (name, value) = pair?;
            let of_object =
                name.as_string().is_some_and(|name| options.get(&name.to_string_lossy()).is_some());
            if !of_object {
                kept.raw_set(name, value)?;
            }
        }
        all.push(kept);
    }
    Ok(all)
}

impl<'a> Filler<'a> {
    fn new(vm: &'a Vm, table: &Table) -> mlua::Result<Self> {
        let mut fingerprints = Fingerprints::new(&vm.lua, &vm.env, table)?;
        let prints = vm.shared.lifted.map(|one| fingerprints.of(&one.function));
        let extended = vm.shared.extended.borrow();
        // All at once: fingerprints know tables by where they are, and no two may have been in one place.
        let tables: Vec<Vec<Table>> =
            extended.iter().map(|class| telling(vm, class)).collect::<mlua::Result<_>>()?;
        let classes = tables
            .iter()
            .map(|of_class| {
                of_class.iter().map(|table| fingerprints.of_table(table)).collect::<Vec<_>>().join(".")
            })
            .collect();
        Ok(Filler { vm, prints, classes, factories: HashMap::new() })
    }

    fn fill(&mut self, json: &mut Json, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match json {
            Json::Array(items) => items.iter_mut().for_each(|item| self.fill(item, depth + 1)),
            Json::Object(map) => self.fill_map(map, depth),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }

    fn fill_map(&mut self, map: &mut Map<String, Json>, depth: usize) {
        if let Some(Json::Object(function)) = map.get_mut("$fn") {
            let id = function.get("id").and_then(Json::as_u64).and_then(|id| usize::try_from(id).ok());
            let print = id.and_then(|id| self.prints.get(id.wrapping_sub(1))).cloned();
            function.insert("fingerprint".into(), print.unwrap_or_default().into());
            return;
        }
        if let Some(Json::Object(class)) = map.get_mut("$class") {
            let index = class.get("fingerprint").and_then(Json::as_u64).and_then(|i| usize::try_from(i).ok());
            if let Some(print) = index.and_then(|index| self.classes.get(index)) {
                class.insert("fingerprint".into(), print.as_str().into());
            }
        }
        if let Some(args) = self.factory(map, depth) {
            map.insert("$args".into(), args);
            return;
        }
        map.values_mut().for_each(|value| self.fill(value, depth + 1));
    }

    /// The options of a factory as they are now, if this is one.
    fn factory(&mut self, map: &Map<String, Json>, depth: usize) -> Option<Json> {
        let id = map.get("$id")?.as_u64()?;
        if let Some(known) = self.factories.get(&id) {
            return Some(known.clone());
        }
        let factory = self.vm.shared.factories.borrow().get(&id).cloned()?;
        let declared = factory.object.borrow::<Declared>().ok()?;
        let mut args = Json::Object(declared.args.borrow().clone());
        self.fill(&mut args, depth + 1);
        if factory.again {
            self.factories.insert(id, args.clone());
        }
        Some(args)
    }
}

/// Adds a mistake unless it only follows from one that is already told.
fn keep(vm: &Vm, error: ConfigError) {
    let at = error.line.map_or(error.file.clone(), |line| format!("{}:{line}", error.file));
    let idle = error.message.starts_with("does nothing by itself");
    let judged =
        idle || error.message.ends_with("is missing") || error.path.starts_with("util.BuilderConfig: ");
    let follows = judged && vm.shared.broken.borrow().contains(&at);
    let mut errors = vm.shared.errors.borrow_mut();
    if !follows && !errors.contains(&error) {
        errors.push(error);
    }
}

/// Gives mistakes in plain tables their line.
fn place(vm: &Vm, source: &str) {
    let file = shown(&vm.shared, &vm.shared.options.config_file);
    for error in vm.shared.errors.borrow_mut().iter_mut().filter(|error| error.file.is_empty()) {
        error.file.clone_from(&file);
        error.line = locate(source, &error.path);
    }
}
