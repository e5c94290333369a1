//! Formatters: from a build, or another thing that is reported, to the words of a report (11.020–11.029).

mod context;
pub mod kinds;
mod scope;
mod templates;

pub(crate) use context::{About, Context};

use super::details;
use super::means::{Fault, Live, Means, Thing, master};
use kinds::{BodyType, Common, EmptyParams, FunctionParams, RawParams, RenderableParams, TemplateParams};
use lunabot_model::class::CONTEXT;
use lunabot_model::script::LiveObject;
use lunabot_model::{AnyObject, Arg, BoxFuture, CallError, Callback, Json, Templates};
use serde_json::{Map, json};
use std::sync::Arc;

/// A formatter as declared.
pub(crate) struct Formatter {
    pub thing: Thing,
    pub common: Common,
    way: Way,
}

enum Way {
    Template(TemplateParams),
    Empty,
    Raw(Callback),
    Function(Callback, BodyType),
    Renderable(RenderableParams),
    MissingWorker(TemplateParams),
}

/// The words of one report.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub body: Json,
    pub body_type: BodyType,
    pub subject: Option<String>,
    pub extra_info: Json,
}

impl Formatter {
    /// The error says what is wrong; the script host has checked the options before.
    pub fn read(object: &AnyObject) -> Result<Formatter, String> {
        fn args<T: serde::de::DeserializeOwned>(object: &AnyObject) -> Result<T, String> {
            object.typed::<T>().map(|typed| typed.args).map_err(|error| error.to_string())
        }
        let (way, common) = match object.kind.as_str() {
            "reporters.MessageFormatter" => {
                let params: TemplateParams = args(object)?;
                let common = params.common();
                (Way::Template(params), common)
            }
            "reporters.MessageFormatterMissingWorker" => {
                let params: TemplateParams = args(object)?;
                let common = params.common();
                (Way::MissingWorker(params), common)
            }
            "reporters.MessageFormatterEmpty" => (Way::Empty, args::<EmptyParams>(object)?.common()),
            "reporters.MessageFormatterFunctionRaw" => {
                let params: RawParams = args(object)?;
                let common = params.common();
                (Way::Raw(params.function), common)
            }
            "reporters.MessageFormatterFunction" => {
                let params: FunctionParams = args(object)?;
                let common = params.common();
                (Way::Function(params.function, params.template_type), common)
            }
            "reporters.MessageFormatterRenderable" => {
                let params: RenderableParams = args(object)?;
                let common = params.common();
                (Way::Renderable(params), common)
            }
            other => return Err(format!("a {other} makes no words")),
        };
        Ok(Formatter { thing: Thing::read(object)?, common, way })
    }

    /// What generators have by themselves: words that never change, or those of a kind.
    pub fn default_of(kind: &str, args: Json) -> Formatter {
        let object =
            AnyObject { kind: format!("reporters.{kind}"), id: 0, at: String::new(), class: None, args };
        Formatter::read(&object).expect("the options of defaults fit")
    }

    /// The words about a worker fit workers alone, and the few lines about a build do not fit them. The error says which.
    pub fn fits(&self, workers: bool) -> Result<(), String> {
        let AnyObject { kind, at, .. } = &self.thing.object;
        match &self.way {
            Way::MissingWorker(_) if !workers => Err(format!(
                "the {kind} at {at} finds words about workers; give it to a reporters.WorkerMissingGenerator"
            )),
            Way::Template(params) if workers && params.template.is_none() => Err(format!(
                "the {kind} at {at} has no template, and its few lines are about builds; give it one, or a \
                 reporters.MessageFormatterMissingWorker{{}}"
            )),
            _ => Ok(()),
        }
    }

    /// Templates that cannot be filled.
    pub fn judge(&self, templates: &dyn Templates) -> Result<(), String> {
        let (Way::Template(params) | Way::MissingWorker(params)) = &self.way else { return Ok(()) };
        for (option, text) in [("template", &params.template), ("subject", &params.subject)] {
            if let Some(text) = text {
                templates.judge(text).map_err(|error| format!("{option}: {error}"))?;
            }
        }
        Ok(())
    }

