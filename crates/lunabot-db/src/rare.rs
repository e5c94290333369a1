//! Statements for what happens rarely: configuration, connections, free state. They run in the order of the calls,
//! after the sets of the same batch.

use crate::batch::Batch;
use crate::pool::Value;
use crate::resources::TestResultSet;
use lunabot_model::resources::{Branch, Builder, Codebase, Commit, Project};

const CONNECT: &str =
    "INSERT INTO connected_workers (workerid, masterid) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const DISCONNECT: &str = "DELETE FROM connected_workers WHERE workerid = $1 AND masterid = $2";

const PUT_PROJECT: &str = "INSERT INTO projects (id, name, slug, description, description_format, description_html) \
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, \
    description = excluded.description, description_format = excluded.description_format, \
    description_html = excluded.description_html";
const PUT_CODEBASE: &str = "INSERT INTO codebases (id, projectid, name, slug) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (id) DO UPDATE SET slug = excluded.slug";
const PUT_COMMIT: &str = "INSERT INTO codebase_commits (id, codebaseid, author, committer, comments, when_timestamp, \
    revision, parent_commitid) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
const PUT_BRANCH: &str = "INSERT INTO codebase_branches (id, codebaseid, name, commitid, last_timestamp) \
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET commitid = excluded.commitid, \
    last_timestamp = excluded.last_timestamp";
const PUT_BUILDER: &str = "INSERT INTO builders (id, name, description, description_format, description_html, projectid) \
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET description = excluded.description, \
    description_format = excluded.description_format, description_html = excluded.description_html, \
    projectid = excluded.projectid";
const PUT_BUILDER_MASTER: &str =
    "INSERT INTO builder_masters (builderid, masterid) VALUES ($1, $2) ON CONFLICT DO NOTHING";
const DROP_BUILDER_MASTER: &str = "DELETE FROM builder_masters WHERE builderid = $1 AND masterid = $2";
const PUT_TAG: &str = "INSERT INTO tags (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
const DROP_BUILDER_TAGS: &str = "DELETE FROM builders_tags WHERE builderid = $1";
const PUT_BUILDER_TAG: &str =
    "INSERT INTO builders_tags (builderid, tagid, position) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

const DROP_CONFIGURED: &str = "DELETE FROM configured_workers WHERE workerid = $1 AND masterid = $2";
const PUT_CONFIGURED: &str = "INSERT INTO configured_workers (workerid, builderid, masterid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

const PUT_SCHEDULER: &str = "INSERT INTO schedulers (id, name, enabled, masterid) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (id) DO UPDATE SET enabled = excluded.enabled, masterid = excluded.masterid";
const PUT_CHANGE_SOURCE: &str = "INSERT INTO changesources (id, name, masterid) VALUES ($1, $2, $3) \
    ON CONFLICT (id) DO UPDATE SET masterid = excluded.masterid";
const FREE_CHANGE_SOURCES: &str = "UPDATE changesources SET masterid = NULL WHERE masterid = $1";

const PUT_OBJECT: &str =
    "INSERT INTO objects (id, name, class_name) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";
const PUT_STATE: &str = "INSERT INTO object_state (objectid, name, value) VALUES ($1, $2, $3) \
    ON CONFLICT (objectid, name) DO UPDATE SET value = excluded.value";

const MASTER_SEEN: &str = "UPDATE masters SET active = $2, last_active = $3 WHERE id = $1";

const DROP_CHUNKS: &str = "DELETE FROM logchunks WHERE logid = $1 AND last_line >= $2 AND last_line < $3";

const CLASSIFY: &str = "INSERT INTO scheduler_changes (schedulerid, changeid, important) VALUES ($1, $2, $3) \
    ON CONFLICT (schedulerid, changeid) DO UPDATE SET important = excluded.important";
const SETTLE: &str = "DELETE FROM scheduler_changes WHERE schedulerid = $1 AND changeid = $2";
const FLUSH_ALL: &str = "DELETE FROM scheduler_changes WHERE schedulerid = $1";
const FLUSH: &str = "DELETE FROM scheduler_changes WHERE schedulerid = $1 AND changeid <= $2";

const OUTBOX_DONE: &str = "DELETE FROM outbox WHERE id = $1";
/// What waits behind it is put off, too: it would be found among what is due each time.
const OUTBOX_LATER: &str = "UPDATE outbox SET next_at = $2, tries = CASE WHEN id = $1 THEN $3 ELSE tries END \
    WHERE reporter = (SELECT reporter FROM outbox WHERE id = $1) AND subject = (SELECT subject FROM outbox WHERE id = $1)";
const OUTBOX_DROP: &str = "DELETE FROM outbox WHERE reporter = $1";

const PUT_TEST_RESULT_SET: &str = "INSERT INTO test_result_sets (id, builderid, buildid, stepid, description, \
    category, value_unit, tests_passed, tests_failed, complete) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
    ON CONFLICT (id) DO UPDATE SET tests_passed = excluded.tests_passed, tests_failed = excluded.tests_failed, \
    complete = excluded.complete";
