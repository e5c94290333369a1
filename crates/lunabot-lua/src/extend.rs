//! `Base:extend("X", {…})`: classes of the configuration (lua-api § 3).

use crate::class::{Class, ClassRef, Extended};
use crate::construct::{Written, report, written};
use crate::convert::callback_json;
use crate::declared::Declared;
use crate::modules::Placeholder;
use crate::origin::{Origin, origin, raise};
use crate::state::Shared;
use lunabot_model::{Category, Json, Problem};
use mlua::{AnyUserData, Lua, MultiValue, Table, Value};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Fields of a class that are not attributes.
const SPECIAL: [&str; 6] = ["params", "check", "init", "observers", "requires", "prohibitArgs"];

const WORDS_OF: &str = "use reporters.MessageFormatterFunctionRaw{function(master, ctx) … end}";

/// Methods that Buildbot calls and we do not, with what stands for them.
const UNCALLED: &[(Category, &str, &str)] = &[
    (
        Category::Service,
        "reconfigService",
        "a service that a reload changes is stopped, and a new one started: startService sees its options",
    ),
    (Category::Service, "checkConfig", "write check = function(args) … end"),
    (Category::Step, "start", "write run = function(self) … end, which returns the result"),
    (Category::Parameter, "parse_from_args", "write parse_from_arg, which is called for each value"),
    (Category::Parameter, "getFromKwargs", "write parse_from_arg"),
    (
        Category::Parameter,
        "updateFromKwargs",
        "write parse_from_arg, or give the option validate, which may set properties",
    ),
    (
        Category::Reporter,
        "reconfigService",
        "a reporter that a reload changes is stopped, and a new one started, which sees its options",
    ),
    (Category::Reporter, "checkConfig", "write check = function(args) … end"),
    (Category::Reporter, "startService", "write before_start"),
    (Category::Reporter, "stopService", "what a reporter has begun ends with it"),
    (Category::Reporter, "send", "write sendMessage(self, reports)"),
    (Category::Generator, "generate_name", "give the reporter a name"),
    (Category::Formatter, "render_message_dict", WORDS_OF),
    (Category::Formatter, "render_message_body", WORDS_OF),
    (Category::Formatter, "render_message_subject", WORDS_OF),
    (Category::Formatter, "format_message_for_build", WORDS_OF),
    (Category::Formatter, "format_message_for_buildset", WORDS_OF),
    (Category::Scheduler, "startService", "write activate"),
    (Category::Scheduler, "stopService", "write deactivate"),
    (Category::Scheduler, "getChangeFilter", "give the option change_filter"),
    (
        Category::Scheduler,
        "getTimerNameForChange",
        "extend AnyBranchScheduler for a timer for each branch, or use self:callLater",
    ),
    (
        Category::Scheduler,
        "getChangeClassificationsForTimer",
        "extend AnyBranchScheduler for a timer for each branch, or use self:callLater",
    ),
];

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
    let mut problems = Vec::new();
    let observers = observers(lua, &shared, &fields, &mut problems)?;
    let class = made(&shared, parent, name, fields, observers);
    if let Some(own) = &class.extended {
        crate::plugins::check_version(lua, &shared, &class.path(), &own.fields)?;
    }
    judge(lua, &shared, &class, problems)?;
    lua.create_userdata(ClassRef(class))
}

fn made(
    shared: &Shared,
    parent: Rc<Class>,
    name: Option<String>,
    fields: Table,
    observers: Map<String, Json>,
) -> Rc<Class> {
    let index = shared.extended.borrow().len();
    let extended = Extended { parent, name, fields, observers, index };
    let class = Rc::new(Class { kind: extended.parent.kind, extended: Some(extended) });
    shared.extended.borrow_mut().push(class.clone());
    class
}

/// The class of a step that was given `observers`: one without a name, which has those of its class besides.
pub(crate) fn observed(
    lua: &Lua,
    shared: &Shared,
    class: &Rc<Class>,
    given: &mut Written,
    at: &Origin,
) -> mlua::Result<Option<Rc<Class>>> {
    let place = given.named.iter().position(|(name, _)| name == "observers");
    let Some(place) = place.filter(|_| class.kind.category == Category::Step && class.kind.extensible) else {
        return Ok(None);
    };
    if !shared.loading() {
        let told =
            "observers: is not an option in a build; extend the class while the configuration is loaded";
        return Err(raise(lua, format!("{}: {told}", class.path())));
    }
    let fields = lua.create_table()?;
    fields.raw_set("observers", given.named.remove(place).1)?;
    let mut problems = Vec::new();
    let mut all = observers_of(class);
    for (log, own) in observers(lua, shared, &fields, &mut problems)? {
        let before = all.remove(&log).map(listed).unwrap_or_default();
        all.insert(log, before.into_iter().chain(listed(own)).collect());
    }
    report(lua, shared, &class.path(), at, &problems)?;
    Ok(Some(made(shared, class.clone(), None, fields, all)))
}

