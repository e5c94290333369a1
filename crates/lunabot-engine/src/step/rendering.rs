//! What options of a step are rendered against: its build. Functions in them are told of as the step's.

use super::StepContext;
use lunabot_model::render::{RenderContext, RenderError};
use lunabot_model::resources::SourceStamp;
use lunabot_model::{AnyObject, BoxFuture, Callback, Json, Properties};

impl RenderContext for StepContext {
    fn properties(&self) -> Properties {
        RenderContext::properties(&*self.0.build)
    }

    fn property(&self, name: &str) -> Option<Json> {
        self.0.build.property(name)
    }

    fn source_stamp(&self, codebase: &str) -> Option<SourceStamp> {
        self.0.build.source_stamp(codebase)
    }

    fn worker_info(&self, name: &str) -> Option<Json> {
        self.0.build.worker_info(name)
    }

    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        self.0.build.secret(name)
    }

    fn token<'a>(&'a self, declared: &'a AnyObject, options: Json) -> BoxFuture<'a, Result<String, String>> {
        self.0.build.token(declared, options)
    }

    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>> {
        self.0.build.call_at(self.site("renderer"), callback, with_properties, args)
    }

    fn nonsense(&self, callback: &Callback, text: &str) {
        // The error is what was rendered for, and told there.
        let _ = StepContext::nonsense(self, callback, "renderer", text.into());
    }

    fn build_url(&self) -> Option<String> {
        self.0.build.build_url()
    }
}
