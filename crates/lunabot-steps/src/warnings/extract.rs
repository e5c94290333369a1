//! What finds file, line and text of a warning: `warningExtractor` (06.006).

use lunabot_engine::step::{StepContext, StepError};
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::{AnyObject, Arg, Callback, CallbackSpec, Category, Json, Kind};
use regex::Captures;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// The function that `warningExtractor` may be.
pub const WARNING_EXTRACTOR: CallbackSpec = CallbackSpec {
    option: "warningExtractor",
    args: "step, line, match",
    returns: "file, line number and text of the warning, each nil where it is not known",
    on_error: "EXCEPTION of the step",
};

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoParams {}
impl Params for NoParams {}

/// The extractors that Buildbot has as methods of the class; `steps.Compile.warnExtractWholeLine` names them too.
pub const EXTRACTORS: [Kind; 2] = [
    extractor("warnExtractWholeLine", "The whole line is the warning; no file, no line number."),
    extractor(
        "warnExtractFromRegexpGroups",
        "The groups 1, 2 and 3 of `warningPattern` are file, line number and text of the warning.",
    ),
];

const fn extractor(name: &'static str, doc: &'static str) -> Kind {
    Kind {
        namespace: "util",
        name,
        aliases: &[],
        category: Category::Value,
        positional: &[],
        flat: false,
        doc,
        schema: schema_of::<NoParams>,
        check: check_as::<NoParams>,
        callbacks: &[],
        extensible: false,
    }
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum WarningExtractor {
    #[default]
    WholeLine,
    Groups,
    Function(Callback),
}

impl<'de> Deserialize<'de> for WarningExtractor {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(d)?;
        if let Some(function) = Callback::from_json(&value) {
            return Ok(WarningExtractor::Function(function));
        }
        match AnyObject::from_json(&value).map(|object| object.kind).as_deref() {
            Some("util.warnExtractWholeLine") => Ok(WarningExtractor::WholeLine),
            Some("util.warnExtractFromRegexpGroups") => Ok(WarningExtractor::Groups),
            _ => Err(D::Error::custom(
                "expected a function, util.warnExtractWholeLine or util.warnExtractFromRegexpGroups",
            )),
        }
    }
}

impl JsonSchema for WarningExtractor {
    fn schema_name() -> Cow<'static, str> {
        "WarningExtractor".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "object", "x-callback": true}, {"type": "object", "x-object": true}]})
    }
}

/// One warning, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warning {
    pub file: Option<String>,
    pub line: Option<i64>,
    pub text: String,
}

/// A line that counts, with the groups of the pattern, the whole match first.
pub struct Matched<'a> {
    pub line: &'a str,
    pub groups: Vec<Option<&'a str>>,
}

impl<'a> Matched<'a> {
    pub fn new(line: &'a str, captures: &Captures<'a>) -> Self {
        Matched { line, groups: captures.iter().map(|group| group.map(|found| found.as_str())).collect() }
    }

    fn group(&self, at: usize) -> Option<&'a str> {
        self.groups.get(at).copied().flatten()
    }
}

impl WarningExtractor {
    pub async fn extract(&self, cx: &StepContext, found: &Matched<'_>) -> Result<Warning, StepError> {
        match self {
            WarningExtractor::WholeLine => Ok(Warning { text: found.line.into(), ..Warning::default() }),
            WarningExtractor::Groups => by_groups(found),
            WarningExtractor::Function(function) => ask(cx, function, found).await,
        }
    }
}

fn by_groups(found: &Matched<'_>) -> Result<Warning, StepError> {
    if found.groups.len() < 4 {
        let text =
            "warnExtractFromRegexpGroups needs a warningPattern with three groups: file, line and text";
        return Err(StepError::Exception(text.into()));
    }
    let number = found.group(2).map(|digits| digits.trim().parse());
    let line = number.transpose().map_err(|_| {
        let group = found.group(2).unwrap_or_default();
        StepError::Exception(format!("group 2 of warningPattern is no line number: {group:?}"))
    })?;
    let text = found.group(3).unwrap_or_default().into();
    Ok(Warning { file: found.group(1).map(str::to_string), line, text })
}

async fn ask(cx: &StepContext, function: &Callback, found: &Matched<'_>) -> Result<Warning, StepError> {
    let groups: Vec<Json> = found.groups.iter().skip(1).map(|group| (*group).into()).collect();
    let args = vec![cx.script_arg(|| Json::Null), Arg::Value(found.line.into()), Arg::Value(groups.into())];
    let answer = cx.call(function, "warningExtractor", args).await?;
    let parts = match &answer {
        Json::Array(parts) => &parts[..],
        Json::Null => &[],
        one => std::slice::from_ref(one),
    };
    warning_of(parts).ok_or_else(|| {
        let shown = cx.shown(&answer);
        let text = format!("warningExtractor returned {shown}; return file, line number and text");
        cx.nonsense(function, "warningExtractor", text)
    })
}

fn warning_of(parts: &[Json]) -> Option<Warning> {
    let text = |at: usize| match parts.get(at) {
        None | Some(Json::Null) => Some(None),
        Some(Json::String(text)) => Some(Some(text.clone())),
        Some(_) => None,
    };
    let line = match parts.get(1) {
        None | Some(Json::Null) => None,
        Some(Json::String(digits)) => Some(digits.trim().parse().ok()?),
        Some(number) => Some(number.as_i64()?),
    };
    Some(Warning { file: text(0)?, line, text: text(2)?.unwrap_or_default() })
}
