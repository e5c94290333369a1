//! The `lunabot` package: `lunabot.steps`, `lunabot.util` …, filled from the tables of kinds.

use crate::class::{Class, ClassRef};
use crate::origin::{origin, raise};
use crate::plugins::plugin;
use crate::state::Shared;
use lunabot_model::kind::nearest;
use mlua::{AnyUserData, Function, Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods, Value};

/// The names that Buildbot and the contract have, by module: what is not among the kinds is not supported yet.
const NAMES: &str = include_str!("names.txt");

/// The options that Buildbot has, by class.
const OPTIONS: &str = include_str!("options.txt");

/// Whether Buildbot's class of this path has the option.
pub(crate) fn known_option(class: &str, option: &str) -> bool {
    let mut lines = OPTIONS.lines().filter_map(|line| line.split_once(": "));
    lines.any(|(name, options)| name == class && options.split(' ').any(|known| known == option))
}

/// Buildbot's names that will not come, and what stands for them.
const REPLACED: &[(&str, &str)] = &[
    (
        "steps.CVS",
        "convert the repository to git (cvs2git, git cvsimport) and use steps.Git, or run cvs by steps.ShellCommand",
    ),
    (
        "steps.Darcs",
        "convert the repository to git (darcs convert export) and use steps.Git, or run darcs by steps.ShellCommand",
    ),
    (
        "steps.Monotone",
        "convert the repository to git (mtn git_export) and use steps.Git, or run mtn by steps.ShellCommand",
    ),
    (
        "util.KeyCloakAuth",
        "use util.OpenIDConnectAuth{issuer = \"https://HOST/realms/REALM\", clientId = …, clientSecret = …}",
    ),
];

/// The modules of the package.
pub(crate) const MODULES: [&str; 9] =
    ["changes", "schedulers", "steps", "util", "worker", "reporters", "secrets", "webhooks", "www"];

/// Stands for what could not be made, after its error was recorded: anything may be done with it.
pub(crate) struct Placeholder;

impl UserData for Placeholder {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_function(MetaMethod::Index, |_, (this, _): (AnyUserData, Value)| Ok(this));
        methods.add_meta_function(MetaMethod::Call, |_, (this, _): (AnyUserData, MultiValue)| Ok(this));
        methods.add_meta_function(MetaMethod::NewIndex, |_, _: MultiValue| Ok(()));
        methods.add_meta_function(MetaMethod::Len, |_, _: AnyUserData| Ok(0));
        methods.add_meta_function(MetaMethod::ToString, |_, _: AnyUserData| Ok("placeholder"));
        for operator in
            [MetaMethod::Concat, MetaMethod::Add, MetaMethod::Sub, MetaMethod::Mul, MetaMethod::Div]
        {
            methods.add_meta_function(operator, |lua, _: MultiValue| lua.create_userdata(Placeholder));
        }
    }
}

/// The package table; `util` comes with the helpers of the prelude.
pub(crate) fn package(lua: &Lua, prelude: &Table) -> mlua::Result<Table> {
    let package = lua.create_table()?;
    let util: Table = prelude.raw_get("util_table")?;
    let member_of: Function = prelude.raw_get("member_of")?;
    for name in MODULES {
        let module = if name == "util" { util.clone() } else { lua.create_table()? };
        let meta = lua.create_table()?;
        let index = move |lua: &Lua, (table, key): (Table, Value)| member(lua, name, &table, &key);
        meta.raw_set("__index", member_of.call::<Function>(lua.create_function(index)?)?)?;
        meta.raw_set("__name", format!("lunabot.{name}"))?;
        module.set_metatable(Some(meta))?;
        package.raw_set(name, module)?;
    }
    Ok(package)
}

/// What is told of an unknown name of the package itself.
pub(crate) fn unknown_module(lua: &Lua, key: &str) -> mlua::Result<Value> {
    let own = ["basedir", "config_file", "version", "master"];
    let hint = nearest(key, MODULES.into_iter().chain(own));
    let hint = hint.map_or(String::new(), |near| format!(", did you mean lunabot.{near}?"));
    complain(lua, &format!("lunabot.{key}"), format!("unknown name{hint}"))
}

fn complain(lua: &Lua, path: &str, message: String) -> mlua::Result<Value> {
    Shared::of(lua).complain(lua, path, message)?;
    Ok(Value::UserData(lua.create_userdata(Placeholder)?))
}

/// A name of a module: what it is, else the plug-in that the prelude shall require.
fn member(lua: &Lua, module: &str, table: &Table, key: &Value) -> mlua::Result<(Value, Option<String>)> {
    let Value::String(key) = key else {
        return Err(raise(lua, format!("names of lunabot.{module} are texts")));
    };
    let (key, shared) = (key.to_string_lossy(), Shared::of(lua));
    let path = format!("{module}.{key}");
    let plugin = plugin(&shared, &path);
    if let Some(kind) = shared.kind(&path) {
        if let Some((_, file)) = plugin {
            shared.warn(
                &origin(lua),
                &path,
                format!("is built in; the plug-in {} is not used", file.display()),
            );
        }
        let class = Value::UserData(lua.create_userdata(ClassRef(Class::of(&shared, kind)))?);
        table.raw_set(key, &class)?;
        return Ok((class, None));
    }
    match plugin {
        Some((module, _)) => Ok((Value::Nil, Some(module))),
        None => Ok((unknown(lua, module, table, &key)?, None)),
    }
}

/// Records what is wrong with a name that neither we nor a plug-in has.
fn unknown(lua: &Lua, module: &str, table: &Table, key: &str) -> mlua::Result<Value> {
    let (path, shared) = (format!("{module}.{key}"), Shared::of(lua));
    if let Some((_, instead)) = REPLACED.iter().find(|(name, _)| *name == path) {
        return complain(lua, &path, format!("is not supported; {instead}"));
    }
    if known(module).any(|name| name == key) {
        return complain(lua, &path, "not supported yet".into());
    }
    let mut names: Vec<String> = known(module).map(str::to_string).collect();
    names.extend(shared.kind_names(module).map(str::to_string));
    let _ = table.for_each(|name: Value, _: Value| {
        names.extend(name.as_string().map(mlua::LuaString::to_string_lossy));
        Ok(())
    });
    let hint = nearest(key, names.iter().map(String::as_str));
    let hint = hint.map_or(String::new(), |near| format!(", did you mean {module}.{near}?"));
    complain(lua, &path, format!("unknown name{hint}"))
}

fn known(module: &str) -> impl Iterator<Item = &'static str> {
    let lines = NAMES.lines().filter_map(|line| line.split_once(": "));
    let module = module.to_string();
    lines.filter(move |(name, _)| *name == module).flat_map(|(_, names)| names.split(' '))
}
