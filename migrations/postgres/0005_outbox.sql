-- What is to be reported and to whom: a row from the transaction of the event until the report is delivered or given up.
CREATE TABLE outbox (
    id BIGINT PRIMARY KEY,
    reporter TEXT NOT NULL,
    topic TEXT NOT NULL,
    -- What happens to one thing, a request with its builds, is reported in its order.
    subject TEXT NOT NULL,
    -- What was announced, as JSON.
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- 0: it was not tried yet.
    next_at BIGINT NOT NULL,
    tries BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (reporter, next_at, id);
CREATE INDEX outbox_subject ON outbox (reporter, subject, id);
