-- Both stores take this file; see 0001_updates.sql. PostgreSQL alone uses it.

-- The processes that share the store: one that no longer counts up has died.
CREATE TABLE versions_replica (
    name    text NOT NULL PRIMARY KEY, -- River's name of its client
    beats   bigint NOT NULL,
    seen_at bigint NOT NULL -- by its own clock
);
