//! Loading a file of tests and the configuration that it is about into an interpreter of their own.

use super::clock::VirtualClock;
use crate::basedir::BaseDir;
use crate::reload::check;
use crate::reload::generation::Loader;
use crate::wiring::master_port::Port;
use lunabot_engine::Masks;
use lunabot_lua::{Host, LoadFailure, LoadOptions, Records, Tests};
use lunabot_model::config::{Config, ConfigError};
use lunabot_model::{Clock, ScriptHost, Templates};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of tests, and the configuration that it is about.
#[derive(Debug, Clone)]
pub struct Place {
    pub test_file: PathBuf,
    pub base: BaseDir,
}

/// Both, loaded.
pub struct Loaded {
    pub config: Config,
    pub host: Arc<dyn ScriptHost>,
    pub tests: Tests,
    pub clock: VirtualClock,
    pub records: Arc<Records>,
    pub port: Arc<Port>,
    /// The configuration's name: `master.lua`.
    pub file: String,
    pub templates: Arc<dyn Templates>,
}

/// Loads them. `dir` is the folder of the simulated master.
///
/// # Errors
/// Mistakes, each with its place.
pub async fn load(place: &Place, dir: &Path, clock: VirtualClock) -> Result<Loaded, Vec<ConfigError>> {
    let records = Arc::new(Records::hiding(Arc::new(Masks::default())));
    let port = Arc::new(Port::default());
    let loader = Loader::new(place.base.clone(), Arc::new(clock.clone()) as Arc<dyn Clock>, records.clone());
    let options = LoadOptions {
        basedir: dir.to_owned(),
        test_file: Some(place.test_file.clone()),
        ..loader.options(1, Some(port.clone()), false)
    };
    let templates = options.templates.clone();
    let loaded = Host::load(options).await.map_err(|LoadFailure { errors, .. }| errors)?;
    let mut errors = check::all(&loaded.config);
    errors.extend(lunabot_integrations::reporters::errors(&loaded.config.services, &*templates));
    let file = place.base.config().file_name().unwrap_or_default().to_string_lossy().into_owned();
    match loaded.tests {
        Some(tests) if errors.is_empty() => Ok(Loaded {
            config: loaded.config,
            host: loaded.host,
            tests,
            clock,
            records,
            port,
            file,
            templates,
        }),
        _ => {
            lunabot_lua::place(&mut errors, place.base.config());
            Err(errors)
        }
    }
}
