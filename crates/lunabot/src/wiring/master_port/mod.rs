//! What `lunabot.master` does inside callbacks (lua-api § 2, "Objects"): the data API, seen from Lua.

mod query;
mod rows;
mod subscriptions;
mod updates;

use lunabot_data::intake::{Intake, WeakIntake};
use lunabot_data::{Answer, ControlError, Data, DataError, Memory};
use lunabot_model::config::Config;
use lunabot_model::render::ServiceScope;
use lunabot_model::script::MasterPort;
use lunabot_model::{BoxFuture, Json, ScriptHost, SecretSource};
use std::sync::{Arc, OnceLock, Weak};
use subscriptions::Subscriptions;

/// The port of one generation. It answers from the moment the generation is taken up; while its file is loaded there
/// may be no master yet.
///
/// The interpreter holds the port: nothing in here may hold the interpreter, or no generation would ever end.
#[derive(Default)]
pub struct Port {
    intake: OnceLock<WeakIntake>,
    secrets: OnceLock<Weak<dyn SecretSource>>,
    subscriptions: Subscriptions,
}

impl Port {
    /// From now on calls are answered.
    pub fn connect(
        &self,
        data: &Data,
        script: &Arc<dyn ScriptHost>,
        secrets: &Arc<dyn SecretSource>,
        config: &Config,
    ) {
        let intake = Intake {
            data: data.clone(),
            script: Arc::clone(script),
            codebase_generator: config.codebase_generator.clone(),
            revlink: config.revlink.clone(),
        };
        // A second call would bring the same.
        let _ = self.intake.set(intake.downgrade());
        let _ = self.secrets.set(Arc::downgrade(secrets));
    }

    fn intake(&self) -> Result<&WeakIntake, String> {
        let intake = self.intake.get();
        intake.ok_or_else(|| "lunabot.master works in callbacks only, not while the file is loaded".into())
    }

    fn data(&self) -> Result<&Data, String> {
        Ok(self.intake()?.data())
    }

    async fn dispatch(&self, op: &str, args: Vec<Json>) -> Result<Json, String> {
        let mut args = args.into_iter();
        let mut next = || args.next().unwrap_or(Json::Null);
        match op {
            "data.get" => self.get(&query::path(&next())?, &next()).await,
            "data.control" => self.control(&next(), next(), &next()).await,
            "data.updates.addChange" => updates::add_change(&self.intake()?.upgrade()?, next()).await,
            "data.updates.addBuildset" => updates::add_buildset(self.data()?, next()).await,
            "mq.subscribe" => {
                let intake = self.intake()?;
                let (topic, function, owned) = (next(), next(), next() == Json::Bool(true));
                self.subscriptions.add(intake.data().bus(), intake.script(), &topic, &function, owned)
            }
            "mq.stop" => {
                self.subscriptions.stop(&next());
                Ok(Json::Null)
            }
            "render" => self.render(&next(), &next()).await,
            "state.get" => self.state(&next()).await,
            "state.set" => self.set_state(&next(), next()).await,
            _ => Err(format!("master.{op} is not supported yet")),
        }
    }

    /// The list itself, or the row, or null for a missing row. What the configuration has written before is there; while
    /// the database refuses to be written, what it holds.
    async fn get(&self, path: &str, options: &Json) -> Result<Json, String> {
        let data = self.data()?;
        let _ = data.flush().await;
        match data.get(path, &query::query(options)?).await {
            Ok(Answer::List { items, .. }) => {
                Ok(items.into_iter().map(|item| rows::row(path, item)).collect())
            }
            Ok(Answer::One { item, .. }) => Ok(rows::row(path, item)),
            Ok(Answer::Raw) => Err(format!("{path} is raw text; ask for its contents")),
            Err(DataError::NotFound(_)) => Ok(Json::Null),
            Err(error @ DataError::InvalidPath(_)) => Err(match query::nearest(path) {
                Some(near) => format!("{error}, did you mean {near}?"),
                None => error.to_string(),
            }),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn control(&self, action: &Json, params: Json, path: &Json) -> Result<Json, String> {
        let action = action.as_str().ok_or("data.control: the action is a text")?;
        let data = self.data()?;
        // Else a build that has just begun might not be found.
        let _ = data.flush().await;
        let answer = data.control(&query::path(path)?, action, params).await;
        answer.map_err(|error: ControlError| error.to_string())
    }

    /// What a value yields without a build and its properties; `concerns` says for what it is wanted.
    async fn render(&self, value: &Json, concerns: &Json) -> Result<Json, String> {
        let secrets = self.secrets.get().and_then(Weak::upgrade);
        let secrets = secrets.ok_or("is rendered in callbacks only, not while the file is loaded")?;
        let script = self.intake()?.upgrade()?.script;
        let concerns = concerns.as_str().unwrap_or_default().into();
        let rendered = ServiceScope { script, secrets, concerns }.render(value).await;
        rendered.map_err(|error| error.to_string())
    }

    async fn state(&self, name: &Json) -> Result<Json, String> {
        let found = self.memory()?.get(state_key(name)?).await;
        Ok(found.map_err(|error| error.to_string())?.unwrap_or_default())
    }

    async fn set_state(&self, name: &Json, value: Json) -> Result<Json, String> {
        self.memory()?.set(state_key(name)?, value).await.map_err(|error| error.to_string())?;
        Ok(Json::Null)
    }

    /// `master.state` is one namespace for all of a configuration.
    fn memory(&self) -> Result<Memory, String> {
        Ok(Memory { data: self.data()?.clone(), object: "master".into(), class: "lunabot.master" })
    }
}

fn state_key(name: &Json) -> Result<&str, String> {
    name.as_str().ok_or_else(|| "master.state: the key is a text".into())
}

impl MasterPort for Port {
    fn call<'a>(&'a self, op: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(self.dispatch(op, args))
    }

    fn retire(&self) {
        self.subscriptions.retire();
    }
}
