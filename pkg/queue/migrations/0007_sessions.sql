-- Both stores take this file; see 0001_updates.sql. PostgreSQL alone uses it.

-- The last transaction of each connection: whether it was committed.
CREATE TABLE versions_session (
    name    text NOT NULL PRIMARY KEY,
    token   text NOT NULL,
    used_at bigint NOT NULL
);
