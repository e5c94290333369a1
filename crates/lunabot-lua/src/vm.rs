//! One interpreter: the stock libraries that are safe here, our prelude, and the user's environment.

use crate::limits::Limits;
use crate::modules;
use crate::origin::raise;
use crate::state::{Shared, will_not_block};
use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Longest source file that is loaded.
const MAX_SOURCE: usize = 64 << 20;

/// What is written in Lua, in the order in which it runs.
const PRELUDE: &[(&str, &str)] = &[
    ("heavy", include_str!("prelude/heavy.lua")),
    ("patterns", include_str!("prelude/patterns.lua")),
    ("environment", include_str!("prelude/environment.lua")),
    ("util", include_str!("prelude/util.lua")),
    ("ini", include_str!("prelude/ini.lua")),
    ("http", include_str!("prelude/http.lua")),
    ("master", include_str!("prelude/master.lua")),
    ("classes", include_str!("prelude/classes.lua")),
    ("dots", include_str!("prelude/dots.lua")),
];

/// An interpreter, ready to run the configuration file.
pub(crate) struct Vm {
    pub lua: Lua,
    pub shared: Rc<Shared>,
    pub limits: Rc<Limits>,
    /// The user's globals.
    pub env: Table,
}

impl Vm {
    pub fn new(shared: Rc<Shared>) -> mlua::Result<Self> {
        let lua = interpreter();
        lua.set_app_data(shared.clone());
        let limits = Limits::install(&lua)?;
        lua.set_app_data(limits.clone());
        let env = prelude(&lua, &shared, &limits)?;
        Ok(Vm { lua, shared, limits, env })
    }

    /// Compiles a file of the configuration.
    pub fn compile(&self, name: &str, source: &[u8]) -> mlua::Result<Function> {
        compile(&self.lua, name, source, &self.env)
    }
}

fn interpreter() -> Lua {
    let libs = StdLib::TABLE
        | StdLib::IO
        | StdLib::OS
        | StdLib::STRING
        | StdLib::UTF8
        | StdLib::MATH
        | StdLib::COROUTINE
        | StdLib::DEBUG;
    #[expect(unsafe_code, reason = "the debug library follows upvalues for fingerprints")]
    // SAFETY: the debug library stays with us; the user's environment has `debug.traceback` alone, and only text
    // is ever compiled for the user, no bytecode.
    unsafe {
        Lua::unsafe_new_with(libs, LuaOptions::default().catch_rust_panics(true))
    }
}

fn prelude(lua: &Lua, shared: &Rc<Shared>, limits: &Rc<Limits>) -> mlua::Result<Table> {
    let host = lua.create_table()?;
    host.raw_set("null", Value::NULL)?;
    host.raw_set("orders", crate::documents::set_up(lua)?)?;
    crate::live::set_up(lua)?;
    host.raw_set(
        "raise",
        lua.create_function(|lua, (message, _): (String, Value)| -> mlua::Result<()> {
            Err(raise(lua, message))
        })?,
    )?;
    host.raw_set("reverse_pairs", shared.options.reverse_pairs)?;
    host.raw_set("basedir", shared.options.basedir.to_string_lossy())?;
    limits.add(&host, lua)?;
    add_files(lua, &host)?;
    crate::declared::add_methods(lua, &host)?;
    crate::props::add_methods(lua, &host)?;
    crate::extend::add_methods(lua, &host)?;
    crate::tasks::add(lua, &host)?;
    host.raw_set("util", crate::helpers::table(lua)?)?;
    crate::helpers::http::add(lua, &host)?;
    crate::cached::add(lua, &host)?;
    crate::patterns::add(lua, &host)?;
    for (name, source) in PRELUDE {
        let chunk = lua.load(*source).set_name(format!("=lunabot:{name}"));
        chunk.into_function()?.call::<()>(&host)?;
    }
    *shared.prelude.borrow_mut() = Some(host.clone());
    null_metatable(lua)?;
    let env: Table = host.raw_get("env")?;
    let loaded: Table = env.raw_get::<Table>("package")?.raw_get("loaded")?;
    loaded.raw_set("lunabot", lunabot(lua, shared, &host)?)?;
    Ok(env)
}

/// So that `util.null` prints as such, and indexing it says what it is.
fn null_metatable(lua: &Lua) -> mlua::Result<()> {
    let meta = lua.create_table()?;
    meta.raw_set("__tostring", lua.create_function(|_, _: Value| Ok("util.null"))?)?;
    meta.raw_set("__name", "util.null")?;
    lua.set_type_metatable::<mlua::LightUserData>(Some(meta));
    Ok(())
}