const PUT_TEST_NAME: &str = "INSERT INTO test_names (id, builderid, name) \
    SELECT COALESCE(MAX(id), 0) + 1, CAST($1 AS BIGINT), CAST($2 AS TEXT) FROM test_names WHERE TRUE ON CONFLICT (builderid, name) DO NOTHING";
const PUT_TEST_CODE_PATH: &str = "INSERT INTO test_code_paths (id, builderid, path) \
    SELECT COALESCE(MAX(id), 0) + 1, CAST($1 AS BIGINT), CAST($2 AS TEXT) FROM test_code_paths WHERE TRUE ON CONFLICT (builderid, path) DO NOTHING";
const PUT_TEST_RESULT: &str = "INSERT INTO test_results (id, builderid, test_result_setid, test_nameid, \
    test_code_pathid, line, duration_ns, value) SELECT COALESCE(MAX(id), 0) + 1, CAST($1 AS BIGINT), CAST($2 AS BIGINT), \
    (SELECT id FROM test_names WHERE builderid = $1 AND name = $3), \
    (SELECT id FROM test_code_paths WHERE builderid = $1 AND path = $4), CAST($5 AS BIGINT), \
    CAST($6 AS BIGINT), CAST($7 AS TEXT) FROM test_results";

/// All of them, for the test that prepares each on both engines.
pub const ALL: &[&str] = &[
    CONNECT,
    DISCONNECT,
    PUT_PROJECT,
    PUT_CODEBASE,
    PUT_COMMIT,
    PUT_BRANCH,
    PUT_BUILDER,
    PUT_BUILDER_MASTER,
    DROP_BUILDER_MASTER,
    PUT_TAG,
    DROP_BUILDER_TAGS,
    PUT_BUILDER_TAG,
    DROP_CONFIGURED,
    PUT_CONFIGURED,
    PUT_SCHEDULER,
    PUT_CHANGE_SOURCE,
    FREE_CHANGE_SOURCES,
    PUT_OBJECT,
    PUT_STATE,
    MASTER_SEEN,
    DROP_CHUNKS,
    CLASSIFY,
    SETTLE,
    FLUSH_ALL,
    FLUSH,
    OUTBOX_DONE,
    OUTBOX_LATER,
    OUTBOX_DROP,
    PUT_TEST_RESULT_SET,
    PUT_TEST_NAME,
    PUT_TEST_CODE_PATH,
    PUT_TEST_RESULT,
];

impl Batch {
    pub fn connection(&mut self, worker: i64, master: i64, connected: bool) {
        self.then(if connected { CONNECT } else { DISCONNECT }, vec![worker.into(), master.into()]);
    }

    pub fn project(&mut self, project: &Project) {
        self.then(
            PUT_PROJECT,
            vec![
                project.projectid.into(),
                project.name.clone().into(),
                project.slug.clone().into(),
                project.description.clone().into(),
                project.description_format.clone().into(),
                project.description_html.clone().into(),
            ],
        );
    }

    pub fn codebase(&mut self, codebase: &Codebase) {
        let Codebase { codebaseid, projectid, name, slug } = codebase.clone();
        self.then(PUT_CODEBASE, vec![codebaseid.into(), projectid.into(), name.into(), slug.into()]);
    }

    /// A commit that is new; commits do not change.
    pub fn commit(&mut self, commit: &Commit) {
        let Commit { author, committer, comments, revision, .. } = commit.clone();
        self.then(
            PUT_COMMIT,
            vec![
                commit.commitid.into(),
                commit.codebaseid.into(),
                author.into(),
                committer.into(),
                comments.into(),
                commit.when_timestamp.into(),
                revision.into(),
                commit.parent_commitid.into(),
            ],
        );
    }

    pub fn branch(&mut self, branch: &Branch) {
        let Branch { branchid, codebaseid, name, commitid, last_timestamp } = branch.clone();
        self.then(
            PUT_BRANCH,
            vec![branchid.into(), codebaseid.into(), name.into(), commitid.into(), last_timestamp.into()],
        );
    }

    /// A builder with its tags, whose ids are given, and whether `master` has it.
    pub fn builder(&mut self, builder: &Builder, tags: &[i64], master: i64) {
        let id = builder.builderid;
        self.then(
            PUT_BUILDER,
            vec![
                id.into(),
                builder.name.clone().into(),
                builder.description.clone().into(),
                builder.description_format.clone().into(),
                builder.description_html.clone().into(),
                builder.projectid.into(),
            ],
        );
        self.then(DROP_BUILDER_TAGS, vec![id.into()]);
        for (position, tag) in (0i64..).zip(tags) {
            self.then(PUT_BUILDER_TAG, vec![id.into(), (*tag).into(), position.into()]);
        }
        let here = builder.masterids.contains(&master);
        let sql = if here { PUT_BUILDER_MASTER } else { DROP_BUILDER_MASTER };
        self.then(sql, vec![id.into(), master.into()]);
    }

