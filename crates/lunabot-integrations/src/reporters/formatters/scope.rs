//! What renderables in the words of a report are rendered against: the build as it is stored (11.028).

use super::Context;
use crate::reporters::details::stamps_of;
use crate::reporters::means::{Fault, Means};
use crate::reporters::working::Working;
use lunabot_model::render::{RenderContext, RenderError, ServiceScope, render};
use lunabot_model::resources::SourceStamp;
use lunabot_model::script::{LiveObject, Local};
use lunabot_model::{AnyObject, BoxFuture, Callback, Json, Properties, percent};
use std::sync::Arc;

pub(super) struct Reported {
    scope: ServiceScope,
    working: Working,
    properties: Properties,
    stamps: Vec<SourceStamp>,
    url: Option<String>,
    worker: Json,
}

impl Reported {
    pub async fn new(means: &Means, context: &Context) -> Result<Self, Fault> {
        let build = context.build();
        let worker = match build["workerid"].as_i64() {
            Some(id) => match means.data.get(&format!("workers/{id}"), "").await {
                Ok(lunabot_data::Answer::One { mut item, .. }) => item["workerinfo"].take(),
                _ => Json::Null,
            },
            None => Json::Null,
        };
        Ok(Reported {
            scope: means.scope(),
            working: means.working.clone(),
            properties: context.properties.clone(),
            stamps: stamps_of(build),
            url: build["url"].as_str().map(str::to_owned),
            worker,
        })
    }

    pub async fn text(&self, source: &Json) -> Result<String, Fault> {
        let rendered = render(source, self).await?;
        Ok(percent::text(&rendered))
    }
}

impl RenderContext for Reported {
    fn properties(&self) -> Properties {
        self.properties.clone()
    }

    fn source_stamp(&self, codebase: &str) -> Option<SourceStamp> {
        self.stamps.iter().find(|stamp| stamp.codebase == codebase).cloned()
    }

    fn worker_info(&self, name: &str) -> Option<Json> {
        self.worker.get(name).cloned()
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
        let handle = || -> Arc<dyn LiveObject> { Arc::new(Local) };
        let properties = with_properties.then(|| (handle(), self.properties.clone()));
        Box::pin(async move {
            let _waits = self.working.pause();
            self.scope.call_renderer(callback, properties, args).await
        })
    }

    fn build_url(&self) -> Option<String> {
        self.url.clone()
    }
}
