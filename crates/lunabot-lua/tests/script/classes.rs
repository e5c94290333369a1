//! Classes that a configuration makes of a kind (lua-api § 3).

use crate::support::{call, errors, load};
use lunabot_model::script::{CallSite, Inert};
use lunabot_model::{Arg, Callback, Instance, ScriptObject};
use serde_json::json;
use std::sync::Arc;

const ANNOTATE: &str = r#"
local Annotate = steps.ShellCommand:extend("Annotate", {
  name = "annotate",
  haltOnFailure = false,
  numTests = 0,
  params = { how_many = {type = "integer", required = true}, what = {type = "string", default = "frobee"} },
  check = function(args) if args.how_many == 13 then return "how_many: 13 brings bad luck" end end,
  init = function(self, args)
    assert(self.how_many and self.what and args.how_many == nil)
    self.label = "n" .. self.how_many
    steps.ShellCommand.init(self, {command = {"echo", self.label, args[1]}})
  end,
  run = function(self) return self.label .. self:helper() end,
})
function Annotate:helper() return self.name .. self.numTests end
"#;

#[tokio::test]
async fn defaults_params_and_init_make_the_options_of_the_base() {
    let loaded = load(&format!("{ANNOTATE}\nf:addStep(Annotate{{\"x\", how_many = 3}})")).await;
    let step = &loaded.config.builders[0].factory.steps[0];
    assert_eq!(step.kind, "steps.ShellCommand");
    assert_eq!(
        step.args,
        json!({"name": "annotate", "haltOnFailure": false, "command": ["echo", "n3", "x"]})
    );
    let class = step.class.as_ref().unwrap();
    assert_eq!(
        (&class["name"], &class["params"]),
        (&json!("Annotate"), &json!({"how_many": 3, "what": "frobee"}))
    );
    let run = Callback::from_json(&class["hooks"]["run"]).unwrap();
    let live = ScriptObject::new("step", "s", json!({"name": "running"}), Arc::new(Inert));
    let this = Arc::new(Instance { keep: loaded.host.keep(), of: step.id, live });
    let site = CallSite::new("run", "step annotate");
    let answer = loaded.host.call(&run, site, vec![Arg::Instance(this)]).await.unwrap();
    assert_eq!(answer, json!("n3running0"));
}

#[tokio::test]
async fn choices_may_be_numbers_or_texts_and_hold_the_default() {
    let block = "f:addStep(steps.ShellCommand:extend('X', {params = {
        speed = {type = 'integer', default = 5, choices = {1, 5}}, ratio = {type = 'number', choices = {0.5, 2}},
        way = {choices = {'fast', '1'}, default = 'fast'} }}){command = 'a', ratio = 0.5, way = '1'})";
    let loaded = load(block).await;
    let class = loaded.config.builders[0].factory.steps[0].class.as_ref().unwrap();
    assert_eq!(class["params"], json!({"speed": 5, "ratio": 0.5, "way": "1"}));
}

