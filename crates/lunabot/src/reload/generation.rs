//! One loaded configuration, ready to be gone over to.

use super::check;
use super::diff::declared_values;
use super::history::Load;
use crate::basedir::BaseDir;
use crate::wiring::{kinds, master_port::Port};
use lunabot_data::Data;
use lunabot_data::intake::Intake;
use lunabot_engine::worker::{PB_CHANGES, change_source_names};
use lunabot_integrations::tokens::unusable_keys;
use lunabot_integrations::{Secrets, Tokens};
use lunabot_lua::{Host, Kept, LoadFailure, LoadOptions, Loaded, Records};
use lunabot_model::config::{Config, ConfigError};
use lunabot_model::object::token_name;
use lunabot_model::render::ServiceScope;
use lunabot_model::script::{Beforehand, MasterPort};
use lunabot_model::{BoxFuture, Clock, Json, SecretSource, Templates, Time, Token};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where modules of configurations are looked for besides the configuration's folder; folders separated by colons.
const LUA_PATH: &str = "LUNABOT_LUA_PATH";

/// A configuration without mistakes, its functions and its secrets.
pub struct Generation {
    /// What the engine works by, and its running builds keep.
    pub inner: Arc<lunabot_engine::Generation>,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// What is odd but not wrong.
    pub warnings: Vec<ConfigError>,
    /// When the load began.
    pub loaded_at: Time,
    port: Option<Arc<Port>>,
    /// Buildbot's web client, if it is wanted.
    pub client: Option<Arc<lunabot_www::Client>>,
    /// Who may come in and do what.
    pub access: Arc<lunabot_www::Access>,
    pub dashboards: lunabot_www::Dashboards,
    templates: Arc<dyn Templates>,
}

impl Generation {
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// How changes enter under this configuration.
    pub fn intake(&self, data: &Data) -> Intake {
        Intake {
            data: data.clone(),
            script: Arc::clone(&self.inner.host),
            codebase_generator: self.config().codebase_generator.clone(),
            revlink: self.config().revlink.clone(),
        }
    }

    /// What hooks work with under this configuration.
    pub fn means(&self, data: &Data) -> lunabot_www::HookMeans {
        lunabot_www::HookMeans { intake: self.intake(data), secrets: Arc::clone(&self.inner.secrets) }
    }

    /// Secrets of hooks and logins that nobody knows (12.009).
    pub async fn missing_secrets(&self) -> Vec<ConfigError> {
        let hooks = lunabot_www::Hooks::new(&self.config().www);
        let script = Arc::clone(&self.inner.host);
        let secrets: Arc<dyn SecretSource> = Arc::new(Beforehand(Arc::clone(&self.inner.secrets)));
        let mut missing =
            lunabot_www::missing_hook_secrets(&hooks, Arc::clone(&script), Arc::clone(&secrets)).await;
        let scope = ServiceScope { script, secrets, concerns: "www.auth".into() };
        missing.extend(self.access.missing(&scope).await);
        let told = missing.into_iter().map(|(path, message)| unplaced(&path, message));
        told.collect()
    }

    /// Whether somebody may do something under this configuration, and why.
    pub async fn explain(
        &self,
        question: &lunabot_www::Question,
        data: Option<&Data>,
    ) -> (bool, Vec<String>) {
        let (script, secrets) = (Arc::clone(&self.inner.host), Arc::clone(&self.inner.secrets));
        let scope = ServiceScope { script, secrets, concerns: "authz explain".into() };
        let mut question = question.clone();
        if data.is_none() && question.builders.is_empty() {
            question.builders = self.forced_by(question.path());
        }
        lunabot_www::explain(&self.access, &question, data, &scope).await
    }

    /// The builders of the scheduler that `forceschedulers/NAME` names, as the configuration has them.
    fn forced_by(&self, path: &str) -> Vec<String> {
        let name = path.strip_prefix("forceschedulers/").unwrap_or_default();
        let scheduler = self.config().schedulers.iter().find(|scheduler| scheduler.args["name"] == name);
        let builders = scheduler.and_then(|scheduler| scheduler.args["builderNames"].as_array());
        builders.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
    }

