-- Commits and branches of codebases, as change sources that have one see them.
CREATE TABLE codebase_commits (
    id BIGINT PRIMARY KEY,
    codebaseid BIGINT NOT NULL REFERENCES codebases (id) ON DELETE CASCADE,
    author TEXT NOT NULL,
    committer TEXT,
    comments TEXT NOT NULL,
    when_timestamp BIGINT NOT NULL,
    revision TEXT NOT NULL,
    parent_commitid BIGINT REFERENCES codebase_commits (id) ON DELETE SET NULL,
    UNIQUE (codebaseid, revision)
);
CREATE INDEX codebase_commits_codebase ON codebase_commits (codebaseid, id);
CREATE INDEX codebase_commits_parent ON codebase_commits (parent_commitid);

CREATE TABLE codebase_branches (
    id BIGINT PRIMARY KEY,
    codebaseid BIGINT NOT NULL REFERENCES codebases (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    commitid BIGINT REFERENCES codebase_commits (id) ON DELETE SET NULL,
    -- When a change source last saw it move.
    last_timestamp BIGINT NOT NULL,
    UNIQUE (codebaseid, name)
);
CREATE INDEX codebase_branches_commit ON codebase_branches (commitid);

-- Builds of a commit are found by its revision.
CREATE INDEX sourcestamps_revision ON sourcestamps (revision);
