//! What a build's properties are made of, in the order of reference 04b; later ones win.

use crate::plan::{BuilderPlan, WorkerPlan};
use lunabot_model::resources::{Build, Change, SourceStamp};
use lunabot_model::{Json, Properties};
use lunabot_proto::WorkerInfo;
use std::collections::BTreeSet;

/// Items 1 to 5: also what `canStartBuild` and the like see before there is a build.
pub fn before_build(
    builder: &BuilderPlan,
    changes: &[Change],
    requests: &[&Properties],
    worker: Option<&WorkerPlan>,
) -> Properties {
    let generation = &builder.generation;
    let mut all = Properties::from_plain(&generation.config.properties, &generation.file);
    for change in changes {
        all.update(&change.properties);
    }
    for request in requests {
        all.update(request);
    }
    add_builder(&mut all, builder);
    if let Some(worker) = worker {
        all.update(&Properties::from_plain(&worker.properties, "Worker"));
        all.set("workername", worker.name.as_str(), "Worker");
        all.update_missing(&Properties::from_plain(&worker.default_properties, "Worker"));
    }
    all
}

fn add_builder(all: &mut Properties, builder: &BuilderPlan) {
    let config = &builder.config;
    all.set("buildername", config.name.as_str(), "Builder");
    all.set("builderid", builder.id, "Builder");
    if let (Some(project), Some(id)) = (&config.project, builder.project_id) {
        all.set("projectname", project.as_str(), "Builder");
        all.set("projectid", id, "Builder");
    }
    all.update(&Properties::from_plain(&config.properties, "Builder"));
    all.update_missing(&Properties::from_plain(&config.default_properties, "Builder"));
}

/// Item 6.
pub fn at_start(all: &mut Properties, build: &Build, stamps: &[SourceStamp]) {
    all.set("buildnumber", build.number, "Build");
    let [stamp] = stamps else { return };
    all.set("branch", stamp.branch.clone(), "Build");
    all.set("revision", stamp.revision.clone(), "Build");
    all.set("repository", stamp.repository.as_str(), "Build");
    all.set("codebase", stamp.codebase.as_str(), "Build");
    all.set("project", stamp.project.as_str(), "Build");
}

/// Item 7.
pub fn of_attached_worker(all: &mut Properties, info: &WorkerInfo, workerbuilddir: &str) {
    if info.basedir.is_empty() {
        return;
    }
    all.set("basedir", info.basedir.as_str(), "Worker");
    all.set("builddir", join(&info.system, &[&info.basedir, workerbuilddir]), "Worker");
}

/// Item 8: change authors, patch authors and owners of requests.
pub fn owners(all: &mut Properties, changes: &[Change], stamps: &[SourceStamp], requests: &[&Properties]) {
    let authors = changes.iter().map(|change| change.author.clone());
    let patches = stamps.iter().filter_map(|s| s.patch.as_ref()).map(|patch| patch.author.clone());
    let asked = requests.iter().filter_map(|p| p.text("owner")).map(str::to_string);
    let owners: BTreeSet<String> =
        authors.chain(patches).chain(asked).filter(|name| !name.is_empty()).collect();
    if !owners.is_empty() {
        all.set("owners", owners.into_iter().map(Json::from).collect::<Vec<_>>(), "Build");
    }
}

/// Joins path parts by the rules of a worker's system; an absolute part starts anew.
pub fn join(system: &str, parts: &[&str]) -> String {
    let windows = system == "nt" || system == "win32";
    let separator = if windows { '\\' } else { '/' };
    let mut out = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let absolute = part.starts_with(separator)
            || windows && (part.starts_with('/') || part.as_bytes().get(1) == Some(&b':'));
        if absolute {
            out.clear();
        } else if !out.is_empty() && !out.ends_with(['/', separator]) {
            out.push(separator);
        }
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_by_the_workers_rules() {
        assert_eq!(join("posix", &["/srv/w", "b", "build"]), "/srv/w/b/build");
        assert_eq!(join("posix", &["/srv/w/", "/abs"]), "/abs");
        assert_eq!(join("nt", &["C:\\w", "b"]), "C:\\w\\b");
        assert_eq!(join("nt", &["C:\\w", "D:\\x"]), "D:\\x");
        assert_eq!(join("posix", &["", "build", ""]), "build");
    }
}
