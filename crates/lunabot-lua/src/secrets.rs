//! `withSecrets` of factories (05.066): steps between one that writes secrets into files and one that removes them.

use crate::class::Class;
use crate::construct::{Written, options, report};
use crate::declared::{Declared, add_steps as add, receiver};
use crate::origin::{origin, raise};
use crate::state::Shared;
use mlua::{Lua, Table, Value};

const BEFORE: &str = "steps.DownloadSecretsToWorker";
const AFTER: &str = "steps.RemoveWorkerFileSecret";

/// `f:addSteps(steps, {withSecrets = {{path, secret}, …}})`.
pub(crate) fn add_steps(lua: &Lua, this: &Value, steps: Vec<Value>, more: Option<Table>) -> mlua::Result<()> {
    let mut secrets = Value::Nil;
    for pair in more.iter().flat_map(Table::pairs::<String, Value>) {
        match pair? {
            (name, value) if name == "withSecrets" => secrets = value,
            (name, _) => {
                return Err(raise(lua, format!("addSteps has no option {name}; there is withSecrets")));
            }
        }
    }
    // `nil` and the empty list: no secrets.
    if secrets.is_nil() || secrets.as_table().is_some_and(|list| list.raw_len() == 0) {
        return add(lua, this, "addSteps", steps);
    }
    let (before, after) = around(lua, &secrets)?;
    let all = [before].into_iter().chain(steps).chain([after]).collect();
    add(lua, this, "addSteps", all)
}

/// `f:withSecrets({{path, secret}, …}, function(f) f:addStep(…) end)`, or with a list of steps in place of the function.
pub(crate) async fn with_secrets(
    lua: Lua,
    (this, secrets, steps): (Value, Value, Value),
) -> mlua::Result<()> {
    receiver(&lua, &this, "withSecrets")?;
    if !secrets.is_table() || !(steps.is_table() || steps.is_function()) {
        let form = "f:withSecrets({{\"path\", util.Secret \"name\"}}, function() f:addStep(…) end)";
        return Err(raise(
            &lua,
            format!("withSecrets takes secrets, and a function that adds steps: {form}"),
        ));
    }
    let (before, after) = around(&lua, &secrets)?;
    add(&lua, &this, "withSecrets", vec![before])?;
    match steps {
        Value::Function(adds) => adds.call_async::<()>(this.clone()).await?,
        Value::Table(list) => {
            let steps = list.sequence_values().collect::<mlua::Result<_>>()?;
            add(&lua, &this, "withSecrets", steps)?;
        }
        // Nothing else was let through.
        _ => {}
    }
    add(&lua, &this, "withSecrets", vec![after])
}

/// The steps before and after. Mistakes are told once.
fn around(lua: &Lua, secrets: &Value) -> mlua::Result<(Value, Value)> {
    let shared = Shared::of(lua);
    let at = origin(lua);
    let step = |name: &str, always: bool, tell: bool| {
        let kind = shared.kind(name).ok_or_else(|| raise(lua, format!("{name}: not supported yet")))?;
        let mut written = Written { positional: vec![secrets.clone()], named: Vec::new() };
        if always {
            written.named.push(("alwaysRun".into(), Value::Boolean(true)));
        }
        let class = Class::of(&shared, kind);
        let options = options(lua, &shared, kind, written);
        if tell {
            report(lua, &shared, &class.path(), &at, &options.problems)?;
        }
        Ok::<_, mlua::Error>(Value::UserData(Declared::make(lua, &shared, &class, at.clone(), options)?))
    };
    Ok((step(BEFORE, false, true)?, step(AFTER, true, false)?))
}
