//! A request as functions of the configuration see it.

use crate::hooks::HookRequest;
use lunabot_model::script::{CallError, LiveObject};
use lunabot_model::{Arg, BoxFuture, Json, ScriptObject};
use serde_json::json;
use std::sync::Arc;

/// What its methods act on.
pub struct RequestHandle(pub Arc<HookRequest>);

/// `request`: `path method query headers user body form`, `json()`, `getHeader(name)`.
pub fn request_object(handle: RequestHandle) -> ScriptObject {
    let request = &handle.0;
    let fields = json!({"path": request.path, "method": request.method, "user": request.user});
    let children = vec![("body", Arg::Bytes(request.body.to_vec()))];
    let object = ScriptObject::new("request", "request", fields, Arc::new(handle));
    ScriptObject { children, ..object.with_methods(&["json", "getHeader"]) }
}

impl LiveObject for RequestHandle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        let answer = match (method, args.as_slice()) {
            ("json", _) => self.0.payload_or_body().map_err(CallError::from),
            ("getHeader", [Arg::Value(Json::String(name)), ..]) => {
                Ok(self.0.header(name).map_or(Json::Null, Json::from))
            }
            _ => Err("getHeader(name): the name of a header is wanted".into()),
        };
        Box::pin(std::future::ready(answer.map(Arg::Value)))
    }

    /// Only what is asked for is taken apart.
    fn field(&self, name: &str) -> Option<Json> {
        match name {
            "headers" => Some(self.0.all_headers()),
            "query" => Some(json!(self.0.query_arguments())),
            "form" => Some(json!(self.0.form_arguments())),
            _ => None,
        }
    }

    fn fields(&self) -> serde_json::Map<String, Json> {
        let names = ["headers", "query", "form"];
        names.into_iter().filter_map(|name| Some((name.to_string(), self.field(name)?))).collect()
    }
}
