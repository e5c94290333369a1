//! What renderables of a build, or of a build to come, are rendered against (reference 04.012, 04.013, 04.037).

use super::BuildShared;
use crate::plan::BuilderPlan;
use crate::scripts::props_field;
use lunabot_model::render::{RenderContext, RenderError, render, renderer_args};
use lunabot_model::resources::SourceStamp;
use lunabot_model::script::{CallSite, LiveObject};
use lunabot_model::{AnyObject, Arg, BoxFuture, CallError, Callback, Json, Properties};
use lunabot_proto::{Value, WorkerInfo};
use std::sync::{Arc, Weak};

impl RenderContext for BuildShared {
    fn properties(&self) -> Properties {
        self.properties().all().clone()
    }

    fn property(&self, name: &str) -> Option<Json> {
        self.properties().all().get(name).cloned()
    }

    fn source_stamp(&self, codebase: &str) -> Option<SourceStamp> {
        self.info.sourcestamp(codebase).cloned()
    }

    fn worker_info(&self, name: &str) -> Option<Json> {
        worker_fact(self.worker.link.info(), name)
    }

    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        Box::pin(self.masks.ask(self.builder.generation.secrets.as_ref(), name))
    }

    fn token<'a>(&'a self, declared: &'a AnyObject, options: Json) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(self.masks.mint(self.builder.generation.secrets.as_ref(), declared, options))
    }

    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>> {
        self.call_at(self.site(), callback, with_properties, args)
    }

    fn nonsense(&self, callback: &Callback, text: &str) {
        self.builder.generation.host.nonsense(callback, self.site(), text);
    }

    fn build_url(&self) -> Option<String> {
        Some(self.info.url.clone())
    }
}

impl BuildShared {
    fn site(&self) -> CallSite {
        of_builder(&self.builder)
    }

    /// Calls a renderer's function for what the site says.
    pub(crate) fn call_at<'a>(
        &'a self,
        site: CallSite,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>> {
        let handle = || -> Arc<dyn LiveObject> { Arc::new(PropertiesHandle(Weak::clone(&self.itself))) };
        let properties = with_properties.then(|| (handle(), RenderContext::properties(self)));
        call_renderer(&self.builder, site, callback, properties, args)
    }
}

/// Where functions in options of a builder are called from.
pub(super) fn of_builder(builder: &BuilderPlan) -> CallSite {
    CallSite::new("renderer", format!("builder {}", builder.config.name))
}

/// Calls a renderer's function, properties first.
pub(super) fn call_renderer<'a>(
    builder: &'a BuilderPlan,
    site: CallSite,
    callback: &'a Callback,
    properties: Option<(Arc<dyn LiveObject>, Properties)>,
    args: Vec<Json>,
) -> BoxFuture<'a, Result<Json, RenderError>> {
    let args = renderer_args(properties, args);
    Box::pin(async move {
        let result = builder.generation.host.call(callback, site, args).await;
        result.map_err(RenderError::from)
    })
}

/// A value a worker reported (04.012): everything but its environment and its commands.
pub fn worker_fact(info: &WorkerInfo, name: &str) -> Option<Json> {
    if matches!(name, "environ" | "worker_commands") {
        return None;
    }
    match info.to_dict().get(name)? {
        Value::Str(text) if text.is_empty() && name == "version" => Some("(unknown)".into()),
        Value::Str(text) => Some(text.as_str().into()),
        Value::Bool(truth) => Some((*truth).into()),
        Value::Float(number) => Some((*number).into()),
        other => other.as_i64().map(Json::from),
    }
}

/// The methods of a Properties object inside a build.
pub struct PropertiesHandle(pub Weak<BuildShared>);

impl LiveObject for PropertiesHandle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move {
            let args = args.into_iter().map(Arg::into_json).collect::<Result<Vec<_>, _>>()?;
            match (method, args.as_slice()) {
                ("field", [Json::String(name)]) => {
                    let build = self.0.upgrade().ok_or("the build has ended")?;
                    props_field(&build, name).ok_or_else(|| format!("there is no {name}").into())
                }
                _ => Ok(Arg::Value(self.call(method, args).await?)),
            }
        })
    }

    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            let build = self.0.upgrade().ok_or("the build has ended")?;
            match (method, args.as_slice()) {
                ("setProperty", [Json::String(name), value, source @ ..]) => {
                    let source = source.first().and_then(Json::as_str).unwrap_or("Unknown");
                    build.properties().set(name, value.clone(), source)?;
                    Ok(Json::Null)
                }
                ("setProperty", _) => Err("setProperty takes a name, a value and a source".into()),
                ("render", [value]) => render(value, &*build).await.map_err(|error| error.to_string()),
                _ => Err(format!("no method {method}; there are setProperty and render")),
            }
        })
    }

    fn renders(&self) -> bool {
        true
    }

    fn set(&self, field: &str, _: Json) -> Result<(), String> {
        Err(format!("{field} cannot be assigned; use setProperty"))
    }
}
