//! The paths of the data API, each with the resource it answers and the condition that selects its rows (09.025–09.044).
//!
//! Parts of a pattern: `n:x` a whole number, `i:x` an identifier, `s:x` any text; they become `$1`, `$2`, …
//! Patterns of one length are tried in their order, numbers before texts.

use crate::pool::Value;
use lunabot_model::result_spec::is_identifier;
use std::sync::LazyLock;

/// What a path answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Masters,
    Builders,
    Builds,
    BuildRequests,
    /// Not stored: why a request waits, or what became of it.
    Explanation,
    Buildsets,
    SourceStamps,
    Changes,
    Steps,
    Logs,
    Workers,
    Schedulers,
    ChangeSources,
    Projects,
    Codebases,
    Commits,
    Branches,
    /// Not stored: what two commits of a codebase have in common.
    CommitGraph,
    BuildData,
    TestResultSets,
    TestResults,
    /// Not stored: force schedulers, all or those of a builder.
    ForceSchedulers,
    ForceScheduler,
    ForceSchedulersOfBuilder,
    /// Of the build, buildset or change that the condition selects.
    BuildProperties,
    BuildPropertyList,
    BuildsetProperties,
    BuildsetPropertyList,
    ChangePropertyList,
    /// The value of a piece of build data, as bytes.
    BuildDataValue,
    /// What is new in a build (09.037).
    BuildChanges,
    /// Not stored: how far a build is.
    BuildProgress,
    /// Of the log that the condition selects.
    LogContents,
    LogRaw,
    LogRawInline,
    /// Not stored: rows that whoever knows them has registered, by the name of the list.
    Registered(&'static str),
    RootLinks,
    /// Not stored: what the API says of itself.
    Specs,
}

/// One path.
#[derive(Debug)]
pub struct Endpoint {
    pub pattern: String,
    pub target: Target,
    /// The condition on rows of the target's resource; empty: all.
    pub scope: String,
    pub single: bool,
}

/// A path that was understood.
#[derive(Debug)]
pub struct Found {
    pub endpoint: &'static Endpoint,
    pub args: Vec<Value>,
}

/// Finds the endpoint of a path, whose parts are decoded already.
pub fn find(parts: &[String]) -> Option<Found> {
    ENDPOINTS.iter().find_map(|endpoint| endpoint.matches(parts).map(|args| Found { endpoint, args }))
}

/// All paths, for the specification that the API gives of itself.
pub fn endpoints() -> &'static [Endpoint] {
    &ENDPOINTS
}

impl Endpoint {
    fn matches(&self, parts: &[String]) -> Option<Vec<Value>> {
        let mut args = Vec::new();
        let mut pattern = self.pattern.split('/');
        for part in parts {
            match pattern.next()?.split_once(':') {
                None => {}
                Some(("n", _)) => args.push(Value::Int(part.parse().ok()?)),
                Some(("i", _)) if is_identifier(part) => args.push(Value::Text(part.clone())),
                Some(("s", _)) => args.push(Value::Text(part.clone())),
                Some(_) => return None,
            }
        }
        let words = self.pattern.split('/').zip(parts).all(|(want, have)| want.contains(':') || want == have);
        (words && pattern.next().is_none()).then_some(args)
    }
}

/// The beginning of a path that names one row, and that row's id in SQL.
#[derive(Clone)]
struct Named {
    pattern: String,
    id: String,
    /// How many placeholders are used so far.
    used: usize,
}

impl Named {
    fn new(pattern: &str, id: &str) -> Named {
        Named { pattern: pattern.into(), id: id.into(), used: 1 }
    }

    /// A row below this one, found by a column and its next placeholder.
    fn below(&self, pattern: &str, table: &str, owner: &str, column: &str) -> Named {
        let (id, used) = (&self.id, self.used + 1);
        Named {
            pattern: format!("{}/{pattern}", self.pattern),
            id: format!("(SELECT id FROM {table} WHERE {owner} = {id} AND {column} = ${used})"),
            used,
        }
    }
}

#[derive(Default)]
struct Table(Vec<Endpoint>);

impl Table {
    fn put(&mut self, pattern: impl Into<String>, target: Target, scope: impl Into<String>, single: bool) {
        self.0.push(Endpoint { pattern: pattern.into(), target, scope: scope.into(), single });
    }

    fn list(&mut self, pattern: &str, target: Target, scope: &str) {
        self.put(pattern, target, scope, false);
    }

    fn one(&mut self, pattern: &str, target: Target, scope: &str) {
        self.put(pattern, target, scope, true);
    }

