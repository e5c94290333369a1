//! Dialects whose handler is a class of the configuration (02.031, lua-api § 3): `class`, or `custom_class`.
//!
//! Who sends is proven, and how much, is bounded by the dialect that the class extends; the class reads. Each request
//! has a `self` of its own.

mod handler;
mod live;
mod options;

pub use live::{RequestHandle, request_object};
pub use options::Own;

use super::{Dialect, Guard, HookError, HookRequest, HookScope};
use async_trait::async_trait;
use handler::Handler;
use lunabot_data::new::NewChange;
use lunabot_model::class::ClassOf;
use lunabot_model::{AnyObject, Json, Problem, Renderable};
use std::sync::Arc;

/// The class that a table of options names, and the options without it.
pub fn take_class(options: &Json) -> Result<(Option<AnyObject>, Json), Problem> {
    let mut rest = options.clone();
    let named: Vec<(&str, Json)> = match rest.as_object_mut() {
        Some(map) => {
            ["class", "custom_class"].into_iter().filter_map(|name| Some((name, map.remove(name)?))).collect()
        }
        None => Vec::new(),
    };
    match named.as_slice() {
        [] => Ok((None, rest)),
        [(name, value)] => {
            let object: Option<AnyObject> = serde_json::from_value(value.clone()).ok();
            let object = object.filter(|object| object.kind.starts_with("webhooks."));
            let wanted = "expected a class of webhooks: webhooks.BaseHookHandler:extend{…}";
            object.map(|object| (Some(object), rest)).ok_or_else(|| Problem::new(*name, wanted))
        }
        _ => Err(Problem::new("custom_class", "is the same as class; give one of them")),
    }
}

/// A dialect that a class of the configuration reads.
pub struct OwnDialect {
    class: Arc<ClassOf>,
    /// `$id` of the object.
    object: u64,
    /// What it extends.
    inner: Arc<dyn Dialect>,
}

impl OwnDialect {
    /// `inner` itself, where the class adds nothing.
    pub fn around(object: &AnyObject, inner: Arc<dyn Dialect>) -> Result<Arc<dyn Dialect>, String> {
        let Some(class) = object.class.as_ref().map(ClassOf::read).transpose()? else { return Ok(inner) };
        Ok(Arc::new(OwnDialect { class: Arc::new(class), object: object.id, inner }))
    }
}

#[async_trait]
impl Dialect for OwnDialect {
    fn guard(&self) -> Option<Guard<'_>> {
        self.inner.guard()
    }

    fn secrets(&self) -> Vec<(&'static str, &Renderable<String>)> {
        self.inner.secrets()
    }

    async fn changes(
        &self,
        request: &Arc<HookRequest>,
        scope: &Arc<HookScope>,
    ) -> Result<Vec<NewChange>, HookError> {
        let (class, inner) = (Arc::clone(&self.class), Arc::clone(&self.inner));
        Handler::begin(class, self.object, inner, request, scope).await?.changes().await
    }
}
