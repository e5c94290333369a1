//! `Base:extend("X", {…})`: classes of the configuration (lua-api § 3).

use crate::class::{Class, ClassRef, Extended};
use crate::construct::{Written, report, written};
use crate::convert::callback_json;
use crate::declared::Declared;
use crate::modules::Placeholder;
use crate::origin::{Origin, origin, raise};
use crate::state::Shared;
use lunabot_model::{Json, Problem};
use mlua::{AnyUserData, Lua, MultiValue, Table, Value};
use serde_json::{Map, json};
use std::rc::Rc;

/// Fields of a class that are not attributes.
const SPECIAL: [&str; 5] = ["params", "check", "init", "observers", "requires"];

/// Enters `extend` into the prelude.
pub(crate) fn add_methods(lua: &Lua, prelude: &Table) -> mlua::Result<()> {
    prelude.raw_set("extend", lua.create_function(extend)?)
}

fn extend(lua: &Lua, (base, a, b): (Value, Value, Value)) -> mlua::Result<AnyUserData> {
    let shared = Shared::of(lua);
    let base = base.as_userdata().and_then(|u| u.borrow::<ClassRef>().ok()).map(|class| class.0.clone());
    let Some(parent) = base else {
        return Err(raise(lua, "call it with a colon: Base:extend(\"Name\", {…})"));
    };
    if !shared.loading() {
        return Err(raise(lua, "classes are made only while the configuration is loaded"));
    }
    if !parent.kind.extensible {
        shared.complain(
            lua,
            &parent.path(),
            format!("extending {} is not supported yet", parent.kind.path()),
        )?;
        return lua.create_userdata(Placeholder);
    }
    let (name, fields) = match (a, b) {
        (Value::String(name), Value::Table(fields)) => (Some(name.to_string_lossy()), fields),
        (Value::Table(fields), Value::Nil) => (None, fields),
        _ => return Err(raise(lua, "takes a name and a table: Base:extend(\"Name\", {…})")),
    };
    let index = shared.extended.borrow().len();
    let class =
        Rc::new(Class { kind: parent.kind, extended: Some(Extended { parent, name, fields, index }) });
    judge(lua, &shared, &class)?;
    shared.extended.borrow_mut().push(class.clone());
    lua.create_userdata(ClassRef(class))
}

/// Checks the fields that are defaults of options, and warns of those that only look like options.
fn judge(lua: &Lua, shared: &Shared, class: &Class) -> mlua::Result<()> {
    let at = origin(lua);
    let mut problems = Vec::new();
    defaults(lua, shared, class, &mut problems)?;
    report(lua, shared, &class.path(), &at, &problems)?;
    let fields = shared.fields(class.kind);
    let own = class.extended.as_ref().map(|extended| extended.fields.clone());
    for pair in own.iter().flat_map(Table::pairs::<String, Value>) {
        let (name, value) = pair?;
        let plain = !value.is_function() && fields.get(&name).is_none() && !SPECIAL.contains(&name.as_str());
        let near =
            lunabot_model::kind::nearest(&name, fields.names()).filter(|n| n.eq_ignore_ascii_case(&name));
        if let (true, Some(near)) = (plain, near) {
            shared.warn(
                &at,
                &class.path(),
                format!("{name} is an attribute; did you mean the option {near}?"),
            );
        }
    }
    Ok(())
}

/// The options that the chain of classes sets.
fn defaults(
    lua: &Lua,
    shared: &Shared,
    class: &Class,
    problems: &mut Vec<Problem>,
) -> mlua::Result<Map<String, Json>> {
    let fields = shared.fields(class.kind);
    let mut all = Map::new();
    let mut chain: Vec<&Extended> = class.chain().collect();
    chain.reverse();
    for extended in chain {
        let mut given = Written::default();
        for pair in extended.fields.pairs::<String, Value>() {
            let (name, value) = pair?;
            let option = fields.get(&name).is_some() && !SPECIAL.contains(&name.as_str());
            if option {
                given.named.push((name, value));
            }
        }
        let (read, wrong, _) = crate::construct::read(lua, shared, class.kind, given);
        all.extend(read);
        problems.extend(wrong);
    }
    Ok(all)
}

/// Makes an object of an extended class.
pub(crate) fn construct(
    lua: &Lua,
    shared: &Shared,
    class: &Rc<Class>,
    mut given: Written,
    at: Origin,
) -> mlua::Result<AnyUserData> {
    let mut problems = Vec::new();
    let (params, values) = params(lua, class, &mut given, &mut problems)?;
    let blank = crate::construct::Options { args: Map::new(), problems: Vec::new(), poisoned: false };
    let object = Declared::make(lua, shared, class, at.clone(), blank)?;
    {
        let declared = object.borrow::<Declared>()?;
        if let Some(fields) = &declared.fields {
            for (name, value) in values {
                fields.raw_set(name, value)?;
            }
        }
        *declared.params.borrow_mut() = params;
    }
    report(lua, shared, &class.path(), &at, &problems)?;
    check(lua, shared, class, &object, &at)?;
    let args = rest(lua, given)?;
    match class.field("init")? {
        Value::Function(init) => {
            init.call::<()>((&object, args))?;
            if !object.borrow::<Declared>()?.ready.get() {
                return Err(raise(lua, format!("init of {} did not call its base's init", class.path())));
            }
        }
        _ => base_init(lua, shared, class, &object, Value::Table(args))?,
    }
    Ok(object)
}

fn rest(lua: &Lua, given: Written) -> mlua::Result<Table> {
    let args = lua.create_sequence_from(given.positional)?;
    for (name, value) in given.named {
        args.raw_set(name, value)?;
    }
    Ok(args)
}

