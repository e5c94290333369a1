//! A password of a worker or client, where it is not written down: a secret, or another renderable without a build.

use crate::Generation;
use lunabot_model::render::{RenderContext, RenderError, render};
use lunabot_model::resources::SourceStamp;
use lunabot_model::script::{CallSite, Inert};
use lunabot_model::{Arg, BoxFuture, Callback, Json, Properties};
use std::sync::Arc;

/// The password that `option` stands for; `concerns` says whose. The error says what is wrong with the option.
pub(crate) async fn password(
    generation: &Generation,
    concerns: &str,
    option: &Json,
) -> Result<String, String> {
    let cx = Context { generation, concerns: concerns.into() };
    match render(option, &cx).await {
        Ok(Json::String(text)) if !text.is_empty() => Ok(text),
        Ok(_) => Err("must be a text that is not empty".into()),
        Err(error) => Err(error.to_string()),
    }
}

struct Context<'a> {
    generation: &'a Generation,
    concerns: String,
}

impl RenderContext for Context<'_> {
    fn properties(&self) -> Properties {
        Properties::new()
    }

    fn source_stamp(&self, _: &str) -> Option<SourceStamp> {
        None
    }

    fn worker_info(&self, _: &str) -> Option<Json> {
        None
    }

    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        self.generation.secrets.get(name)
    }

    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>> {
        Box::pin(async move {
            let properties = || Arg::Properties(Arc::new(Inert), Properties::new());
            let first = with_properties.then(properties);
            let all = first.into_iter().chain(args.into_iter().map(Arg::Value)).collect();
            let site = CallSite::new("renderer", self.concerns.as_str());
            self.generation.host.call(callback, site, all).await.map_err(|error| RenderError(error.message))
        })
    }

    fn build_url(&self) -> Option<String> {
        None
    }
}
