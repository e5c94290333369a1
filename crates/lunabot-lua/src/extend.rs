//! `Base:extend("X", {…})`: classes of the configuration (lua-api § 3).

use crate::class::{Class, ClassRef, Extended};
use crate::construct::{Written, report, written};
use crate::convert::{callback_json, unknown_option, words};
use crate::declared::Declared;
use crate::modules::Placeholder;
use crate::origin::{Origin, no_more, origin, origin_of, raise};
use crate::state::Shared;
use lunabot_model::text::named;
use lunabot_model::{Category, Json, Problem};
use mlua::{AnyUserData, Lua, MultiValue, Table, Value};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Fields of a class that are not attributes.
pub(crate) const SPECIAL: [&str; 6] = ["params", "check", "init", "observers", "requires", "prohibitArgs"];

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

fn extend(lua: &Lua, (base, a, b, more): (Value, Value, Value, MultiValue)) -> mlua::Result<AnyUserData> {
    let shared = Shared::of(lua);
    no_more(lua, &more, "extend takes a name and a table: Base:extend(\"Name\", {…})")?;
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
    if let Some((odd, _)) = fields.pairs::<Value, Value>().flatten().find(|(name, _)| !name.is_string()) {
        let told = format!("the fields of a class have names, got {} as a name", words(&odd));
        return Err(raise(lua, told));
    }
    let mut problems = Vec::new();
    let observers = observers(lua, &shared, &fields, &mut problems)?;
    let class = made(lua, &shared, parent, name, fields, observers, false);
    if let Some(own) = &class.extended {
        crate::plugins::check_version(lua, &shared, &class.path(), &own.fields)?;
    }
    judge(lua, &shared, &class, problems)?;
    lua.create_userdata(ClassRef(class))
}

fn made(
    lua: &Lua,
    shared: &Shared,
    parent: Rc<Class>,
    name: Option<String>,
    fields: Table,
    observers: Map<String, Json>,
    of_one: bool,
) -> Rc<Class> {
    let index = shared.extended.borrow().len();
    let extended = Extended { parent, name, fields, of_one, observers, index, at: origin(lua) };
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
    let mut problems = Vec::new();
    let Some((fields, own)) = given_observers(lua, shared, class, given, &mut problems)? else {
        return Ok(None);
    };
    report(lua, shared, &class.path(), at, &problems)?;
    let all = beside(observers_of(class), own);
    Ok(Some(made(lua, shared, class.clone(), None, fields, all, true)))
}

/// Takes the option `observers` of a step: as it was written, and read.
fn given_observers(
    lua: &Lua,
    shared: &Shared,
    class: &Class,
    given: &mut Written,
    problems: &mut Vec<Problem>,
) -> mlua::Result<Option<(Table, Map<String, Json>)>> {
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
    let own = observers(lua, shared, &fields, problems)?;
    Ok(Some((fields, own)))
}

/// Those of a class, and those of one object after them.
fn beside(mut all: Map<String, Json>, own: Map<String, Json>) -> Map<String, Json> {
    for (log, own) in own {
        let before = all.remove(&log).map(listed).unwrap_or_default();
        all.insert(log, before.into_iter().chain(listed(own)).collect());
    }
    all
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
    problems.extend(crate::params::judge(lua, shared, class)?);
    let own = class.extended.as_ref().map(|extended| extended.fields.clone());
    for (name, value) in own.iter().flat_map(Table::pairs::<String, Value>).flatten() {
        problems.extend(no_function(shared, class, &name, &value));
    }
    prohibiting(shared, class, &mut problems)?;
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    report(lua, shared, &class.path(), &at, &problems)?;
    let fields = shared.fields(class.kind);
    for pair in own.iter().flat_map(Table::pairs::<String, Value>) {
        let (name, value) = pair?;
        if let Some(told) = hidden(shared, class, &name) {
            shared.warn(&at, &class.path(), told);
        }
        let known = fields.get(&name).is_some() || crate::params::declares(class, &name);
        let plain = !value.is_function() && !known && !SPECIAL.contains(&name.as_str());
        if let Some(near) = meant(&name, fields.names()).filter(|_| plain) {
            let told = format!("{name} is an attribute; did you mean the option {near}?");
            shared.warn(&at, &class.path(), told);
        }
    }
    for name in class.extended.iter().flat_map(crate::params::names) {
        if let Some(near) = meant(&name, fields.names()).filter(|near| *near != name) {
            let told = format!("{name} is a parameter; did you mean the option {near}?");
            shared.warn(&at, &class.path(), told);
        }
    }
    Ok(())
}