/// One observer, or several.
fn listed(observers: Json) -> Vec<Json> {
    match observers {
        Json::Array(all) => all,
        one => vec![one],
    }
}

/// Those of a class and of what it extends.
fn observers_of(class: &Class) -> Map<String, Json> {
    let mut all = Map::new();
    for (log, observer) in class.chain().flat_map(|one| &one.observers) {
        all.entry(log.as_str()).or_insert_with(|| observer.clone());
    }
    all
}

/// Checks the fields that are defaults of options, and warns of those that only look like options.
fn judge(lua: &Lua, shared: &Shared, class: &Class, mut problems: Vec<Problem>) -> mlua::Result<()> {
    let at = origin(lua);
    defaults(lua, shared, class, &mut problems)?;
    report(lua, shared, &class.path(), &at, &problems)?;
    let fields = shared.fields(class.kind);
    let own = class.extended.as_ref().map(|extended| extended.fields.clone());
    for pair in own.iter().flat_map(Table::pairs::<String, Value>) {
        let (name, value) = pair?;
        if let (Value::Function(method), None) = (&value, fields.get(&name))
            && let Some(odd) = odd_method(class, &name, method)
        {
            shared.warn(&at, &class.path(), odd);
        }
        let plain = !value.is_function() && fields.get(&name).is_none() && !SPECIAL.contains(&name.as_str());
        let near = meant(&name, fields.names());
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

/// What is odd about a method: it has the name of one that is called, but not its arguments, or overrides what is
/// private in Buildbot.
fn odd_method(class: &Class, name: &str, method: &mlua::Function) -> Option<String> {
    let hooks = lunabot_model::class::hooks(class.kind.category);
    if let Some(hook) = hooks.iter().find(|hook| hook.name == name) {
        let takes: Vec<&str> = std::iter::once("self").chain(hook.takes.iter().copied()).collect();
        let more = usize::from(method.info().num_params) > takes.len();
        return more.then(|| format!("{name} is called with ({}) alone", takes.join(", ")));
    }
    let upstream = UNCALLED.iter().find(|(category, of, _)| *category == class.kind.category && *of == name);
    if let Some((_, _, instead)) = upstream {
        return Some(format!("{name} is a method of your own, which nothing calls; {instead}"));
    }
    if name == "__init__" {
        return Some(
            "__init__ is a method of your own, which nothing calls; write init = function(self, args) … end"
                .into(),
        );
    }
    let private = name.starts_with('_') || name.starts_with("mode_");
    if private && class.kind.category == Category::Step {
        let why = "what is private in Buildbot cannot be overridden";
        return Some(format!("{name} is a method of your own: {why}"));
    }
    let near = meant(name, hooks.iter().map(|hook| hook.name))?;
    Some(format!("{name} is a method of your own; did you mean {near}?"))
}

/// The name that is likely meant by another: in few other letters, or in another case.
fn meant<'a>(written: &str, names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let near = lunabot_model::kind::typo_of(written, names.clone());
    near.or_else(|| names.into_iter().find(|name| plain(name) == plain(written)))
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
    prohibited(class, &given, &mut problems)?;
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

/// Options that the class sets itself, and its users must not (05.044).
fn prohibited(class: &Class, given: &Written, problems: &mut Vec<Problem>) -> mlua::Result<()> {
    for extended in class.chain() {
        let names: Option<Vec<String>> = extended.fields.raw_get("prohibitArgs")?;
        let written = |name: &String| given.named.iter().any(|(known, _)| known == name);
        let names = names.into_iter().flatten().filter(written);
        problems
            .extend(names.map(|name| Problem::new(name, format!("is not an option of {}", class.path()))));
    }
    Ok(())
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
    if declared.ready.get() {
        return Err(raise(lua, format!("{}: init was called already", class.path())));
    }
    let given = written(class, MultiValue::from_iter([args])).map_err(|message| raise(lua, message))?;
    let mut problems = Vec::new();
    let mut all = defaults(lua, shared, &declared.class, &mut problems)?;
    problems.clear(); // told where the class was made
    let (read, wrong, poisoned) = crate::construct::read(lua, shared, declared.kind, given);
    problems.extend(wrong);
    all.extend(read);
    let mut options = crate::construct::finish(declared.kind, all, problems, poisoned);
    if declared.class.field("run")?.is_function() {
        // It brings its own commands.
        options.problems.retain(|problem| problem.message != "command is missing");
    }
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
            let shape = shape_of(&spec).map_err(|error| {
                raise(lua, format!("{}: params.{name}: {}", class.path(), crate::failure::message_of(&error)))
            })?;
            if let Some(read) = reader.option(&name, &value, &shape) {
                json.insert(name.clone(), read);
            }
            problems.append(&mut reader.problems);
            values.push((name, value));
        }
    }
    Ok((json, values))
}

