//! `lunabot lua-stubs`: what an editor needs to know of the configuration's language (lua-api § 6).

use crate::cli::LuaStubs;
use crate::ui;
use crate::wiring::kinds;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::ExitCode;

/// The folder of the definitions, in that of the configuration.
const LIBRARY: &str = ".lunabot";
/// Settings of the language server.
const SETTINGS: &str = ".luarc.json";

pub fn run(args: &LuaStubs) -> Result<ExitCode> {
    ensure!(args.dir.is_dir() || !args.dir.exists(), "{} is no folder", args.dir.display());
    let library = args.dir.join(LIBRARY);
    std::fs::create_dir_all(&library).with_context(|| format!("cannot make {}", library.display()))?;
    for (name, text) in lunabot_lua::stubs(&kinds::all()) {
        write(&library.join(name), &text)?;
    }
    let settings = args.dir.join(SETTINGS);
    write(&settings, &format!("{:#}\n", merged(&settings)?))?;
    if !args.quiet.quiet {
        ui::out(&format!("wrote {} and {}", library.display(), settings.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Settings that are there already stay; ours are added.
fn merged(path: &Path) -> Result<Value> {
    let mut settings = match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str::<Map<String, Value>>(&text).with_context(|| {
            format!(
                "{} is not plain JSON; add \"workspace.library\": [\"{LIBRARY}\"] yourself",
                path.display()
            )
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    settings.entry("runtime.version").or_insert_with(|| "Lua 5.4".into());
    // Lists of builds and steps are read by position in tests.
    settings.entry("strict").or_insert_with(|| json!({"arrayIndex": false}));
    let library = settings.entry("workspace.library").or_insert_with(|| json!([]));
    if let Some(folders) = library.as_array_mut()
        && !folders.iter().any(|folder| folder == LIBRARY)
    {
        folders.push(LIBRARY.into());
    }
    Ok(Value::Object(settings))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
