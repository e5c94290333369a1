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
fn classes_are_declared_once_and_speak_to_users() {
    let files = lunabot_lua::stubs(&kinds());
    let mut known = BTreeSet::new();
    for (name, text) in &files {
        for class in text.lines().filter_map(|line| line.strip_prefix("---@class ")) {
            let class = class.split(' ').next().unwrap();
            // What a module has besides its kinds is declared by hand.
            let module = format!("{class}.lua") == format!("lunabot.{name}");
            assert!(known.insert(class) || module, "{class} is declared twice, again in {name}");
        }
        let row = |word: &str| {
            let digits = |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
            let word = word.trim_matches(|c: char| !c.is_ascii_digit());
            word.split_once('.').is_some_and(|(table, row)| digits(table, 2) && digits(row, 3))
        };
        let found = text.lines().find(|line| line.split_whitespace().any(row) || line.contains("lua-api"));
        assert_eq!(found, None, "{name}");
    }
    let config = &files.iter().find(|(name, _)| name == "config.lua").unwrap().1;
    for wanted in ["---@class lunabot.Config.Www\n", "---@field port? ", "---@field memory_limit? "] {
        assert!(config.contains(wanted), "{wanted} is not in {config}");
    }
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
