//! Configurators of classes of the configuration (01.003, 01.025).

use anyhow::Result;
use lunabot_tests::{Master, documented, lunabot_binary, running};
use serde_json::Value;

/// Whether `checkconfig` accepts a configuration, and all that it says.
pub fn checked(config: &str) -> Result<(bool, String)> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("master.lua"), config)?;
    let output = std::process::Command::new(lunabot_binary()).arg("checkconfig").arg(dir.path()).output()?;
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.success(), told))
}

/// What `lunabot reconfig` says.
pub fn reconfig(master: &Master) -> Result<String> {
    let output = std::process::Command::new(lunabot_binary()).arg("reconfig").arg(master.dir()).output()?;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

async fn names(master: &Master, what: &str) -> Result<Vec<Value>> {
    let all = master.get(what).await?;
    Ok(all[what].as_array().into_iter().flatten().map(|one| one["name"].clone()).collect())
}

#[tokio::test]
async fn rows_01_003_01_025_a_configurator_adds_what_belongs_together() -> Result<()> {
    let config = documented("customization/configuration.md", "What belongs together", "")?;
    let master = Master::start(&config).await?;
    assert_eq!(names(&master, "builders").await?, ["runtests", "app", "site"]);
    assert_eq!(names(&master, "workers").await?, ["local", "app-worker", "site-worker"]);
    assert_eq!(names(&master, "forceschedulers").await?.len(), 3);
    let forced = master.control("forceschedulers/app", "force", serde_json::json!({})).await?;
    assert!(forced.is_array(), "{forced}");
    assert_eq!(master.finished_build(1).await?["results"], 0);
    assert!(master.step_log(1, "test", "stdio").await?.contains("echo test"));
    // A reload runs them again, on the new table.
    master.rewrite_config(&config.replace("steps = {\"render\"}", "steps = {\"render\", \"publish\"}"))?;
    let told = reconfig(&master)?;
    assert!(told.contains("changed builder site") && !told.contains("builder app"), "{told}");
    Ok(())
}

#[tokio::test]
async fn configurators_run_in_order_also_those_that_one_adds_and_may_wait() -> Result<()> {
    let block = r#"
local function adder(name, more)
  return util.Configurator:extend(name, {configure = function(self, c)
    util.sleep(0.01)
    c.title = (c.title or "") .. name
    if more then table.insert(c.configurators, adder(more)) end
  end})
end
local Janitor = util.JanitorConfigurator{logHorizon = "4w"}
c.configurators = { adder("a"), { Janitor, adder("b", "d"){}, false }, adder("c"){} }
c.www = { port = 0 }
"#;
    let master = Master::start(&running(block)).await?;
    let (_, page) = master.text("/").await?;
    assert!(page.contains("abcd"), "{page}");
    assert_eq!(names(&master, "builders").await?, ["runtests", "__Janitor"]);
    Ok(())
}

#[test]
fn row_01_025_mistakes_of_configurators_name_their_line() -> Result<()> {
    let of = |body: &str| {
        format!(
            "c.configurators = {{ util.Configurator:extend('Mine', {{configure = function(self, c)\n{body}\nend}}) }}"
        )
    };
    // The head of `running` has nine lines; the body is the line after the block's first.
    for (block, told) in [
        (of("error('oh')"), "master.lua:11: configure of Mine: oh"),
        (of("c.nothing.x = 1"), "master.lua:11: configure of Mine: attempt to index a nil value"),
        (of("c.builders[2] = util.BuilderConfig{name = 'x', workernames = {'nobody'}, factory = f}"), "master.lua:11: util.BuilderConfig: builder 'x' uses unknown worker 'nobody'"),
        (of("c.schedulers[2] = schedulers.Nightly{name = 'x', builderNames = {'y'}, frob = 1}"), "master.lua:11: schedulers.Nightly: frob: unknown option"),
        (of("lunabot.master.data.get('builds')"), "master.lua:11: configure of Mine: lunabot.master works inside callbacks"),
        ("c.configurators = { util.Configurator{} }".into(), "master.lua:10: util.Configurator: does nothing by itself: extend it with a method configure(self, c)"),
        ("c.configurators = { util.Configurator:extend('X', {configure = print}){frob = 1} }".into(), "master.lua:10: X: frob: unknown option"),
        ("c.configurators = { util.ChangeFilter{} }".into(), "master.lua:10: util.ChangeFilter: a util.ChangeFilter does not belong into configurators"),
        ("c.configurators = 7".into(), "configurators: expected"),
        (
            "local X = util.Configurator:extend('X', {params = {n = {type = 'integer', required = true}}, configure = function(self) local x = self.n + 1 end})\nc.configurators = { X{} }".into(),
            "master.lua:11: X: n: is missing",
        ),
    ] {
        let (ok, text) = checked(&running(&block))?;
        assert!(!ok && text.contains(told), "{block}: {text}");
    }
    // By then its time is over, of the processor or, where that is busy, of the wall.
    let (ok, text) = checked(&running(&of("while true do end")))?;
    assert!(!ok && (text.contains("computes for more than 10 s") || text.contains("within 60 s")), "{text}");
    Ok(())
}
