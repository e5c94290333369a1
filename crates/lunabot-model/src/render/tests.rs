//! The tables of reference 04c and 04d.

use super::*;
use crate::object::CallbackRef;
use serde_json::json;

/// A build with a few properties, one source stamp for the codebase `""`, and functions by number.
struct Build(Properties);

impl RenderContext for Build {
    fn properties(&self) -> Properties {
        self.0.clone()
    }
    fn source_stamp(&self, codebase: &str) -> Option<SourceStamp> {
        let stamp = json!({"ssid": 1, "revision": null, "branch": "main", "repository": "r", "project": "p",
                           "codebase": "", "patch": null, "created_at": 0});
        codebase.is_empty().then(|| serde_json::from_value(stamp).unwrap())
    }
    fn worker_info(&self, name: &str) -> Option<Json> {
        (name == "admin").then(|| "Joe".into())
    }
    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        Box::pin(ready(match name {
            "pw" => Ok(Some("hush".into())),
            "broken" => Err("SecretInAFile: permission denied".into()),
            _ => Ok(None),
        }))
    }
    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>> {
        Box::pin(ready(match callback.id {
            1 => Ok(json!([with_properties, args])),
            2 => Ok(property("x")),
            3 => Ok(object("util.renderer", json!({"fn": function(3)}))),
            4 => Ok(Json::Null),
            5 => Ok(function(1)),
            _ => Err(RenderError::new("master.lua:3: boom")),
        }))
    }
    fn build_url(&self) -> Option<String> {
        Some("http://ci/#/builders/1/builds/2".into())
    }
}

fn object(kind: &str, args: Json) -> Json {
    json!({"$kind": kind, "$id": 1, "$at": "master.lua:12", "$args": args})
}

fn property(key: &str) -> Json {
    object("util.Property", json!({"key": key}))
}

fn function(id: u64) -> Json {
    let inner = CallbackRef { id, generation: 1, fingerprint: id.to_string(), at: "master.lua:1".into() };
    serde_json::to_value(Callback::new(inner)).unwrap()
}

fn text(format: &str) -> Json {
    object("util.Interpolate", json!({"fmtstring": format}))
}

fn op(op: &str, left: Json, right: Json) -> Json {
    object("util.BinaryOp", json!({"op": op, "left": left, "right": right}))
}

fn try_render(value: Json) -> Result<Json, String> {
    let mut properties = Properties::new();
    for (name, value) in [
        ("n", json!(null)),
        ("e", json!("")),
        ("z", json!(0)),
        ("f", json!(false)),
        ("x", json!("x")),
        ("i", json!(7)),
        ("l", json!([])),
        ("nested", json!([1, [2, [3]]])),
        ("rr", property("x")),
    ] {
        properties.set(name, value, "test");
    }
    futures::executor::block_on(render(&value, &Build(properties))).map_err(|error| error.to_string())
}

#[track_caller]
fn yields(value: Json, want: Json) {
    assert_eq!(try_render(value.clone()), Ok(want), "{value}");
}

#[track_caller]
fn fails(value: Json, part: &str) {
    let error = try_render(value.clone()).unwrap_err();
    assert!(error.contains(part), "{value}: {error}");
}

/// Columns: no modifier, `:-D`, `:~D`, `:+T`, `:?:T:D`, `:#?:T:D`.
#[test]
fn modifiers_over_missing_nil_empty_zero_and_text_04_015_to_04_023() {
    for (name, want) in [
        ("missing", ["", "D", "D", "", "D", "D"]),
        ("n", ["", "", "D", "T", "T", "D"]),
        ("e", ["", "", "D", "T", "T", "D"]),
        ("z", ["0", "0", "D", "T", "T", "D"]),
        ("f", ["False", "False", "D", "T", "T", "D"]),
        ("l", ["[]", "[]", "D", "T", "T", "D"]),
        ("x", ["x", "x", "x", "T", "T", "T"]),
    ] {
        for (modifier, want) in ["", ":-D", ":~D", ":+T", ":?:T:D", ":#?:T:D"].into_iter().zip(want) {
            yields(text(&format!("<%(prop:{name}{modifier})s>")), json!(format!("<{want}>")));
        }
    }
}

