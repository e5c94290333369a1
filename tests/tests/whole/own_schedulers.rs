//! Schedulers of classes of the configuration (03.001–03.006, lua-api § 3).

use super::own_configurators::{checked, reconfig};
use anyhow::Result;
use lunabot_tests::{Master, documented, running};
use serde_json::{Value, json};

const PAGE: &str = "customization/schedulers.md";
const HOOK: &str = "c.www = { port = 0, change_hook_dialects = { base = true } }\n";

async fn change(master: &Master, comments: &str, files: &str) -> Result<()> {
    let fields = [("author", "joe"), ("comments", comments), ("branch", "main"), ("files", files)];
    anyhow::ensure!(master.change_hook(&fields).await? == 202);
    Ok(())
}

/// The reasons of all buildsets, in their order.
fn reasons(answer: &Value) -> Vec<&str> {
    let all = answer["buildsets"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|set| set["reason"].as_str()).collect()
}

/// The row of the scheduler that is not `force`.
async fn row(master: &Master) -> Result<Value> {
    let all = master.get("schedulers").await?;
    let rows = all["schedulers"].as_array().cloned().unwrap_or_default();
    Ok(rows.into_iter().find(|row| row["name"] != "force").unwrap_or_default())
}

/// A scheduler `own` of a class with this body, which hears of changes by the hook.
fn own(body: &str, options: &str) -> String {
    running(&format!(
        "{HOOK}local Own = schedulers.BaseBasicScheduler:extend('Own', {{{body}}})\n\
         c.schedulers[2] = Own{{name = 'own', builderNames = {{'runtests'}}, {options}}}"
    ))
}

