//! Secret stores of classes of the configuration (12.001).

use crate::own_steps::built;
use anyhow::Result;
use lunabot_tests::{documented, running};
use serde_json::json;

#[tokio::test]
async fn row_12_001_a_secret_store_in_lua_is_asked_and_its_values_are_masked() -> Result<()> {
    let (master, build) = built(&documented("customization/secrets.md", "A secret store", "")?).await?;
    assert_eq!(build["results"], 0, "{build}");
    let log = master.step_log(1, "tell", "stdio").await?;
    assert!(log.contains("<token>") && !log.contains("s3cret"), "{log}");
    for (get, told) in [
        ("function() error('locked') end", "locked"),
        ("function() return 3 end", "get returned what is no text"),
    ] {
        let block = format!(
            "c.secretsProviders = {{ secrets.Provider:extend('P', {{get = {get}}}){{}} }} \
             f:addStep(steps.ShellCommand{{command = {{'echo', util.Secret('token')}}, name = 'tell'}})"
        );
        let (master, build) = built(&running(&block)).await?;
        assert_eq!(build["results"], 4, "{get}: {build}");
        let log = master.step_log(1, "tell", "err_text").await?;
        assert!(log.contains("secret token") && log.contains(told), "{get}: {log}");
    }
    Ok(())
}

#[tokio::test]
async fn row_04_039_what_functions_say_of_secrets_is_masked_everywhere() -> Result<()> {
    let block = r#"
c.secretsProviders = { secrets.Provider:extend('P', {get = function() return "s3cr3t/+ v%lue" end}){} }
f:addStep(steps.BuildStep:extend("Says", {params = {s = {type = "string", renderable = true}}, run = function(self)
  util.log.warn("warned of " .. self.s, {field = self.s})
  error("error of " .. self.s)
end}){s = util.Secret("token"), name = "says"})
f:addStep(steps.SetPropertyFromCommand{command = {"echo", util.Secret("token")}, name = "from", alwaysRun = true, haltOnFailure = false,
  extract_fn = function(rc, out) error("extract of " .. out) end})
f:addStep(steps.GET{url = util.Interpolate("http://127.0.0.1:1/%(secret:token)s?q=%(secret:token)s"), name = "get", alwaysRun = true})
"#;
    let (master, build) = built(&running(block)).await?;
    assert_eq!(build["results"], 4, "{build}");
    let errors = master.get("script_errors").await?.to_string();
    assert!(errors.contains("error of <token>") && errors.contains("extract of <token>"), "{errors}");
    let (_, health) = master.text("/health").await?;
    let mut said = vec![errors, health, master.log()];
    for (step, log) in [("says", "err_text"), ("from", "stdio"), ("from", "err_text"), ("get", "log")] {
        said.push(master.step_log(1, step, log).await?);
    }
    for text in said {
        assert!(!text.contains("s3cr3t"), "{text}");
    }
    let log = master.log();
    assert!(log.contains("warned of <token> {\"field\":\"<token>\"}"), "{log}");
    assert_eq!(master.get("builds/1/steps/get").await?["steps"][0]["results"], json!(2));
    Ok(())
}
