//! Fingerprints of functions: equal for functions that do the same (lua-api § 5).
//!
//! A function's own code, and its upvalues followed through tables, functions, classes and declared objects. The
//! environment, the modules of Lunabot and the configuration table count by name.

use crate::bytecode::hash_code;
use crate::class::{Class, ClassRef};
use crate::declared::Declared;
use crate::helpers::regexes::Pattern;
use crate::state::{Shared, hex};
use lunabot_model::Json;
use mlua::{AnyUserData, Function, Lua, Table, Value};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ffi::c_void;
use std::rc::Rc;

/// Tables inside tables that are followed; what is deeper does not count.
const MAX_DEPTH: usize = 100;
/// Values that are followed for one function; what is beyond does not count.
const MAX_VALUES: usize = 1_000_000;

/// Bytes of a hash that only tells what differs.
const SHORT: usize = 4;

type Hash = [u8; 32];

/// Takes fingerprints of one generation.
pub(crate) struct Fingerprints {
    shared: Rc<Shared>,
    get_upvalue: Function,
    /// Values that count by name alone.
    named: HashMap<*const c_void, &'static str>,
    known: HashMap<*const c_void, Hash>,
    /// Of functions of the user's that were followed: their code alone.
    codes: HashMap<*const c_void, Hash>,
    /// What is being followed, with its place on the way: a circle refers to it.
    open: HashMap<*const c_void, usize>,
    values: usize,
}

/// A hash, and the outermost open place that it refers to (a circle; such a hash is not kept).
struct Print {
    hash: Hash,
    reaches: usize,
}

impl Fingerprints {
    pub fn new(lua: &Lua, env: &Table, config: &Table) -> mlua::Result<Self> {
        let get_upvalue = lua.globals().get::<Table>("debug")?.get("getupvalue")?;
        let mut named = HashMap::from([(env.to_pointer(), "env"), (config.to_pointer(), "config")]);
        let loaded: Table = env.get::<Table>("package")?.get("loaded")?;
        for name in ["math", "string", "table", "utf8", "os", "io", "coroutine", "lunabot"] {
            if let Value::Table(module) = loaded.raw_get::<Value>(name)? {
                named.insert(module.to_pointer(), name);
            }
        }
        let lunabot: Table = loaded.raw_get("lunabot")?;
        for name in crate::modules::MODULES {
            named.insert(lunabot.raw_get::<Table>(name)?.to_pointer(), name);
        }
        let (known, codes, open) = (HashMap::new(), HashMap::new(), HashMap::new());
        Ok(Fingerprints { shared: Shared::of(lua), get_upvalue, named, known, codes, open, values: 0 })
    }

    /// Of a function, as text: `HASH`, then `;=HASH` of its code alone and `;NAME=HASH` of each upvalue, which tell what
    /// differs where the first does.
    pub fn of(&mut self, function: &Function) -> String {
        let mut text = self.text(&Value::Function(function.clone()));
        // Known where the code is the user's.
        let Some(code) = self.codes.get(&function.to_pointer()) else { return text };
        let short = |hash: Hash| hex(&hash[..SHORT]);
        text.push_str(&format!(";={}", short(*code)));
        for (name, value) in self.upvalues(function) {
            let print = self.print(&value);
            text.push_str(&format!(";{name}={}", short(print.hash)));
        }
        text
    }

    fn upvalues(&self, function: &Function) -> Vec<(String, Value)> {
        let get = |index: usize| self.get_upvalue.call::<(Option<String>, Value)>((function, index)).ok();
        let named = |(name, value): (Option<String>, Value)| Some((name?, value));
        (1..=255).map_while(|index| get(index).and_then(named)).collect()
    }

    /// Of any value: a class of the configuration is its table of fields.
    pub fn of_table(&mut self, table: &Table) -> String {
        self.text(&Value::Table(table.clone()))
    }

    fn text(&mut self, value: &Value) -> String {
        self.values = 0;
        hex(&self.print(value).hash[..16])
    }

    fn print(&mut self, value: &Value) -> Print {
        self.values += 1;
        match value {
            Value::Table(table) => self.followed(table.to_pointer(), value),
            Value::Function(function) => self.followed(function.to_pointer(), value),
            Value::UserData(object) => self.object(object),
            Value::String(text) => done(&[b"s", &text.as_bytes()]),
            Value::Integer(number) => done(&[b"i", &number.to_le_bytes()]),
            Value::Number(number) => done(&[b"n", &number.to_le_bytes()]),
            Value::Boolean(flag) => done(&[b"b", &[u8::from(*flag)]]),
            other => done(&[b"o", other.type_name().as_bytes()]),
        }
    }

    fn followed(&mut self, pointer: *const c_void, value: &Value) -> Print {
        if let Some(name) = self.named.get(&pointer) {
            return done(&[b"m", name.as_bytes()]);
        }
        if let Some(hash) = self.known.get(&pointer) {
            return Print { hash: *hash, reaches: usize::MAX };
        }
        let place = self.open.len();
        if let Some(known) = self.open.get(&pointer) {
            return Print { reaches: *known, ..done(&[b"c", &(place - known).to_le_bytes()]) };
        }
        if place > MAX_DEPTH || self.values > MAX_VALUES {
            return done(&[b"deep"]);
        }
        self.open.insert(pointer, place);
        let print = match value {
            Value::Function(function) => self.function(function),
            Value::Table(table) => self.table(table),
            _ => done(&[]),
        };
        self.open.remove(&pointer);
        if print.reaches >= place {
            self.known.insert(pointer, print.hash);
            return Print { reaches: usize::MAX, ..print };
        }
        print
    }

