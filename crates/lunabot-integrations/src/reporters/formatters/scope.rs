//! What renderables in the words of a report are rendered against: the build as it is stored (11.028).

use super::Context;
use crate::reporters::details::stamps_of;
use crate::reporters::means::{Fault, Means};
use lunabot_model::render::{RenderContext, RenderError, render};
use lunabot_model::resources::SourceStamp;
use lunabot_model::script::{CallSite, Local};
use lunabot_model::{Arg, BoxFuture, Callback, Json, Properties, percent};
use std::sync::Arc;

pub(super) struct Reported<'a> {
    means: &'a Means,
    properties: Properties,
    stamps: Vec<SourceStamp>,
    url: Option<String>,
    worker: Json,
}

impl<'a> Reported<'a> {
    pub async fn new(means: &'a Means, context: &Context) -> Result<Self, Fault> {
        let build = context.build();
        let worker = match build["workerid"].as_i64() {
            Some(id) => match means.data.get(&format!("workers/{id}"), "").await {
                Ok(lunabot_data::Answer::One { mut item, .. }) => item["workerinfo"].take(),
                _ => Json::Null,
            },
            None => Json::Null,
        };
        Ok(Reported {
            means,
            properties: context.properties.clone(),
            stamps: stamps_of(build),
            url: build["url"].as_str().map(str::to_owned),
            worker,
        })
    }

    pub async fn text(&self, source: &Json) -> Result<String, Fault> {
        let rendered = render(source, self).await.map_err(|error| error.to_string())?;
        Ok(percent::text(&rendered))
    }
}

impl RenderContext for Reported<'_> {
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
        self.means.secrets.get(name)
    }

    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>> {
        let properties = || Arg::Properties(Arc::new(Local), self.properties.clone());
        let first = with_properties.then(properties);
        let all = first.into_iter().chain(args.into_iter().map(Arg::Value)).collect();
        Box::pin(async move {
            let site = CallSite::new("renderer", self.means.concerns.as_str());
            self.means.script.call(callback, site, all).await.map_err(|e| RenderError(e.to_string()))
        })
    }

    fn build_url(&self) -> Option<String> {
        self.url.clone()
    }
}