/// The names of parameters that are lists.
fn lists(class: &Class) -> Vec<String> {
    let mut all = Vec::new();
    for extended in class.chain() {
        let Ok(Value::Table(declared)) = extended.fields.raw_get::<Value>("params") else { continue };
        let lists = declared.pairs::<String, Table>().flatten().filter(|(_, spec)| {
            spec.raw_get::<Option<String>>("type").is_ok_and(|kind| kind.as_deref() == Some("list"))
        });
        all.extend(lists.map(|(name, _)| name));
    }
    all.sort_unstable();
    all
}

/// What parameters must be that are computed when they are needed, by name.
fn types(class: &Class) -> Map<String, Json> {
    let mut all = Map::new();
    for extended in class.chain() {
        let Ok(Value::Table(declared)) = extended.fields.raw_get::<Value>("params") else { continue };
        for (name, spec) in declared.pairs::<String, Table>().flatten() {
            let kind: Option<String> = spec.raw_get("type").ok().flatten();
            let computed = spec.raw_get("renderable").is_ok_and(|is: Option<bool>| is == Some(true));
            if all.contains_key(&name) || !computed && kind.as_deref() != Some("secret") {
                continue;
            }
            let choices = match (numbers_of(&spec), texts_of(&spec)) {
                (Some(numbers), _) => json!(numbers),
                (None, texts) => json!(texts.unwrap_or_default()),
            };
            all.insert(name, json!({"type": kind.unwrap_or_default(), "choices": choices}));
        }
    }
    all.sort_keys();
    all
}

fn shape_of(spec: &Table) -> mlua::Result<crate::shape::Shape> {
    use crate::shape::{Form, Shape};
    let plain = |form| Box::new(Shape { form, renderable: false });
    known_words(spec)?;
    let kind = spec.raw_get::<Option<String>>("type")?;
    let form = match kind.as_deref() {
        kind if spec.contains_key("choices")? => choices_of(spec, kind)?,
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
    let secret = kind.as_deref() == Some("secret");
    let renderable = secret || spec.raw_get::<Option<bool>>("renderable")?.unwrap_or(false);
    Ok(Shape { form, renderable })
}

/// What may be said of a parameter.
const WORDS: &[&str] = &["type", "choices", "default", "required", "renderable", "doc"];

fn known_words(spec: &Table) -> mlua::Result<()> {
    for pair in spec.pairs::<String, Value>() {
        let (word, _) = pair?;
        if !WORDS.contains(&word.as_str()) {
            let hint = lunabot_model::kind::nearest(&word, WORDS.iter().copied())
                .map_or(String::new(), |near| format!(", did you mean {near}?"));
            return Err(mlua::Error::runtime(format!("a parameter has no {word}{hint}")));
        }
    }
    Ok(())
}

/// `choices`, if all are numbers. Lua itself would take some texts for numbers, and numbers for texts.
fn numbers_of(spec: &Table) -> Option<Vec<f64>> {
    let number = |value: &Value| match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    };
    spec.raw_get::<Vec<Value>>("choices").ok()?.iter().map(number).collect()
}

/// The same for texts.
fn texts_of(spec: &Table) -> Option<Vec<String>> {
    let all = spec.raw_get::<Vec<Value>>("choices").ok()?;
    all.iter().map(|value| Some(value.as_string()?.to_string_lossy())).collect()
}

