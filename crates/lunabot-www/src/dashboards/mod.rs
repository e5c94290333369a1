//! Pages of the configuration's own: `c.www.dashboards` (lua-api § 3), also as `c.www.plugins.wsgi_dashboards`, as Buildbot has it.
//!
//! They are at `/dashboards/NAME` in the frame of the master's pages, and without it below
//! `/plugins/wsgi_dashboards/NAME/`, where Buildbot's web client looks for them.

mod answer;
mod frame;
pub mod kinds;
mod serve;
mod templates;

pub use serve::{bare, bare_below, framed, framed_below};
pub use templates::SiteTemplates;

use answer::Answer;
use kinds::DashboardParams;
use lunabot_model::config::{Config, ConfigError};
use lunabot_model::{AnyObject, Json};
use moka::future::Cache;
use serde_json::json;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where Buildbot's plug-in has them.
pub(crate) const PLUGIN: &str = "wsgi_dashboards";
/// Answers kept of one dashboard.
const KEPT: u64 = 200;

/// One dashboard.
#[derive(Debug)]
pub struct Dashboard {
    params: DashboardParams,
    files: Option<PathBuf>,
    cache: Option<Cache<String, Arc<Answer>>>,
}

impl Dashboard {
    fn new(params: DashboardParams, folder: &Path) -> Dashboard {
        let files = params.files.as_ref().map(|files| folder.join(files));
        let cache = (params.cache_seconds > 0).then(|| {
            let kept = Duration::from_secs(params.cache_seconds.into());
            Cache::builder().max_capacity(KEPT).time_to_live(kept).build()
        });
        Dashboard { params, files, cache }
    }

    pub fn name(&self) -> &str {
        &self.params.name
    }

    pub fn caption(&self) -> &str {
        self.params.caption.as_deref().unwrap_or(&self.params.name)
    }
}

/// All of a configuration, in the order of menus. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Dashboards(Arc<Vec<Dashboard>>);

impl Dashboards {
    /// Reads those of a configuration; relative paths begin at `folder`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(config: &Config, folder: &Path) -> Result<Dashboards, Vec<ConfigError>> {
        let www = &config.www;
        let there = www.plugins.get(PLUGIN).into_iter().flat_map(items);
        let written = www.dashboards.iter().flat_map(items).map(|item| ("www.dashboards", item));
        let written = written.chain(there.map(|item| ("www.plugins.wsgi_dashboards", item)));
        let (mut all, mut errors, mut names) = (Vec::new(), Vec::new(), HashSet::new());
        for (path, item) in written {
            match read(path, item) {
                Ok(params) if !names.insert(params.name.clone()) => {
                    let told = format!("two dashboards are called {}", params.name);
                    errors.push(ConfigError { path: path.into(), ..declared_at(item, told) });
                }
                Ok(params) => all.push(Dashboard::new(params, folder)),
                Err(error) => errors.push(error),
            }
        }
        for files in all.iter().filter_map(|one| one.files.as_ref()).filter(|files| !files.is_dir()) {
            errors.push(at("www.dashboards", format!("static: there is no folder {}", files.display())));
        }
        all.sort_by(|a, b| (a.params.order, a.caption()).cmp(&(b.params.order, b.caption())));
        if errors.is_empty() { Ok(Dashboards(Arc::new(all))) } else { Err(errors) }
    }

    pub fn find(&self, name: &str) -> Option<&Dashboard> {
        self.0.iter().find(|one| one.params.name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Dashboard> {
        self.0.iter()
    }

    /// What Buildbot's web client is told of them.
    pub fn for_client(&self) -> Json {
        let each = |one: &Dashboard| {
            let mut told = json!({"name": one.name(), "caption": one.caption(), "order": one.params.order});
            if let Some(icon) = &one.params.icon {
                told["icon"] = icon.as_str().into();
            }
            told
        };
        self.0.iter().map(each).collect()
    }
}

/// A list, or one alone.
fn items(written: &Json) -> Vec<&Json> {
    match written {
        Json::Array(items) => items.iter().collect(),
        Json::Object(none) if none.is_empty() => Vec::new(),
        one => vec![one],
    }
}

fn read(path: &str, item: &Json) -> Result<DashboardParams, ConfigError> {
    let object = serde_json::from_value::<AnyObject>(item.clone()).ok();
    let object = object.filter(|object| object.kind == "util.Dashboard");
    let object =
        object.ok_or_else(|| at(path, "expected a list of util.Dashboard{name = …, app = …}".into()))?;
    serde_json::from_value(object.args).map_err(|error| at(path, error.to_string()))
}

/// A mistake in a dashboard, at the place where it was declared.
fn declared_at(item: &Json, message: String) -> ConfigError {
    let (file, line) = item["$at"].as_str().and_then(|at| at.rsplit_once(':')).unwrap_or_default();
    ConfigError { file: file.into(), line: line.parse().ok(), path: String::new(), message }
}

fn at(path: &str, message: String) -> ConfigError {
    ConfigError { file: String::new(), line: None, path: path.into(), message }
}