#[tokio::test]
async fn mistakes_in_classes_and_their_objects_are_told() {
    for (extra, expected) in [
        ("f:addStep(Annotate{'x'})", "Annotate: how_many: is missing"),
        (
            "f:addStep(Annotate{'x', how_many = 'y'})",
            "Annotate: how_many: expected a whole number, got the text \"y\"",
        ),
        ("f:addStep(Annotate{'x', how_many = 13})", "Annotate: how_many: 13 brings bad luck"),
        (
            "steps.ShellCommand:extend('X', {timeout = 'y'})",
            "X: timeout: unknown unit in \"y\"; units are w d h m s",
        ),
        (
            "f:addStep(steps.ShellCommand:extend('X', {}){command = 'a', timout = 1})",
            "X: timout: unknown option, did you mean timeout?",
        ),
        (
            "f:addStep(steps.ShellCommand:extend('X', {params = {n = {type = 'integer', choices = {1, 5}}}}){command = 'a', n = 3})",
            "X: n: expected 1 or 5, got the number 3",
        ),
        (
            "f:addStep(steps.ShellCommand:extend('X', {params = {n = {choices = {'a', 'b'}}}}){command = 'a', n = 3})",
            "X: n: expected \"a\" or \"b\", got the number 3",
        ),
        (
            "f:addStep(steps.ShellCommand:extend('X', {params = {n = {type = 'integer', choices = {'a'}}}}){command = 'a', n = 3})",
            "choices of this parameter are a list of numbers that fit its type",
        ),
        (
            "f:addStep(steps.ShellCommand:extend('X', {params = {n = {typ = 'integer'}}}){command = 'a', n = 3})",
            "a parameter has no typ, did you mean type?",
        ),
        (
            "f:addStep(steps.ShellCommand:extend('X', {init = function() end}){'a'})",
            "init of X did not call its base's init",
        ),
        (
            "steps.ShellCommand:extend('X', {evaluateCommand = 5})",
            "X: evaluateCommand: expected a function, got the number 5",
        ),
        ("steps.ShellCommand:extend('X', {run = true})", "X: run: expected a function, got true"),
        ("steps.ShellCommand:extend('X', {init = 3})", "X: init: expected a function, got the number 3"),
        (
            "steps.ShellCommand:extend('X', {check = 'x'})",
            "X: check: expected a function, got the text \"x\"",
        ),
        (
            "local X = steps.ShellCommand:extend('X', {}) X.run = 5",
            "X: run: expected a function, got the number 5",
        ),
        ("util.Build:extend('X', {setupBuild = {}})", "X: setupBuild: expected a function, got a table"),
        (
            "lunabot.changes.PollingChangeSource:extend('X', {poll = 5})",
            "X: poll: expected a function, got the number 5",
        ),
        (
            "steps.ShellCommand:extend('X', {prohibitArgs = {'comand'}})",
            "X: prohibitArgs: comand: unknown option, did you mean command?",
        ),
        (
            "steps.ShellCommand:extend('X', {prohibitArgs = 'command'})",
            "X: prohibitArgs: expected a list of names of options, got the text \"command\"",
        ),
        (
            "steps.ShellCommand:extend('X', {[true] = 1})",
            "the fields of a class have names, got true as a name",
        ),
        (
            "Annotate:extend('X', {params = {what = {type = 'integer'}}})",
            "X: params.what: is integer here, but string in Annotate, whose methods read it; use another name",
        ),
        (
            "local Other = steps.ShellCommand:extend('Other', {})\n\
             local X = steps.ShellCommand:extend('X', {init = function(self, args) Other.init(self, args) end}) X{'a'}",
            "X does not extend Other; its base is steps.ShellCommand: steps.ShellCommand.init(self, {…})",
        ),
        (
            "f:addStep(steps.ShellCommand:extend('X', {params = {s = {type = 'step'}}}){'a', s = f})",
            "X: s: expected a step, got util.BuildFactory",
        ),
        (
            "f:addStep(steps.ShellCommand:extend('X', {params = {d = {type = 'duration'}}}){'a', d = -2})",
            "X: d: expected a duration of 0 seconds or more, or -1",
        ),
        (
            "f:addStep(steps.ShellCommand{'a', observers = {stdio = steps.ShellCommand{'b'}}})",
            "observers.stdio: expected an observer, got steps.ShellCommand",
        ),
    ] {
        let told = errors(&format!("{ANNOTATE}\n{extra}")).await;
        assert!(told.iter().any(|line| line.ends_with(expected)), "{extra}: {told:#?}");
    }
}

const TICKER: &str = r#"
local Ticker = lunabot.changes.PollingChangeSource:extend("Ticker", {
  params = {
    file = {type = "string", default = "base"}, req = {type = "string", required = true},
    every = {type = "duration", default = "5m"}, most = {type = "integer", default = 2.0},
  },
  poll = function(self) end,
})
"#;

/// Lua that asserts what it is to be.
async fn holds(block: &str) {
    let _ = load(&format!("{TICKER}\n{ANNOTATE}\n{block}")).await;
}

#[tokio::test]
async fn a_subclass_has_defaults_for_what_its_base_takes() {
    holds(
        "local B = Ticker:extend('B', {file = 'sub', req = 'given', every = '1h'})\n\
         local x = B{'b'}\n\
         assert(x.file == 'sub' and x.req == 'given' and x.every == 3600 and B{'b', file = 'own'}.file == 'own')\n\
         assert(B:extend('C', {})({'b'}).file == 'sub' and Ticker{'t', req = ''}.file == 'base')",
    )
    .await;
    let wrong = "Ticker:extend('B', {\nfile = 5, every = 'x'})";
    let told = errors(&format!("{TICKER}\n{wrong}")).await.join("\n");
    assert!(told.contains(": B: file: expected a text, got the number 5"), "{told}");
    assert!(told.contains(": B: every: unknown unit in \"x\""), "{told}");
}

#[tokio::test]
async fn durations_and_whole_numbers_are_read_as_such() {
    holds(
        "local seen\n\
         local X = Ticker:extend('X', {check = function(args) seen = args.every end})\n\
         local x = X{'x', req = 'r', every = '1h 30m', most = 3.0}\n\
         assert(x.every == 5400 and seen == 5400 and math.type(x.most) == 'integer')\n\
         local d = Ticker{'d', req = 'r'}\n\
         assert(d.every == 300 and math.type(d.most) == 'integer')",
    )
    .await;
    let class = "Ticker{'x', req = 'r', every = '1m', most = 1.0}";
    let loaded = load(&format!("{TICKER}c.change_source = {class}")).await;
    let params = &loaded.config.change_sources[0].class.as_ref().unwrap()["params"];
    assert_eq!(params, &json!({"file": "base", "req": "r", "every": 60, "most": 1}));
}

