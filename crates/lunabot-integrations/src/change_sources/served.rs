//! Which change source serves which path: `self:serve` (lua-api § 3).

use lunabot_model::script::{CallSite, Instance};
use lunabot_model::{Arg, Callback, Json, ScriptError, ScriptErrorKind, ScriptHost, ScriptObject};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Longest path.
const MAX_PATH: usize = 200;
/// Paths of one source.
const MAX_PATHS: usize = 100;

/// The paths of all sources that run.
#[derive(Clone, Default)]
pub struct Served(Arc<Mutex<BTreeMap<String, Route>>>);

#[derive(Clone)]
struct Route {
    source: String,
    script: Arc<dyn ScriptHost>,
    callback: Callback,
    instance: Weak<Instance>,
}

impl Route {
    fn site(&self) -> CallSite {
        CallSite::new("serve", format!("change source {}", self.source))
    }
}

impl Served {
    fn routes(&self) -> MutexGuard<'_, BTreeMap<String, Route>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn has(&self, path: &str) -> bool {
        self.routes().contains_key(path)
    }

    /// What the function for `path` returns. The host logs and lists its errors.
    pub async fn call(&self, path: &str, request: ScriptObject) -> Result<Json, ScriptError> {
        let gone = || ScriptError {
            kind: ScriptErrorKind::Gone,
            message: format!("no change source serves {path:?} any more"),
            traceback: String::new(),
        };
        let route = self.routes().get(path).cloned().ok_or_else(gone)?;
        let instance = route.instance.upgrade().ok_or_else(gone)?;
        let args = vec![Arg::Instance(instance), Arg::Value(path.into()), Arg::Object(request)];
        route.script.call(&route.callback, route.site(), args).await
    }

    /// The function for `path` has returned what is no answer; `text` says why.
    pub fn nonsense(&self, path: &str, text: &str) {
        let route = self.routes().get(path).cloned();
        if let Some(route) = route {
            route.script.nonsense(&route.callback, route.site(), text);
        }
    }
}

/// The paths of one source under one configuration; they end with it.
pub(crate) struct Mounts {
    served: Served,
    /// `None`: it acts no more.
    paths: Mutex<Option<Vec<String>>>,
}

impl Mounts {
    pub fn new(served: Served) -> Self {
        Mounts { served, paths: Mutex::new(Some(Vec::new())) }
    }

    fn paths(&self) -> MutexGuard<'_, Option<Vec<String>>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves `path` from now on; the path as it is asked for. The error says why it cannot be.
    pub fn add(
        &self,
        path: &str,
        source: &str,
        script: &Arc<dyn ScriptHost>,
        callback: Callback,
        instance: Weak<Instance>,
    ) -> Result<String, String> {
        let path = path.trim_matches('/');
        let good = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if path.is_empty() || path.len() > MAX_PATH || !path.chars().all(good) {
            return Err(format!(
                "serve: a path of a-z, A-Z, 0-9, -, _, . and / is wanted, of at most {MAX_PATH} bytes"
            ));
        }
        let mut own = self.paths();
        let own = own.as_mut().ok_or("serve: the change source is deactivated")?;
        let mut routes = self.served.routes();
        if let Some(taken) = routes.get(path) {
            return Err(format!("serve: {path:?} is served by change source {} already", taken.source));
        }
        if own.len() >= MAX_PATHS {
            return Err(format!("serve: a change source serves at most {MAX_PATHS} paths"));
        }
        own.push(path.into());
        let (source, script) = (source.into(), Arc::clone(script));
        routes.insert(path.into(), Route { source, script, callback, instance });
        Ok(path.into())
    }

    /// Nothing is served any more; `again`: until it is activated once more.
    pub fn clear(&self, again: bool) {
        let ended = std::mem::replace(&mut *self.paths(), again.then(Vec::new));
        let mut routes = self.served.routes();
        for path in ended.into_iter().flatten() {
            routes.remove(&path);
        }
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        self.clear(false);
    }
}
