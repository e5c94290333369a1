//! The table has whatever the master declares: options that take functions, and methods of classes that are called.

use super::points::{Point, table};
use anyhow::Result;
use lunabot_model::class::hooks;
use lunabot_model::config::CALLBACKS;
use lunabot_model::kind::{Category, Kind};
use serde_json::Value;
use std::collections::BTreeSet;

/// Where the name in the table is another than the declared one, or several are declared with one name: what is declared,
/// the callback, and how what it concerns begins.
const NAMES: &[(&str, &str, &str)] = &[
    ("util.fn(props, ...)", "renderer", "step s of builder renderer"),
    ("util.fn(...)", "renderer", "step s of builder transform"),
    ("util.fn(request)", "collapseRequests", "builder keys"),
    ("util.fn(user)", "fn", "util.Roles"),
    ("util.locks(props)", "renderer", "builder locked"),
    ("steps.locks(props)", "renderer", "step s of builder steplocks"),
    ("util.filter_fn(change)", "filter_fn", "scheduler "),
    ("util.filter_fn(sourcestamp)", "filter_fn", "service "),
    ("reporters.fn(master, ctx)", "fn", "reporter raw"),
    ("reporters.fn(ctx)", "fn", "reporter formats"),
    ("c.revlink(revision, repository)", "revlink", "change hook "),
    ("c.codebaseGenerator(change)", "codebaseGenerator", "change hook "),
    ("Observer.before_start", "before_start", "step s of builder preparedObserver"),
    ("Step.before_start", "before_start", "step s of builder before_start"),
    ("Reporter.before_start", "before_start", "reporter opens"),
    ("Generator.before_start", "before_start", "reporter begins"),
    ("Formatter.before_start", "before_start", "reporter phrases"),
];

/// What is not in the table, and why.
const ELSEWHERE: &[(&str, &str)] = &[];

/// Something that a configuration may give a function for: its name here, that of the function, and how what it concerns
/// begins.
type Declared = (String, &'static str, &'static str);

fn option(namespace: &str, spec: &lunabot_model::CallbackSpec) -> Declared {
    let concerns = match namespace {
        "schedulers" => "scheduler ",
        "changes" => "change source ",
        "steps" => "step ",
        "reporters" => "reporter ",
        // All kinds of things.
        _ => "",
    };
    (format!("{namespace}.{}({})", spec.option, spec.args), spec.option, concerns)
}

fn methods(category: Category) -> Vec<Declared> {
    let concerns = match category {
        Category::Step | Category::Observer => "step ",
        Category::Build => "build ",
        Category::ChangeSource => "change source ",
        Category::Worker => "worker ",
        Category::WebHook => "change hook ",
        Category::Service => "service ",
        Category::Scheduler => "scheduler ",
        Category::Parameter => "field ",
        Category::Reporter | Category::Generator | Category::Formatter => "reporter ",
        Category::Secret => "secret store ",
        _ => "",
    };
    hooks(category).iter().map(|hook| (format!("{category:?}.{}", hook.name), hook.name, concerns)).collect()
}

fn declared() -> BTreeSet<Declared> {
    let kinds = lunabot::wiring::kinds::all();
    let mut all: BTreeSet<Declared> = CALLBACKS.iter().map(|spec| option("c", spec)).collect();
    for kind in &kinds {
        all.extend(kind.callbacks.iter().map(|spec| option(kind.namespace, spec)));
    }
    all.extend(kinds.iter().filter(|kind| kind.extensible).flat_map(|kind| methods(kind.category)));
    all
}

fn is_in(points: &[Point], (name, callback, concerns): &Declared) -> bool {
    let renamed = NAMES.iter().find(|(of, ..)| of == name);
    let (callback, concerns) = renamed.map_or((*callback, *concerns), |(_, callback, of)| (*callback, *of));
    points.iter().any(|point| point.callback == callback && point.concerns.starts_with(concerns))
}

#[test]
fn the_table_has_whatever_is_declared() -> Result<()> {
    let (points, declared) = (table()?, declared());
    let reason = |name: &str| ELSEWHERE.iter().find(|(of, _)| *of == name);
    let missing = declared.iter().filter(|one| !is_in(&points, one) && reason(&one.0).is_none());
    let missing: Vec<&str> = missing.map(|(name, ..)| name.as_str()).collect();
    assert!(missing.is_empty(), "give these a row in points.lua: {missing:#?}");
    let known = |name: &str| declared.iter().any(|(of, ..)| of == name);
    let names = NAMES.iter().map(|(name, ..)| name).chain(ELSEWHERE.iter().map(|(name, _)| name));
    let stale: Vec<_> = names.filter(|name| !known(name)).collect();
    assert!(stale.is_empty(), "these are not declared any more: {stale:#?}");
    Ok(())
}

/// Whether a schema lets a function through; `depth` ends what names itself.
fn takes_function(root: &Value, schema: &Value, depth: usize) -> bool {
    match schema {
        Value::Object(map) => map.iter().any(|(name, value)| match (name.as_str(), value) {
            ("x-callback", _) => true,
            ("$ref", Value::String(path)) if depth > 0 => {
                let found = root.pointer(path.trim_start_matches('#'));
                found.is_some_and(|schema| takes_function(root, schema, depth - 1))
            }
            _ => takes_function(root, value, depth),
        }),
        Value::Array(items) => items.iter().any(|item| takes_function(root, item, depth)),
        _ => false,
    }
}

/// Options that take functions and do not say so.
fn silent(kind: &Kind) -> Vec<String> {
    let schema = (kind.schema)();
    let root = schema.as_value();
    let options = root["properties"].as_object().into_iter().flatten();
    let silent = options.filter(|(name, schema)| {
        takes_function(root, schema, 4) && !kind.callbacks.iter().any(|spec| spec.option == *name)
    });
    silent.map(|(name, _)| format!("{}: {name}", kind.path())).collect()
}

#[test]
fn whatever_takes_a_function_is_declared() {
    let silent: Vec<String> = lunabot::wiring::kinds::all().iter().flat_map(|kind| silent(kind)).collect();
    assert!(silent.is_empty(), "these take functions without saying how they are called: {silent:#?}");
}
