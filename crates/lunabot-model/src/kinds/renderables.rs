//! Kinds of values that are computed later (reference 04c, 04d). [`crate::render`] carries them out.

use crate::interpolate::{Part, Template};
use crate::kind::{CallbackSpec, Category, Kind, Params, Problem, check_as, schema_of};
use crate::percent::{self, Piece};
use crate::{Callback, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `util.Property` (04.027).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PropertyParams {
    /// Name of the property.
    pub key: String,
    /// Used where the property is missing, or false, zero or empty; may be a renderable.
    #[serde(default)]
    pub default: Json,
    /// `false`: the default is used only where the property is missing.
    #[serde(default = "yes", rename = "defaultWhenFalse")]
    pub default_when_false: bool,
}

fn yes() -> bool {
    true
}

impl Params for PropertyParams {}

/// `util.Interpolate` (04.010–04.026).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct InterpolateParams {
    /// Text with substitutions such as `%(prop:branch)s`; `%%` is a percent sign.
    pub fmtstring: String,
    /// Values of positional `%s`; may be renderables.
    #[serde(default, rename = "*")]
    pub args: Vec<Json>,
    /// Values of `%(kw:name)s`; may be renderables.
    #[serde(flatten)]
    pub kwargs: BTreeMap<String, Json>,
}

impl Params for InterpolateParams {
    fn validate(&self) -> Vec<Problem> {
        self.check().err().map(|message| Problem::new("fmtstring", message)).into_iter().collect()
    }
}

impl InterpolateParams {
    /// The parsed format, if it is one and fits the arguments.
    pub fn check(&self) -> Result<Template, String> {
        let template = Template::parse(&self.fmtstring)?;
        let nested = |part: &Part| matches!(part, Part::Positional(_));
        let lookups = template.any(&|part| matches!(part, Part::Lookup(..)));
        let (wanted, given) = (template.positional(), self.args.len());
        if given > 0 && (lookups || !self.kwargs.is_empty()) {
            return Err("positional values and named substitutions exclude each other".into());
        }
        if wanted == 0 && template.any(&nested) {
            return Err("the text of a modifier cannot hold a positional %s".into());
        }
        if wanted != given {
            return Err(format!(
                "the format has {wanted} positional substitutions for {given} values; named ones are \
                 %(prop:name)s, a percent sign is %%"
            ));
        }
        Ok(template)
    }
}

/// `util.Secret` (04.029).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretParams {
    /// Name of the secret.
    pub secret_name: String,
    /// Used where no provider knows the secret; without it that is an error.
    #[serde(default)]
    pub default: Option<Json>,
}

impl Params for SecretParams {}

/// `util.renderer` (04.030). `r:withArgs(a, b, {k = v})` is the same function with `args` appended and `kwargs`
/// overridden.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RendererParams {
    /// Called with the properties, then `args`, then a table of `kwargs` if there are any.
    #[serde(rename = "fn")]
    pub function: Callback,
    /// Further arguments; rendered before the call.
    #[serde(default)]
    pub args: Vec<Json>,
    /// Keyword arguments; rendered before the call.
    #[serde(default)]
    pub kwargs: BTreeMap<String, Json>,
}

impl Params for RendererParams {}

/// `util.Transform` (04.031).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct TransformParams {
    /// The function, or a renderable that yields one.
    #[serde(rename = "fn")]
    pub function: Json,
    /// Arguments of the function; rendered before the call.
    #[serde(default, rename = "*")]
    pub args: Vec<Json>,
    /// Keyword arguments, given as one last table; rendered before the call.
    #[serde(flatten)]
    pub kwargs: BTreeMap<String, Json>,
}

impl Params for TransformParams {
    fn validate(&self) -> Vec<Problem> {
        let callable = Callback::from_json(&self.function).is_some() || self.function.get("$kind").is_some();
        if callable {
            Vec::new()
        } else {
            vec![Problem::new("fn", "expected a function or a renderable that yields one")]
        }
    }
}

/// `util.FlattenList` (04.032).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlattenListParams {
    /// A list of values and lists, nested as deep as wanted; may be a renderable.
    pub nestedlist: Json,
    /// Not supported: Lua has no other lists.
    pub types: Option<Json>,
}

impl Params for FlattenListParams {
    fn validate(&self) -> Vec<Problem> {
        let text = "has no use: Lua has tables alone, and lists among them are flattened; leave it out";
        self.types.iter().map(|_| Problem::new("types", text)).collect()
    }
}

/// `util.WithProperties` (04.033), the older way to write `util.Interpolate`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct WithPropertiesParams {
    /// Text with `%(name)s`, `%(name:-default)s`, `%(name:~default)s`, `%(name:+text)s`, or `%s` for `*`.
    pub fmtstring: String,
    /// Names of the properties for positional `%s`.
    #[serde(default, rename = "*")]
    pub args: Vec<String>,
    /// Functions of the build whose results stand for the names.
    #[serde(flatten)]
    pub functions: BTreeMap<String, Callback>,
}

