-- What a request has of its own, beside the properties of its buildset.
CREATE TABLE buildrequest_properties (
    buildrequestid BIGINT NOT NULL REFERENCES buildrequests (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (buildrequestid, name)
);

-- How long a request may wait; only those that may not wait for ever have a row.
CREATE TABLE buildrequest_limits (
    buildrequestid BIGINT NOT NULL PRIMARY KEY REFERENCES buildrequests (id) ON DELETE CASCADE,
    expires_at BIGINT,
    offline_timeout BIGINT
);