#[tokio::test]
async fn row_03_005_a_scheduler_chooses_the_builders() -> Result<()> {
    let master = Master::start(&documented(PAGE, "A scheduler that chooses the builders", HOOK)?).await?;
    change(&master, "one", r#"["docs/index.md"]"#).await?;
    change(&master, "two", r#"["src/a.c", "docs/a.md", "src/b.c"]"#).await?;
    change(&master, "three", "[]").await?;
    let all = master.until("buildrequests?order=buildrequestid", |all| all["meta"]["total"] == 3).await?;
    let builders: Vec<_> = all["buildrequests"].as_array().into_iter().flatten().collect();
    let builders: Vec<_> =
        builders.iter().map(|r| (r["buildsetid"].clone(), r["builderid"].clone())).collect();
    assert_eq!(builders[0], (json!(1), json!(2)));
    assert!(builders[1..].contains(&(json!(2), json!(1))) && builders[1..].contains(&(json!(2), json!(2))));
    let sets = master.get("buildsets?order=bsid").await?;
    assert_eq!(sets["buildsets"][0]["sourcestamps"][0]["branch"], "main");
    assert_eq!(reasons(&sets)[0], "The ByFolder scheduler named 'by folder' triggered this build");
    master.log_line(|line| line.contains("buildset 2 has 2 requests")).await?;
    let times = master.get("schedules").await?.to_string();
    assert!(times.contains("as ByFolder says"), "{times}");
    Ok(())
}

#[tokio::test]
async fn what_waits_for_a_timer_of_ones_own_is_built_after_a_crash() -> Result<()> {
    let config = documented(PAGE, "A timer of one's own", HOOK)?;
    let master = Master::start(&config).await?;
    change(&master, "one", "[]").await?;
    change(&master, "two", "[]").await?;
    let sets = master.until("buildsets", |all| all["meta"]["total"] == 1).await?;
    assert_eq!(reasons(&sets), ["2 changes"]);
    // Killed before the time has come.
    master.rewrite_config(&config.replace("every = 2}", "every = 3600}"))?;
    reconfig(&master)?;
    change(&master, "three", "[]").await?;
    let seen = |all: &Value| all["meta"]["total"] == 3;
    master.until("changes", seen).await?;
    let dir = master.kill().await?;
    std::fs::write(dir.path().join("master.lua"), &config)?;
    let master = Master::start_in(dir).await?;
    let sets = master.until("buildsets?order=bsid", |all| all["meta"]["total"] == 2).await?;
    assert_eq!(reasons(&sets), ["2 changes", "1 changes"]);
    Ok(())
}

#[tokio::test]
async fn rows_03_012_03_013_a_class_hands_changes_to_its_base() -> Result<()> {
    let config = documented(PAGE, "The built-in ones with a rule of one's own", HOOK)?;
    let master = Master::start(&config).await?;
    change(&master, "typo", "[]").await?;
    change(&master, "skip this [skip ci]", "[]").await?;
    change(&master, "good", "[]").await?;
    let sets = master.until("buildsets", |all| all["meta"]["total"] == 1).await?;
    let stamp = &sets["buildsets"][0]["sourcestamps"][0]["ssid"];
    assert_eq!(sets["buildsets"][0]["reason"], "The Careful scheduler named 'careful' triggered this build");
    let changes = master.get("changes?comments=good").await?;
    assert_eq!(changes["changes"][0]["sourcestamp"]["ssid"], *stamp, "of the newest that counts");
    Ok(())
}

#[tokio::test]
async fn row_03_006_a_scheduler_acts_without_changes() -> Result<()> {
    let master = Master::start(&documented(PAGE, "Without changes", HOOK)?).await?;
    let sets = master.until("buildsets", |all| all["meta"]["total"] == 1).await?;
    assert_eq!(reasons(&sets), ["still well?"]);
    assert_eq!(sets["buildsets"][0]["sourcestamps"][0]["branch"], "main");
    let properties = master.get("buildsets/1/properties").await?;
    let properties = &properties["properties"][0];
    assert_eq!(properties["by"], json!(["heartbeat", "Scheduler"]), "{properties}");
    assert_eq!(properties["scheduler"], json!(["heartbeat", "Scheduler"]));
    Ok(())
}

#[tokio::test]
async fn rows_03_001_03_004_the_options_of_schedulers_count() -> Result<()> {
    let config = own(
        "gotChange = function(self, change, important)
           local set = self:addBuildsetForChanges{changeids = {change.changeid}, properties = {important = important, fixed = 2},
             external_idstring = 'x' .. change.changeid, reason = change.comments}
           assert(#set.brids == 1 and set.bsid)
         end",
        "priority = 7, properties = {fixed = 1, rendered = util.Interpolate '%(src::branch)s'}, \
         change_filter = util.ChangeFilter{branch = 'main'}, \
         fileIsImportant = function(change) return change.comments ~= 'small' end",
    );
    let master = Master::start(&config).await?;
    assert_eq!(master.change_hook(&[("author", "joe"), ("comments", "other"), ("branch", "b")]).await?, 202);
    change(&master, "small", "[]").await?;
    change(&master, "big", "[]").await?;
    let sets = master.until("buildsets?order=bsid", |all| all["meta"]["total"] == 2).await?;
    assert_eq!(reasons(&sets), ["small", "big"]);
    assert_eq!(sets["buildsets"][1]["external_idstring"], "x3");
    let properties = master.get("buildsets/1/properties").await?["properties"][0].clone();
    assert_eq!((&properties["important"][0], &properties["fixed"][0]), (&json!(false), &json!(1)));
    assert_eq!(properties["rendered"], json!(["main", "Scheduler"]));
    assert_eq!(master.get("buildrequests").await?["buildrequests"][0]["priority"], 7);
    Ok(())
}

/// Says when it begins and leaves, and builds what it hears of.
const ANNOUNCER: &str = "
activate = function(self) self.seen = 0 util.log.info('arrives as A') end,
deactivate = function() util.log.info('leaves') end,
gotChange = function(self, change)
  self.seen = self.seen + 1
  self:addBuildsetForChanges{changeids = {change.changeid}, reason = change.comments .. ' ' .. self.seen}
end";

#[tokio::test]
async fn row_03_003_a_scheduler_is_switched_off_and_on() -> Result<()> {
    let master = Master::start(&own(ANNOUNCER, "")).await?;
    master.log_line(|line| line.contains("arrives")).await?;
    let id = row(&master).await?["schedulerid"].clone();
    let switch =
        async |on: bool| master.control(&format!("schedulers/{id}"), "enable", json!({"enabled": on})).await;
    change(&master, "one", "[]").await?;
    master.until("buildsets", |all| all["meta"]["total"] == 1).await?;
    switch(false).await?;
    master.log_line(|line| line.contains("leaves")).await?;
    assert_eq!(row(&master).await?["enabled"], false);
    change(&master, "unseen", "[]").await?;
    switch(true).await?;
    let again = |log: String| log.lines().filter(|line| line.contains("arrives")).count() == 2;
    master.log_line(|line| line.contains("arrives") && again(master.log())).await?;
    change(&master, "two", "[]").await?;
    let sets = master.until("buildsets?order=bsid", |all| all["meta"]["total"] == 2).await?;
    assert_eq!(reasons(&sets), ["one 1", "two 1"]);
    Ok(())
}

#[tokio::test]
async fn row_01_011_a_reload_touches_a_scheduler_only_where_it_differs() -> Result<()> {
    let config = own(ANNOUNCER, "");
    let master = Master::start(&config).await?;
    change(&master, "one", "[]").await?;
    master.until("buildsets", |all| all["meta"]["total"] == 1).await?;
    // Another builder, which the untouched scheduler need not know; and all is moved.
    let more = "c.builders[2] = util.BuilderConfig{name = 'more', workernames = {'local'}, factory = f}\n\
                c.schedulers[1] = schedulers.ForceScheduler{name = 'force', builderNames = {'runtests', 'more'}}\n";
    let moved = config.replace(HOOK, &format!("{more}{HOOK}"));
    master.rewrite_config(&moved)?;
    let told = reconfig(&master)?;
    assert!(told.contains("unchanged: ") && !told.contains("scheduler own"), "{told}");
    change(&master, "two", "[]").await?;
    master.until("buildsets", |all| all["meta"]["total"] == 2).await?;
    assert!(!master.log().contains("leaves"), "{}", master.log());
    // The class differs.
    master.rewrite_config(&moved.replace("as A", "as B"))?;
    let told = reconfig(&master)?;
    assert!(told.contains("changed scheduler own"), "{told}");
    master.log_line(|line| line.contains("arrives as B")).await?;
    change(&master, "three", "[]").await?;
    let sets = master.until("buildsets?order=bsid", |all| all["meta"]["total"] == 3).await?;
    assert_eq!(reasons(&sets), ["one 1", "two 2", "three 1"]);
    assert!(master.log().contains("leaves"));
    Ok(())
}

/// Its functions are those of the generation that made it.
#[tokio::test]
async fn row_03_005_a_scheduler_renders_what_it_has_captured_after_a_reload_too() -> Result<()> {
    let body = "
gotChange = (function()
  local why = util.renderer(function(p) return 'as ' .. p.scheduler end)
  return function(self, change)
    self:addBuildsetForChanges{changeids = {change.changeid}, properties = {why = why}}
  end
end)()";
    let config = own(body, "");
    let master = Master::start(&config).await?;
    for (generation, comments) in ["one", "two"].into_iter().enumerate() {
        change(&master, comments, "[]").await?;
        let sets = master.until("buildsets", |all| all["meta"]["total"] == generation + 1).await?;
        assert_eq!(sets["meta"]["total"], generation + 1);
        let properties = master.get(&format!("buildsets/{}/properties", generation + 1)).await?;
        assert_eq!(properties["properties"][0]["why"][0], "as own", "{properties}");
        let told = reconfig(&master)?;
        assert!(told.contains("unchanged: "), "{told}");
    }
    Ok(())
}

/// Waits in the first change until the file `go` is there.
const SLOW: &str = "
gotChange = function(self, change)
  util.log.info('looks at ' .. change.comments)
  while not pcall(util.read_file, 'go') do util.sleep(0.02) end
  self:addBuildsetForChanges{changeids = {change.changeid}, reason = change.comments .. ' by A'}
end";

#[tokio::test]
async fn a_change_that_is_under_way_when_the_master_is_killed_is_looked_at_again() -> Result<()> {
    let master = Master::start(&own(SLOW, "")).await?;
    change(&master, "one", "[]").await?;
    master.log_line(|line| line.contains("looks at one")).await?;
    change(&master, "two", "[]").await?;
    let dir = master.kill().await?;
    std::fs::write(dir.path().join("go"), "")?;
    let mut master = Master::start_in(dir).await?;
    let sets = master.until("buildsets?order=bsid", |all| all["meta"]["total"] == 2).await?;
    assert_eq!(reasons(&sets), ["one by A", "two by A"]);
    // What was looked at to its end is not looked at again.
    master.signal(nix::sys::signal::Signal::SIGTERM)?;
    assert_eq!(master.ended().await?, Some(0));
    let master = Master::start_in(master.shared_dir()).await?;
    change(&master, "three", "[]").await?;
    let sets = master.until("buildsets?order=bsid", |all| all["meta"]["total"] == 3).await?;
    assert_eq!(reasons(&sets), ["one by A", "two by A", "three by A"]);
    Ok(())
}

#[tokio::test]
async fn a_change_that_is_under_way_when_the_configuration_is_reloaded_is_finished() -> Result<()> {
    let config = own(SLOW, "");
    let master = Master::start(&config).await?;
    change(&master, "one", "[]").await?;
    master.log_line(|line| line.contains("looks at one")).await?;
    change(&master, "two", "[]").await?;
    master.rewrite_config(&config.replace("by A", "by B"))?;
    let told = reconfig(&master)?;
    assert!(told.contains("changed scheduler own"), "{told}");
    std::fs::write(master.dir().join("go"), "")?;
    let sets = master.until("buildsets?order=bsid", |all| all["meta"]["total"] == 2).await?;
    assert_eq!(reasons(&sets), ["one by A", "two by B"]);
    Ok(())
}

#[tokio::test]
async fn faults_of_got_change_are_told_and_the_next_change_is_built() -> Result<()> {
    for (fault, told) in [
        ("error('oh')", "oh"),
        ("while true do end", "computed longer"),
        ("util.sleep(1000)", "did not end within 2 s"),
        ("self:addBuildsetForChanges{changeids = 3}", "changeids"),
        ("self:addBuildsetForChanges{changeids = {77}}", "changeids: there is no change 77"),
        ("self:addBuildsetForChanges{changids = {1}}", "did you mean changeids?"),
        (
            "self:addBuildsetForChanges{builderNames = {'runtest'}}",
            "there is no builder runtest, did you mean runtests?",
        ),
        ("self:addBuildsetForChanges(1)", "addBuildsetForChanges(options): options"),
        ("self:addBuildsetForChanges({}, {})", "takes 1 argument, got 2"),
        ("self:addBuildsetForChanges{properties = {x = function() end}}", "function"),
        (
            "self:addBuildsetForSourceStampsWithDefaults{sourcestamps = {{codebase = 'a'}, {codebase = 'a'}}}",
            "is given more than one",
        ),
        ("self:addBuildsetForSourceStampsWithDefaults{sourcestamps = {{brnch = 'a'}}}", "brnch"),
        ("schedulers.BaseBasicScheduler.gotChange(self, 7, true)", "change: expected the change"),
        ("self.master.nothing()", "master has no nothing"),
        ("self:callLater(0, function() error('late') end)", "late"),
        (
            "self:callLater(0.5, function() schedulers.BaseBasicScheduler.gotChange(self, change, true) end)",
            "change: expected the change",
        ),
    ] {
        let body = format!(
            "gotChange = function(self, change)
               if change.comments == 'bad' then
                 {fault}
                 return 7
               end
               self:addBuildsetForChanges{{changeids = {{change.changeid}}, reason = change.comments}}
             end"
        );
        // Only where it counts: what computes is to be stopped for that, however busy the machine is.
        let limit = if told.contains("did not end") { "c.lua = {callback_timeout = 2}\n" } else { "" };
        let config = own(&body, "").replace(HOOK, &format!("{limit}{HOOK}"));
        let mut master = Master::start(&config).await?;
        change(&master, "bad", "[]").await?;
        change(&master, "good", "[]").await?;
        let sets = master.until("buildsets", |all| all["meta"]["total"] == 1).await;
        let sets = sets.map_err(|error| error.context(fault))?;
        assert_eq!(reasons(&sets), ["good"], "{fault}");
        let line = master.log_line(|line| line.contains(told) && line.contains("scheduler own")).await;
        line.map_err(|error| error.context(fault))?;
        let errors = master.get("script_errors").await?;
        let row = &errors["script_errors"][0];
        assert!(row["message"].as_str().unwrap_or_default().contains(told), "{fault}: {errors}");
        assert_eq!(
            (&row["concerns"], &row["file"]),
            (&json!("scheduler own"), &json!("master.lua")),
            "{fault}"
        );
        master.signal(nix::sys::signal::Signal::SIGTERM)?;
        assert_eq!(master.ended().await?, Some(0), "{fault}");
    }
    Ok(())
}

#[tokio::test]
async fn changes_wait_for_a_scheduler_that_cannot_be_activated_yet() -> Result<()> {
    let body = "activate = function(self)
         if not pcall(util.read_file, 'go') then error('not yet') end
         util.log.info('arrives')
       end,
       gotChange = function(self, change)
         self:addBuildsetForChanges{changeids = {change.changeid}, reason = change.comments}
       end";
    let master = Master::start(&own(body, "")).await?;
    master.log_line(|line| line.contains("could not be activated") && line.contains("not yet")).await?;
    change(&master, "one", "[]").await?;
    change(&master, "two", "[]").await?;
    master.force("runtests").await?;
    master.finished_build(1).await?;
    std::fs::write(master.dir().join("go"), "")?;
    let sets = master.until("buildsets?order=bsid", |all| all["meta"]["total"] == 3).await?;
    assert_eq!(reasons(&sets)[1..], ["one", "two"]);
    Ok(())
}

#[tokio::test]
async fn a_scheduler_that_has_ended_builds_nothing() -> Result<()> {
    let body = "activate = function(self)
         KEPT = self
         self:callLater(3, function() util.log.info('a timer of the old one') end)
         lunabot.master.mq.subscribe('changes/*/new', function(_, change)
           local ok, why = pcall(KEPT.addBuildsetForSourceStampsWithDefaults, KEPT, {reason = 'late'})
           util.log.info(change.comments .. ': ' .. tostring(why))
           ok, why = pcall(KEPT.callLater, KEPT, 0, print)
           util.log.info(change.comments .. ': ' .. tostring(why))
         end)
       end,
       gotChange = function() end";
    let master = Master::start(&own(body, "")).await?;
    master.until("schedulers", |all| all["meta"]["total"] == 2).await?;
    let id = row(&master).await?["schedulerid"].clone();
    change(&master, "before", "[]").await?;
    master.until("buildsets", |all| all["meta"]["total"] == 1).await?;
    master.control(&format!("schedulers/{id}"), "enable", json!({"enabled": false})).await?;
    let mut number = 0;
    while !master.log().contains("scheduler own acts no more") {
        number += 1;
        change(&master, &format!("after {number}"), "[]").await?;
        master.log_line(|line| line.contains(&format!("after {number}: "))).await?;
        assert!(number < 100, "{}", master.log());
    }
    master.log_line(|line| line.contains("callLater: ") && line.contains("has ended")).await?;
    Ok(())
}

#[tokio::test]
async fn row_03_037_a_parameter_says_what_an_entered_text_means() -> Result<()> {
    let master = Master::start(&documented(PAGE, "Parameters of forms", "")?).await?;
    let force = async |fields: Value| master.control("forceschedulers/force", "force", fields).await;
    let fields = master.get("forceschedulers/force").await?["forceschedulers"][0]["all_fields"].clone();
    let version = fields.as_array().into_iter().flatten().find(|field| field["name"] == "version");
    let version = version.cloned().unwrap_or_default();
    assert_eq!((&version["type"], &version["label"]), (&json!("text"), &json!("Version")), "{fields}");
    for (entered, told) in
        [(json!("1.9"), "version 2 is the least"), (json!("new"), "does not match pattern")]
    {
        let error = force(json!({"version": entered})).await.unwrap_err().to_string();
        assert!(error.contains("\"version\"") && error.contains(told), "{error}");
    }
    force(json!({"version": ["v2.14"]})).await?;
    force(json!({})).await?;
    for (set, wanted) in [(1, json!([2, 14])), (2, json!([3, 0]))] {
        let told = master.get(&format!("buildsets/{set}/properties")).await?["properties"][0].clone();
        assert_eq!(told["version"], json!([wanted, "Force Build Form"]));
    }
    assert!(master.get("script_errors").await?.to_string().find("least").is_none());
    Ok(())
}

#[tokio::test]
async fn row_03_037_faults_of_parameters_are_shown_at_their_field() -> Result<()> {
    let block = r#"
c.lua = {callback_timeout = 2}
local function field(name, fn)
  return util.BaseParameter:extend({parse_from_arg = fn}){name = name, default = "x", multiple = name == "several"}
end
c.schedulers[1] = schedulers.ForceScheduler{name = "force", builderNames = {"runtests"}, properties = {
  field("raises", function(self, value) if value == "bad" then error("oh") end return value end),
  field("loops", function(self, value) while value == "bad" do end return self.name end),
  field("waits", function(self, value) if value == "bad" then util.sleep(1000) end end),
  util.NestedParameter{name = "group", fields = {field("several", function(self, value) return value .. "!" end)}},
}}
"#;
    let patient = Master::start(&running(&block.replace("c.lua = {callback_timeout = 2}", ""))).await?;
    let hasty = Master::start(&running(block)).await?;
    for (master, name, told) in [
        (&patient, "raises", "oh"),
        (&patient, "loops", "computed longer"),
        (&hasty, "waits", "did not end within 2 s"),
    ] {
        let params = json!({name: "bad"});
        let error = master.control("forceschedulers/force", "force", params).await.unwrap_err().to_string();
        let wanted = "parse_from_arg failed: master.lua:";
        assert!(error.contains(&format!("\"{name}\"")) && error.contains(wanted), "{error}");
        assert!(error.contains(told), "{error}");
        let errors = master.get("script_errors").await?.to_string();
        assert!(errors.contains(&format!("field {name} of scheduler force")), "{errors}");
    }
    let good = json!({"raises": "a", "group_several": ["b", "c"]});
    patient.control("forceschedulers/force", "force", good).await?;
    let told = patient.get("buildsets/1/properties").await?["properties"][0].clone();
    assert_eq!(told["raises"][0], "a");
    assert_eq!(told["loops"][0], "loops");
    assert_eq!(told["group"][0], json!({"several": ["b!", "c!"]}));
    assert!(told.get("waits").is_none(), "nothing is no property: {told}");
    Ok(())
}

#[test]
fn mistakes_in_schedulers_of_ones_own_name_their_line() -> Result<()> {
    let of = |make: &str| running(&format!("c.schedulers[2] = {make}"));
    for (config, told) in [
        (
            of("schedulers.BaseBasicScheduler{name = 'x', builderNames = {'runtests'}}"),
            "is the base of schedulers of your own: extend it",
        ),
        (
            of("schedulers.BaseBasicScheduler:extend('X', {gotChange = print}){builderNames = {'runtests'}}"),
            "name",
        ),
        (
            of("schedulers.BaseBasicScheduler:extend('X', {}){name = 'x', builderNames = {'runtest'}}"),
            "Unknown builder 'runtest' in scheduler 'x', did you mean 'runtests'?",
        ),
        (
            of(
                "schedulers.BaseBasicScheduler:extend('X', {}){name = 'x', builderNames = {'runtests'}, createAbsoluteSourceStamps = true}",
            ),
            "extend SingleBranchScheduler, which has it",
        ),
        (
            of(
                "schedulers.BaseBasicScheduler:extend('X', {}){name = 'x', builderNames = {'runtests'}}\nf:addStep(steps.Trigger{schedulerNames = {'x'}})",
            ),
            "which cannot be triggered",
        ),
        (
            of(
                "schedulers.ForceScheduler{name = 'x', builderNames = {'runtests'}, properties = {util.BaseParameter{name = 'a'}}}",
            ),
            "is the base of parameters of your own: extend it",
        ),
        (
            of("schedulers.Nightly:extend('X', {}){name = 'x'}"),
            "extending schedulers.Nightly is not supported yet",
        ),
    ] {
        let (ok, text) = checked(&config)?;
        assert!(!ok && text.contains(told) && text.contains("master.lua:"), "{told}: {text}");
    }
    let (ok, text) = checked(&of(
        "schedulers.BaseBasicScheduler:extend('X', {getChangeFilter = print, gotChange = function(a, b, c, d) end}){name = 'x', builderNames = {'runtests'}}",
    ))?;
    assert!(
        ok && text.contains(
            "getChangeFilter is a method of your own, which nothing calls; give the option change_filter"
        ),
        "{text}"
    );
    assert!(text.contains("gotChange is called with (self, change, important) alone"), "{text}");
    Ok(())
}
