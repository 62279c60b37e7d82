-- Both stores take this file; see 0001_updates.sql.

-- That somebody has pushed to a branch: it is to be read again. The numbers of all rows
-- grow in the order in which they are committed.
CREATE TABLE versions_mark (
    branch text NOT NULL PRIMARY KEY,
    number bigint NOT NULL
);
CREATE INDEX versions_mark_number ON versions_mark (number);
