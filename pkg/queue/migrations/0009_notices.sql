-- Both stores take this file; see 0001_updates.sql.

-- Messages that tell others how an update ended, until they are delivered.
CREATE TABLE versions_notice (
    endpoint text NOT NULL,
    id       text NOT NULL, -- the same at every attempt
    body     bytea NOT NULL,
    made_at  bigint NOT NULL,
    next_at  bigint NOT NULL,
    attempts bigint NOT NULL,
    PRIMARY KEY (endpoint, id)
);
CREATE INDEX versions_notice_due ON versions_notice (endpoint, next_at);
