//! Forms, their descriptions and their validation, against what Buildbot 4.3.0 answers.

use super::*;
use crate::scheduler::KINDS;
use proptest::prelude::*;
use serde_json::json;

fn object(kind: &str, args: Json) -> Json {
    json!({"$kind": kind, "$id": 1, "$at": "master.lua:1", "$args": args})
}

fn param(kind: &str, args: Json) -> Json {
    object(&format!("util.{kind}Parameter"), args)
}

fn form(options: Json) -> Form {
    let mut all = json!({"name": "force", "builderNames": ["b1"]});
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    Form::read(&serde_json::from_value(all).unwrap()).unwrap()
}

fn with(properties: Json) -> Form {
    form(json!({ "properties": properties }))
}

fn post(form: &Form, posted: Json) -> Result<Filled, Json> {
    form.fill(posted.as_object().unwrap().clone(), super::own::Parsed::new())
}

/// A description as Buildbot gives it: the keys of every field, and those given here.
fn described(name: &str, full_name: Json, label: &str, kind: &str, default: Json, more: Json) -> Json {
    let mut all = json!({"name": name, "fullName": full_name, "label": label, "tablabel": label, "type": kind,
        "default": default, "required": false, "multiple": false, "regex": null, "hide": false, "maxsize": null,
        "autopopulate": null, "tooltip": ""});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

#[test]
fn the_plain_form_is_described_exactly_03_031_03_034() {
    let text =
        |name: &str, label: &str| described(name, json!(name), label, "text", json!(""), json!({"size": 10}));
    let username = json!({"size": 30, "need_email": true});
    let asked = json!([
        described("username", json!("username"), "Your name:", "username", json!(""), username),
        described("reason", json!("reason"), "reason", "text", json!("force build"), json!({"size": 20})),
        described("priority", json!("priority"), "priority", "int", json!(0), json!({"size": 10})),
    ]);
    let codebase = json!([
        text("branch", "Branch:"),
        text("project", "Project:"),
        text("repository", "Repository:"),
        text("revision", "Revision:"),
    ]);
    let group = |columns: i64, fields: Json| {
        let more = json!({"layout": "vertical", "columns": columns, "fields": fields});
        described("", json!(null), "", "nested", json!(""), more)
    };
    assert_eq!(form(json!({})).spec(), [group(1, asked), group(2, codebase)]);
}

#[test]
fn every_parameter_is_described_exactly_03_034_to_03_048() {
    let field = |name: &str, kind: &str, default: Json, more: Json| {
        described(name, json!(name), name, kind, default, more)
    };
    for (given, want) in [
        (
            param(
                "String",
                json!({"name": "s", "regex": "^a+$", "maxsize": 3, "tooltip": "tip", "required": true}),
            ),
            field(
                "s",
                "text",
                json!(""),
                json!({"size": 10, "maxsize": 3, "tooltip": "tip", "required": true}),
            ),
        ),
        (
            param("Text", json!({"name": "t", "cols": 10})),
            field("t", "textarea", json!(""), json!({"cols": 10, "rows": 20, "size": 10})),
        ),
        (param("Int", json!({"name": "i", "default": 3})), field("i", "int", json!(3), json!({"size": 10}))),
        (param("Int", json!({"name": "i"})), field("i", "int", json!(0), json!({"size": 10}))),
        (param("Boolean", json!({"name": "b"})), field("b", "bool", json!(false), json!({}))),
        (
            param("ChoiceString", json!({"name": "c", "choices": ["x"], "multiple": true, "strict": false})),
            field("c", "list", json!(""), json!({"choices": ["x"], "strict": false, "multiple": true})),
        ),
        (
            param("Fixed", json!({"name": "f", "default": "v"})),
            field("f", "fixed", json!("v"), json!({"hide": true})),
        ),
        (param("File", json!({"name": "f"})), field("f", "file", json!(""), json!({"maxsize": 10485760}))),
        (
            param("UserName", json!({"label": "you", "need_email": false})),
            described(
                "username",
                json!("username"),
                "you",
                "username",
                json!(""),
                json!({"size": 30, "need_email": false}),
            ),
        ),
        (
            param("AnyProperty", json!({"name": "any"})),
            described(
                "any",
                json!("any"),
                "",
                "nested",
                json!(""),
                json!({"layout": "vertical", "columns": 1, "fields": [
                    described("name", json!("any_name"), "Name:", "text", json!(""), json!({"size": 10})),
                    described("value", json!("any_value"), "Value:", "text", json!(""), json!({"size": 10})),
                ]}),
            ),
        ),
        (
            param("Patch", json!({})),
            described(
                "patch",
                json!("patch"),
                "patch",
                "nested",
                json!(""),
                json!({"layout": "vertical", "columns": 1, "fields": [
                    described("body", json!("patch_body"), "body", "file", json!(""), json!({"maxsize": 10485760})),
                    described("level", json!("patch_level"), "level", "int", json!(1), json!({"size": 10})),
                    described("author", json!("patch_author"), "author", "text", json!(""), json!({"size": 10})),
                    described("comment", json!("patch_comment"), "comment", "text", json!(""), json!({"size": 10})),
                    described("subdir", json!("patch_subdir"), "subdir", "text", json!("."), json!({"size": 10})),
                ]}),
            ),
        ),
    ] {
        let specs = with(json!([given])).spec();
        assert_eq!(specs[2], want, "{given}");
    }
}

#[test]
fn groups_give_their_fields_longer_names_03_035_03_045() {
    let text = |name: &str| param("String", json!({"name": name}));
    let inner = param("Nested", json!({"name": "", "fields": [text("deep")]}));
    let fields = json!([text("in1"), param("Int", json!({"name": "in2", "tablabel": "tl"})), inner]);
    let form = with(json!([
        param("Nested", json!({"name": "grp", "label": "G", "layout": "tabs", "fields": fields})),
        param(
            "Nested",
            json!({"name": "", "fields": [text("x1"), text("x2"), text("x3"), param("String", json!({"name": "x4", "hide": true}))]})
        ),
        param("Nested", json!({"name": "p4", "fields": [text("y0"), text("y1"), text("y2"), text("y3")]})),
    ]));
    let specs = form.spec();
    let names = |spec: &Json| {
        spec["fields"].as_array().unwrap().iter().map(|f| f["fullName"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&specs[2]), ["grp_in1", "grp_in2", "grp"]);
    assert_eq!(names(&specs[2]["fields"][2]), ["grp_deep"]);
    assert_eq!((&specs[2]["layout"], &specs[2]["tablabel"]), (&json!("tabs"), &json!("G")));
    assert_eq!((&specs[2]["fields"][1]["tablabel"], &specs[3]["fullName"]), (&json!("tl"), &json!(null)));
    assert_eq!((&specs[3]["columns"], &specs[4]["columns"]), (&json!(1), &json!(2)));

    let posted = json!({"grp_in1": "v", "grp_in2": "9", "grp_deep": "dd", "x1": "X1", "p4_y1": "Y"});
    let values = Json::Object(post(&form, posted).unwrap().values);
    assert_eq!(
        values,
        json!({"grp": {"deep": "dd", "in1": "v", "in2": 9}, "p4": {"y0": "", "y1": "Y", "y2": "", "y3": ""},
               "x1": "X1", "x2": "", "x3": "", "x4": ""})
    );
}

#[test]
fn validation_03_037_to_03_046() {
    let form = form(json!({
        "reason": param("String", json!({"name": "reason", "label": "Why:", "required": true, "default": "none"})),
        "username": param("UserName", json!({"label": "you"})),
        "properties": [
            param("String", json!({"name": "s", "label": "S", "regex": "^a+$", "maxsize": 3})),
            param("Int", json!({"name": "i", "default": 3})),
            param("ChoiceString", json!({"name": "ch", "choices": ["x", "y"], "default": "x"})),
            param("AnyProperty", json!({"name": "any"})),
            param("String", json!({"name": "none", "default": null})),
        ],
    }));
    let good = json!({"reason": "r", "s": "aa", "none": "n"});
    for (posted, errors) in [
        (json!({}), json!({})),
        (json!({"reason": null}), json!({"reason": "need reason: no default provided by config"})),
        (json!({"reason": "  "}), json!({"reason": "'Why:' needs to be specified"})),
        (json!({"s": "b"}), json!({"s": "S:'b' does not match pattern '^a+$'"})),
        (json!({"s": ""}), json!({"s": "S:'' does not match pattern '^a+$'"})),
        (json!({"s": "aaaaa"}), json!({"s": "S: is too large 5 > 3"})),
        (json!({"i": "1.5"}), json!({"i": "i: '1.5' is not a whole number"})),
        (
            json!({"ch": "zz"}),
            json!({"ch": "'zz' does not belong to list of available choices '['x', 'y']'"}),
        ),
        (
            json!({"username": "foo"}),
            json!({"username": "username: please fill in email address in the form 'User <email@email.com>'"}),
        ),
        (json!({"username": "Joe <a@b.c>"}), json!({})),
        (json!({"any_name": "a b"}), json!({"any": "bad property name='a b', value=''"})),
        (json!({"none": ""}), json!({"none": "need none: no default provided by config"})),
        (
            json!({"s": "b", "ch": "q"}),
            json!({
                "s": "S:'b' does not match pattern '^a+$'",
                "ch": "'q' does not belong to list of available choices '['x', 'y']'",
            }),
        ),
    ] {
        let mut all = good.clone();
        all.as_object_mut().unwrap().extend(posted.as_object().unwrap().clone());
        let found = post(&form, all).err().unwrap_or(json!({}));
        assert_eq!(found, errors, "{posted}");
    }
}

#[test]
fn values_become_properties_03_033_03_038_to_03_046() {
    let form = with(json!([
        param("Boolean", json!({"name": "bo", "default": true})),
        param("String", json!({"name": "lst", "multiple": true})),
        param(
            "ChoiceString",
            json!({"name": "cm", "choices": ["x", "y"], "multiple": true, "default": "x", "strict": false})
        ),
        param("Fixed", json!({"name": "fx", "default": "fixed"})),
        param("Int", json!({"name": "i", "default": 3})),
        param("Text", json!({"name": "t"})),
        param("AnyProperty", json!({"name": "any"})),
    ]));
    let usual = json!({"bo": true, "lst": [], "cm": ["x"], "fx": "fixed", "i": 3, "t": ""});
    for (posted, changed) in [
        (json!({}), json!({})),
        (json!({"bo": false}), json!({"bo": false})),
        (json!({"bo": "true"}), json!({"bo": false})),
        (json!({"bo": [true]}), json!({})),
        (json!({"lst": "one", "cm": "y"}), json!({"lst": ["one"], "cm": ["y"]})),
        (json!({"lst": ["l1", "l2"], "cm": ["x", "q"]}), json!({"lst": ["l1", "l2"], "cm": ["x", "q"]})),
        (json!({"fx": "changed"}), json!({})),
        (json!({"i": " 12 ", "t": "  tt \n"}), json!({"i": 12, "t": "  tt \n"})),
        (json!({"i": 12.7, "t": ["1", "2"]}), json!({"i": 12, "t": "1"})),
        (json!({"i": ""}), json!({})),
        (json!({"any_name": "an", "any_value": "av"}), json!({"an": "av"})),
        (json!({"any_name": "", "any_value": "av", "unknown": 1}), json!({})),
    ] {
        let mut want = usual.clone();
        want.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        assert_eq!(Json::Object(post(&form, posted.clone()).unwrap().values), want, "{posted}");
    }
    let filled = post(&form, json!({"reason": "", "username": ""})).unwrap();
    assert_eq!((filled.reason.as_str(), filled.owner.as_str(), filled.priority), ("force build", "", 0));
    let properties = serde_json::to_value(filled.properties()).unwrap();
    assert_eq!(properties["owner"], json!(["", "Force Build Form"]));
    assert_eq!(properties["cm"], json!([["x"], "Force Build Form"]));
    let filled = post(&form, json!({"owner": "joe", "username": "x", "priority": "5"})).unwrap();
    assert_eq!((filled.owner.as_str(), filled.priority), ("joe", 5));
    let filled = post(&form, json!({"owner": "anonymous", "username": "J <j@x.y>"})).unwrap();
    assert_eq!(filled.owner, "J <j@x.y>");
}

#[test]
fn codebases_become_source_stamps_03_047_03_048() {
    let form = form(json!({"codebases": [
        "",
        param("Codebase", json!({
            "codebase": "main", "label": "Main", "revision": "abc", "repository": null,
            "branch": param("ChoiceString", json!({"name": "branch", "choices": ["m", "n"], "default": "m"})),
            "project": param("Fixed", json!({"name": "project", "default": "pp"})),
        })),
        param("Codebase", json!({"codebase": "third", "patch": param("Patch", json!({}))})),
    ]}));
    let specs = form.spec();
    assert_eq!((&specs[2]["fullName"], &specs[2]["columns"]), (&json!("main"), &json!(1)));
    assert_eq!(specs[2]["fields"][0]["fullName"], "main_branch");
    let revision = described(
        "revision",
        json!("main_revision"),
        "revision",
        "fixed",
        json!("abc"),
        json!({"hide": true}),
    );
    assert_eq!((&specs[2]["fields"][2], specs[2]["fields"].as_array().unwrap().len()), (&revision, 3));
    assert_eq!((&specs[3]["label"], &specs[3]["columns"]), (&json!("Codebase: third"), &json!(1)));

    let posted = json!({"main_branch": "n", "revision": " rr ", "third_branch": "tb", "main_revision": "zz",
                        "third_patch_body": "PB", "third_patch_level": "0"});
    let stamps = post(&form, posted).unwrap().stamps;
    let stamp = |codebase: &str, branch: &str, revision: &str, project: &str| NewSourceStamp {
        codebase: codebase.into(),
        branch: Some(branch.into()),
        revision: Some(revision.into()),
        project: project.into(),
        ..NewSourceStamp::default()
    };
    assert_eq!(stamps[0], stamp("", "", " rr ", ""));
    assert_eq!(stamps[1], stamp("main", "n", "abc", "pp"));
    let patch = stamps[2].patch.clone().unwrap();
    assert_eq!((patch.body.as_slice(), patch.level, patch.subdir.as_str()), (b"PB".as_slice(), 0, "."));
    assert!(post(&form, json!({})).unwrap().stamps[2].patch.is_none());
    let errors = post(&form, json!({"main_branch": "zzz"})).unwrap_err();
    assert_eq!(
        errors,
        json!({"main_branch": "'zzz' does not belong to list of available choices '['m', 'n']'"})
    );
}

fn problems(kind: &str, args: Json) -> String {
    let kind = KINDS.iter().find(|k| k.name == kind).unwrap();
    (kind.check)(&args).iter().map(|p| format!("{}: {}", p.path, p.message)).collect::<Vec<_>>().join("\n")
}

#[test]
fn mistakes_of_the_configuration_03_031_03_036() {
    for (args, want) in [
        (json!({}), ""),
        (json!({"name": "a-b"}), ""),
        (json!({"name": "a b"}), "name: must be an identifier"),
        (json!({"name": ""}), "name: must be an identifier"),
        (json!({"name": "1a"}), "name: must be an identifier"),
        (json!({"codebases": []}), "codebases: cannot be empty"),
        (json!({"codebases": [3]}), "codebases[0]: expected a text or a util.CodebaseParameter"),
        (
            json!({"reason": param("Lock", json!({}))}),
            "reason: expected a parameter, not a util.LockParameter",
        ),
        (
            json!({"priority": param("String", json!({"name": "pp"}))}),
            "priority: expected a util.IntParameter",
        ),
        (json!({"properties": [object("util.Lock", json!({}))]}), "properties[0]: expected a parameter"),
        (
            json!({"reasonString": "%(foo)s"}),
            "reasonString: %(foo)s is not known here; possible are %(owner)s",
        ),
        (json!({"buttonname": "x"}), "did you mean buttonName?"),
    ] {
        let mut all = json!({"name": "f", "builderNames": ["b1"]});
        all.as_object_mut().unwrap().extend(args.as_object().unwrap().clone());
        let found = problems("ForceScheduler", all);
        assert!(found.contains(want) && (want.is_empty() == found.is_empty()), "{args}: {found}");
    }
    for (kind, args, want) in [
        ("StringParameter", json!({"name": "owner"}), "owner is reserved"),
        (
            "ChoiceStringParameter",
            json!({"name": "x", "getChoices": 1}),
            "list what can be chosen in choices",
        ),
        ("InheritBuildParameter", json!({"name": "x"}), "to repeat the properties of a build, rebuild it"),
        ("IntParameter", json!({"name": "builderid"}), "builderid is reserved"),
        (
            "StringParameter",
            json!({"name": "x", "value": 3}),
            "value: not an option; a preset value is given with default",
        ),
        ("ChoiceStringParameter", json!({"name": "x", "choices": []}), "choices: is empty: list what can be"),
        ("ChoiceStringParameter", json!({"name": "x", "choices": {}, "strict": false}), ""),
        ("WorkerChoiceParameter", json!({"choices": []}), "choices: is empty: list what can be"),
        ("WorkerChoiceParameter", json!({"choices": [], "strict": false}), ""),
        ("StringParameter", json!({"name": "x", "regex": "("}), "regex: '(' is not a regular expression"),
        ("StringParameter", json!({}), "name is missing"),
        ("IntParameter", json!({"name": "x", "default": "b"}), "default: expected a whole number"),
        (
            "NestedParameter",
            json!({"name": "n", "fields": [], "columns": 5}),
            "columns: a group has 1 to 4 columns",
        ),
        (
            "NestedParameter",
            json!({"name": "n", "fields": [], "layout": "bad"}),
            "layout: a layout is vertical",
        ),
        ("CodebaseParameter", json!({"codebase": "a", "branch": 3}), "branch: expected a parameter, a text"),
        ("CodebaseParameter", json!({"codebase": "a", "branc": "x"}), "did you mean branch?"),
    ] {
        let found = problems(kind, args.clone());
        assert!(found.contains(want) && (want.is_empty() == found.is_empty()), "{kind} {args}: {found}");
    }
}

#[test]
fn positional_options_are_in_the_schema() {
    for kind in KINDS {
        let schema = serde_json::to_value((kind.schema)()).unwrap();
        for option in kind.positional {
            assert!(schema["properties"].get(*option).is_some(), "{}: {option}", kind.path());
        }
    }
}

fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "\\PC{0,8}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// Whatever is posted, there are values of the declared types or a text for each field that is wrong.
    #[test]
    fn whatever_is_posted_is_checked(
        posted in prop::collection::btree_map(
            prop::sample::select(vec![
                "s", "i", "b", "c", "any_name", "any_value", "g_x", "g", "branch", "patch_level", "owner", "reason",
                "username", "priority", "builderNames",
            ]),
            anything(),
            0..15,
        )
    ) {
        let form = form(json!({
            "codebases": [param("Codebase", json!({"codebase": "", "patch": param("Patch", json!({}))}))],
            "properties": [
                param("String", json!({"name": "s", "regex": "a*$", "maxsize": 4})),
                param("Int", json!({"name": "i", "multiple": true})),
                param("Boolean", json!({"name": "b"})),
                param("ChoiceString", json!({"name": "c", "choices": ["x"], "default": "x"})),
                param("AnyProperty", json!({"name": "any"})),
                param("Nested", json!({"name": "g", "fields": [param("Text", json!({"name": "x"}))]})),
            ],
        }));
        match post(&form, json!(posted)) {
            Ok(filled) => {
                prop_assert!(filled.values["i"].as_array().unwrap().iter().all(Json::is_i64));
                prop_assert!(filled.values["b"].is_boolean() && filled.values["g"]["x"].is_string());
                prop_assert_eq!(&filled.values["c"], "x");
            }
            Err(errors) => prop_assert!(errors.as_object().unwrap().values().all(Json::is_string)),
        }
    }
}

#[test]
fn row_03_043_a_worker_can_be_chosen_and_any_leaves_it_open() {
    let mut form = with(json!([
        param("WorkerChoice", json!({})),
        object(
            "util.NestedParameter",
            json!({"name": "", "fields": [
                param("WorkerChoice", json!({"name": "other", "anySentinel": "whichever", "strict": false})),
            ]})
        ),
    ]));
    form.offer(&["w2".to_string(), "w1".to_string()].into());
    let spec = form.spec();
    let field = spec.iter().find(|field| field["name"] == "workername").unwrap();
    assert_eq!(
        (&field["type"], &field["choices"], &field["default"], &field["label"]),
        (&json!("list"), &json!(["-any-", "w1", "w2"]), &json!("-any-"), &json!("workername"))
    );
    for (posted, want) in [
        (json!({}), json!({})),
        (json!({"workername": "-any-", "other": "whichever"}), json!({})),
        (json!({"workername": "w2", "other": "w3"}), json!({"workername": "w2", "other": "w3"})),
    ] {
        assert_eq!(Json::Object(post(&form, posted).unwrap().values), want);
    }
    let refused = post(&form, json!({"workername": "w9"})).unwrap_err();
    let text = "'w9' does not belong to list of available choices '['-any-', 'w1', 'w2']'";
    assert_eq!(refused, json!({"workername": text}));
}