    /// What the reporters work by.
    pub fn reporters(&self) -> lunabot_integrations::reporters::Declared {
        let config = self.config();
        lunabot_integrations::reporters::Declared {
            services: config.services.clone(),
            site: lunabot_integrations::reporters::Site {
                title: config.title.clone(),
                url: config.buildbot_url.clone(),
            },
            script: Arc::clone(&self.inner.host),
            secrets: Arc::clone(&self.inner.secrets),
            templates: Arc::clone(&self.templates),
        }
    }

    /// What the change sources work by.
    pub fn sources(&self) -> lunabot_integrations::Generation {
        lunabot_integrations::Generation {
            sources: self.config().change_sources.iter().filter(|s| s.kind != PB_CHANGES).cloned().collect(),
            elsewhere: change_source_names(self.config()),
            script: Arc::clone(&self.inner.host),
            secrets: Arc::clone(&self.inner.secrets),
            codebase_generator: self.config().codebase_generator.clone(),
            revlink: self.config().revlink.clone(),
        }
    }

    /// The files to watch: none unless the configuration wants it.
    pub fn watched(&self) -> Vec<PathBuf> {
        if self.config().lua.watch { self.files.clone() } else { Vec::new() }
    }

    /// From now on `lunabot.master` works in its functions.
    pub fn connect(&self, data: &Data) {
        if let Some(port) = &self.port {
            port.connect(data, &self.inner.host, &self.inner.secrets, self.config());
        }
    }
}

/// A mistake at a path of the configuration, whose line is still to be found.
pub fn unplaced(path: &str, message: String) -> ConfigError {
    ConfigError { file: String::new(), line: None, path: path.into(), message }
}

/// Secrets and tokens that are hidden wherever functions speak, once they were asked for (04.039).
struct Known {
    secrets: Secrets,
    tokens: Arc<Tokens>,
    records: Arc<Records>,
    clock: Arc<dyn Clock>,
}

impl SecretSource for Known {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        Box::pin(async move {
            let found = self.secrets.get(name).await?;
            if let Some(value) = &found {
                self.records.learn(name, value);
            }
            Ok(found)
        })
    }

    fn token<'a>(&'a self, kind: &'a str, options: Json) -> BoxFuture<'a, Result<Token, String>> {
        Box::pin(async move {
            let token = self.tokens.get(kind, &options).await?;
            self.records.learn_token(token_name(kind).unwrap_or(kind), &token, self.clock.now());
            Ok(token)
        })
    }
}

/// Loads generations, each with the next number.
pub struct Loader {
    base: BaseDir,
    clock: Arc<dyn Clock>,
    records: Arc<Records>,
    tokens: Arc<Tokens>,
    kept: Arc<Kept>,
    numbers: AtomicU64,
    templates: Arc<dyn Templates>,
}

impl Loader {
    pub fn new(base: BaseDir, clock: Arc<dyn Clock>, records: Arc<Records>) -> Self {
        let templates = Arc::new(lunabot_www::SiteTemplates::new(Arc::clone(&clock)));
        let tokens = Arc::new(Tokens::new(config_folder(&base), Arc::clone(&clock)));
        Loader { base, clock, records, tokens, kept: Arc::default(), numbers: AtomicU64::new(1), templates }
    }