/// `Base.init(self, {…})`: the constructor of the built-in kind.
pub(crate) fn base_init(
    lua: &Lua,
    shared: &Shared,
    class: &Class,
    object: &AnyUserData,
    args: Value,
) -> mlua::Result<()> {
    let declared = object.borrow::<Declared>()?;
    let given = written(class, MultiValue::from_iter([args])).map_err(|message| raise(lua, message))?;
    let mut problems = Vec::new();
    let mut all = defaults(lua, shared, &declared.class, &mut problems)?;
    problems.clear(); // told where the class was made
    let (read, wrong, poisoned) = crate::construct::read(lua, shared, declared.kind, given);
    problems.extend(wrong);
    all.extend(read);
    let options = crate::construct::finish(declared.kind, all, problems, poisoned);
    report(lua, shared, &declared.class.path(), &declared.at, &options.problems)?;
    *declared.args.borrow_mut() = options.args;
    declared.ready.set(true);
    Ok(())
}

type Values = Vec<(String, Value)>;

/// Takes the `params` of the class out of what was written, and checks them.
fn params(
    lua: &Lua,
    class: &Class,
    given: &mut Written,
    problems: &mut Vec<Problem>,
) -> mlua::Result<(Map<String, Json>, Values)> {
    let shared = Shared::of(lua);
    let (mut json, mut values, mut seen) = (Map::new(), Vec::new(), Vec::new());
    for extended in class.chain() {
        let Value::Table(declared) = extended.fields.raw_get::<Value>("params")? else { continue };
        for pair in declared.pairs::<String, Table>() {
            let (name, spec) = pair?;
            if seen.contains(&name) {
                continue;
            }
            seen.push(name.clone());
            let place = given.named.iter().position(|(known, _)| *known == name);
            let value = match place {
                Some(place) => given.named.swap_remove(place).1,
                None => spec.raw_get("default")?,
            };
            if value.is_nil() && spec.raw_get::<bool>("required")? {
                problems.push(Problem::new(&name, "is missing"));
            }
            let mut reader = crate::convert::Reader::new(lua, &shared);
            if let Some(read) = reader.option(&name, &value, &shape_of(&spec)?) {
                json.insert(name.clone(), read);
            }
            problems.append(&mut reader.problems);
            values.push((name, value));
        }
    }
    Ok((json, values))
}

fn shape_of(spec: &Table) -> mlua::Result<crate::shape::Shape> {
    use crate::shape::{Form, Shape};
    let plain = |form| Box::new(Shape { form, renderable: false });
    if let Some(choices) = spec.raw_get::<Option<Vec<String>>>("choices")? {
        return Ok(Shape { form: Form::Choice(choices), renderable: false });
    }
    let form = match spec.raw_get::<Option<String>>("type")?.as_deref() {
        Some("string" | "secret") => Form::Text { regex: false },
        Some("integer") => Form::Integer,
        Some("number") => Form::Number,
        Some("boolean") => Form::Bool,
        Some("duration") => Form::Duration,
        Some("list") => Form::List(plain(Form::Any)),
        Some("map") => Form::Map(plain(Form::Any)),
        Some("function") => Form::Callback,
        Some("step") => Form::Object,
        None | Some("any") => Form::Any,
        Some(other) => {
            let types = "string integer number boolean duration list map function step secret any";
            return Err(mlua::Error::runtime(format!(
                "unknown type {other} of a parameter; types are {types}"
            )));
        }
    };
    let secret = spec.raw_get::<Option<String>>("type")?.as_deref() == Some("secret");
    let renderable = secret || spec.raw_get::<Option<bool>>("renderable")?.unwrap_or(false);
    Ok(Shape { form, renderable })
}

/// The class's own `check(args)`.
fn check(lua: &Lua, shared: &Shared, class: &Class, object: &AnyUserData, at: &Origin) -> mlua::Result<()> {
    let Value::Function(check) = class.field("check")? else { return Ok(()) };
    let fields = object.borrow::<Declared>()?.fields.clone();
    if let Value::String(message) = check.call::<Value>(fields)? {
        report(lua, shared, &class.path(), at, &[Problem::new("", message.to_string_lossy())])?;
    }
    Ok(())
}

/// The `$class` of an object of an extended class. Its fingerprint follows when the file has returned.
pub(crate) fn class_json(shared: &Shared, declared: &Declared, object: Option<&AnyUserData>) -> Option<Json> {
    let extended = declared.class.extended.as_ref()?;
    let options = shared.fields(declared.kind);
    let mut hooks = Map::new();
    for one in declared.class.chain() {
        for (name, value) in one.fields.pairs::<String, Value>().flatten() {
            let Value::Function(function) = value else { continue };
            let special = SPECIAL.contains(&name.as_str()) || options.get(&name).is_some();
            if !special && !hooks.contains_key(&name) {
                let id = match object {
                    Some(object) => shared.lift_method(&function, object.clone()),
                    None => shared.lift(&function),
                };
                hooks.insert(name, callback_json(shared, id));
            }
        }
    }
    let name = declared.class.path();
    let params = declared.params.borrow().clone();
    Some(json!({"name": name, "fingerprint": extended.index, "hooks": hooks, "params": params}))
}

/// What `X:with{…}` carries over to the copy.
pub(crate) fn copy_fields(old: &Declared, new: &Declared) -> mlua::Result<()> {
    if let (Some(from), Some(to)) = (&old.fields, &new.fields) {
        for pair in from.pairs::<Value, Value>() {
            let (name, value) = pair?;
            to.raw_set(name, value)?;
        }
    }
    *new.params.borrow_mut() = old.params.borrow().clone();
    new.ready.set(true);
    Ok(())
}
