//! Observers of classes of the configuration.

use crate::logs::Channel;
use crate::step::context::Inner;
use crate::step::observe::{LogObserver, MAX_LINE_LENGTH};
use crate::step::{StepContext, StepError, short_lines};
use async_trait::async_trait;
use lunabot_model::script::{Inert, Instance, LiveObject};
use lunabot_model::{AnyObject, Arg, Callback, ClassOf, Json, ScriptObject};
use std::sync::{Arc, Weak};

/// Calls the methods of one object of the configuration.
pub(super) struct ScriptObserver {
    /// The log that holds this belongs to the step.
    cx: Weak<Inner>,
    class: ClassOf,
    instance: Arc<Instance>,
}

impl ScriptObserver {
    pub async fn begin(cx: &StepContext, object: &AnyObject) -> Result<Self, StepError> {
        let Some(class) = &object.class else {
            let text = format!(
                "{} alone sees nothing: extend it with a method such as outLineReceived",
                object.kind
            );
            return Err(StepError::Exception(text));
        };
        let live = ScriptObject::new("observer", "observer", Json::Null, Arc::new(Inert));
        Self::lent(cx, object, class, live).await
    }

    /// The same, with what the master lends it.
    pub async fn lent(
        cx: &StepContext,
        object: &AnyObject,
        class: &Json,
        live: ScriptObject,
    ) -> Result<Self, StepError> {
        let class = ClassOf::read(class).map_err(StepError::Exception)?;
        let observer = ScriptObserver {
            cx: Arc::downgrade(&cx.0),
            class,
            instance: Arc::new(instance(cx, object, live)),
        };
        observer.call("before_start", Vec::new()).await?;
        Ok(observer)
    }

    async fn call(&self, method: &str, args: Vec<Arg>) -> Result<(), StepError> {
        let Some(callback) = self.class.hook(method) else { return Ok(()) };
        // A step that is over has no log left to see.
        let Some(cx) = self.cx.upgrade().map(StepContext::of) else { return Ok(()) };
        let args = std::iter::once(Arg::Instance(self.instance.clone())).chain(args).collect();
        cx.call(callback, method, args).await.map(drop)
    }

    fn hook(&self, name: &str) -> Option<&Callback> {
        self.class.hook(name)
    }
}

/// `self` of an observer, which knows its step.
pub(super) fn instance(cx: &StepContext, object: &AnyObject, live: ScriptObject) -> Instance {
    let live = ScriptObject {
        children: vec![("step", cx.script_arg(|| Json::Null))],
        scope: cx.0.build.scope(),
        ..live
    };
    Instance { keep: cx.0.build.builder.generation.host.keep(), of: object.id, live }
}

/// Where none is called: an observer that only the master asks.
pub(super) fn handle(live: impl LiveObject) -> Arc<dyn LiveObject> {
    Arc::new(live)
}

#[async_trait]
impl LogObserver for ScriptObserver {
    async fn received(&mut self, channel: Channel, lines: &str) -> Result<(), StepError> {
        let (text, line) = match channel {
            Channel::Stdout | Channel::Content => ("outReceived", "outLineReceived"),
            Channel::Stderr => ("errReceived", "errLineReceived"),
            Channel::Header => ("headerReceived", "headerLineReceived"),
        };
        if self.hook(text).is_some() {
            self.call(text, vec![Arg::Value(lines.into())]).await?;
        }
        if self.hook(line).is_none() {
            return Ok(());
        }
        let lines = match lines.len() <= MAX_LINE_LENGTH {
            true => lines.to_string(),
            false => short_lines(lines, MAX_LINE_LENGTH).flat_map(|line| [line, "\n"]).collect(),
        };
        self.call(line, vec![Arg::Lines(lines)]).await
    }

    async fn finished(&mut self) -> Result<(), StepError> {
        self.call("finishReceived", Vec::new()).await
    }
}
