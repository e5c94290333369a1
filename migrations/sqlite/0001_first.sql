-- The first schema. Column names are those of the data API where it has one; times are whole seconds since 1970, UTC.
-- Everything that a page asks for has an index. The file for PostgreSQL differs only in the types of keys and bytes.

CREATE TABLE masters (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    active BOOLEAN NOT NULL,
    last_active BIGINT NOT NULL
);

CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    slug TEXT NOT NULL,
    description TEXT,
    description_format TEXT,
    description_html TEXT
);

CREATE TABLE codebases (
    id INTEGER PRIMARY KEY,
    projectid BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    UNIQUE (projectid, name)
);

CREATE TABLE builders (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    description_format TEXT,
    description_html TEXT,
    projectid BIGINT REFERENCES projects (id) ON DELETE SET NULL
);
CREATE INDEX builders_project ON builders (projectid, id);

CREATE TABLE builder_masters (
    builderid BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    masterid BIGINT NOT NULL REFERENCES masters (id) ON DELETE CASCADE,
    PRIMARY KEY (builderid, masterid)
);
CREATE INDEX builder_masters_master ON builder_masters (masterid, builderid);

CREATE TABLE tags (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE builders_tags (
    builderid BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    tagid BIGINT NOT NULL REFERENCES tags (id) ON DELETE CASCADE,
    -- Its place in the builder's list.
    position BIGINT NOT NULL,
    PRIMARY KEY (builderid, tagid)
);
CREATE INDEX builders_tags_tag ON builders_tags (tagid, builderid);

CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    info TEXT NOT NULL,
    paused BOOLEAN NOT NULL,
    pause_reason TEXT,
    graceful BOOLEAN NOT NULL
);

CREATE TABLE configured_workers (
    workerid BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    builderid BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    masterid BIGINT NOT NULL REFERENCES masters (id) ON DELETE CASCADE,
    PRIMARY KEY (workerid, builderid, masterid)
);
CREATE INDEX configured_workers_builder ON configured_workers (builderid, masterid, workerid);
CREATE INDEX configured_workers_master ON configured_workers (masterid, workerid);

CREATE TABLE connected_workers (
    workerid BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    masterid BIGINT NOT NULL REFERENCES masters (id) ON DELETE CASCADE,
    PRIMARY KEY (workerid, masterid)
);
CREATE INDEX connected_workers_master ON connected_workers (masterid, workerid);

CREATE TABLE schedulers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    enabled BOOLEAN NOT NULL,
    -- The master it is active on.
    masterid BIGINT REFERENCES masters (id) ON DELETE SET NULL
);
CREATE INDEX schedulers_master ON schedulers (masterid, id);

CREATE TABLE changesources (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    masterid BIGINT REFERENCES masters (id) ON DELETE SET NULL
);
CREATE INDEX changesources_master ON changesources (masterid, id);

CREATE TABLE patches (
    id INTEGER PRIMARY KEY,
    body BLOB NOT NULL,
    level BIGINT NOT NULL,
    subdir TEXT NOT NULL,
    author TEXT NOT NULL,
    comment TEXT NOT NULL
);

