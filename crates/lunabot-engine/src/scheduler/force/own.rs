//! `util.BaseParameter`: fields of classes of the configuration, which say themselves what an entered text means (03.037).

use super::Form;
use super::collect::entered;
use super::parameter::{Parameter, Shape};
use crate::scheduler::Surroundings;
use crate::scripts::acting::Own;
use crate::scripts::args::{Args, Method, Reply, call, methods, names};
use lunabot_model::script::LiveObject;
use lunabot_model::{Arg, BoxFuture, CallError, ClassOf, Json, ScriptErrorKind};
use serde_json::Map;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The kind that such classes extend.
pub(super) const KIND: &str = "util.BaseParameter";
const PARSE: &str = "parse_from_arg";

/// What the fields of classes have made of what was posted, or what is wrong with it: by full name.
pub(super) type Parsed = HashMap<String, Result<Json, String>>;

/// Asks the classes.
pub(super) async fn parsed(
    form: &Form,
    posted: &Map<String, Json>,
    around: &Surroundings,
    scheduler: &str,
) -> Parsed {
    let mut fields = Vec::new();
    form.parameters().for_each(|parameter| find(parameter, None, &mut fields));
    let mut parsed = Parsed::new();
    for (full_name, parameter) in fields {
        let value = match entered(parameter, &full_name, posted) {
            Ok(value) => ask(parameter, &full_name, value, around, scheduler).await,
            wrong => wrong,
        };
        parsed.insert(full_name, value);
    }
    parsed
}

/// The fields of classes in a parameter, with their full names.
fn find<'a>(parameter: &'a Parameter, parent: Option<&str>, found: &mut Vec<(String, &'a Parameter)>) {
    let full_name = parameter.full_name(parent);
    if parameter.own.is_some() {
        found.push((full_name.clone().unwrap_or_default(), parameter));
    }
    if let Shape::Group(group) = &parameter.shape {
        group.fields.iter().for_each(|field| find(field, full_name.as_deref(), found));
    }
}

/// The value that a class gives to what was entered: of several, each by itself. `self` is made for this.
async fn ask(
    parameter: &Parameter,
    full_name: &str,
    value: Json,
    around: &Surroundings,
    scheduler: &str,
) -> Result<Json, String> {
    let Some(object) = &parameter.own else { return Ok(value) };
    let class = ClassOf::read(object.class.as_ref().unwrap_or(&Json::Null))?;
    let own = Arc::new(Own {
        what: "field",
        name: parameter.name.clone(),
        concerns: format!("field {full_name} of scheduler {scheduler}"),
        object: object.clone(),
        class,
        host: around.host.clone(),
        secrets: around.secrets.clone(),
    });
    let told = |error: lunabot_model::ScriptError| match error.kind {
        ScriptErrorKind::Failed => error.message,
        _ => format!("{PARSE} failed: {}", error.message),
    };
    let acting = own.begin(&NAMES, Arc::new(Handle)).await.map_err(told)?;
    if !acting.has(PARSE) {
        return Ok(value);
    }
    match value {
        Json::Array(items) if parameter.multiple => {
            let mut all = Vec::with_capacity(items.len());
            for item in items {
                all.push(acting.hook(PARSE, vec![Arg::Value(item)]).await.map_err(told)?);
            }
            Ok(all.into())
        }
        one => acting.hook(PARSE, vec![Arg::Value(one)]).await.map_err(told),
    }
}

/// What the base does: nothing but give back what was entered.
struct Handle;

static METHODS: &[Method<Handle>] = methods! { "parse_from_arg"("value*") => parse, };
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| names(&[METHODS]));

impl LiveObject for Handle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move { call(&[METHODS], self, method, args).await })
    }
}

async fn parse(_: &Handle, mut args: Args) -> Reply {
    Ok(args.take("value").unwrap_or(Arg::Value(Json::Null)))
}