fn lunabot(lua: &Lua, shared: &Rc<Shared>, host: &Table) -> mlua::Result<Table> {
    let package = modules::package(lua, host)?;
    let options = &shared.options;
    package.raw_set("basedir", options.basedir.to_string_lossy())?;
    package.raw_set("config_file", options.config_file.to_string_lossy())?;
    package.raw_set("version", options.version.as_str())?;
    let meta = lua.create_table()?;
    let master: Table = host.raw_get("master_table")?;
    let index = move |lua: &Lua, (_, key): (Table, String)| {
        if key != "master" {
            return modules::unknown_module(lua, &key);
        }
        if Shared::of(lua).loading() {
            let message = "lunabot.master works inside callbacks; while the file is loaded nothing runs yet";
            return Err(raise(lua, message));
        }
        Ok(Value::Table(master.clone()))
    };
    meta.raw_set("__index", lua.create_function(index)?)?;
    package.set_metatable(Some(meta))?;
    Ok(package)
}

/// Compiles source text; a first line that starts with `#` is skipped.
pub(crate) fn compile(lua: &Lua, name: &str, source: &[u8], env: &Table) -> mlua::Result<Function> {
    if source.len() > MAX_SOURCE {
        return Err(raise(lua, format!("{name} is larger than {MAX_SOURCE} bytes")));
    }
    let source = source.strip_prefix(b"\xef\xbb\xbf").unwrap_or(source);
    let first = source.iter().position(|byte| *byte == b'\n').unwrap_or(source.len());
    let source = if source.first() == Some(&b'#') { &source[first..] } else { source };
    if let Ok(text) = std::str::from_utf8(source) {
        crate::compared::warn(&Shared::of(lua), name, text);
    }
    let chunk = lua.load(source).set_name(format!("@{name}")).set_mode(mlua::chunk::ChunkMode::Text);
    let compiled = chunk.set_environment(env.clone()).into_function();
    compiled.map_err(|error| mlua::Error::RuntimeError(crate::failure::message_of(&error)))
}

/// The name of a file in messages: relative to the configuration's folder where it is below it.
pub(crate) fn shown(shared: &Shared, path: &Path) -> String {
    path.strip_prefix(&shared.root).unwrap_or(path).to_string_lossy().into_owned()
}

fn search_path(shared: &Shared) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        ["?.lua", "?/init.lua", "lua/?.lua"].iter().map(|pattern| shared.root.join(pattern)).collect();
    let system = [
        "/usr/local/share/lunabot/lua",
        "/usr/share/lunabot/lua",
        "/usr/local/share/lua/5.4",
        "/usr/share/lua/5.4",
    ];
    let folders = shared.options.lua_path.iter().cloned().chain(system.iter().map(PathBuf::from));
    for folder in folders {
        all.extend(["?.lua", "?/init.lua"].iter().map(|pattern| folder.join(pattern)));
    }
    all
}

fn add_files(lua: &Lua, host: &Table) -> mlua::Result<()> {
    let shared = Shared::of(lua);
    let path: Vec<String> = search_path(&shared).iter().map(|p| p.to_string_lossy().into_owned()).collect();
    host.raw_set("search_path", path.join(";"))?;
    host.raw_set("find_module", lua.create_function(find_module)?)?;
    host.raw_set("plugin_failed", lua.create_function(crate::plugins::failed)?)?;
    host.raw_set(
        "load_file",
        lua.create_function(|lua, (name, env): (String, Table)| {
            let shared = Shared::of(lua);
            let source = shared.read_file(&name).map_err(|error| raise(lua, format!("{name}: {error}")))?;
            compile(lua, &shown(&shared, &shared.root.join(&name)), &source, &env)
        })?,
    )?;
    host.raw_set(
        "absolute",
        lua.create_function(|lua, name: String| {
            Ok(Shared::of(lua).root.join(name).to_string_lossy().into_owned())
        })?,
    )?;
    host.raw_set(
        "openable",
        lua.create_function(|lua, name: String| {
            let path = Shared::of(lua).root.join(&name);
            will_not_block(&path).map_err(|error| raise(lua, format!("{name}: {error}")))?;
            Ok(path.to_string_lossy().into_owned())
        })?,
    )
}

/// The file of a module; the error is where it was looked for.
pub(crate) fn find(shared: &Shared, module: &str) -> Result<PathBuf, Vec<PathBuf>> {
    let file = module.replace('.', "/");
    let tried: Vec<PathBuf> = search_path(shared)
        .iter()
        .map(|pattern| PathBuf::from(pattern.to_string_lossy().replace('?', &file)))
        .collect();
    tried.iter().find(|path| path.is_file()).cloned().ok_or(tried)
}

fn find_module(lua: &Lua, (name, env): (String, Table)) -> mlua::Result<(Function, String)> {
    let shared = Shared::of(lua);
    let path = find(&shared, &name).map_err(|tried| {
        let list: Vec<String> = tried.iter().map(|path| format!("\n  {}", shown(&shared, path))).collect();
        let remedy = if name == "lunabot.test" {
            "module lunabot.test is there for `lunabot test` alone; require it in a file NAME_test.lua".into()
        } else {
            format!("module {name} not found; looked for{}", list.concat())
        };
        raise(lua, remedy)
    })?;
    let source = shared
        .read_file(&path.to_string_lossy())
        .map_err(|e| raise(lua, format!("{}: {e}", path.display())))?;
    Ok((compile(lua, &shown(&shared, &path), &source, &env)?, path.to_string_lossy().into_owned()))
}