    pub fn tag(&mut self, id: i64, name: &str) {
        self.then(PUT_TAG, vec![id.into(), name.into()]);
    }

    /// The builders that a master has a worker for.
    pub fn configured(&mut self, worker: i64, master: i64, builders: impl Iterator<Item = i64>) {
        self.then(DROP_CONFIGURED, vec![worker.into(), master.into()]);
        for builder in builders {
            self.then(PUT_CONFIGURED, vec![worker.into(), builder.into(), master.into()]);
        }
    }

    pub fn scheduler(&mut self, id: i64, name: &str, enabled: bool, master: Option<i64>) {
        self.then(PUT_SCHEDULER, vec![id.into(), name.into(), enabled.into(), master.into()]);
    }

    /// The change sources of a master are these.
    pub fn change_sources(&mut self, master: i64, all: &[(i64, &str)]) {
        self.then(FREE_CHANGE_SOURCES, vec![master.into()]);
        for (id, name) in all {
            self.then(PUT_CHANGE_SOURCE, vec![(*id).into(), (*name).into(), Some(master).into()]);
        }
    }

    /// That a master is, or was, there.
    pub fn master_seen(&mut self, master: i64, active: bool, now: i64) {
        self.then(MASTER_SEEN, vec![master.into(), active.into(), now.into()]);
    }

    pub fn object(&mut self, id: i64, name: &str, class: &str) {
        self.then(PUT_OBJECT, vec![id.into(), name.into(), class.into()]);
    }

    pub fn state(&mut self, object: i64, name: &str, value: String) {
        self.then(PUT_STATE, vec![object.into(), name.into(), value.into()]);
    }

    /// Puts one chunk in the place of those that hold the same lines.
    pub fn replace_chunks(&mut self, whole: crate::logs::ChunkRow) {
        let (log, first, last) = (whole.logid, whole.first_line, whole.last_line);
        self.chunks.put(whole);
        self.then(DROP_CHUNKS, vec![log.into(), first.into(), last.into()]);
    }

    pub fn classify(&mut self, scheduler: i64, change: i64, important: bool) {
        self.then(CLASSIFY, vec![scheduler.into(), change.into(), important.into()]);
    }

    /// Forgets the verdict on one change.
    pub fn settle(&mut self, scheduler: i64, change: i64) {
        self.then(SETTLE, vec![scheduler.into(), change.into()]);
    }

    /// Forgets verdicts up to and including `last`; all, if absent.
    pub fn flush_classified(&mut self, scheduler: i64, last: Option<i64>) {
        match last {
            Some(last) => self.then(FLUSH, vec![scheduler.into(), last.into()]),
            None => self.then(FLUSH_ALL, vec![scheduler.into()]),
        }
    }

    /// Something is reported, or given up.
    pub fn outbox_done(&mut self, id: i64) {
        self.then_quietly(OUTBOX_DONE, vec![id.into()]);
    }

    /// Something is to be tried again.
    pub fn outbox_later(&mut self, id: i64, next_at: i64, tries: i64) {
        self.then_quietly(OUTBOX_LATER, vec![id.into(), next_at.into(), tries.into()]);
    }

    /// Nothing is to be reported to this one.
    pub fn outbox_drop(&mut self, reporter: &str) {
        self.then_quietly(OUTBOX_DROP, vec![reporter.into()]);
    }

    /// A set of test results, or what came of it (05.033).
    pub fn test_result_set(&mut self, set: &TestResultSet) {
        let values: Vec<Value> = vec![
            set.test_result_setid.into(),
            set.builderid.into(),
            set.buildid.into(),
            set.stepid.into(),
            set.description.clone().into(),
            set.category.clone().into(),
            set.value_unit.clone().into(),
            set.tests_passed.into(),
            set.tests_failed.into(),
            set.complete.into(),
        ];
        self.then(PUT_TEST_RESULT_SET, values);
    }

    /// One result of a set of a builder; names and paths are rows of their own.
    pub fn test_result(&mut self, builder: i64, set: i64, result: &NewTestResult) {
        let NewTestResult { value, test_name, test_code_path, line, duration_ns } = result.clone();
        if let Some(name) = &test_name {
            self.then(PUT_TEST_NAME, vec![builder.into(), name.clone().into()]);
        }
        if let Some(path) = &test_code_path {
            self.then(PUT_TEST_CODE_PATH, vec![builder.into(), path.clone().into()]);
        }
        let values: Vec<Value> = vec![
            builder.into(),
            set.into(),
            test_name.into(),
            test_code_path.into(),
            line.into(),
            duration_ns.into(),
            value.into(),
        ];
        self.then(PUT_TEST_RESULT, values);
    }
}

/// A test result to be (05.033).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTestResult {
    /// What came of the test, in the unit of its set.
    pub value: String,
    pub test_name: Option<String>,
    pub test_code_path: Option<String>,
    pub line: Option<i64>,
    pub duration_ns: Option<i64>,
}