    /// Something below each of several rows; `{}` in the scope is the row's id, `$$` the next placeholder.
    fn below(&mut self, rows: &[Named], rest: &str, target: Target, scope: &str, single: bool) {
        for row in rows {
            let scope = scope.replace("{}", &row.id).replace("$$", &format!("${}", row.used + 1));
            self.put(format!("{}/{rest}", row.pattern), target, scope, single);
        }
    }
}

static ENDPOINTS: LazyLock<Vec<Endpoint>> = LazyLock::new(|| {
    let mut table = Table::default();
    table.one("", Target::RootLinks, "");
    table.list("application.spec", Target::Specs, "");
    for plural in ["generations", "script_errors", "callbacks", "schedules"] {
        table.list(plural, Target::Registered(plural), "");
    }
    let builders = [
        Named::new("builders/n:builderid", "$1"),
        Named::new("builders/s:buildername", "(SELECT id FROM builders WHERE name = $1)"),
    ];
    let mut builds = vec![Named::new("builds/n:buildid", "$1")];
    builds.extend(builders.iter().map(|b| b.below("builds/n:build_number", "builds", "builderid", "number")));
    let mut steps = vec![Named::new("steps/n:stepid", "$1")];
    for build in &builds {
        steps.push(build.below("steps/n:step_number", "steps", "buildid", "number"));
        steps.push(build.below("steps/i:step_name", "steps", "buildid", "name"));
    }
    let mut logs = vec![Named::new("logs/n:logid", "$1")];
    logs.extend(steps.iter().map(|s| s.below("logs/i:log_slug", "logs", "stepid", "slug")));
    configured(&mut table, &builders);
    queue(&mut table, &builders);
    of_builds(&mut table, &builders, &builds);
    of_steps(&mut table, &builds, &steps);
    of_logs(&mut table, &steps, &logs);
    test_results(&mut table, &builders, &builds, &steps);
    table.0
});

fn configured(table: &mut Table, builders: &[Named]) {
    table.list("masters", Target::Masters, "");
    table.one("masters/n:masterid", Target::Masters, "m.id = $1");
    table.below(
        builders,
        "masters",
        Target::Masters,
        "m.id IN (SELECT masterid FROM builder_masters WHERE builderid = {})",
        false,
    );
    table.below(
        builders,
        "masters/n:masterid",
        Target::Masters,
        "m.id = $$ AND m.id IN (SELECT masterid FROM builder_masters WHERE builderid = {})",
        true,
    );

    let of_master = "u.id IN (SELECT builderid FROM builder_masters WHERE masterid = $1)";
    table.list("builders", Target::Builders, "");
    table.below(builders, "", Target::Builders, "u.id = {}", true);
    for endpoint in &mut table.0 {
        endpoint.pattern.truncate(endpoint.pattern.trim_end_matches('/').len());
    }
    table.list("masters/n:masterid/builders", Target::Builders, of_master);
    table.one(
        "masters/n:masterid/builders/n:builderid",
        Target::Builders,
        &format!("u.id = $2 AND {of_master}"),
    );
    table.list("projects/n:projectid/builders", Target::Builders, "u.projectid = $1");
    table.list(
        "workers/n:workerid/builders",
        Target::Builders,
        "u.id IN (SELECT builderid FROM configured_workers WHERE workerid = $1)",
    );

    let of_master = "w.id IN (SELECT workerid FROM configured_workers WHERE masterid = $1)";
    let of_both = "w.id IN (SELECT workerid FROM configured_workers WHERE masterid = $1 AND builderid = $2)";
    for (prefix, scope, next) in [
        ("".to_owned(), "", 1),
        ("masters/n:masterid/".to_owned(), of_master, 2),
        ("masters/n:masterid/builders/n:builderid/".to_owned(), of_both, 3),
    ] {
        let and = if scope.is_empty() { String::new() } else { format!(" AND {scope}") };
        table.list(&format!("{prefix}workers"), Target::Workers, scope);
        table.one(&format!("{prefix}workers/n:workerid"), Target::Workers, &format!("w.id = ${next}{and}"));
        table.one(&format!("{prefix}workers/s:name"), Target::Workers, &format!("w.name = ${next}{and}"));
    }
    let of_builder = "w.id IN (SELECT workerid FROM configured_workers WHERE builderid = {})";
    table.below(builders, "workers", Target::Workers, of_builder, false);
    table.below(
        builders,
        "workers/n:workerid",
        Target::Workers,
        &format!("w.id = $$ AND {of_builder}"),
        true,
    );
    table.below(builders, "workers/s:name", Target::Workers, &format!("w.name = $$ AND {of_builder}"), true);

    for (plural, id, target) in [
        ("schedulers", "schedulerid", Target::Schedulers),
        ("changesources", "changesourceid", Target::ChangeSources),
    ] {
        table.list(plural, target, "");
        table.one(&format!("{plural}/n:{id}"), target, "h.id = $1");
        table.list(&format!("masters/n:masterid/{plural}"), target, "h.masterid = $1");
        table.one(&format!("masters/n:masterid/{plural}/n:{id}"), target, "h.masterid = $1 AND h.id = $2");
    }
    table.list("forceschedulers", Target::ForceSchedulers, "");
    table.one("forceschedulers/i:schedulername", Target::ForceScheduler, "");
    table.below(&builders[..1], "forceschedulers", Target::ForceSchedulersOfBuilder, "u.id = {}", false);

    table.list("projects", Target::Projects, "");
    table.one("projects/n:projectid", Target::Projects, "j.id = $1");
    table.one("projects/s:projectname", Target::Projects, "j.name = $1");
    codebases(table);
}