#[test]
fn selectors_04_010_to_04_014() {
    yields(text("%(src::branch)s %(src::revision:-none)s|%(src:other:branch)s|"), json!("main ||"));
    yields(text("%(src:other:branch:-d)s %(src::patch_level:-p)s %(src::frob:-f)s"), json!("d p f"));
    yields(text("%(worker:admin)s %(worker:host:-nowhere)s"), json!("Joe nowhere"));
    yields(
        text("%(secret:pw)s %(secret:pw:#?:set:unset)s %(secret:unasked:+there)s"),
        json!("hush set there"),
    );
    fails(
        text("%(secret:x:-default)s"),
        "util.Interpolate at master.lua:12: secret \"x\" is not known to any secrets provider",
    );
    fails(text("%(secret:broken)s"), "permission denied");
    let kw =
        object("util.Interpolate", json!({"fmtstring": "%(kw:a)s%(kw:b:-%(kw:a)s)s", "a": property("i")}));
    yields(kw, json!("77"));
}

#[test]
fn ternaries_and_nesting_04_019_04_022() {
    yields(text("%(prop:x:?|a(x|y)b|c)s"), json!("a(x|y)b"));
    yields(text("%(prop:x:?|a|b|c)s"), json!("a"));
    yields(text("%(prop:nope:?|ab)s"), json!("b"));
    yields(text("%(prop:a:-%(prop:b:-%(src::branch)s)s)s"), json!("main"));
    yields(text("%(prop:a:-50%%)s 100%%"), json!("50% 100%"));
    yields(text("%(prop:rr)s"), json!("x"));
}

#[test]
fn any_conversion_and_positional_values_4c() {
    yields(text("%(prop:i)05d|%(prop:x)3s|%(prop:x)-3s|%(prop:x)r"), json!("00007|  x|x  |'x'"));
    fails(text("%(prop:x)d"), "util.Interpolate at master.lua:12: %d wants a number");
    yields(
        object("util.Interpolate", json!({"fmtstring": "%s-%02d%%", "*": [property("x"), 5]})),
        json!("x-05%"),
    );
}

#[test]
fn interpolate_is_judged_when_loaded_04_025() {
    let kind = crate::kinds::KINDS.iter().find(|kind| kind.name == "Interpolate").unwrap();
    for (args, part) in [
        (json!({"fmtstring": "%s", "*": [1], "k": 2}), "exclude each other"),
        (json!({"fmtstring": "%s %(prop:x)s", "*": [1]}), "exclude each other"),
        (json!({"fmtstring": "%s %s", "*": [1]}), "2 positional substitutions for 1 values"),
        (json!({"fmtstring": "100% sure"}), "a percent sign is %%"),
        (json!({"fmtstring": "%(prop:a:-%s)s"}), "modifier cannot hold"),
        (json!({"fmtstring": "%(prop:a:!)s"}), "invalid Interpolate default type '!'"),
        (json!({}), "fmtstring is missing"),
    ] {
        let problems = (kind.check)(&args);
        assert!(problems[0].message.contains(part), "{args}: {problems:?}");
    }
    assert_eq!((kind.check)(&json!({"fmtstring": "%(kw:a)s", "a": [1]})), []);
}

#[test]
fn property_04_027() {
    let with = |args: Json| object("util.Property", args);
    yields(property("z"), json!(null));
    yields(property("nope"), json!(null));
    yields(property("rr"), json!("x"));
    yields(with(json!({"key": "z", "default": "d"})), json!("d"));
    yields(with(json!({"key": "z", "default": "d", "defaultWhenFalse": false})), json!(0));
    yields(with(json!({"key": "n", "default": "d", "defaultWhenFalse": false})), json!(null));
    yields(with(json!({"key": "no", "default": property("x"), "defaultWhenFalse": false})), json!("x"));
}

