-- Both stores take this file; see 0001_updates.sql.

CREATE TABLE versions_hold (
    id       text NOT NULL PRIMARY KEY,
    image    text NOT NULL,
    target   text NOT NULL,
    version  text NOT NULL, -- that the image is held at, '' when it is not known
    reason   text NOT NULL,
    maker    text NOT NULL,
    made_at  bigint NOT NULL,
    until_at bigint NOT NULL -- 0 until it is removed
);

ALTER TABLE versions_task ADD COLUMN hold text NOT NULL DEFAULT ''; -- the hold that came with it