fn codebases(table: &mut Table) {
    table.list("codebases", Target::Codebases, "");
    table.one("codebases/n:codebaseid", Target::Codebases, "k.id = $1");
    let named = "k.projectid = $1 AND k.name = $2";
    table.one("projects/n:projectid/codebases/i:codebasename", Target::Codebases, named);
    table.one("commits/n:commitid", Target::Commits, "q.id = $1");
    table.list("codebases/n:codebaseid/commits", Target::Commits, "q.codebaseid = $1");
    let by_revision = "q.codebaseid = $1 AND q.revision = $2";
    table.one("codebases/n:codebaseid/commits_by_revision/s:revision", Target::Commits, by_revision);
    table.one("branches/n:branchid", Target::Branches, "y.id = $1");
    table.list("codebases/n:codebaseid/branches", Target::Branches, "y.codebaseid = $1");
    let range = "codebases/n:codebaseid/commit_range/n:commitid1/n:commitid2";
    table.one(&format!("{range}/commits_common_parent"), Target::CommitGraph, "");
    table.list(&format!("{range}/test_result_sets"), Target::TestResultSets, OF_COMMITS);
}

/// The sets of builds of the commits from the second back to the first, if it comes from there.
const OF_COMMITS: &str = "e.buildid IN (WITH RECURSIVE line (id, parent, revision, depth) AS ( \
     SELECT q.id, q.parent_commitid, q.revision, 0 FROM codebase_commits q WHERE q.codebaseid = $1 AND q.id = $3 \
     UNION ALL SELECT q.id, q.parent_commitid, q.revision, line.depth + 1 FROM codebase_commits q \
     JOIN line ON q.id = line.parent WHERE line.id <> $2 AND line.depth < 1000) \
     SELECT b.id FROM line JOIN sourcestamps s ON s.revision = line.revision \
     JOIN buildset_sourcestamps x ON x.sourcestampid = s.id JOIN buildrequests r ON r.buildsetid = x.buildsetid \
     JOIN builds b ON b.buildrequestid = r.id WHERE EXISTS (SELECT 1 FROM line z WHERE z.id = $2))";

fn queue(table: &mut Table, builders: &[Named]) {
    table.list("buildrequests", Target::BuildRequests, "");
    table.one("buildrequests/n:buildrequestid", Target::BuildRequests, "r.id = $1");
    table.one("buildrequests/n:buildrequestid/explanation", Target::Explanation, "r.id = $1");
    table.below(builders, "buildrequests", Target::BuildRequests, "r.builderid = {}", false);

    table.list("buildsets", Target::Buildsets, "");
    table.one("buildsets/n:bsid", Target::Buildsets, "t.id = $1");
    table.one("buildsets/n:bsid/properties", Target::BuildsetProperties, "t.id = $1");
    table.list("buildsets/n:bsid/properties_list", Target::BuildsetPropertyList, "t.id = $1");
    table.list(
        "buildsets/n:bsid/sourcestamps",
        Target::SourceStamps,
        "s.id IN (SELECT sourcestampid FROM buildset_sourcestamps WHERE buildsetid = $1)",
    );

    table.list("sourcestamps", Target::SourceStamps, "");
    table.one("sourcestamps/n:ssid", Target::SourceStamps, "s.id = $1");
    table.list("sourcestamps/n:ssid/changes", Target::Changes, "c.sourcestampid = $1");
    table.list("changes", Target::Changes, "");
    table.one("changes/n:changeid", Target::Changes, "c.id = $1");
    table.list("changes/n:changeid/properties_list", Target::ChangePropertyList, "c.id = $1");
}

