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
        mode = {choices = {'fast', '1'}, default = 'fast'} }}){command = 'a', ratio = 0.5, mode = '1'})";
    let loaded = load(block).await;
    let class = loaded.config.builders[0].factory.steps[0].class.as_ref().unwrap();
    assert_eq!(class["params"], json!({"speed": 5, "ratio": 0.5, "mode": "1"}));
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
    ] {
        let told = errors(&format!("{ANNOTATE}\n{extra}")).await;
        assert!(told.iter().any(|line| line.ends_with(expected)), "{extra}: {told:#?}");
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
