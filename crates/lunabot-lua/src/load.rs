//! The door of this room: load a configuration file, get the plain configuration and a host for its callbacks.

use crate::cached::Kept;
use crate::records::Records;
use crate::tests_of::Tests;
use lunabot_model::config::{Config, ConfigError};
use lunabot_model::script::{LiveKind, MasterPort};
use lunabot_model::{Clock, Json, Kind, ScriptHost, Templates};
use serde_json::Map;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What a load needs.
#[derive(Clone)]
pub struct LoadOptions {
    /// The file to run; its folder is where `require` and relative paths begin.
    pub config_file: PathBuf,
    /// All kinds that a configuration may declare, of all rooms.
    pub kinds: Vec<&'static Kind>,
    /// What options are where nothing is given, beside what the schemas tell: by the path of the kind.
    pub defaults: HashMap<String, Map<String, Json>>,
    /// Kinds whose objects act as soon as a function makes them.
    pub live: Vec<LiveKind>,
    /// The number of the generation that this load makes.
    pub generation: u64,
    pub clock: Arc<dyn Clock>,
    /// `lunabot.basedir`: the master's folder.
    pub basedir: PathBuf,
    /// `lunabot.version`.
    pub version: String,
    /// Further folders for `require` (`$LUNABOT_LUA_PATH`).
    pub lua_path: Vec<PathBuf>,
    /// Behind `lunabot.master` in callbacks; `None` where no master runs (`checkconfig`).
    pub master: Option<Arc<dyn MasterPort>>,
    /// Where failed callbacks are listed; one list serves all generations.
    pub records: Arc<Records>,
    /// What `util.render` fills templates with.
    pub templates: Arc<dyn Templates>,
    /// What `util.cached` keeps; one serves all generations.
    pub kept: Arc<Kept>,
    /// Reverses the order in which `pairs` walks plain tables (`checkconfig` loads a second time with it).
    pub reverse_pairs: bool,
    /// A file of tests, run before the configuration and in its interpreter (`lunabot test`).
    pub test_file: Option<PathBuf>,
}

/// A configuration that was loaded and checked whole.
pub struct Loaded {
    pub config: Config,
    /// Calls the functions of this generation. The interpreter ends when the last clone is dropped.
    pub host: Arc<dyn ScriptHost>,
    /// Every file that was read, for watching.
    pub files: Vec<PathBuf>,
    /// Of the contents of all files read; equal when nothing was edited.
    pub content_hash: String,
    /// What is odd but not wrong.
    pub warnings: Vec<ConfigError>,
    /// Those of [`LoadOptions::test_file`].
    pub tests: Option<Tests>,
}

/// All mistakes found, in order of file and line.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct LoadFailure {
    /// Never empty.
    pub errors: Vec<ConfigError>,
    pub warnings: Vec<ConfigError>,
    /// The files read so far; watch them, so that a repaired file is noticed.
    pub files: Vec<PathBuf>,
    /// As in [`Loaded`].
    pub content_hash: String,
}

/// See [`Host::load`].
pub struct Host;

impl Host {
    /// Runs a configuration file in a new interpreter and checks everything that it declares.
    ///
    /// Needs no particular runtime. It ends within the limits of the file scope (10 s of CPU, 60 s in all, plus what
    /// `util.process` asks for).
    ///
    /// # Errors
    /// Every mistake that was found, not only the first.
    pub async fn load(options: LoadOptions) -> Result<Loaded, LoadFailure> {
        let file = options.config_file.display().to_string();
        let (reply, answer) = tokio::sync::oneshot::channel();
        crate::thread::start(options, tokio::runtime::Handle::try_current().ok(), reply);
        answer.await.unwrap_or_else(|_| {
            let message = "the script host ended while loading; see the log".to_string();
            let error = ConfigError { file, line: None, path: String::new(), message };
            Err(LoadFailure {
                errors: vec![error],
                warnings: Vec::new(),
                files: Vec::new(),
                content_hash: String::new(),
            })
        })
    }
}