fn of_builds(table: &mut Table, builders: &[Named], builds: &[Named]) {
    table.list("builds", Target::Builds, "");
    for build in builds {
        table.one(&build.pattern, Target::Builds, &format!("b.id = {}", build.id));
    }
    table.below(builders, "builds", Target::Builds, "b.builderid = {}", false);
    table.list("buildrequests/n:buildrequestid/builds", Target::Builds, "b.buildrequestid = $1");
    table.list("workers/n:workerid/builds", Target::Builds, "b.workerid = $1");
    table.list("changes/n:changeid/builds", Target::Builds,
        "b.buildrequestid IN (SELECT r.id FROM changes c JOIN buildset_sourcestamps x ON x.sourcestampid = c.sourcestampid \
         JOIN buildrequests r ON r.buildsetid = x.buildsetid WHERE c.id = $1)");
    table.list(
        "builds/n:buildid/triggered_builds",
        Target::Builds,
        "b.buildrequestid IN (SELECT r.id FROM buildsets t JOIN buildrequests r ON r.buildsetid = t.id \
         WHERE t.parent_buildid = $1)",
    );

    table.below(builds, "properties", Target::BuildProperties, "b.id = {}", true);
    table.below(builds, "property_list", Target::BuildPropertyList, "b.id = {}", false);
    table.below(builds, "changes", Target::BuildChanges, "b.id = {}", false);
    table.below(builds, "progress", Target::BuildProgress, "b.id = {}", true);
    table.below(builds, "data", Target::BuildData, "d.buildid = {}", false);
    table.below(builds, "data/i:build_data_name", Target::BuildData, "d.buildid = {} AND d.name = $$", true);
    table.below(
        builds,
        "data/i:build_data_name/value",
        Target::BuildDataValue,
        "d.buildid = {} AND d.name = $$",
        true,
    );
}

fn of_steps(table: &mut Table, builds: &[Named], steps: &[Named]) {
    table.below(builds, "steps", Target::Steps, "s.buildid = {}", false);
    for step in steps {
        table.one(&step.pattern, Target::Steps, &format!("s.id = {}", step.id));
    }
}

fn of_logs(table: &mut Table, steps: &[Named], logs: &[Named]) {
    table.below(steps, "logs", Target::Logs, "l.stepid = {}", false);
    for log in logs {
        let scope = format!("l.id = {}", log.id);
        table.one(&log.pattern, Target::Logs, &scope);
        for (rest, target) in [
            ("contents", Target::LogContents),
            ("logchunks", Target::LogContents),
            ("raw", Target::LogRaw),
            ("raw_inline", Target::LogRawInline),
        ] {
            table.one(&format!("{}/{rest}", log.pattern), target, &scope);
        }
    }
}

fn test_results(table: &mut Table, builders: &[Named], builds: &[Named], steps: &[Named]) {
    table.list("test_result_sets", Target::TestResultSets, "");
    table.one("test_result_sets/n:test_result_setid", Target::TestResultSets, "e.id = $1");
    table.below(builders, "test_result_sets", Target::TestResultSets, "e.builderid = {}", false);
    table.below(&builds[..1], "test_result_sets", Target::TestResultSets, "e.buildid = {}", false);
    table.below(&steps[..1], "test_result_sets", Target::TestResultSets, "e.stepid = {}", false);
    table.list(
        "test_result_sets/n:test_result_setid/results",
        Target::TestResults,
        "v.test_result_setid = $1",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Option<(Target, String, Vec<Value>)> {
        let parts: Vec<String> = path.split('/').map(Into::into).collect();
        find(&parts).map(|f| (f.endpoint.target, f.endpoint.scope.clone(), f.args))
    }

    #[test]
    fn numbers_come_before_names() {
        let (target, scope, args) = found("builders/3/builds/4").unwrap();
        assert_eq!((target, args), (Target::Builds, vec![Value::Int(3), Value::Int(4)]));
        assert_eq!(scope, "b.id = (SELECT id FROM builds WHERE builderid = $1 AND number = $2)");
        let (target, scope, args) = found("builders/my builder").unwrap();
        assert_eq!((target, args), (Target::Builders, vec![Value::from("my builder")]));
        assert_eq!(scope, "u.id = (SELECT id FROM builders WHERE name = $1)");
    }

    #[test]
    fn logs_are_found_through_builder_build_step_and_slug() {
        let (target, scope, args) = found("builders/b/builds/4/steps/shell/logs/stdio/contents").unwrap();
        assert_eq!(target, Target::LogContents);
        assert_eq!(args.len(), 4);
        assert!(scope.ends_with("AND name = $3) AND slug = $4)"), "{scope}");
    }

    #[test]
    fn what_is_no_path_is_not_found() {
        for path in ["nothing", "builds/x", "builds/1/", "builds/1/steps/1a", "builders/1/builds/x"] {
            assert!(found(path).is_none(), "{path}");
        }
        assert_eq!(found("").unwrap().0, Target::RootLinks);
    }
}
