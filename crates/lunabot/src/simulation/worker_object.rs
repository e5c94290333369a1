//! A simulated worker as a test sees it: `m:worker("w1")`.

use super::master::Simulation;
use super::object::{OVER, run};
use super::story::row;
use lunabot_model::kind::nearest;
use lunabot_model::script::LiveObject;
use lunabot_model::{Arg, BoxFuture, CallError, Json, ScriptObject};
use serde_json::json;
use std::sync::{Arc, Weak};

const METHODS: &[&str] = &["answers", "commands", "connect", "connected", "disconnect", "file", "files"];

/// The object of a worker of the configuration.
///
/// # Errors
/// There is none of this name.
pub fn worker_object(simulation: &Arc<Simulation>, name: &str) -> Result<ScriptObject, String> {
    if !simulation.workers.contains_key(name) {
        let all = || simulation.workers.keys().map(String::as_str);
        let hint = match nearest(name, all()) {
            Some(near) => format!(", did you mean {near}?"),
            None => format!("; there are {}", all().collect::<Vec<_>>().join(", ")),
        };
        return Err(format!("there is no worker {name}{hint}"));
    }
    let handle = Arc::new(Handle { simulation: Arc::downgrade(simulation), name: name.into() });
    let object =
        ScriptObject::new("simulated worker", format!("worker {name}"), json!({"name": name}), handle);
    Ok(ScriptObject { scope: simulation.scope.id(), ..object.with_methods(METHODS) })
}

struct Handle {
    simulation: Weak<Simulation>,
    name: String,
}

impl LiveObject for Handle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move {
            let simulation = self.simulation.upgrade().ok_or(OVER)?;
            let args = args.into_iter().map(Arg::into_json).collect::<Result<Vec<Json>, String>>()?;
            let (method, name) = (method.to_owned(), self.name.clone());
            let first = args.into_iter().next().unwrap_or(Json::Null);
            run(&simulation.clone(), async move { op(&simulation, &name, &method, first).await }).await
        })
    }
}

async fn op(simulation: &Simulation, name: &str, method: &str, arg: Json) -> Result<Arg, String> {
    let worker = simulation.workers.get(name).ok_or_else(|| format!("there is no worker {name}"))?;
    let answer = match method {
        "answers" => {
            worker.answer(&arg)?;
            Json::Null
        }
        "files" => {
            worker.files(&arg)?;
            Json::Null
        }
        "file" => worker.file(arg.as_str().ok_or("file takes a path")?).into(),
        "connect" => {
            worker.connect().await?;
            Json::Null
        }
        "disconnect" => {
            worker.disconnect().await;
            Json::Null
        }
        "connected" => worker.is_connected().into(),
        "commands" => {
            let ran = simulation.shared.all_ran();
            let own = ran.iter().filter(|ran| ran.worker == name);
            own.map(|ran| {
                let (line, builder, step) = (&ran.line, &ran.builder, &ran.step_name);
                row("the command", json!({"line": line, "builder": builder, "step": step, "rc": ran.rc}))
            })
            .collect()
        }
        other => return Err(format!("no method {other}")),
    };
    Ok(Arg::Value(answer))
}
