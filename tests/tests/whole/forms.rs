//! Force schedulers whose parameters ask functions (03.037, 03.041), and requests of theirs that do not wait for ever.

use anyhow::Result;
use lunabot_tests::Master;
use serde_json::{Value, json};

fn config(form: &str) -> String {
    format!(
        r#"
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {{ workers = {{ worker.LocalWorker{{"local"}}, worker.Worker{{"away", "pw"}} }}, www = {{ port = 0 }} }}
c.protocols = {{ pb = {{ port = "127.0.0.1:0" }} }}
local f = util.BuildFactory{{steps.ShellCommand{{command = {{"true"}}}}}}
c.builders = {{
  util.BuilderConfig{{name = "b", workernames = {{"local"}}, factory = f}},
  util.BuilderConfig{{name = "never", workernames = {{"away"}}, factory = f}},
}}
c.schedulers = {{ schedulers.ForceScheduler{{name = "force", builderNames = {{"b", "never"}}, {form}}} }}
return c
"#
    )
}

async fn force(master: &Master, mut fields: Value) -> Result<Value> {
    fields["builderNames"] = json!(["b"]);
    master.control("forceschedulers/force", "force", fields).await
}

#[tokio::test]
async fn row_03_041_choices_may_be_found_out() -> Result<()> {
    let master = Master::start(&config(
        r#"properties = {
  util.ChoiceStringParameter{name = "version", default = "v1", choices = function(master, scheduler)
    local answer = util.process{command = {"printf", "v1 v2 " .. scheduler}}
    return util.split(answer.stdout, " ")
  end},
  util.ChoiceStringParameter{name = "broken", strict = false, choices = function() return 3 end},
}"#,
    ))
    .await?;
    let fields = master.get("forceschedulers/force").await?["forceschedulers"][0]["all_fields"].clone();
    assert_eq!(fields[2]["choices"], json!(["v1", "v2", "force"]));
    assert_eq!(fields[3]["choices"], json!([]));
    let refused = force(&master, json!({"version": "v9"})).await.unwrap_err().to_string();
    assert!(
        refused.contains("'v9' does not belong to list of available choices '['v1', 'v2', 'force']'"),
        "{refused}"
    );
    force(&master, json!({"version": "v2"})).await?;
    let properties = master.get("buildsets/1/properties").await?;
    assert_eq!(properties["properties"][0]["version"], json!(["v2", "Force Build Form"]));
    let errors = master.get("script_errors").await?;
    let text = errors["script_errors"][0]["message"].to_string();
    assert!(text.contains("choices returned 3; return a list of texts"), "{errors}");
    let (_, page) = master.text("/builders/1").await?;
    assert!(!page.is_empty());
    Ok(())
}

#[tokio::test]
async fn rows_03_034_03_043_03_047_forms_are_as_buildbot_shows_them() -> Result<()> {
    let master = Master::start(&config(
        r#"
  codebases = { util.CodebaseParameter{"", branch = "main", revision = util.null, project = util.null} },
  properties = {
    util.IntParameter{name = "n", multiple = true, default = {1, 2}},
    util.WorkerChoiceParameter{name = "w2"},
  }"#,
    ))
    .await?;
    let fields = master.get("forceschedulers/force").await?["forceschedulers"][0]["all_fields"].clone();
    let shown = |name: &str, keys: &[&str]| -> Vec<Value> {
        let found = fields.as_array().into_iter().flatten().find(|field| field["name"] == name);
        keys.iter().map(|key| found.map(|field| field[key].clone()).unwrap_or_default()).collect()
    };
    assert_eq!(shown("n", &["type", "multiple", "default"]), [json!("int"), json!(true), json!([1, 2])]);
    assert_eq!(shown("w2", &["type", "label", "tablabel"]), ["list", "w2", "w2"]);
    force(&master, json!({})).await?;
    force(&master, json!({"n": ["7", 8]})).await?;
    for (set, want) in [(1, json!([1, 2])), (2, json!([7, 8]))] {
        let properties = master.get(&format!("buildsets/{set}/properties")).await?;
        assert_eq!(properties["properties"][0]["n"][0], want);
    }
    let stamp = master.get("buildsets/1").await?["buildsets"][0]["sourcestamps"][0].clone();
    assert_eq!(
        (&stamp["branch"], &stamp["revision"], &stamp["project"]),
        (&json!("main"), &json!(""), &json!(""))
    );
    Ok(())
}

#[tokio::test]
async fn row_03_037_functions_judge_what_was_entered() -> Result<()> {
    let master = Master::start(&config(
        r#"
  reason = util.StringParameter{name = "reason", default = "", validate = function(value)
    if #value < 5 then return "say a little more" end
  end},
  codebases = { util.CodebaseParameter{"", validate = function(stamp, p)
    if stamp.branch == "main" and p.kind == "experiment" then return "no experiments on main" end
  end} },
  properties = {
    util.StringParameter{name = "kind", default = "release", validate = function(value, p)
      p:setProperty("level", value == "release" and 2 or 1)
      p:setProperty("by", p:getProperty("owner") .. p:render(util.Interpolate "!"), "validate")
    end},
    util.ParameterGroup{name = "size", validate = function(size, p)
      if size.min > size.max then return ("min %d is more than max %d"):format(size.min, size.max) end
    end, fields = { util.IntParameter{name = "min", default = 1}, util.IntParameter{name = "max", default = 3} }},
    util.IntParameter{name = "odd", default = 1, validate = function(n)
      if n == 13 then error("thirteen") elseif n == 14 then return true end
    end},
  }"#,
    ))
    .await?;
    let refused =
        async |fields: Value| force(&master, fields).await.err().map(|e| e.to_string()).unwrap_or_default();
    for (fields, want) in [
        (json!({"reason": "why"}), r#""message":{"reason":"say a little more"}"#),
        (json!({"branch": "main", "kind": "experiment"}), "no experiments on main"),
        (json!({"size_min": 4}), r#"{"size":"min 4 is more than max 3"}"#),
        (json!({"odd": 13}), "thirteen"),
        (json!({"odd": 14}), "validate returned true; return nil, or a text that says what is wrong"),
        // What is wrong by itself is told first.
        (json!({"reason": "why", "odd": "x"}), r#"{"odd":"odd: 'x' is not a whole number"}"#),
    ] {
        let mut all = json!({"reason": "a good reason"});
        if let (Some(all), Some(more)) = (all.as_object_mut(), fields.as_object()) {
            all.extend(more.clone());
        }
        let found = refused(all).await;
        assert!(found.contains(want), "{fields}: {found}");
    }
    assert_eq!(master.get("buildsets").await?["meta"]["total"], 0, "nothing was built");
    force(&master, json!({"reason": "a good reason", "username": "J <j@x.y>"})).await?;
    let properties = master.get("buildsets/1/properties").await?["properties"][0].clone();
    assert_eq!(
        (&properties["level"], &properties["by"], &properties["kind"]),
        (
            &json!([2, "Force Build Form"]),
            &json!(["J <j@x.y>!", "validate"]),
            &json!(["release", "Force Build Form"])
        )
    );
    Ok(())
}

#[tokio::test]
async fn forced_requests_expire_as_the_scheduler_says() -> Result<()> {
    for (option, results) in [("requestTimeout = 1", 6), ("ignoreOfflineWorkersTimeout = 1", 3)] {
        let master = Master::start(&config(option)).await?;
        master.control("forceschedulers/force", "force", json!({"builderNames": ["never"]})).await?;
        master.until("buildrequests/1", |all| all["buildrequests"][0]["results"] == results).await?;
    }
    Ok(())
}