#[test]
fn operators_04_028() {
    for (name, left, right, want) in [
        ("eq", property("x"), json!("x"), json!(true)),
        ("eq", json!(1), json!(1.0), json!(true)),
        ("ne", property("x"), json!("x"), json!(false)),
        ("lt", property("i"), json!(8), json!(true)),
        ("ge", json!("b"), json!("a"), json!(true)),
        ("le", json!([1, 2]), json!([1, 3]), json!(true)),
        ("gt", json!(2.5), json!(2), json!(true)),
        ("in", property("x"), json!(["x"]), json!(true)),
        ("in", property("x"), json!({"x": 1}), json!(true)),
        ("in", property("x"), json!("axb"), json!(true)),
        ("not", property("z"), json!(null), json!(true)),
        ("add", property("i"), json!(1), json!(8)),
        ("add", property("x"), json!("y"), json!("xy")),
        ("sub", json!(1), json!(2), json!(-1)),
        ("mul", json!(2), json!(2.5), json!(5.0)),
        ("div", json!(7), json!(2), json!(3.5)),
        ("idiv", json!(-7), json!(2), json!(-4)),
        ("mod", json!(-7), json!(4), json!(1)),
        ("concat", text("%(prop:x)s"), json!(1), json!("x1")),
        ("add", object("util.FlattenList", json!({"nestedlist": [1, [2]]})), json!([[3]]), json!([1, 2, 3])),
    ] {
        yields(op(name, left, right), want);
    }
    fails(op("lt", json!(1), json!("a")), "util.BinaryOp at master.lua:12: 1 and \"a\" cannot be ordered");
    fails(op("mod", json!(1), json!(0)), "divided by zero");
    fails(op("idiv", json!(i64::MIN), json!(-1)), "too large");
    fails(op("add", json!(1), json!("a")), "not possible");
}

#[test]
fn secrets_04_029() {
    yields(object("util.Secret", json!({"secret_name": "pw"})), json!("hush"));
    yields(object("util.Secret", json!({"secret_name": "no", "default": property("x")})), json!("x"));
    fails(object("util.Secret", json!({"secret_name": "no"})), "util.Secret at master.lua:12: secret \"no\"");
}

#[test]
fn functions_04_030_04_031() {
    let call = |args: Json| object("util.renderer", args);
    yields(
        call(json!({"fn": function(1), "args": [property("i")], "kwargs": {"q": property("x")}})),
        json!([true, [7, {"q": "x"}]]),
    );
    yields(call(json!({"fn": function(2)})), json!("x"));
    fails(call(json!({"fn": function(9)})), "master.lua:3: boom");
    fails(call(json!({"fn": function(3)})), "does one lead to itself");
    let transform = |args: Json| object("util.Transform", args);
    yields(
        transform(json!({"fn": function(1), "*": [property("x")], "k": 1})),
        json!([false, ["x", {"k": 1}]]),
    );
    yields(transform(json!({"fn": call(json!({"fn": function(5)}))})), json!([false, []]));
    fails(transform(json!({"fn": property("x")})), "expected a function");
    let kind = crate::kinds::KINDS.iter().find(|kind| kind.name == "Transform").unwrap();
    assert!((kind.check)(&json!({"fn": 3}))[0].message.contains("expected a function"));
}

#[test]
fn flatten_list_04_032() {
    let flat = |list: Json| object("util.FlattenList", json!({"nestedlist": list}));
    yields(flat(json!([1, [2, [3, property("nested")]], property("x")])), json!([1, 2, 3, 1, 2, 3, "x"]));
    yields(flat(property("nested")), json!([1, 2, 3]));
    fails(flat(property("x")), "expected a list");
}

#[test]
fn with_properties_04_033() {
    let with = |args: Json| object("util.WithProperties", args);
    let format = "%(x)s %(no:-d)s %(z:-d)s %(z:~d)s %(x:+d)s|%(no:+d)s|%(n)s|%(n:-d)s|%(n:+d)s";
    yields(with(json!({"fmtstring": format})), json!("x d 0 d d||||d"));
    fails(with(json!({"fmtstring": "%(no)s"})), "property \"no\" is not set");
    yields(with(json!({"fmtstring": "%s %s|", "*": ["x", "n"]})), json!("x |"));
    yields(with(json!({"fmtstring": "%(a)s|%(a:-d)s", "a": function(4)})), json!("|"));
    fails(with(json!({"fmtstring": "%s", "*": ["x"], "a": function(4)})), "exclude each other");
}

#[test]
fn containers_url_and_other_values_04_034_04_035() {
    yields(json!({"X": property("x"), "l": [1, [property("i")]]}), json!({"X": "x", "l": [1, [7]]}));
    yields(object("util.URLForBuild", json!({})), json!("http://ci/#/builders/1/builds/2"));
    let lock = object("util.MasterLock", json!({"name": property("x")}));
    yields(json!([lock, function(1)]), json!([lock, function(1)]));
    let deep = (0..500).fold(property("x"), |inner, _| json!([inner]));
    fails(deep, "more than 100 deep");
}