    fn function(&mut self, function: &Function) -> Print {
        let mut hash = Sha256::new();
        hash.update(b"f");
        let info = function.info();
        if info.what == "C" {
            hash.update(info.name.unwrap_or_default());
            return Print { hash: hash.finalize().into(), reaches: usize::MAX };
        }
        if info.source.as_deref().is_some_and(|source| source.starts_with('=')) {
            // Ours: the same in every generation of one version.
            hash.update(info.source.unwrap_or_default());
            hash.update(info.line_defined.unwrap_or_default().to_le_bytes());
            return Print { hash: hash.finalize().into(), reaches: usize::MAX };
        }
        let mut code = Sha256::new();
        hash_code(&function.dump(true), &mut code);
        let code: Hash = code.finalize().into();
        hash.update(code);
        self.codes.insert(function.to_pointer(), code);
        let mut reaches = usize::MAX;
        for (_, value) in self.upvalues(function) {
            let print = self.print(&value);
            reaches = reaches.min(print.reaches);
            hash.update(print.hash);
        }
        Print { hash: hash.finalize().into(), reaches }
    }

    fn object(&mut self, object: &AnyUserData) -> Print {
        if let Ok(declared) = object.borrow::<Declared>() {
            let mut hash = Sha256::new();
            hash.update(declared.kind.path());
            let mut reaches = usize::MAX;
            for values in [&declared.args, &declared.params] {
                let values = Json::Object(values.borrow().clone());
                reaches = reaches.min(self.options(&values, &mut hash));
            }
            let fields = declared.fields.clone().map_or(Value::Nil, Value::Table);
            for print in [self.class(&declared.class), self.print(&fields)] {
                reaches = reaches.min(print.reaches);
                hash.update(print.hash);
            }
            return Print { hash: hash.finalize().into(), reaches };
        }
        if let Ok(class) = object.borrow::<ClassRef>() {
            return self.class(&class.0);
        }
        match object.borrow::<Pattern>() {
            Ok(pattern) => done(&[b"r", pattern.text().as_bytes()]),
            Err(_) => done(&[b"u"]),
        }
    }

    /// By its name and its fields, and those of what it extends.
    fn class(&mut self, class: &Class) -> Print {
        let (mut hash, mut reaches) = (Sha256::new(), usize::MAX);
        hash.update(class.path());
        for extended in class.chain() {
            let print = self.print(&Value::Table(extended.fields.clone()));
            hash.update(print.hash);
            reaches = reaches.min(print.reaches);
        }
        Print { hash: hash.finalize().into(), reaches }
    }

    /// Of an object within another: its place in the list of classes says nothing, the class does.
    fn class_of(&mut self, told: &Json, hash: &mut Sha256) -> usize {
        let index = told["fingerprint"].as_u64().and_then(|index| usize::try_from(index).ok());
        let class = index.and_then(|index| self.shared.extended.borrow().get(index).cloned());
        let print = class.map_or_else(|| done(&[]), |class| self.class(&class));
        hash.update(print.hash);
        print.reaches.min(self.options(&told["params"], hash))
    }

    /// Without what differs between loads; functions count by what they do.
    fn options(&mut self, value: &Json, hash: &mut Sha256) -> usize {
        match value {
            Json::Object(map) => {
                if let Some(function) = map.get("$fn") {
                    let lifted = function["id"].as_u64().and_then(|id| self.shared.lifted.get(id));
                    let print = self.print(&lifted.map_or(Value::Nil, |one| Value::Function(one.function)));
                    hash.update(print.hash);
                    return print.reaches;
                }
                hash.update(map.len().to_le_bytes());
                let counts = map.iter().filter(|(name, _)| !["$id", "$at"].contains(&name.as_str()));
                let mut reaches = usize::MAX;
                for (name, item) in counts {
                    hash.update(format!("{name:?}"));
                    reaches = reaches.min(match name.as_str() {
                        "$class" => self.class_of(item, hash),
                        _ => self.options(item, hash),
                    });
                }
                reaches
            }
            Json::Array(items) => {
                hash.update(items.len().to_le_bytes());
                items.iter().map(|item| self.options(item, hash)).min().unwrap_or(usize::MAX)
            }
            plain => {
                hash.update(plain.to_string());
                usize::MAX
            }
        }
    }

    fn table(&mut self, table: &Table) -> Print {
        let (mut parts, mut reaches) = (Vec::new(), usize::MAX);
        let walked = table.for_each(|key: Value, value: Value| {
            let (key, value) = (self.print(&key), self.print(&value));
            reaches = reaches.min(key.reaches).min(value.reaches);
            parts.push((key.hash, value.hash));
            Ok(())
        });
        parts.sort_unstable();
        let mut hash = Sha256::new();
        hash.update(if walked.is_ok() { b"t" } else { b"e" });
        for (key, value) in parts {
            hash.update(key);
            hash.update(value);
        }
        if let Some(meta) = table.metatable() {
            let print = self.print(&Value::Table(meta));
            reaches = reaches.min(print.reaches);
            hash.update(print.hash);
        }
        Print { hash: hash.finalize().into(), reaches }
    }
}

fn done(parts: &[&[u8]]) -> Print {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    Print { hash: hash.finalize().into(), reaches: usize::MAX }
}
