//! Which room may know which (`docs/architecture.md`, "Rooms"), and which outside crates belong in one room only.

use anyhow::Result;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use lunabot_tests::project_root;
use std::collections::BTreeSet;

/// Room → rooms it may depend on. The binary and the tests see all.
const ARROWS: &[(&str, &[&str])] = &[
    ("lunabot-model", &[]),
    ("lunabot-proto", &[]),
    ("lunabot-net", &[]),
    ("lunabot-db", &["lunabot-model"]),
    ("lunabot-data", &["lunabot-model", "lunabot-db"]),
    ("lunabot-engine", &["lunabot-model", "lunabot-proto", "lunabot-data", "lunabot-net"]),
    ("lunabot-steps", &["lunabot-model", "lunabot-engine", "lunabot-net"]),
    ("lunabot-integrations", &["lunabot-model", "lunabot-data", "lunabot-net"]),
    ("lunabot-lua", &["lunabot-model", "lunabot-net"]),
    ("lunabot-www", &["lunabot-model", "lunabot-data", "lunabot-net"]),
    ("lunabot-worker", &["lunabot-proto"]),
];

/// Outside crate → the only rooms that may name it; the load driver measures some of them bare.
const KEPT_IN: &[(&str, &[&str])] =
    &[("sqlx", &["lunabot-db"]), ("mlua", &["lunabot-lua"]), ("axum", &["lunabot-www"])];

/// Rooms without an async runtime, at any depth of their dependencies.
const WITHOUT_RUNTIME: &[&str] = &["lunabot-model", "lunabot-proto"];

/// Rooms that see everything.
const SEE_ALL: &[&str] = &["lunabot", "lunabot-tests"];

fn metadata() -> Result<Metadata> {
    Ok(MetadataCommand::new().manifest_path(project_root().join("Cargo.toml")).exec()?)
}

/// What a package builds with; what its tests use is its own affair.
fn needs(package: &Package) -> BTreeSet<&str> {
    let used = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
    used.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn rooms_know_only_whom_they_may() -> Result<()> {
    let metadata = metadata()?;
    let mut bad = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let allowed = match ARROWS.iter().find(|(room, _)| *room == name) {
            Some((_, allowed)) => *allowed,
            None if SEE_ALL.contains(&name) => continue,
            None => panic!("{name} is a new room: say in docs/architecture.md and here what it may know"),
        };
        let known = needs(package).into_iter().filter(|need| need.starts_with("lunabot"));
        bad.extend(known.filter(|need| !allowed.contains(need)).map(|need| format!("{name} → {need}")));
    }
    assert!(bad.is_empty(), "arrows that must not be:\n{}", bad.join("\n"));
    Ok(())
}

#[test]
fn sql_lua_and_http_stay_in_their_rooms() -> Result<()> {
    let metadata = metadata()?;
    for package in metadata.workspace_packages() {
        let needs = needs(package);
        for (outside, rooms) in KEPT_IN {
            let name = package.name.as_str();
            let fine = !needs.contains(outside) || rooms.contains(&name) || name == "lunabot-tests";
            assert!(fine, "{} uses {outside}, which belongs in {rooms:?}", package.name);
        }
    }
    for (outside, rooms) in KEPT_IN {
        let used = metadata.workspace_packages().into_iter().any(|package| needs(package).contains(outside));
        assert!(used, "nobody uses {outside} in {rooms:?}: the rule about it is out of date");
    }
    Ok(())
}

#[test]
fn model_and_proto_have_no_runtime() -> Result<()> {
    let metadata = metadata()?;
    for room in WITHOUT_RUNTIME {
        let all = everything_below(&metadata, room);
        let found: Vec<_> = all.iter().filter(|name| name.starts_with("tokio")).collect();
        assert!(found.is_empty(), "{room} reaches {found:?}");
        assert!(all.len() > 1, "{room} was looked up");
    }
    Ok(())
}

/// The names of a room's dependencies and theirs, without those of tests.
fn everything_below(metadata: &Metadata, room: &str) -> BTreeSet<String> {
    let nodes = &metadata.resolve.as_ref().expect("cargo metadata resolves dependencies").nodes;
    let mut left: Vec<_> =
        metadata.packages.iter().filter(|p| p.name.as_str() == room).map(|p| p.id.clone()).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = left.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let node = nodes.iter().find(|node| node.id == id).expect("every package is resolved");
        let used =
            node.deps.iter().filter(|d| d.dep_kinds.iter().any(|k| k.kind != DependencyKind::Development));
        left.extend(used.map(|dependency| dependency.pkg.clone()));
    }
    seen.iter().map(|id| metadata[id].name.to_string()).collect()
}