    /// What the formatter is to a function.
    pub async fn this(&self, means: &Means) -> Result<Arg, Fault> {
        let live = || Live {
            what: "formatter",
            fields: Map::new(),
            methods: &["buildAdditionalContext"],
            handle: Arc::new(Base),
        };
        self.thing.this(means, live).await
    }

    /// Makes the words about something.
    pub async fn message(&self, means: &Means, context: Context) -> Result<Message, Fault> {
        let context = self.with_more(means, context).await?;
        let shown = |value: &Json| means.script.shown(value);
        match &self.way {
            Way::Empty => Ok(Message::default()),
            Way::Template(params) | Way::MissingWorker(params) => {
                self.by_template(means, params, context).await
            }
            Way::Function(callback, body_type) => {
                let body = means.call(callback, "fn", vec![Arg::Value(context.for_functions())]).await?;
                let body = judged(body, *body_type, &shown)
                    .map_err(|wrong| means.nonsense(callback, "fn", &wrong))?;
                Ok(Message { body, body_type: *body_type, ..Message::default() })
            }
            Way::Raw(callback) => {
                let args = vec![master(0), Arg::Value(context.for_functions())];
                let answer = means.call(callback, "fn", args).await?;
                read_raw(answer, &shown).map_err(|wrong| means.nonsense(callback, "fn", &wrong))
            }
            Way::Renderable(params) => {
                let scope = scope::Reported::new(means, &context).await?;
                let subject = match &params.subject {
                    Some(subject) => Some(scope.text(subject.source()).await?),
                    None => None,
                };
                let body = scope.text(params.template.source()).await?;
                Ok(Message { body: body.into(), subject, ..Message::default() })
            }
        }
    }

    /// The context with `ctx`, and with what a class adds.
    async fn with_more(&self, means: &Means, mut context: Context) -> Result<Context, Fault> {
        context.add(self.common.ctx.clone());
        if let Some(callback) = self.thing.hook(CONTEXT) {
            let args = vec![self.this(means).await?, master(0), Arg::Value(context.for_functions())];
            match means.call(callback, "buildAdditionalContext", args).await? {
                Json::Object(more) => context.add(more),
                other => {
                    let what = "buildAdditionalContext";
                    let returned = other[1].as_str().unwrap_or("something else");
                    let told =
                        format!("{what} returned a {returned}; assign names of ctx, or return a table");
                    return Err(means.nonsense(self.thing.hook(what).unwrap_or(callback), what, &told));
                }
            }
        }
        Ok(context)
    }

    async fn by_template(
        &self,
        means: &Means,
        params: &TemplateParams,
        context: Context,
    ) -> Result<Message, Fault> {
        let html = params.template_type == BodyType::Html;
        let extra_info = match &params.extra_info_cb {
            Some(callback) => {
                let args = vec![master(0), Arg::Value(context.about_for_functions())];
                let answer = means.call(callback, "extra_info_cb", args).await?;
                extra_info(answer).map_err(|wrong| means.nonsense(callback, "extra_info_cb", &wrong))?
            }
            None => Json::Null,
        };
        let missing = matches!(self.way, Way::MissingWorker(_));
        let default = templates::default(missing, context.is_set(), html);
        let text = params.template.clone().unwrap_or_else(|| default.to_owned());
        let subject =
            params.subject.clone().or_else(|| missing.then(|| templates::MISSING_SUBJECT.to_owned()));
        let (templates, at) = (means.templates.clone(), self.thing.object.at.clone());
        let fill = move || {
            let vars = context.for_templates(html);
            let subject = subject.map(|subject| templates.fill(&subject, false, vars.clone())).transpose()?;
            Ok::<_, String>((templates.fill(&text, html, vars)?, subject))
        };
        // It may compute for a while.
        let filled = tokio::task::spawn_blocking(fill).await.map_err(|error| error.to_string())?;
        let (body, subject) = filled.map_err(|error| format!("{at}: {error}"))?;
        let subject = subject.map(|subject| subject.trim().replace(['\r', '\n'], " "));
        Ok(Message { body: body.into(), body_type: params.template_type, subject, extra_info })
    }
}

