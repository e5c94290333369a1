//! Whose code we build on: licences and sources of every dependency.

use anyhow::Result;
use cargo_metadata::MetadataCommand;
use lunabot_tests::project_root;

/// Licences we accept. An expression is good if one of its alternatives consists of these alone.
const ACCEPTED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

#[test]
fn every_dependency_has_an_accepted_licence_and_source() -> Result<()> {
    let metadata = MetadataCommand::new().manifest_path(project_root().join("Cargo.toml")).exec()?;
    let mut bad = Vec::new();
    for package in &metadata.packages {
        let licence = package.license.clone().unwrap_or_default();
        if !acceptable(&licence) {
            bad.push(format!("{} {}: licence {licence:?}", package.name, package.version));
        }
        if package.source.as_ref().is_some_and(|s| !s.is_crates_io()) {
            bad.push(format!("{} {}: not from crates.io", package.name, package.version));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    Ok(())
}

/// Whether some alternative of an SPDX expression is made of accepted licences only.
fn acceptable(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    // `(A OR B) AND C`, flattened, reads `A OR B AND C`: each AND-part needs one accepted alternative.
    flat.split(" AND ").all(|part| part.split(" OR ").any(|one| ACCEPTED.contains(&one.trim())))
}

#[test]
fn expressions_are_read_as_meant() {
    assert!(
        acceptable("MIT OR GPL-3.0")
            && acceptable("(MIT OR Apache-2.0) AND Unicode-3.0")
            && acceptable("MIT/Apache-2.0")
    );
    assert!(!acceptable("GPL-3.0-only") && !acceptable("MIT AND AGPL-3.0") && !acceptable(""));
}
