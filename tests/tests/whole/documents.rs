//! Every example and every Lua block of the documentation is a configuration that loads.

use anyhow::{Context, Result};
use lunabot_tests::{BEFORE, lunabot_binary, project_root, shown_files, site_packages};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Where the documentation has the packages of Buildbot.
const PACKAGES: &str = "/opt/buildbot-www/lib/python3.13/site-packages";

#[test]
fn every_example_loads() -> Result<()> {
    let mut count = 0;
    for entry in std::fs::read_dir(project_root().join("config-examples"))? {
        let path = entry?.path();
        if path.join("master.lua").is_file() {
            check(&path).with_context(|| path.display().to_string())?;
            count += 1;
        }
    }
    assert!(count > 0, "there are examples");
    Ok(())
}

#[test]
fn every_lua_block_of_the_documentation_loads() -> Result<()> {
    let mut count = 0;
    for file in markdown(&project_root().join("docs"))?.into_iter().chain([project_root().join("README.md")])
    {
        let text = std::fs::read_to_string(&file)?;
        for (line, block) in blocks(&text) {
            let checked =
                if is_tests(&block) { run_tests(&text, &block) } else { check_block(&text, &block) };
            checked.with_context(|| format!("{}:{line}", file.display()))?;
            count += 1;
        }
    }
    assert!(count > 0, "the documentation has Lua blocks");
    Ok(())
}

pub(crate) fn markdown(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(markdown(&path)?);
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The Lua blocks of a page with the number of their first line.
pub(crate) fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            None if line.trim() == "```lua" => open = Some((number + 2, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => found.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    found
}

/// Tests of the configuration that the page shows whole.
fn is_tests(block: &str) -> bool {
    block.contains("require \"lunabot.test\"")
}

fn run_tests(page: &str, block: &str) -> Result<()> {
    let dir = TempDir::new()?;
    let config = blocks(page).into_iter().map(|(_, block)| block).find(|block| block.contains("\nreturn c"));
    std::fs::write(dir.path().join("master.lua"), config.context("the page shows no configuration")?)?;
    std::fs::write(dir.path().join("master_test.lua"), block)?;
    succeeds("test", dir.path())
}

fn check_block(page: &str, block: &str) -> Result<()> {
    let dir = TempDir::new()?;
    shown_files(page, dir.path())?;
    let whole = block.lines().any(|line| line.starts_with("return "));
    let text = if whole { block.to_string() } else { format!("{BEFORE}{block}\nreturn c\n") };
    let text = text.replace(PACKAGES, &site_packages()?.to_string_lossy());
    std::fs::write(dir.path().join("master.lua"), text)?;
    check(dir.path())
}

fn check(dir: &Path) -> Result<()> {
    succeeds("checkconfig", dir)
}

fn succeeds(command: &str, dir: &Path) -> Result<()> {
    let output = Command::new(lunabot_binary()).arg(command).arg(dir).output()?;
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), "{told}");
    Ok(())
}