/// What the base of a class of formatters does.
struct Base;

impl LiveObject for Base {
    /// What `ctx` has is in the context already.
    fn invoke<'a>(&'a self, _: &'a str, _: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async { Ok(Arg::Value(Json::Null)) })
    }
}

/// How a value is shown.
type Shown<'a> = &'a dyn Fn(&Json) -> String;

fn read_raw(answer: Json, shown: Shown<'_>) -> Result<Message, String> {
    const WANTED: &str = "return {body = …, type = \"plain\", subject = …, extra_info = …}";
    let Json::Object(mut parts) = answer else { return Err(format!("fn returned no table; {WANTED}")) };
    let mut take = |name: &str| parts.remove(name).unwrap_or_default();
    let (body, kind, subject, extra) = (take("body"), take("type"), take("subject"), take("extra_info"));
    if let Some(name) = parts.keys().next() {
        return Err(format!("fn returned a table with {name}; {WANTED}"));
    }
    let body_type = match kind {
        Json::Null => BodyType::Plain,
        other => serde_json::from_value(other)
            .map_err(|_| "fn returned a type that is none of \"plain\", \"html\" and \"json\"".to_owned())?,
    };
    let subject = match subject {
        Json::Null => None,
        Json::String(subject) => Some(subject),
        _ => return Err("fn returned a subject that is no text".into()),
    };
    Ok(Message { body: judged(body, body_type, shown)?, body_type, subject, extra_info: extra_info(extra)? })
}

/// A body that a function gave: a text, or for JSON whatever it is.
fn judged(body: Json, body_type: BodyType, shown: Shown<'_>) -> Result<Json, String> {
    match (&body, body_type) {
        (_, BodyType::Json) | (Json::String(_) | Json::Null, _) => Ok(body),
        _ => Err(format!(
            "fn returned the body {}, which is no text; for JSON the type is \"json\"",
            shown(&body)
        )),
    }
}

/// A table of tables (11.027).
fn extra_info(answer: Json) -> Result<Json, String> {
    let nested = |value: &Json| value.is_object();
    match answer {
        Json::Null => Ok(Json::Null),
        Json::Object(map) if map.values().all(nested) => Ok(Json::Object(map)),
        _ => Err("extra_info is a table of tables, e.g. {gerrit = {label = \"x\"}}".into()),
    }
}

impl Formatter {
    /// What a build needs for it.
    pub fn wants(&self, add_logs: &super::wanted::Wanted) -> details::Wants {
        let mut wants = details::Wants::of(&self.common, add_logs);
        wants.properties |= matches!(self.way, Way::Renderable(_));
        wants
    }
}

/// Words that never change.
pub(crate) fn fixed(text: &str) -> Formatter {
    Formatter::default_of("MessageFormatterRenderable", json!({ "template": text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_11_028_raw_messages_are_read() {
        let message =
            read_raw(json!({"body": ["a"], "type": "json", "subject": "s"}), &Json::to_string).unwrap();
        assert_eq!(
            (message.body, message.body_type, message.subject.as_deref()),
            (json!(["a"]), BodyType::Json, Some("s"))
        );
        for (answer, told) in [
            (json!("text"), "returned no table"),
            (json!({"text": 1}), "a table with text"),
            (json!({"type": "x"}), "none of"),
            (json!({"subject": 1}), "no text"),
            (json!({"extra_info": {"a": 1}}), "a table of tables"),
            (json!({"body": {"a": 1}}), "which is no text"),
        ] {
            assert!(read_raw(answer, &Json::to_string).unwrap_err().contains(told), "{told}");
        }
    }

    #[test]
    fn defaults_can_be_read() {
        fixed("Build started.");
        for kind in ["MessageFormatter", "MessageFormatterMissingWorker"] {
            Formatter::default_of(kind, json!({}));
        }
    }
}
