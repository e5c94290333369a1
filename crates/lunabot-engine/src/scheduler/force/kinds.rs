//! The options of `schedulers.ForceScheduler` and of its parameters (03.031, 03.038–03.048), as the configuration
//! writes them. [`super::parameter`] gives them one form.

use super::choices::{CHOICES, Choices};
use super::parameter::Parameter;
use super::validate::VALIDATE;
use lunabot_model::kind::{CallbackSpec, Category, Kind, Params, Problem, check_as, schema_of};
use lunabot_model::{AnyObject, Callback, Duration, Json, Names};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// Names that a parameter must not have: the force call itself uses them (03.036).
const RESERVED: &[&str] = &["owner", "builderNames", "builderid"];

fn given<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(d).map(Some)
}

/// A struct of options: those of every parameter, and its own. `name` is optional where it has a default.
macro_rules! options {
    ($(#[$doc:meta])* $type:ident, $name:ty { $($(#[$field_doc:meta])* $field:ident: $field_type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $type {
            /// Name of the property, and of the field in a force call.
            pub name: $name,
            /// Text beside the field; default: the name.
            #[serde(default)]
            pub label: Option<String>,
            /// Text of the tab, in a group with the layout `tabs`; default: the label.
            #[serde(default)]
            pub tablabel: Option<String>,
            /// Help text.
            #[serde(default)]
            pub tooltip: String,
            /// The value where nothing is entered.
            #[serde(default, deserialize_with = "given")]
            pub default: Option<Json>,
            /// Something must be entered.
            #[serde(default)]
            pub required: bool,
            /// The value is a list.
            #[serde(default)]
            pub multiple: bool,
            /// Regular expression that the value must match from its start.
            #[serde(default)]
            pub regex: Option<String>,
            /// Not shown in the form.
            #[serde(default)]
            pub hide: bool,
            /// Largest length of the value.
            #[serde(default)]
            pub maxsize: Option<u64>,
            /// Choice → values that the form fills into other fields.
            #[serde(default)]
            pub autopopulate: Option<Json>,
            /// Judges the value, after all fields were read: returns nothing, or what is wrong.
            #[serde(default)]
            pub validate: Option<Callback>,
            $($(#[$field_doc])* #[serde(default)] pub $field: $field_type,)*
        }

        impl Params for $type {
            fn validate(&self) -> Vec<Problem> {
                Parameter::from(self.clone()).problems()
            }
        }
    };
}

options!(
    /// `util.FixedParameter` and `util.BooleanParameter`: nothing of their own.
    PlainOptions, String {}
);
options!(
    /// `util.StringParameter`.
    StringOptions, String {
        /// Width of the field in characters; default 10.
        size: Option<i64>,
    }
);
options!(
    /// `util.IntParameter`.
    IntOptions, String {
        /// Width of the field in characters; default 10.
        size: Option<i64>,
    }
);
options!(
    /// `util.TextParameter`.
    TextOptions, String {
        /// Default 80.
        cols: Option<i64>,
        /// Default 20.
        rows: Option<i64>,
        size: Option<i64>,
    }
);
options!(
    /// `util.UserNameParameter`.
    UserNameOptions, Option<String> {
        /// Default 30.
        size: Option<i64>,
        /// The value must hold an address, `User <email@email.com>`; default true.
        need_email: Option<bool>,
    }
);
options!(
    /// `util.ChoiceStringParameter`.
    ChoiceOptions, String {
        /// What can be chosen: a list, or a function that finds out.
        choices: Choices,
        /// Refuse other values; default true.
        strict: Option<bool>,
    }
);
options!(
    /// `util.WorkerChoiceParameter` (03.043).
    WorkerChoiceOptions, Option<String> {
        /// The choice that leaves the worker open; default `-any-`.
        #[serde(rename = "anySentinel")]
        any_sentinel: Option<String>,
        /// What can be chosen; default: that, and the workers of the scheduler's builders.
        choices: Option<Choices>,
        /// Refuse other values; default true.
        strict: Option<bool>,
    }
);
options!(
    /// `util.NestedParameter`, `util.ParameterGroup`.
    NestedOptions, String {
        /// The parameters in the group.
        fields: Vec<AnyObject>,
        /// `vertical`, `simple` or `tabs`.
        layout: Option<String>,
        /// 1 to 4; default 2 from four visible fields on, else 1.
        columns: Option<i64>,
    }
);
options!(
    /// `util.CodebaseParameter`. Each sub-field is a parameter, a text (fixed and hidden), or `util.null` (left out).
    CodebaseOptions, Option<String> {
        /// The codebase; its name is the default of `name`.
        codebase: String,
        #[serde(deserialize_with = "given")]
        branch: Option<Json>,
        #[serde(deserialize_with = "given")]
        revision: Option<Json>,
        #[serde(deserialize_with = "given")]
        repository: Option<Json>,
        #[serde(deserialize_with = "given")]
        project: Option<Json>,
        /// A `util.PatchParameter`.
        patch: Option<AnyObject>,
        layout: Option<String>,
        columns: Option<i64>,
    }
);
options!(
    /// `util.PatchParameter`.
    PatchOptions, Option<String> {
        layout: Option<String>,
        columns: Option<i64>,
    }
);

/// `schedulers.ForceScheduler` (03.031).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForceParams {
    /// Letters, digits, `_` and `-`.
    pub name: String,
    /// The builders that may be forced.
    #[serde(rename = "builderNames")]
    pub builder_names: Names,
    /// Asks who forces; default a `util.UserNameParameter`.
    #[serde(default)]
    pub username: Option<AnyObject>,
    /// Asks for the reason; default a `util.StringParameter` with the text `force build`.
    #[serde(default)]
    pub reason: Option<AnyObject>,
    /// Asks for the priority; default a `util.IntParameter` with 0.
    #[serde(default)]
    pub priority: Option<AnyObject>,
    /// Reason of the buildset, made from `%(owner)s` and `%(reason)s`.
    #[serde(default, rename = "reasonString")]
    pub reason_string: Option<String>,
    /// Text of the button; default the name.
    #[serde(default, rename = "buttonName")]
    pub button_name: Option<String>,
    /// Title of the form; default the name.
    #[serde(default)]
    pub label: Option<String>,
    /// Codebases to ask for: names or `util.CodebaseParameter`s; default the one without a name.
    #[serde(default)]
    pub codebases: Option<Vec<Json>>,
    /// Further parameters, each a property of the buildset.
    #[serde(default)]
    pub properties: Vec<AnyObject>,
    /// Its requests are cancelled when they have not started so long after they were made; absent: never.
    #[serde(default, rename = "requestTimeout")]
    pub request_timeout: Option<Duration>,
    /// Its requests are skipped when their builder has had no connected worker for so long; absent: as the builder says.
    #[serde(default, rename = "ignoreOfflineWorkersTimeout")]
    pub ignore_offline_workers_timeout: Option<Duration>,
}

impl Params for ForceParams {
    fn validate(&self) -> Vec<Problem> {
        super::Form::read(self).err().unwrap_or_default()
    }
}

/// What serde cannot say in the right words: `value` (03.036), reserved names.
fn check_parameter<P: Params>(args: &Json) -> Vec<Problem> {
    let mut problems = Vec::new();
    if args.get("getChoices").is_some() {
        let text = "not an option, and without effect in Buildbot 4.3; list what can be chosen in choices, or give it a function";
        problems.push(Problem::new("getChoices", text));
    }
    if args.get("value").is_some() {
        problems.push(Problem::new("value", "not an option; a preset value is given with default"));
    }
    if let Some(name) = args["name"].as_str().filter(|name| RESERVED.contains(name)) {
        problems
            .push(Problem::new("name", format!("{name} is reserved and cannot be the name of a parameter")));
    }
    if problems.is_empty() { check_as::<P>(args) } else { problems }
}

/// The functions that every parameter takes, and those of choices.
const CALLBACKS: &[CallbackSpec] = &[VALIDATE];
const CHOICE_CALLBACKS: &[CallbackSpec] = &[VALIDATE, CHOICES];

const USUAL: &[&str] = &["name", "label", "tablabel", "regex"];

const fn parameter(
    name: &'static str,
    positional: &'static [&'static str],
    doc: &'static str,
    schema: fn() -> schemars::Schema,
    check: fn(&Json) -> Vec<Problem>,
) -> Kind {
    Kind {
        namespace: "util",
        name,
        aliases: &[],
        category: Category::Parameter,
        positional,
        flat: false,
        doc,
        schema,
        check,
        callbacks: CALLBACKS,
        extensible: false,
    }
}

