//! What functions of the configuration can do with a change source of theirs.

use crate::change_sources::Mounts;
use crate::poller_params::CategoryOption;
use lunabot_data::Memory;
use lunabot_data::intake::{ChangeFunctions, WeakIntake, read_change};
use lunabot_model::script::{Instance, LiveObject};
use lunabot_model::{BoxFuture, Callback, Json};
use std::sync::{Arc, OnceLock, Weak};
use tokio::sync::Notify;

/// `spawn`, and of `serve` the function, stay with the script host.
pub(super) const METHODS: &[&str] =
    &["getState", "setState", "force", "spawn", "serve", "activate", "deactivate", "describe"];

/// What the methods act on. The interpreter may hold it: it must not hold the interpreter.
pub(super) struct Handle {
    pub memory: Memory,
    pub wanted: Arc<Notify>,
    pub mounts: Arc<Mounts>,
    pub intake: WeakIntake,
    /// What is called for requests that it serves.
    pub serve: Option<Callback>,
    /// What is called is a method of; it holds this.
    pub instance: OnceLock<Weak<Instance>>,
}

impl LiveObject for Handle {
    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            if let Some(answer) = self.memory.call(method, &args).await {
                return answer;
            }
            match (method, args.as_slice()) {
                ("force", []) => {
                    self.wanted.notify_one();
                    Ok(Json::Null)
                }
                ("activate" | "deactivate", _) => Ok(Json::Null),
                ("describe", _) => Ok(self.memory.object.as_str().into()),
                ("serve", [Json::String(path), Json::String(at)]) => self.serve(path, at).map(Json::String),
                _ => Err(format!("{method} takes no arguments")),
            }
        })
    }
}

impl Handle {
    /// `at`: where the function for the path was written.
    fn serve(&self, path: &str, at: &str) -> Result<String, String> {
        let parts = self.serve.as_ref().zip(self.instance.get());
        let (callback, instance) = parts.ok_or("serve works once it acts: in activate")?;
        let name = &self.memory.object;
        let script = self.intake.upgrade()?.script;
        let path = self.mounts.add(path, name, &script, callback.written_at(at), instance.clone())?;
        tracing::info!("change source {name} serves /change_hook/custom/{path}");
        Ok(path)
    }
}

/// What `self.master` does for a source with its own options: `data.updates.addChange`.
pub(super) struct Adding {
    pub intake: WeakIntake,
    pub category: Option<CategoryOption>,
    pub change_fn: Option<Callback>,
    /// `change source NAME`, for messages.
    pub concerns: String,
}

impl LiveObject for Adding {
    fn call<'a>(&'a self, _: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            let added = self.add(args.into_iter().next().unwrap_or_default()).await;
            added.map_err(|error| format!("addChange: {error}"))
        })
    }
}

impl Adding {
    /// The id of the change, or nothing: `change_fn` dropped it.
    async fn add(&self, told: Json) -> Result<Json, String> {
        let mut change = read_change(told)?;
        let mut functions = ChangeFunctions { category: None, change_fn: self.change_fn.clone() };
        match &self.category {
            // What says more about one change counts more.
            _ if change.category.is_some() => {}
            Some(CategoryOption::Text(text)) => change.category = Some(text.clone()),
            Some(CategoryOption::Function(callback)) => functions.category = Some(callback.clone()),
            None => {}
        }
        let added = self.intake.upgrade()?.add(change, &functions, &self.concerns).await;
        Ok(added.map_err(|error| error.to_string())?.map_or(Json::Null, |change| change.changeid.into()))
    }
}
