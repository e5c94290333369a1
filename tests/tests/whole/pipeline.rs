//! The example `pipeline`: Triggerable, Dependent and the timed schedulers together.

use anyhow::{Context, Result};
use lunabot_tests::{Master, project_root};
use serde_json::{Value, json};

fn named<'a>(rows: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    rows[list].as_array()?.iter().find(|row| row["name"] == name)
}

#[tokio::test]
async fn a_forced_package_is_tested_and_published_and_the_night_is_planned() -> Result<()> {
    let text = std::fs::read_to_string(project_root().join("config-examples/pipeline/master.lua"))?;
    let master = Master::start(&text.replace("127.0.0.1:8010", "127.0.0.1:0")).await?;
    master.force("package").await?;
    let done = |all: &Value| {
        let all = all["builds"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.len() == 4 && all.iter().all(|build| build["complete"] == true)
    };
    let builds = master.until("builds?order=buildid", done).await?;
    assert!(builds["builds"].as_array().into_iter().flatten().all(|b| b["results"] == 0), "{builds}");
    let builders = master.get("builders").await?;
    let publish = named(&builders, "builders", "publish").context("the builder publish")?;
    assert_eq!(builds["builds"][3]["builderid"], publish["builderid"], "published last");
    let sets = master.get("buildsets?order=-bsid&limit=1").await?;
    assert_eq!(sets["buildsets"][0]["reason"], "downstream", "03.015");

    let schedules = master.get("schedules").await?;
    let night = named(&schedules, "schedules", "measure-at-night").context("the row")?;
    let next = night["next_at"].as_i64().context("a next time")?;
    assert_eq!((next % 86_400, &night["kind"]), (3 * 3600, &json!("schedulers.NightlyTriggerable")));
    assert!(named(&schedules, "schedules", "tests").context("the row")?["last_at"].is_i64());
    let (status, page) = master.text("/schedulers").await?;
    assert!(status == 200 && page.contains("at 30 2 * * mon-fri") && page.contains("next <time"), "{page}");
    let all = master.get("schedulers").await?;
    assert_eq!(all["schedulers"].as_array().map(Vec::len), Some(5));
    Ok(())
}