impl Params for WithPropertiesParams {
    fn validate(&self) -> Vec<Problem> {
        self.check().err().map(|message| Problem::new("fmtstring", message)).into_iter().collect()
    }
}

impl WithPropertiesParams {
    /// The parsed format, if it is one and fits the arguments.
    pub fn check(&self) -> Result<Vec<Piece>, String> {
        let pieces = percent::parse(&self.fmtstring)?;
        let positional = pieces.iter().filter(|p| matches!(p, Piece::Field { key: None, .. })).count();
        let named = pieces.iter().any(|p| matches!(p, Piece::Field { key: Some(_), .. }));
        if !self.args.is_empty() && (named || !self.functions.is_empty()) {
            return Err("positional names and named substitutions exclude each other".into());
        }
        if positional != self.args.len() {
            return Err(format!("the format has {positional} %s for {} names", self.args.len()));
        }
        Ok(pieces)
    }
}

/// `util.URLForBuild` (04.035).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UrlForBuildParams {}

impl Params for UrlForBuildParams {}

/// The result of an operator or comparison method on a renderable (04.028).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BinaryOpParams {
    /// What is done with the two sides.
    pub op: Op,
    /// May be a renderable.
    #[serde(default)]
    pub left: Json,
    /// May be a renderable; not used by `not`.
    #[serde(default)]
    pub right: Json,
}

impl Params for BinaryOpParams {}

/// See [`BinaryOpParams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Whether `left` is an item, a key or a part of `right`.
    In,
    /// Whether `left` is false, zero, empty or nil.
    Not,
    Add,
    Sub,
    Mul,
    Div,
    /// Division rounded down.
    Idiv,
    Mod,
    /// Lua's `..`.
    Concat,
}

const CALLED_WITH_PROPS: &[CallbackSpec] = &[CallbackSpec {
    option: "fn",
    args: "props, ...",
    returns: "a value, which is rendered again",
    on_error: "EXCEPTION of the step, or an error of the scheduler or service that asked",
}];

/// A kind of value that is computed later.
pub const fn renderable(
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
        category: Category::Renderable,
        positional,
        flat: false,
        doc,
        schema,
        check,
        callbacks: &[],
        extensible: false,
    }
}

pub const PROPERTY: Kind = renderable(
    "Property",
    &["key", "default", "defaultWhenFalse"],
    "The value of a property at the time it is needed.",
    schema_of::<PropertyParams>,
    check_as::<PropertyParams>,
);

pub const INTERPOLATE: Kind = renderable(
    "Interpolate",
    &["fmtstring", "*"],
    "Text with values filled in: `%(prop:name)s`, `%(src:codebase:attribute)s`, `%(worker:name)s`, \
     `%(secret:name)s`, `%(kw:name)s`, each with an optional modifier such as `:-default`.",
    schema_of::<InterpolateParams>,
    check_as::<InterpolateParams>,
);

pub const SECRET: Kind = renderable(
    "Secret",
    &["secret_name"],
    "A secret from one of the secret providers; masked wherever it would appear in a log.",
    schema_of::<SecretParams>,
    check_as::<SecretParams>,
);

pub const RENDERER: Kind = Kind {
    callbacks: CALLED_WITH_PROPS,
    ..renderable(
        "renderer",
        &["fn"],
        "The result of a function of the properties.",
        schema_of::<RendererParams>,
        check_as::<RendererParams>,
    )
};

pub const TRANSFORM: Kind = Kind {
    callbacks: &[CallbackSpec { args: "...", ..CALLED_WITH_PROPS[0] }],
    ..renderable(
        "Transform",
        &["fn", "*"],
        "The result of a function of rendered values.",
        schema_of::<TransformParams>,
        check_as::<TransformParams>,
    )
};

pub const FLATTEN_LIST: Kind = renderable(
    "FlattenList",
    &["nestedlist", "types"],
    "A nested list, rendered and made flat.",
    schema_of::<FlattenListParams>,
    check_as::<FlattenListParams>,
);

pub const WITH_PROPERTIES: Kind = renderable(
    "WithProperties",
    &["fmtstring", "*"],
    "The older form of Interpolate.",
    schema_of::<WithPropertiesParams>,
    check_as::<WithPropertiesParams>,
);

pub const URL_FOR_BUILD: Kind = renderable(
    "URLForBuild",
    &[],
    "The address of the page of the build that is running.",
    schema_of::<UrlForBuildParams>,
    check_as::<UrlForBuildParams>,
);

pub const BINARY_OP: Kind = renderable(
    "BinaryOp",
    &["op", "left", "right"],
    "What operators and the methods `eq ne lt le gt ge in_ not_` of renderables make.",
    schema_of::<BinaryOpParams>,
    check_as::<BinaryOpParams>,
);
