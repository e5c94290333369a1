//! What the web takes from the configuration, exchanged as a whole at a reload.

use lunabot_model::config::{Config, WwwConfig};
use std::sync::{Arc, PoisonError, RwLock};

/// One generation's settings of the web.
#[derive(Debug, Clone, Default)]
pub struct Site {
    pub title: String,
    pub title_url: String,
    /// `buildbotURL`; ends in a slash.
    pub url: String,
    pub www: WwwConfig,
}

impl Site {
    pub fn of(config: &Config) -> Site {
        Site {
            title: config.title.clone(),
            title_url: config.title_url.clone(),
            url: config.buildbot_url.clone(),
            www: config.www.clone(),
        }
    }
}

/// The settings that hold now; cheap to clone, all clones see an exchange.
#[derive(Debug, Clone, Default)]
pub struct SharedSite(Arc<RwLock<Arc<Site>>>);

impl SharedSite {
    pub fn new(site: Site) -> Self {
        SharedSite(Arc::new(RwLock::new(Arc::new(site))))
    }

    pub fn load(&self) -> Arc<Site> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes effect with the next request.
    pub fn store(&self, site: Site) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(site);
    }
}