    /// Loads and checks the configuration for a master. The record tells how it went, whatever the outcome.
    pub async fn load(&self) -> (Load, Result<Generation, LoadFailure>) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let loaded_at = self.clock.now();
        let port = Arc::new(Port::default());
        let loaded = self.load_with(number, Some(port), false).await;
        let (content_hash, errors) = match &loaded {
            Ok(generation) => {
                generation.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                (generation.inner.content_hash.clone(), Vec::new())
            }
            Err(failure) => (failure.content_hash.clone(), failure.errors.clone()),
        };
        (Load { number, content_hash, loaded_at, errors }, loaded)
    }

    /// Loads and checks it where no master runs; `reversed` walks tables the other way round.
    pub async fn check(&self, reversed: bool) -> Result<Generation, LoadFailure> {
        self.load_with(0, None, reversed).await
    }

    async fn load_with(
        &self,
        number: u64,
        port: Option<Arc<Port>>,
        reverse_pairs: bool,
    ) -> Result<Generation, LoadFailure> {
        let loaded_at = self.clock.now();
        let loaded = Host::load(self.options(number, port.clone(), reverse_pairs)).await?;
        let mut errors = check::all(&loaded.config);
        errors.extend(lunabot_integrations::reporters::errors(&loaded.config.services, &*self.templates));
        let secrets =
            Secrets::load(&loaded.config.secrets_providers, &self.config_folder(), &loaded.host).await;
        let secrets = secrets.unwrap_or_else(|mut found| {
            errors.append(&mut found);
            Secrets::default()
        });
        let dashboards = lunabot_www::Dashboards::load(&loaded.config, &self.config_folder());
        let dashboards = dashboards.unwrap_or_else(|mut found| {
            errors.append(&mut found);
            lunabot_www::Dashboards::default()
        });
        let client = lunabot_www::Client::load(&loaded.config, &self.config_folder(), &dashboards).await;
        let client = client.unwrap_or_else(|mut found| {
            errors.append(&mut found);
            None
        });
        let access = lunabot_www::Access::load(&loaded.config, &self.config_folder()).await;
        let access = access.unwrap_or_else(|mut found| {
            errors.append(&mut found);
            lunabot_www::Access::default()
        });
        if !errors.is_empty() {
            lunabot_lua::place(&mut errors, self.base.config());
            return Err(refused(loaded, errors));
        }
        let Loaded { config, host, files, content_hash, mut warnings, tests: _ } = loaded;
        warnings.extend(check::warnings(&config));
        warnings.extend(access.warnings(&config));
        lunabot_lua::place(&mut warnings, self.base.config());
        let file = self.base.config().file_name().unwrap_or_default().to_string_lossy().into_owned();
        warnings.extend(unusable_keys(declared_values(&config), self.config_folder()).await);
        let (tokens, records) = (Arc::clone(&self.tokens), Arc::clone(&self.records));
        let secrets = Arc::new(Known { secrets, tokens, records, clock: Arc::clone(&self.clock) });
        let inner = lunabot_engine::Generation { number, content_hash, config, file, host, secrets };
        let inner = Arc::new(inner);
        let (client, access) = (client.map(Arc::new), Arc::new(access));
        let templates = Arc::clone(&self.templates);
        Ok(Generation { inner, files, warnings, loaded_at, port, client, access, dashboards, templates })
    }

    /// What a load of this configuration needs.
    pub fn options(&self, generation: u64, port: Option<Arc<Port>>, reverse_pairs: bool) -> LoadOptions {
        LoadOptions {
            config_file: self.base.config().to_owned(),
            kinds: kinds::all(),
            defaults: lunabot_steps::defaults().collect(),
            live: lunabot_engine::REMOTE_COMMANDS.to_vec(),
            generation,
            clock: Arc::clone(&self.clock),
            basedir: self.base.dir().to_owned(),
            version: env!("CARGO_PKG_VERSION").into(),
            lua_path: std::env::var_os(LUA_PATH).iter().flat_map(std::env::split_paths).collect(),
            master: port.map(|port| port as Arc<dyn MasterPort>),
            records: Arc::clone(&self.records),
            templates: Arc::clone(&self.templates),
            kept: Arc::clone(&self.kept),
            reverse_pairs,
            test_file: None,
        }
    }

    /// Mistakes that know their path alone, with their line in the configuration.
    pub fn placed(&self, mut errors: Vec<ConfigError>) -> Vec<ConfigError> {
        lunabot_lua::place(&mut errors, self.base.config());
        errors
    }

    /// Where relative paths of the configuration start (lua-api § 1).
    pub fn config_folder(&self) -> PathBuf {
        config_folder(&self.base)
    }
}

fn config_folder(base: &BaseDir) -> PathBuf {
    base.config().parent().unwrap_or(base.dir()).to_owned()
}

fn refused(loaded: Loaded, mut errors: Vec<ConfigError>) -> LoadFailure {
    errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    LoadFailure { errors, warnings: loaded.warnings, files: loaded.files, content_hash: loaded.content_hash }
}
