//! The kinds of formatters of messages (11.020, 11.028).

use crate::reporters::wanted::Wanted;
use lunabot_model::kind::{CallbackSpec, Category, Params, check_as, schema_of};
use lunabot_model::{Callback, Json, Kind, Problem, Renderable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is wanted to make a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Common {
    pub ctx: BTreeMap<String, Json>,
    pub properties: bool,
    pub steps: bool,
    pub logs: bool,
    pub logs_content: Wanted,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyType {
    #[default]
    Plain,
    Html,
    Json,
}

impl BodyType {
    pub const fn name(self) -> &'static str {
        match self {
            BodyType::Plain => "plain",
            BodyType::Html => "html",
            BodyType::Json => "json",
        }
    }
}

fn yes() -> bool {
    true
}

/// The parameters of one kind: its own, and what all have.
macro_rules! formatter {
    ($params:ident, { $($(#[$doc:meta])* $field:ident: $type:ty,)* }, |$this:ident| $problems:expr) => {
        /// See its kind.
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $params {
            $($(#[$doc])* pub $field: $type,)*
            /// More for the context.
            #[serde(default)]
            pub ctx: BTreeMap<String, Json>,
            /// Whether builds have their properties.
            #[serde(default = "yes")]
            pub want_properties: bool,
            /// Whether builds have their steps.
            #[serde(default)]
            pub want_steps: bool,
            /// Whether steps have their logs, without what is in them.
            #[serde(default)]
            pub want_logs: bool,
            /// Logs whose content is there too: true, or names such as "stdio" or "compile.stdio".
            #[serde(default)]
            pub want_logs_content: Wanted,
        }

        impl $params {
            pub fn common(&self) -> Common {
                Common {
                    ctx: self.ctx.clone(),
                    properties: self.want_properties,
                    steps: self.want_steps,
                    logs: self.want_logs,
                    logs_content: self.want_logs_content.clone(),
                }
            }
        }

        impl Params for $params {
            fn validate(&self) -> Vec<Problem> {
                let $this = self;
                $problems
            }
        }
    };
}

fn of_template(kind: BodyType, subject: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if kind == BodyType::Json {
        problems.push(Problem::new(
            "template_type",
            "is \"plain\" or \"html\"; for JSON use a MessageFormatterFunction",
        ));
    }
    if subject.is_some_and(|subject| subject.trim_end().contains('\n')) {
        problems.push(Problem::new("subject", "must be of one line"));
    }
    problems
}

formatter!(TemplateParams, {
    /// The words, as a template of Jinja. Default: a few lines about the build.
    #[serde(default)]
    template: Option<String>,
    /// The subject, likewise. Default: the generator's.
    #[serde(default)]
    subject: Option<String>,
    /// "plain" or "html".
    #[serde(default)]
    template_type: BodyType,
    /// Called with the master and a build, or the worker that is missing; gives a table of tables that goes into the report as `extra_info`.
    #[serde(default)]
    extra_info_cb: Option<Callback>,
}, |this| of_template(this.template_type, this.subject.as_deref()));

formatter!(EmptyParams, {}, |_this| Vec::new());

formatter!(RawParams, {
    /// Called with the master and the context; gives {body =, type =, subject =, extra_info =}.
    #[serde(rename = "fn")]
    function: Callback,
}, |_this| Vec::new());

formatter!(FunctionParams, {
    /// Called with the context; gives the body.
    #[serde(rename = "fn")]
    function: Callback,
    /// What the body is: "plain", "html" or "json".
    #[serde(default)]
    template_type: BodyType,
}, |_this| Vec::new());

formatter!(RenderableParams, {
    /// The words: a text or a renderable, rendered against the build.
    template: Renderable<String>,
    /// The subject, likewise.
    #[serde(default)]
    subject: Option<Renderable<String>>,
}, |_this| Vec::new());

const EXTRA_INFO: CallbackSpec = CallbackSpec {
    option: "extra_info_cb",
    args: "master, build",
    returns: "a table of tables",
    on_error: "tried again with back-off, and shown",
};

/// All formatters.
pub static FORMATTERS: &[Kind] = &[
    Kind {
        callbacks: &[EXTRA_INFO],
        ..formatter::<TemplateParams>(
            "MessageFormatter",
            &["template", "subject", "template_type", "extra_info_cb"],
            "The words of a report by a template.",
        )
    },
    formatter::<EmptyParams>(
        "MessageFormatterEmpty",
        &["ctx", "want_properties", "want_steps", "want_logs", "want_logs_content"],
        "No words: for reporters that look at the builds alone.",
    ),
    Kind {
        callbacks: &[CallbackSpec {
            option: "fn",
            args: "master, ctx",
            returns: "a table {body =, type =, subject =, extra_info =}",
            on_error: "tried again with back-off, and shown",
        }],
        ..formatter::<RawParams>("MessageFormatterFunctionRaw", &["fn"], "A whole message by a function.")
    },
    Kind {
        callbacks: &[CallbackSpec {
            option: "fn",
            args: "ctx",
            returns: "the body",
            on_error: "tried again with back-off, and shown",
        }],
        ..formatter::<FunctionParams>(
            "MessageFormatterFunction",
            &["fn", "template_type"],
            "The words of a report by a function.",
        )
    },
    formatter::<RenderableParams>(
        "MessageFormatterRenderable",
        &["template", "subject"],
        "The words of a report by a text or a renderable.",
    ),
    Kind {
        callbacks: &[CallbackSpec { args: "master, worker", ..EXTRA_INFO }],
        ..formatter::<TemplateParams>(
            "MessageFormatterMissingWorker",
            &["template", "subject", "template_type"],
            "The words about a worker that is missing by a template.",
        )
    },
];

const fn formatter<P: Params>(
    name: &'static str,
    positional: &'static [&'static str],
    doc: &'static str,
) -> Kind {
    Kind {
        namespace: "reporters",
        name,
        aliases: &[],
        category: Category::Formatter,
        positional,
        flat: false,
        doc,
        schema: schema_of::<P>,
        check: check_as::<P>,
        callbacks: &[],
        extensible: true,
    }
}
