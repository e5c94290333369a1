//! Renderables: values of the configuration that are computed when they are needed (reference area 04).
//!
//! A renderable is a declared object (`util.Property`, `util.Interpolate`, `util.renderer` …) anywhere inside a
//! JSON value. [`render`] walks a value, resolves each, and returns plain JSON. What is asked of the outside goes
//! through [`RenderContext`].

mod fill;
mod ops;
mod service;
#[cfg(test)]
mod tests;

pub use service::ServiceScope;

use crate::kinds::commands::SELF;
use crate::kinds::renderables as kinds;
use crate::object::token_name;
use crate::resources::SourceStamp;
use crate::script::LiveObject;
use crate::{AnyObject, Arg, BoxFuture, Callback, FromLua, Json, Properties, ScriptError, ScriptErrorKind};
use futures::future::{join_all, ready};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// How deep values may lie inside each other, counting what renderables yield: a renderable that leads back to itself
/// ends in an error.
pub const MAX_DEPTH: usize = 100;

/// What a renderer's function is called with: first the properties, if it wants them, and what acts on them.
pub fn renderer_args(properties: Option<(Arc<dyn LiveObject>, Properties)>, args: Vec<Json>) -> Vec<Arg> {
    let first = properties.map(|(handle, all)| Arg::Properties(handle, all));
    first.into_iter().chain(args.into_iter().map(Arg::Value)).collect()
}

/// What a value is rendered against: a build, a buildset to come, or a service's configuration.
pub trait RenderContext: Send + Sync {
    /// The properties as they are now.
    fn properties(&self) -> Properties;

    /// One property, without copying all.
    fn property(&self, name: &str) -> Option<Json> {
        self.properties().get(name).cloned()
    }

    /// The source stamp of a codebase (`src:` selectors).
    fn source_stamp(&self, codebase: &str) -> Option<SourceStamp>;

    /// A value the worker reported (`worker:` selectors, 04.012).
    fn worker_info(&self, name: &str) -> Option<Json>;

    /// A secret; its value is registered for masking. `None`: no provider knows it.
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>>;

    /// The token that a declared object yields, with its options rendered (`util.jwt`, `util.GitHubAppToken`); registered for
    /// masking.
    fn token<'a>(&'a self, declared: &'a AnyObject, _options: Json) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(ready(Err(format!("{} makes no tokens here", declared.kind))))
    }

    /// Calls a function with the properties first, then `args` (`util.renderer`, `util.Transform`).
    /// With `with_properties` false the properties are left out.
    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>>;

    /// A function has computed what its option cannot be; the text says why. Told where errors of functions are.
    fn nonsense(&self, _callback: &Callback, _text: &str) {}

    /// The page of the build, where there is one (`util.URLForBuild`, 04.035).
    fn build_url(&self) -> Option<String>;
}

/// Why a value could not be rendered. The text names the place (`Interpolate at master.lua:12: …`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct RenderError {
    text: String,
    suspended: Option<Duration>,
}

impl RenderError {
    pub fn new(text: impl Into<String>) -> Self {
        RenderError { text: text.into(), suspended: None }
    }

    /// A function was not called, and may be after so long ([`ScriptErrorKind::Suspended`]).
    pub fn suspended(&self) -> Option<Duration> {
        self.suspended
    }
}

impl From<ScriptError> for RenderError {
    fn from(error: ScriptError) -> Self {
        let suspended = match error.kind {
            ScriptErrorKind::Suspended(left) => Some(left),
            _ => None,
        };
        RenderError { text: error.message, suspended }
    }
}

impl From<RenderError> for ScriptError {
    fn from(error: RenderError) -> Self {
        let kind = error.suspended.map_or(ScriptErrorKind::Raise, ScriptErrorKind::Suspended);
        ScriptError { kind, message: error.text, traceback: String::new() }
    }
}

/// Why one renderable failed: here, or somewhere inside it with its place already named.
enum Fault {
    Here(String),
    Inside(RenderError),
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Fault::Here(text)
    }
}