/// What is wrong with a member that has the name of a method which the master calls, and is no function.
pub(crate) fn no_function(shared: &Shared, class: &Class, name: &str, value: &Value) -> Option<Problem> {
    let hooks = lunabot_model::class::hooks(class.kind.category);
    let configure = name == "configure" && class.kind.path() == crate::configurators::KIND;
    let called = configure || ["check", "init"].contains(&name) || hooks.iter().any(|hook| hook.name == name);
    let other = value.is_function() || value.is_nil() || shared.fields(class.kind).get(name).is_some();
    (called && !other).then(|| Problem::new(name, format!("expected a function, got {}", words(value))))
}

/// What is odd about a member that has the name of something which objects have from the master.
fn hidden(shared: &Shared, class: &Class, name: &str) -> Option<String> {
    let hooks = lunabot_model::class::hooks(class.kind.category);
    let free = SPECIAL.contains(&name)
        || shared.fields(class.kind).get(name).is_some()
        || hooks.iter().any(|hook| hook.name == name);
    let taken = !free && crate::stubs::members(class.kind.category).any(|member| member == name);
    taken.then(|| format!("self.{name} is something else already; use another name"))
}

/// Judges `prohibitArgs`: names of options, or of parameters, that users of the class must not give.
fn prohibiting(shared: &Shared, class: &Class, problems: &mut Vec<Problem>) -> mlua::Result<()> {
    let Some(own) = &class.extended else { return Ok(()) };
    let (told, names) = ("prohibitArgs", own.fields.raw_get::<Value>("prohibitArgs")?);
    let list = match &names {
        Value::Nil => return Ok(()),
        Value::Table(list) => list.sequence_values::<Value>().collect::<mlua::Result<Vec<_>>>()?,
        _ => vec![names.clone()],
    };
    if !names.is_table() || !list.iter().all(Value::is_string) {
        let got = list.iter().find(|name| !name.is_string()).map_or_else(|| words(&names), words);
        problems.push(Problem::new(told, format!("expected a list of names of options, got {got}")));
        return Ok(());
    }
    let fields = shared.fields(class.kind);
    for name in list.iter().filter_map(Value::as_string).map(mlua::LuaString::to_string_lossy) {
        let known = fields.get(&name).is_some()
            || crate::params::declares(class, &name)
            || crate::modules::known_option(&class.kind.path(), &name);
        if !known {
            problems.push(Problem::new(format!("{told}: {}", named(&name)), unknown_option(&name, &fields)));
        }
    }
    Ok(())
}

/// Warns of methods that are odd, once the file has returned: some are added to a class after it is made.
pub(crate) fn judge_methods(shared: &Shared) {
    let classes = shared.extended.borrow().clone();
    for class in classes {
        let Some(own) = &class.extended else { continue };
        let fields = shared.fields(class.kind);
        for (name, value) in own.fields.pairs::<String, Value>().flatten() {
            let Value::Function(method) = value else { continue };
            let value = fields.get(&name).is_some() || crate::params::declares(&class, &name);
            if let Some(odd) = odd_method(&class, &name, &method).filter(|_| !value) {
                let at = Some(origin_of(&method)).filter(|at| !at.file.is_empty());
                shared.warn(&at.unwrap_or_else(|| own.at.clone()), &class.path(), odd);
            }
        }
    }
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
    let (written, mut problems) = (given.clone(), Vec::new());
    if class.chain().any(|one| shared.broken.borrow().contains(&one.at.to_string())) {
        shared.broken.borrow_mut().insert(at.to_string());
    }
    prohibited(class, &given, &mut problems)?;
    let params = crate::params::take(lua, shared, class, &mut given, &mut problems)?;
    let poisoned = !problems.is_empty();
    let blank = crate::construct::Options { args: Map::new(), problems: Vec::new(), poisoned };
    let object = Declared::make(lua, shared, class, at.clone(), blank)?;
    {
        let declared = object.borrow::<Declared>()?;
        if let Some(fields) = &declared.fields {
            for (name, value) in params.lua {
                fields.raw_set(name, value)?;
            }
        }
        *declared.params.borrow_mut() = params.json;
    }
    report(lua, shared, &class.path(), &at, &problems)?;
    initialize(lua, shared, class, &object, rest(lua, given)?)?;
    crate::copies::remember(lua, &object, written)?;
    Ok(object)
}

