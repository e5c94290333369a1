//! Definitions for editors: they say what is there, and nothing else.

use crate::support::{Folder, HEAD, kinds};
use std::collections::BTreeSet;

/// The names of `util` that a configuration finds without any kind.
async fn helpers() -> BTreeSet<String> {
    // First of all: what a configuration has used stays in the table.
    let names = r#"do
  local util, names = require("lunabot").util, {}
  for name in pairs(util) do names[#names + 1] = name end
  util.write_file("names", table.concat(names, " "))
end
"#;
    let folder = Folder::new(&format!("{names}{HEAD}return c\n"));
    folder.load().await.unwrap_or_else(|failure| panic!("{failure}"));
    let names = std::fs::read_to_string(folder.dir.path().join("names")).unwrap();
    names.split(' ').map(str::to_owned).collect()
}

fn defined(text: &str) -> BTreeSet<String> {
    let class = text.split("---@class lunabot.util\n").nth(1).unwrap();
    let fields = class.lines().map_while(|line| line.strip_prefix("---@field "));
    fields.map(|field| field.split([' ', '?']).next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn they_know_every_function_of_util() {
    let files = lunabot_lua::stubs(&[]);
    let api = &files.iter().find(|(name, _)| name == "api.lua").unwrap().1;
    let (there, said) = (helpers().await, defined(api));
    let missing: Vec<_> = there.difference(&said).collect();
    let invented: Vec<_> = said.difference(&there).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing {missing:?}, invented {invented:?}");
}

#[test]
fn options_are_told_with_what_they_take_and_mean() {
    let files = lunabot_lua::stubs(&kinds());
    let steps = &files.iter().find(|(name, _)| name == "steps.lua").unwrap().1;
    for wanted in [
        "---@class lunabot.steps.ShellCommand.Options",
        "---@field haltOnFailure? boolean",
        "---@field [1]? ",
        "---@overload fun(options",
    ] {
        assert!(steps.contains(wanted), "{wanted} is not in {steps}");
    }
}