#[tokio::test]
async fn a_changed_copy_takes_parameters_too() {
    holds(
        "local a = Ticker{'a', req = 'r', pollInterval = 5}\n\
         a.tag = 'kept'\n\
         local b = a:with{req = 's', name = 'b'}\n\
         assert(b.req == 's' and b.file == 'base' and b.name == 'b' and b.pollInterval == 5 and b.tag == 'kept')\n\
         assert(a.req == 'r' and a.name == 'a' and b:with{file = 'f'}:with{file = util.null}.file == 'base')",
    )
    .await;
    // `init` computes the options of the base from the changed ones.
    holds(
        "local a = Annotate{'x', how_many = 3, haltOnFailure = true}\n\
         local b = a:with{how_many = 5}\n\
         assert(b.label == 'n5' and b.command[2] == 'n5' and b.command[3] == 'x' and a.label == 'n3')\n\
         assert(a:with{'y'}.command[3] == 'y')",
    )
    .await;
    holds(
        "local F = util.BuildFactory:extend('F', {params = {n = {type = 'integer', default = 1}}})\n\
         local g = F{}\n\
         g:addStep(steps.ShellCommand{'a'})\n\
         local h = g:with{n = 2}\n\
         h:addStep(steps.ShellCommand{'b'})\n\
         assert(h.n == 2 and #h.steps == 2 and #g.steps == 1)",
    )
    .await;
    let wrong = "local a = Ticker{'a', req = 'r'}\nlocal b = a:with{req = 5, fil = ''}";
    let told = errors(&format!("{TICKER}\n{wrong}")).await.join("\n");
    assert!(told.contains(": Ticker: req: expected a text, got the number 5"), "{told}");
    assert!(told.contains(": Ticker: fil: unknown option"), "{told}");
}

#[tokio::test]
async fn mistakes_in_params_are_told_where_the_class_is_made() {
    for (params, expected) in [
        (
            "{a = {type = 'strng'}}",
            "X: params.a: unknown type strng of a parameter, did you mean string?; types",
        ),
        (
            "{a = 'string'}",
            "X: params.a: expected a table, such as {type = \"string\"}, got the text \"string\"",
        ),
        ("'a'", "X: params: expected {name = {type = …}}, got the text \"a\""),
        ("{a = {required = 'yes'}}", "X: params.a: required: expected true or false, got the text \"yes\""),
        ("{a = {type = 5}}", "X: params.a: type: expected a text, got the number 5"),
        (
            "{a = {type = 'string', required = true, default = 'x'}}",
            "X: params.a: is required, so that its default",
        ),
        ("{a = {choices = {}}}", "X: params.a: choices are none"),
        ("{a = {choices = 'x'}}", "X: params.a: choices are a list of texts or a list of numbers"),
        (
            "{a = {type = 'list', choices = {'x'}}}",
            "X: params.a: a parameter of the type list has no choices",
        ),
        (
            "{a = {type = 'integer', default = 'x'}}",
            "X: params.a.default: expected a whole number, got the text",
        ),
        ("{['a b'] = {}}", "X: params: a parameter has a name that self.NAME reads, got the text \"a b\""),
        ("{{type = 'string'}}", "X: params: a parameter has a name that self.NAME reads, got the number 1"),
        ("{run = {}}", "X: params.run: self.run is something else already; use another name"),
        ("{build = {}}", "X: params.build: self.build is something else already"),
        ("{getProperty = {}}", "X: params.getProperty: self.getProperty is something else already"),
        ("{with = {}}", "X: params.with: self.with is something else already"),
        ("{check = {}}", "X: params.check: is a word of classes"),
        (
            "{name = {}}",
            "X: params.name: is an option of steps.ShellCommand; write its default beside params: name = …",
        ),
        ("{timeout = {type = 'duration'}}", "X: params.timeout: is an option of steps.ShellCommand"),
    ] {
        let told = errors(&format!("steps.ShellCommand:extend('X', {{params = {params}}})")).await;
        let at = format!("master.lua:{}: {expected}", crate::support::HEAD_LINES + 1);
        assert!(told.len() == 1 && told[0].starts_with(&at), "{params}: {told:#?}");
    }
    let near = "steps.ShellCommand:extend('X', {params = {timout = {type = 'duration'}}})";
    let told = load(near).await.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(told.contains("X: timout is a parameter; did you mean the option timeout?"), "{told}");
}

