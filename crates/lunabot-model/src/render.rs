//! Renderables: values of the configuration that are computed when they are needed (reference area 04).
//!
//! A renderable is a declared object (`util.Property`, `util.Interpolate`, `util.renderer` …) anywhere inside a
//! JSON value. [`render`] walks a value, resolves each, and returns plain JSON. What is asked of the outside goes
//! through [`RenderContext`].

use crate::resources::SourceStamp;
use crate::{BoxFuture, Callback, Json, Properties};

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

    /// Calls a function with the properties first, then `args` (`util.renderer`, `util.Transform`).
    /// With `with_properties` false the properties are left out.
    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>>;

    /// The page of the build, where there is one (`util.URLForBuild`, 04.035).
    fn build_url(&self) -> Option<String>;
}

/// Why a value could not be rendered. The text names the place (`Interpolate at master.lua:12: …`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RenderError(pub String);
