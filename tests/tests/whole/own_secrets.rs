//! Secret stores of classes of the configuration (12.001).

use crate::own_steps::built;
use anyhow::Result;
use lunabot_tests::{documented, running};

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
