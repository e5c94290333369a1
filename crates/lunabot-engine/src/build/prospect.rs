//! A build to come, as renderables see it before it is started (reference 05.062, 07.017).

use super::render::{call_renderer, of_builder, worker_fact};
use crate::plan::BuilderPlan;
use crate::worker::WorkerHandle;
use lunabot_model::render::{RenderContext, RenderError};
use lunabot_model::resources::SourceStamp;
use lunabot_model::script::{Inert, LiveObject};
use lunabot_model::{AnyObject, BoxFuture, Callback, Json, Properties};
use std::sync::Arc;

/// See the module. Its properties are those it would begin with; setting one changes nothing.
pub(crate) struct Prospect {
    pub builder: Arc<BuilderPlan>,
    /// `None`: it is not known yet.
    pub worker: Option<Arc<WorkerHandle>>,
    pub properties: Properties,
    /// One per codebase.
    pub sourcestamps: Vec<SourceStamp>,
}

impl RenderContext for Prospect {
    fn properties(&self) -> Properties {
        self.properties.clone()
    }

    fn source_stamp(&self, codebase: &str) -> Option<SourceStamp> {
        self.sourcestamps.iter().find(|stamp| stamp.codebase == codebase).cloned()
    }

    fn worker_info(&self, name: &str) -> Option<Json> {
        worker_fact(self.worker.as_ref()?.link.info(), name)
    }

    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        Box::pin(self.builder.generation.secrets.get(name))
    }

    fn token<'a>(&'a self, declared: &'a AnyObject, options: Json) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(
            async move { Ok(self.builder.generation.secrets.token(&declared.kind, options).await?.text) },
        )
    }

    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>> {
        let handle = || -> Arc<dyn LiveObject> { Arc::new(Inert) };
        let properties = with_properties.then(|| (handle(), self.properties.clone()));
        call_renderer(&self.builder, of_builder(&self.builder), callback, properties, args)
    }

    fn build_url(&self) -> Option<String> {
        None
    }
}