CREATE TABLE sourcestamps (
    id INTEGER PRIMARY KEY,
    -- SHA-1 over all that makes two stamps equal.
    ss_hash TEXT NOT NULL UNIQUE,
    branch TEXT,
    revision TEXT,
    patchid BIGINT REFERENCES patches (id),
    repository TEXT NOT NULL,
    codebase TEXT NOT NULL,
    project TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX sourcestamps_patch ON sourcestamps (patchid);

CREATE TABLE changes (
    id INTEGER PRIMARY KEY,
    author TEXT NOT NULL,
    committer TEXT,
    comments TEXT NOT NULL,
    branch TEXT,
    revision TEXT,
    revlink TEXT,
    when_timestamp BIGINT NOT NULL,
    category TEXT,
    repository TEXT NOT NULL,
    codebase TEXT NOT NULL,
    project TEXT NOT NULL,
    sourcestampid BIGINT NOT NULL REFERENCES sourcestamps (id),
    -- The change before it on the same branch; may have been pruned.
    parent_changeid BIGINT
);
CREATE INDEX changes_line ON changes (branch, repository, codebase, project, id);
CREATE INDEX changes_stamp ON changes (sourcestampid, id);
CREATE INDEX changes_when ON changes (when_timestamp, id);
CREATE INDEX changes_revision ON changes (revision, id);

CREATE TABLE change_files (
    changeid BIGINT NOT NULL REFERENCES changes (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    filename TEXT NOT NULL,
    PRIMARY KEY (changeid, position)
);

CREATE TABLE change_properties (
    changeid BIGINT NOT NULL REFERENCES changes (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (changeid, name)
);

-- Changes that a scheduler has judged but not built yet.
CREATE TABLE scheduler_changes (
    schedulerid BIGINT NOT NULL REFERENCES schedulers (id) ON DELETE CASCADE,
    changeid BIGINT NOT NULL REFERENCES changes (id) ON DELETE CASCADE,
    important BOOLEAN NOT NULL,
    PRIMARY KEY (schedulerid, changeid)
);
CREATE INDEX scheduler_changes_change ON scheduler_changes (changeid);

CREATE TABLE buildsets (
    id INTEGER PRIMARY KEY,
    external_idstring TEXT,
    reason TEXT NOT NULL,
    submitted_at BIGINT NOT NULL,
    complete BOOLEAN NOT NULL,
    complete_at BIGINT,
    results BIGINT,
    -- No foreign keys: a build may be forgotten before the sets it started or that repeat it.
    parent_buildid BIGINT,
    parent_relationship TEXT,
    rebuilt_buildid BIGINT
);
CREATE INDEX buildsets_submitted ON buildsets (submitted_at, id);
CREATE INDEX buildsets_incomplete ON buildsets (id) WHERE complete = FALSE;
CREATE INDEX buildsets_parent ON buildsets (parent_buildid, id);

CREATE TABLE buildset_properties (
    buildsetid BIGINT NOT NULL REFERENCES buildsets (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (buildsetid, name)
);

CREATE TABLE buildset_sourcestamps (
    buildsetid BIGINT NOT NULL REFERENCES buildsets (id) ON DELETE CASCADE,
    sourcestampid BIGINT NOT NULL REFERENCES sourcestamps (id),
    PRIMARY KEY (buildsetid, sourcestampid)
);
CREATE INDEX buildset_sourcestamps_stamp ON buildset_sourcestamps (sourcestampid, buildsetid);

-- The claim is part of the row: a request is claimed at most once.
CREATE TABLE buildrequests (
    id INTEGER PRIMARY KEY,
    buildsetid BIGINT NOT NULL REFERENCES buildsets (id) ON DELETE CASCADE,
    builderid BIGINT NOT NULL REFERENCES builders (id),
    priority BIGINT NOT NULL,
    claimed_by_masterid BIGINT REFERENCES masters (id),
    claimed_at BIGINT,
    complete BOOLEAN NOT NULL,
    results BIGINT,
    submitted_at BIGINT NOT NULL,
    complete_at BIGINT,
    waited_for BOOLEAN NOT NULL
);
CREATE INDEX buildrequests_set ON buildrequests (buildsetid, id);
CREATE INDEX buildrequests_builder ON buildrequests (builderid, id);
CREATE INDEX buildrequests_submitted ON buildrequests (submitted_at, id);
CREATE INDEX buildrequests_incomplete ON buildrequests (id) WHERE complete = FALSE;

CREATE TABLE builds (
    id INTEGER PRIMARY KEY,
    number BIGINT NOT NULL,
    builderid BIGINT NOT NULL REFERENCES builders (id),
    buildrequestid BIGINT NOT NULL REFERENCES buildrequests (id),
    workerid BIGINT REFERENCES workers (id) ON DELETE SET NULL,
    masterid BIGINT NOT NULL REFERENCES masters (id),
    started_at BIGINT NOT NULL,
    complete_at BIGINT,
    locks_duration_s BIGINT NOT NULL,
    state_string TEXT NOT NULL,
    results BIGINT,
    UNIQUE (builderid, number)
);
CREATE INDEX builds_builder ON builds (builderid, id);
CREATE INDEX builds_builder_complete ON builds (builderid, complete_at);
CREATE INDEX builds_request ON builds (buildrequestid, id);
CREATE INDEX builds_worker ON builds (workerid, id);
CREATE INDEX builds_started ON builds (started_at, id);
CREATE INDEX builds_complete ON builds (complete_at, id);
CREATE INDEX builds_results ON builds (results, id);

CREATE TABLE build_properties (
    buildid BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (buildid, name)
);

CREATE TABLE build_data (
    buildid BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    length BIGINT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (buildid, name)
);

CREATE TABLE steps (
    id INTEGER PRIMARY KEY,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    buildid BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    started_at BIGINT,
    locks_acquired_at BIGINT,
    complete_at BIGINT,
    state_string TEXT NOT NULL,
    results BIGINT,
    -- A JSON list of {name, url}.
    urls TEXT NOT NULL,
    hidden BOOLEAN NOT NULL,
    UNIQUE (buildid, number),
    UNIQUE (buildid, name)
);

CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    stepid BIGINT NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
    complete BOOLEAN NOT NULL,
    num_lines BIGINT NOT NULL,
    type TEXT NOT NULL,
    UNIQUE (stepid, slug)
);

-- Whole lines, without the newline of the last one. compressed: 0 plain, 5 zstd.
CREATE TABLE logchunks (
    logid BIGINT NOT NULL REFERENCES logs (id) ON DELETE CASCADE,
    first_line BIGINT NOT NULL,
    last_line BIGINT NOT NULL,
    content BLOB NOT NULL,
    compressed BIGINT NOT NULL,
    PRIMARY KEY (logid, last_line)
);

CREATE TABLE test_result_sets (
    id INTEGER PRIMARY KEY,
    builderid BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    buildid BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    stepid BIGINT NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
    description TEXT,
    category TEXT NOT NULL,
    value_unit TEXT NOT NULL,
    tests_passed BIGINT,
    tests_failed BIGINT,
    complete BOOLEAN NOT NULL
);
CREATE INDEX test_result_sets_builder ON test_result_sets (builderid, id);
CREATE INDEX test_result_sets_build ON test_result_sets (buildid, id);
CREATE INDEX test_result_sets_step ON test_result_sets (stepid, id);

CREATE TABLE test_names (
    id INTEGER PRIMARY KEY,
    builderid BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    UNIQUE (builderid, name)
);

CREATE TABLE test_code_paths (
    id INTEGER PRIMARY KEY,
    builderid BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    UNIQUE (builderid, path)
);

CREATE TABLE test_results (
    id INTEGER PRIMARY KEY,
    builderid BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    test_result_setid BIGINT NOT NULL REFERENCES test_result_sets (id) ON DELETE CASCADE,
    test_nameid BIGINT REFERENCES test_names (id) ON DELETE CASCADE,
    test_code_pathid BIGINT REFERENCES test_code_paths (id) ON DELETE CASCADE,
    line BIGINT,
    duration_ns BIGINT,
    value TEXT
);
CREATE INDEX test_results_set ON test_results (test_result_setid, id);
CREATE INDEX test_results_name ON test_results (test_nameid);
CREATE INDEX test_results_path ON test_results (test_code_pathid);

CREATE TABLE objects (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    class_name TEXT NOT NULL,
    UNIQUE (name, class_name)
);

CREATE TABLE object_state (
    objectid BIGINT NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (objectid, name)
);