/// Judges the parameters, and lets the class compute the options of its base from them, if they are good so far.
fn initialize(
    lua: &Lua,
    shared: &Shared,
    class: &Class,
    object: &AnyUserData,
    args: Table,
) -> mlua::Result<()> {
    let declared = object.borrow::<Declared>()?;
    if !declared.poisoned {
        check(lua, shared, class, &declared)?;
    }
    match class.field("init")? {
        Value::Function(_) if declared.poisoned => declared.ready.set(true),
        Value::Function(init) => {
            let called = init.call::<()>((object, args));
            called.map_err(|error| at_once(error, &format!("init of {}", class.path())))?;
            if !declared.ready.get() {
                return Err(raise(lua, format!("init of {} did not call its base's init", class.path())));
            }
        }
        _ => base_init(lua, shared, class, object, Value::Table(args))?,
    }
    Ok(())
}

/// The error of a function that may not wait, in words that name it.
fn at_once(error: mlua::Error, what: &str) -> mlua::Error {
    let message = crate::failure::message_of(&error);
    if !message.contains(crate::failure::CANNOT_WAIT) {
        return error;
    }
    let told = format!(
        "{what} cannot wait: read before, in the file, what it needs, and hand it over as a parameter"
    );
    mlua::Error::RuntimeError(message.replace(crate::failure::CANNOT_WAIT, &told))
}

/// Options that the class sets itself, and its users must not (05.044).
fn prohibited(class: &Class, given: &Written, problems: &mut Vec<Problem>) -> mlua::Result<()> {
    for extended in class.chain() {
        // What else it is was told where the class was made.
        let names = extended.fields.raw_get::<Option<Vec<String>>>("prohibitArgs").unwrap_or_default();
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
    let mut given = written(class, MultiValue::from_iter([args])).map_err(|message| raise(lua, message))?;
    let mut problems = Vec::new();
    let mut all = defaults(lua, shared, &declared.class, &mut problems)?;
    problems.clear(); // told where the class was made
    if let Some((_, own)) = given_observers(lua, shared, class, &mut given, &mut problems)? {
        *declared.observers.borrow_mut() = own;
    }
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

/// `check(args)` of the class and of those that it extends, the base's first, until one has something to tell.
fn check(lua: &Lua, shared: &Shared, class: &Class, declared: &Declared) -> mlua::Result<()> {
    let mut chain: Vec<&Extended> = class.chain().collect();
    chain.reverse();
    for extended in chain {
        let Value::Function(check) = extended.fields.raw_get("check")? else { continue };
        let judged = check.call::<Value>(declared.fields.clone());
        let told = match judged.map_err(|error| at_once(error, &format!("check of {}", class.path())))? {
            Value::Nil => continue,
            Value::String(message) => message.to_string_lossy(),
            other => {
                let (at, got) = (origin_of(&check), words(&other));
                format!("check ({at}) returned {got}; it returns a text that says what is wrong, or nil")
            }
        };
        return report(lua, shared, &class.path(), &declared.at, &[Problem::new("", told)]);
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
            let value = special || crate::params::declares(&declared.class, &name);
            if !value && !hooks.contains_key(&name) {
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
    let lists = crate::params::lists(&declared.class);
    if !lists.is_empty() {
        class["lists"] = lists.into();
    }
    let types = crate::params::types(&declared.class);
    if !types.is_empty() {
        class["types"] = Json::Object(types);
    }
    let observers = beside(observers_of(&declared.class), declared.observers.borrow().clone());
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
        null if null == Value::NULL => return Ok(all),
        Value::Table(written) => written,
        other => {
            let got = words(&other);
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
        let one = Shape::plain(Form::Object);
        let shape = match observer {
            Value::Table(_) => Shape::plain(Form::List(Box::new(one))),
            _ => one,
        };
        let mut reader = crate::convert::Reader::new(lua, shared);
        let path = format!("observers.{log}");
        let read = reader.option(&path, &observer, &shape);
        problems.append(&mut reader.problems);
        for one in read.clone().map(listed).unwrap_or_default() {
            crate::convert::fits(shared, &one, Category::Observer, &path, problems);
        }
        all.extend(read.map(|read| (log, read)));
    }
    Ok(all)
}