#[tokio::test]
async fn what_is_not_rendered_holds_no_renderables() {
    for (kind, value, path) in [("list", "{'a', {PROP}}", "l[2][1]"), ("map", "{a = PROP}", "l.a")] {
        let class =
            |more| format!("steps.ShellCommand:extend('X', {{params = {{l = {{type = '{kind}'{more}}}}}}})");
        let value = value.replace("PROP", "util.Property 'p'");
        let make = |more| format!("f:addStep({}{{'a', l = {value}}})", class(more));
        let told = errors(&make("")).await.join("\n");
        let expected =
            format!("X: {path}: expected a value, got util.Property, but this option is not rendered");
        assert!(told.ends_with(&expected), "{told}");
        assert_eq!(errors(&make(", renderable = true")).await, [""; 0]);
    }
}

#[tokio::test]
async fn checks_of_all_classes_are_asked_and_say_what_is_wrong() {
    let checks = |base: &str, own: &str| {
        format!(
            "local A = Ticker:extend('A', {{check = function(args) {base} end}})\n\
             local B = A:extend('B', {{\ncheck = function(args) {own} end}})\nlocal b = B{{'b', req = 'r'}}"
        )
    };
    let told =
        async |base: &str, own: &str| errors(&format!("{TICKER}\n{}", checks(base, own))).await.join("\n");
    let first = told("return args.req .. ': of the base'", "return 'own'").await;
    assert!(first.ends_with("B: r: of the base") && !first.contains("own"), "{first}");
    assert!(told("", "return 'own'").await.ends_with(": B: own"));
    for (result, got) in [("false", "false"), ("{}", "a table"), ("5", "the number 5")] {
        let told = told("", &format!("return {result}")).await;
        let expected = format!(") returned {got}; it returns a text that says what is wrong, or nil");
        assert!(told.contains(": B: check (master.lua:") && told.ends_with(&expected), "{told}");
    }
}

#[tokio::test]
async fn methods_that_are_added_are_judged_like_others_at_their_line() {
    let block = "local A = steps.ShellCommand:extend('A', {run = function(self) end})\n\n\
                 function A:getCurrentSumary() end\n\
                 function A:getResultSummary(a, b) end\n\
                 function A:start() end\n\
                 function A:helper() end";
    let warnings = load(block).await.warnings;
    let told: Vec<_> =
        warnings.iter().map(|one| (one.line.unwrap() - crate::support::HEAD_LINES, &*one.message)).collect();
    assert_eq!(
        told,
        [
            (3, "getCurrentSumary is a method of your own; did you mean getCurrentSummary?"),
            (4, "getResultSummary is called with (self) alone"),
            (
                5,
                "start is a method of your own, which nothing calls; write run = function(self) … end, which \
                 returns the result"
            ),
        ]
    );
}

#[tokio::test]
async fn init_and_check_that_wait_are_told_by_name() {
    for (body, name) in [
        ("init = function(self, args) util.sleep(0.1) end", "init of X"),
        ("check = function(args) util.sleep(0.1) end", "check of X"),
    ] {
        let told = errors(&format!("local X = steps.ShellCommand:extend('X', {{\n{body}}})\nX{{'a'}}")).await;
        let expected = format!("master.lua:{}: {name} cannot wait: ", crate::support::HEAD_LINES + 2);
        assert!(told.len() == 1 && told[0].starts_with(&expected), "{told:#?}");
    }
}

#[tokio::test]
async fn a_class_is_known_by_what_it_holds() {
    let print = async |body: &str| {
        let loaded = load(&format!("{body}\nf:addStep(X{{'a'}})")).await;
        loaded.config.builders[0].factory.steps[0].class.as_ref().unwrap()["fingerprint"].clone()
    };
    let one = "local X = steps.ShellCommand:extend('X', {run = function(self) return 1 end})";
    assert_eq!(print(one).await, print(&format!("\n\n-- moved\n{one}")).await);
    assert_ne!(print(one).await, print(&one.replace("return 1", "return 2")).await);
    let (loaded, callback) = crate::support::function("function() return 1 end").await;
    assert_eq!(call(&loaded, &callback, vec![]).await.unwrap(), json!(1));
}

#[tokio::test]
async fn a_copy_has_what_it_was_given_last_and_defaults_are_shared() {
    let told = errors(
        r#"
local A = steps.ShellCommand:extend("A", {params = {n = {type = "integer", default = 1}, l = {type = "list", default = {"a"}}}})
local s = A{command = "x"}
s.n = 5
assert(s.n == 5 and s:with{n = 3}.n == 3 and s:with{command = "y"}.n == 5)
assert(not pcall(function() s.l[2] = "b" end) and s.l[1] == "a" and #A{command = "x"}.l == 1)
local BF = util.BuildFactory:extend("BF", {})
local one = {steps.ShellCommand{command = "1"}}
local bf = BF{one}
bf:addStep(steps.ShellCommand{command = "2"})
assert(#bf.steps == 2 and #bf:with{one}.steps == 1 and #bf:with{steps = one}.steps == 1)
"#,
    )
    .await;
    assert!(told.is_empty(), "{told:#?}");
}
