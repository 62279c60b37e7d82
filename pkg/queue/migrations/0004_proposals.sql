-- Both stores take this file; see 0001_updates.sql.

-- What is known of the branch of a pull request: a hint, GitHub has the truth.
CREATE TABLE versions_proposal (
    target  text NOT NULL,
    name    text NOT NULL, -- the branch
    data    bytea NOT NULL,
    look_at bigint NOT NULL, -- when it is looked at next
    PRIMARY KEY (target, name)
);
CREATE INDEX versions_proposal_due ON versions_proposal (look_at);

ALTER TABLE versions_task ADD COLUMN retriable bigint NOT NULL DEFAULT 0; -- it ended unchanged, and may be retried