impl From<&str> for Fault {
    fn from(text: &str) -> Self {
        Fault::Here(text.into())
    }
}

impl From<RenderError> for Fault {
    fn from(error: RenderError) -> Self {
        Fault::Inside(error)
    }
}

/// Renders a value: lists and tables item by item, all at once (04.034), each renderable to what it yields, and that
/// again (04.024). Other declared objects and functions stay as they are.
pub fn render<'a>(value: &'a Json, cx: &'a dyn RenderContext) -> BoxFuture<'a, Result<Json, RenderError>> {
    Scope { cx, depth: 0 }.value(value)
}

/// Whether a value of the configuration counts as true where Python decides: nil, false, zero and what is empty do not.
pub fn truthy(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(b) => *b,
        Json::Number(n) => n.as_f64() != Some(0.0),
        Json::String(s) => !s.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(map) => !map.is_empty(),
    }
}

/// One level of a walk.
#[derive(Clone, Copy)]
struct Scope<'a> {
    cx: &'a dyn RenderContext,
    depth: usize,
}

impl<'a> Scope<'a> {
    fn value(self, value: &'a Json) -> BoxFuture<'a, Result<Json, RenderError>> {
        if !crate::object::is_dynamic(value) {
            return Box::pin(ready(Ok(value.clone())));
        }
        if self.depth >= MAX_DEPTH {
            let text =
                format!("values lead to one another more than {MAX_DEPTH} deep; does one lead to itself?");
            return Box::pin(ready(Err(RenderError::new(text))));
        }
        let inner = Scope { depth: self.depth + 1, ..self };
        match value {
            Json::Array(items) => Box::pin(async move { Ok(Json::Array(inner.items(items).await?)) }),
            Json::Object(map) if map.contains_key("$kind") => Box::pin(inner.object(value)),
            Json::Object(map) if !map.contains_key("$fn") => Box::pin(inner.table(map)),
            other => Box::pin(ready(Ok(other.clone()))),
        }
    }

    /// What a renderable yielded, rendered in its turn.
    async fn yielded(self, value: Json) -> Result<Json, RenderError> {
        if !crate::object::is_dynamic(&value) {
            return Ok(value);
        }
        Scope { cx: self.cx, depth: self.depth }.value(&value).await
    }

    async fn items(self, items: &'a [Json]) -> Result<Vec<Json>, RenderError> {
        join_all(items.iter().map(|item| self.value(item))).await.into_iter().collect()
    }

    async fn table(self, map: &'a serde_json::Map<String, Json>) -> Result<Json, RenderError> {
        let values = join_all(map.values().map(|value| self.value(value))).await;
        let pairs = map.keys().zip(values).map(|(key, value)| Ok((key.clone(), value?)));
        Ok(Json::Object(pairs.collect::<Result<_, RenderError>>()?))
    }

    async fn object(self, value: &'a Json) -> Result<Json, RenderError> {
        let Some(object) = AnyObject::from_json(value) else {
            return Ok(value.clone());
        };
        let rendered = match object.kind.as_str() {
            "util.Property" => self.property(&object).await,
            "util.Interpolate" => self.interpolate(&object).await,
            "util.WithProperties" => self.with_properties(&object).await,
            "util.Secret" => self.secret(&object).await,
            "util.renderer" => self.renderer(&object).await,
            "util.Transform" => self.transform(&object).await,
            "util.FlattenList" => self.flatten_list(&object).await,
            "util.URLForBuild" => self.cx.build_url().map(Json::from).ok_or("there is no build here".into()),
            "util.BinaryOp" => self.binary_op(&object).await,
            "util.Obfuscated" | "util.ShellArg" => self.itself(&object).await,
            kind if token_name(kind).is_some() => self.token(&object).await,
            _ => return Ok(value.clone()),
        };
        rendered.map_err(|fault| match fault {
            Fault::Here(text) => RenderError::new(format!("{} at {}: {text}", object.kind, object.at)),
            Fault::Inside(error) => error,
        })
    }

    /// 04.027.
    async fn property(self, object: &AnyObject) -> Result<Json, Fault> {
        let params: kinds::PropertyParams = read(object)?;
        if let Some(found) = self.cx.property(&params.key) {
            let value = self.yielded(found).await?;
            if !params.default_when_false || truthy(&value) {
                return Ok(value);
            }
        }
        Ok(self.yielded(params.default).await?)
    }

    /// Its options, rendered, with its name: for those who know what to do with it.
    async fn itself(self, object: &AnyObject) -> Result<Json, Fault> {
        let mut options = self.yielded(object.args.clone()).await?;
        if let Json::Object(map) = &mut options {
            map.insert(SELF.into(), object.kind.as_str().into());
        }
        Ok(options)
    }

    /// 04.029.
    async fn secret(self, object: &AnyObject) -> Result<Json, Fault> {
        let params: kinds::SecretParams = read(object)?;
        match (self.cx.secret(&params.secret_name).await?, params.default) {
            (Some(value), _) => Ok(value.into()),
            (None, Some(default)) => Ok(self.yielded(default).await?),
            (None, None) => Err(unknown_secret(&params.secret_name)),
        }
    }

    async fn token(self, object: &AnyObject) -> Result<Json, Fault> {
        let options = self.yielded(object.args.clone()).await?;
        Ok(self.cx.token(object, options).await?.into())
    }

    /// 04.030.
    async fn renderer(self, object: &AnyObject) -> Result<Json, Fault> {
        let params: kinds::RendererParams = read(object)?;
        let args = self.arguments(params.args, params.kwargs).await?;
        let result = self.cx.call(&params.function, true, args).await?;
        Ok(self.yielded(result).await?)
    }

    /// 04.031.
    async fn transform(self, object: &AnyObject) -> Result<Json, Fault> {
        let params: kinds::TransformParams = read(object)?;
        let function = self.yielded(params.function).await?;
        let function = Callback::from_json(&function)
            .ok_or_else(|| format!("expected a function, not {}", crate::percent::text(&function)))?;
        let args = self.arguments(params.args, params.kwargs).await?;
        let result = self.cx.call(&function, false, args).await?;
        Ok(self.yielded(result).await?)
    }

    /// Positional arguments, then a table of the keywords if there are any (lua-api § 1, rule 3).
    async fn arguments(
        self,
        args: Vec<Json>,
        kwargs: std::collections::BTreeMap<String, Json>,
    ) -> Result<Vec<Json>, RenderError> {
        let mut all = args;
        if !kwargs.is_empty() {
            all.push(Json::Object(kwargs.into_iter().collect()));
        }
        match self.yielded(Json::Array(all)).await? {
            Json::Array(all) => Ok(all),
            other => Ok(vec![other]),
        }
    }

    /// 04.032.
    async fn flatten_list(self, object: &AnyObject) -> Result<Json, Fault> {
        let params: kinds::FlattenListParams = read(object)?;
        match self.yielded(params.nestedlist).await? {
            Json::Array(items) => Ok(Json::Array(ops::flat(items))),
            Json::Object(map) if map.is_empty() => Ok(Json::Array(Vec::new())),
            other => Err(format!("expected a list, not {}", crate::percent::text(&other)).into()),
        }
    }

    /// 04.028.
    async fn binary_op(self, object: &AnyObject) -> Result<Json, Fault> {
        let params: kinds::BinaryOpParams = read(object)?;
        let flatten = [&params.left, &params.right].iter().any(|side| side["$kind"] == "util.FlattenList");
        let (left, right) = futures::join!(self.yielded(params.left), self.yielded(params.right));
        let result = ops::apply(params.op, &left?, &right?)?;
        match result {
            Json::Array(items) if flatten => Ok(Json::Array(ops::flat(items))),
            other => Ok(other),
        }
    }
}

fn unknown_secret(name: &str) -> Fault {
    format!("secret \"{name}\" is not known to any secrets provider").into()
}

fn read<T: DeserializeOwned>(object: &AnyObject) -> Result<T, Fault> {
    FromLua(&object.args).read().map_err(|error| Fault::Here(error.to_string()))
}