pub const FORCE_SCHEDULER: Kind = Kind {
    namespace: "schedulers",
    category: Category::Scheduler,
    callbacks: &[],
    ..parameter(
        "ForceScheduler",
        &["name", "builderNames"],
        "Starts builders when a person or a program asks for it, with a form of parameters.",
        schema_of::<ForceParams>,
        check_as::<ForceParams>,
    )
};

pub const STRING: Kind = parameter(
    "StringParameter",
    USUAL,
    "One line of text.",
    schema_of::<StringOptions>,
    check_parameter::<StringOptions>,
);
pub const BASE: Kind = Kind {
    extensible: true,
    ..parameter(
        "BaseParameter",
        USUAL,
        "The base of parameters of your own: extend it with parse_from_arg(self, value).",
        schema_of::<StringOptions>,
        check_parameter::<StringOptions>,
    )
};
pub const TEXT: Kind = parameter(
    "TextParameter",
    USUAL,
    "Several lines of text.",
    schema_of::<TextOptions>,
    check_parameter::<TextOptions>,
);
pub const INT: Kind = parameter(
    "IntParameter",
    USUAL,
    "A whole number.",
    schema_of::<IntOptions>,
    check_parameter::<IntOptions>,
);
pub const BOOLEAN: Kind = parameter(
    "BooleanParameter",
    USUAL,
    "A check box.",
    schema_of::<PlainOptions>,
    check_parameter::<PlainOptions>,
);
pub const FIXED: Kind = parameter(
    "FixedParameter",
    USUAL,
    "A value that cannot be changed and is not shown.",
    schema_of::<PlainOptions>,
    check_parameter::<PlainOptions>,
);
pub const USER_NAME: Kind = parameter(
    "UserNameParameter",
    &["name", "label"],
    "Who forces the build.",
    schema_of::<UserNameOptions>,
    check_parameter::<UserNameOptions>,
);
pub const CHOICE: Kind = Kind {
    callbacks: CHOICE_CALLBACKS,
    ..parameter(
        "ChoiceStringParameter",
        USUAL,
        "One of several texts, or with multiple any of them.",
        schema_of::<ChoiceOptions>,
        check_parameter::<ChoiceOptions>,
    )
};
pub const WORKER_CHOICE: Kind = Kind {
    callbacks: CHOICE_CALLBACKS,
    ..parameter(
        "WorkerChoiceParameter",
        &["name"],
        "The worker that a build is to run on; goes with canStartBuild = util.enforceChosenWorker of the builder.",
        schema_of::<WorkerChoiceOptions>,
        check_parameter::<WorkerChoiceOptions>,
    )
};
/// Known, so that its error can say what to use (03.042).
pub const INHERIT: Kind = Kind {
    callbacks: CHOICE_CALLBACKS,
    ..parameter(
        "InheritBuildParameter",
        USUAL,
        "Never worked in Buildbot 4.3, and is refused: rebuilding a build repeats its properties.",
        schema_of::<ChoiceOptions>,
        |_| {
            let text = "copies nothing in Buildbot 4.3 and is not supported; to repeat the properties of a build, rebuild it \
                        (the button on its page, or the control action rebuild on builds/ID)";
            vec![Problem::new("", text)]
        },
    )
};
pub const FILE: Kind = parameter(
    "FileParameter",
    USUAL,
    "The content of a file, at most 10 MiB unless maxsize says otherwise.",
    schema_of::<PlainOptions>,
    check_parameter::<PlainOptions>,
);
pub const NESTED: Kind = Kind {
    aliases: &["ParameterGroup"],
    ..parameter(
        "NestedParameter",
        &["name", "fields"],
        "A group of parameters; the property is a table of their values, or with an empty name each is a property.",
        schema_of::<NestedOptions>,
        check_parameter::<NestedOptions>,
    )
};
pub const ANY_PROPERTY: Kind = parameter(
    "AnyPropertyParameter",
    &["name"],
    "A property whose name and value are both entered.",
    schema_of::<PlainOptions>,
    check_parameter::<PlainOptions>,
);
pub const CODEBASE: Kind = parameter(
    "CodebaseParameter",
    &["codebase", "name", "label", "branch", "revision", "repository", "project", "patch"],
    "The source stamp of one codebase.",
    schema_of::<CodebaseOptions>,
    check_parameter::<CodebaseOptions>,
);
pub const PATCH: Kind = parameter(
    "PatchParameter",
    &[],
    "A patch on top of a codebase.",
    schema_of::<PatchOptions>,
    check_parameter::<PatchOptions>,
);
