//! Rendering the options of a service: a change source, a hook, a reporter.

use super::{RenderContext, RenderError, render, renderer_args};
use crate::resources::SourceStamp;
use crate::script::{CallSite, Inert, LiveObject};
use crate::{
    AnyObject, BoxFuture, Callback, ClassOf, Json, Properties, Renderable, ScriptHost, SecretSource,
};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Secrets and functions, but no build and no properties.
#[derive(Clone)]
pub struct ServiceScope {
    pub script: Arc<dyn ScriptHost>,
    pub secrets: Arc<dyn SecretSource>,
    /// The service in words, for messages: `change source NAME`.
    pub concerns: String,
}

impl ServiceScope {
    /// The value of an option. The error says what was expected, and shows no value: it may be a secret.
    pub async fn value<T: DeserializeOwned>(&self, option: &Renderable<T>) -> Result<T, RenderError> {
        self.value_of(option, &Properties::new()).await
    }

    /// Whatever is to be rendered in a value, without properties.
    pub async fn render(&self, value: &Json) -> Result<Json, RenderError> {
        render(value, &Knowing { scope: self, properties: &Properties::new() }).await
    }

    /// The parameters of a class as functions are to see them. What a function has computed that a parameter cannot be is
    /// told there.
    pub async fn params(&self, class: &ClassOf) -> Result<Json, RenderError> {
        let rendered = class.typed_params(self.render(&class.params).await?);
        let Some((name, wanted)) = class.misfit(&rendered) else { return Ok(rendered) };
        let text = format!("{name}: expected {wanted}, got {}", self.script.shown(&rendered[name]));
        if let Some(callback) = Callback::first_in(&class.params[name]) {
            let site = CallSite::new("renderer", self.concerns.as_str());
            self.script.nonsense(&callback, site, &text);
        }
        Err(RenderError::new(text))
    }

    /// [`ServiceScope::value`] with properties that it may ask for.
    pub async fn value_of<T: DeserializeOwned>(
        &self,
        option: &Renderable<T>,
        properties: &Properties,
    ) -> Result<T, RenderError> {
        let rendered = render(option.source(), &Knowing { scope: self, properties }).await?;
        Renderable::read(&rendered).map_err(|_| {
            let wanted = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
            let wanted = if wanted == "String" { "text" } else { "value that the option takes" };
            RenderError::new(format!("it does not yield a {wanted}"))
        })
    }

    /// Calls a renderer's function, as [`RenderContext::call`] must; `properties`: what it is given first, and what acts on
    /// them.
    pub fn call_renderer<'a>(
        &'a self,
        callback: &'a Callback,
        properties: Option<(Arc<dyn LiveObject>, Properties)>,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>> {
        let site = CallSite::new("renderer", self.concerns.as_str());
        let all = renderer_args(properties, args);
        Box::pin(async move { self.script.call(callback, site, all).await.map_err(RenderError::from) })
    }
}

/// A service that knows some properties.
struct Knowing<'a> {
    scope: &'a ServiceScope,
    properties: &'a Properties,
}

impl RenderContext for Knowing<'_> {
    fn properties(&self) -> Properties {
        self.properties.clone()
    }

    fn source_stamp(&self, _: &str) -> Option<SourceStamp> {
        None
    }

    fn worker_info(&self, _: &str) -> Option<Json> {
        None
    }

    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        self.scope.secrets.get(name)
    }

    fn token<'a>(&'a self, declared: &'a AnyObject, options: Json) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move { Ok(self.scope.secrets.token(&declared.kind, options).await?.text) })
    }

    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>> {
        let handle = || -> Arc<dyn LiveObject> { Arc::new(Inert) };
        self.scope.call_renderer(callback, with_properties.then(|| (handle(), self.properties.clone())), args)
    }

    fn build_url(&self) -> Option<String> {
        None
    }
}
