//! `getState` and `setState`, which do the same for all that acts (14.028).

use anyhow::Result;
use lunabot_tests::{Master, running};

/// Told by each: what was never stored, nil, false, a table, and what was forgotten.
const BLOCK: &str = r#"
local function remembers(self)
  for key, value in pairs{off = false, list = {1, 2}, gone = "soon"} do self:setState(key, value) end
  self:setState("none", nil)
  self:setState("null", util.null)
  self:setState("gone", nil)
  local all = {}
  for i, key in ipairs{"never", "none", "null", "off", "list", "gone"} do all[i] = self:getState(key, "default") end
  util.log.info("STATE " .. self.name .. " " .. util.to_json(all) .. tostring(self:getState("gone")))
end
c.change_source = { changes.ChangeSource:extend("source", {activate = remembers}){} }
c.schedulers = { schedulers.ForceScheduler{name = "force", builderNames = {"runtests"}},
  schedulers.BaseBasicScheduler:extend("own", {activate = remembers}){name = "scheduler", builderNames = {"runtests"}} }
c.services = {
  util.BuildbotService:extend("service", {startService = remembers}){},
  reporters.ReporterBase:extend("own", {sendMessage = remembers}){name = "reporter", generators = {reporters.BuildStatusGenerator{}}},
}
"#;

#[tokio::test]
async fn row_14_028_all_that_acts_remembers_alike() -> Result<()> {
    let master = Master::start(&running(BLOCK)).await?;
    master.force("runtests").await?;
    for name in ["source", "scheduler", "service", "reporter"] {
        let wanted = format!(r#"STATE {name} ["default","default","default",false,[1,2],"default"]nil"#);
        let line = master.log_line(|line| line.contains(&format!("STATE {name} "))).await?;
        assert!(line.contains(&wanted), "{line}");
    }
    Ok(())
}
