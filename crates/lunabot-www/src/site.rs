//! What the web takes from the configuration, exchanged as a whole at a reload.

use crate::auth::Access;
use crate::badges::Badges;
use crate::client::Client;
use crate::dashboards::Dashboards;
use crate::hooks::{HookMeans, Hooks};
use axum::http::Extensions;
use lunabot_model::config::{Config, DeclaredBuilder, WwwConfig};
use lunabot_model::render::ServiceScope;
use std::sync::{Arc, PoisonError, RwLock};

/// One generation's settings of the web.
#[derive(Clone, Default)]
pub struct Site {
    pub title: String,
    pub title_url: String,
    /// `buildbotURL`; ends in a slash.
    pub url: String,
    pub www: WwwConfig,
    pub builders: Declared,
    /// Made of `www`.
    pub hooks: Arc<Hooks>,
    /// What hooks work with; absent where there is no configuration.
    pub means: Option<HookMeans>,
    /// Buildbot's web client.
    pub client: Option<Arc<Client>>,
    /// Who may come in and do what.
    pub access: Arc<Access>,
    /// Pages of the configuration's own.
    pub dashboards: Dashboards,
    /// Made of `www`; none: badges are off.
    pub badges: Option<Badges>,
}

/// Finds how a builder was declared, by its name.
#[derive(Clone, Default)]
pub struct Declared(Option<Arc<Find>>);

type Find = dyn Fn(&str) -> Option<DeclaredBuilder> + Send + Sync;

impl Declared {
    pub fn new(find: impl Fn(&str) -> Option<DeclaredBuilder> + Send + Sync + 'static) -> Self {
        Declared(Some(Arc::new(find)))
    }

    pub fn find(&self, name: &str) -> Option<DeclaredBuilder> {
        self.0.as_ref().and_then(|find| find(name))
    }
}

impl Site {
    pub fn of(
        config: &Config,
        builders: Declared,
        means: HookMeans,
        client: Option<Arc<Client>>,
        access: Arc<Access>,
        dashboards: Dashboards,
    ) -> Site {
        Site {
            title: config.title.clone(),
            title_url: config.title_url.clone(),
            url: config.buildbot_url.clone(),
            www: config.www.clone(),
            builders,
            hooks: Arc::new(Hooks::new(&config.www)),
            means: Some(means),
            client,
            access,
            dashboards,
            // What is wrong with them was told when the configuration was checked.
            badges: Badges::load(&config.www).ok().flatten(),
        }
    }

    /// Functions and secrets of the configuration, for what is named `concerns`; none where there is no configuration.
    pub fn scope(&self, concerns: &str) -> Option<ServiceScope> {
        let means = self.means.as_ref()?;
        let (script, secrets) = (Arc::clone(&means.intake.script), Arc::clone(&means.secrets));
        Some(ServiceScope { script, secrets, concerns: concerns.into() })
    }
}

/// The settings under which a request is answered, from its beginning to its end.
#[derive(Clone)]
pub struct Current(pub Arc<Site>);

/// The settings that hold now; cheap to clone, all clones see an exchange.
#[derive(Clone, Default)]
pub struct SharedSite(Arc<RwLock<Arc<Site>>>);

impl SharedSite {
    pub fn new(site: Site) -> Self {
        SharedSite(Arc::new(RwLock::new(Arc::new(site))))
    }

    pub fn load(&self) -> Arc<Site> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those of the request that has these extensions.
    pub fn of(&self, extensions: &Extensions) -> Arc<Site> {
        match extensions.get::<Current>() {
            Some(Current(site)) => Arc::clone(site),
            None => self.load(),
        }
    }

    /// Takes effect with the next request.
    pub fn store(&self, site: Site) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(site);
    }
}