/// `choices`: all texts, or all numbers, as the type wants.
fn choices_of(spec: &Table, kind: Option<&str>) -> mlua::Result<crate::shape::Form> {
    use crate::shape::Form;
    let (numbers, texts) = (numbers_of(spec), texts_of(spec));
    match (kind, texts, numbers) {
        (None | Some("string" | "any"), Some(texts), _) => Ok(Form::Choice(texts)),
        (None | Some("any" | "number"), _, Some(numbers)) => Ok(Form::OneOf(numbers)),
        (Some("integer"), _, Some(numbers)) if numbers.iter().all(|number| number.fract() == 0.0) => {
            Ok(Form::OneOf(numbers))
        }
        (Some("string"), None, _) => Err(mlua::Error::runtime("choices of a string are a list of texts")),
        (Some("integer" | "number"), ..) => {
            Err(mlua::Error::runtime("choices of this parameter are a list of numbers that fit its type"))
        }
        _ => Err(mlua::Error::runtime("choices are a list of texts or a list of numbers")),
    }
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
pub(crate) fn class_json(shared: &Shared, declared: &Declared) -> Option<Json> {
    // Of a factory its steps say all: nothing calls its methods once the file has returned.
    let extended =
        declared.class.extended.as_ref().filter(|_| declared.kind.category != Category::Factory)?;
    let options = shared.fields(declared.kind);
    let mut hooks = Map::new();
    for one in declared.class.chain() {
        // In order: one configuration gives one result, every time.
        let members: BTreeMap<String, Value> = one.fields.pairs::<String, Value>().flatten().collect();
        for (name, value) in members {
            let Value::Function(function) = value else { continue };
            let special = SPECIAL.contains(&name.as_str()) || options.get(&name).is_some();
            if !special && !hooks.contains_key(&name) {
                hooks.insert(name, callback_json(shared, shared.lifted.lift(&function)));
            }
        }
    }
    if declared.kind.category == Category::ChangeSource
        && let Ok(serve) = shared.prelude("serve_call")
    {
        hooks.insert(lunabot_model::class::SERVE.into(), callback_json(shared, shared.lifted.lift(&serve)));
    }
    if let Ok(Value::Function(method)) = declared.class.field("buildAdditionalContext")
        && let Ok(context) = shared.prelude("context_call")
    {
        let id = shared.lifted.lift_bound(&context, &method);
        hooks.insert(lunabot_model::class::CONTEXT.into(), callback_json(shared, id));
    }
    // The order of methods says nothing, and differs between loads.
    hooks.sort_keys();
    let name = declared.class.path();
    let mut params = declared.params.borrow().clone();
    params.sort_keys();
    let mut class = json!({"name": name, "fingerprint": extended.index, "hooks": hooks, "params": params});
    let lists = lists(&declared.class);
    if !lists.is_empty() {
        class["lists"] = lists.into();
    }
    let types = types(&declared.class);
    if !types.is_empty() {
        class["types"] = Json::Object(types);
    }
    let observers = observers_of(&declared.class);
    if !observers.is_empty() {
        class["observers"] = Json::Object(observers);
    }
    Some(class)
}

/// The observers that an object of the class begins with: log name → object, or a class of which one is made, or a list
/// of such.
fn observers(
    lua: &Lua,
    shared: &Shared,
    fields: &Table,
    problems: &mut Vec<Problem>,
) -> mlua::Result<Map<String, Json>> {
    use crate::shape::{Form, Shape};
    let mut all = Map::new();
    let written = match fields.raw_get("observers")? {
        Value::Nil => return Ok(all),
        Value::Table(written) => written,
        other => {
            let got = crate::convert::words(&other);
            problems.push(Problem::new("observers", format!("expected {{stdio = observer}}, got {got}")));
            return Ok(all);
        }
    };
    for pair in written.pairs::<Value, Value>() {
        let (log, observer) = pair?;
        let Value::String(log) = log else {
            problems.push(Problem::new("observers", "begins with the name of a log: {stdio = observer}"));
            continue;
        };
        let log = log.to_string_lossy();
        let one = Shape { form: Form::Object, renderable: false };
        let shape = match observer {
            Value::Table(_) => Shape { form: Form::List(Box::new(one)), renderable: false },
            _ => one,
        };
        let mut reader = crate::convert::Reader::new(lua, shared);
        let read = reader.option(&format!("observers.{log}"), &observer, &shape);
        problems.append(&mut reader.problems);
        all.extend(read.map(|read| (log, read)));
    }
    Ok(all)
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
