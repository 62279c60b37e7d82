-- Both stores take this file; see 0001_updates.sql. What was stored before has the defaults.
-- versions_task.pushed_at is the place in the order of one target and image: microseconds,
-- as a rule the time of arrival.

ALTER TABLE versions_update ADD COLUMN bytes bigint NOT NULL DEFAULT 0; -- about what it takes, once it ended
CREATE INDEX versions_update_sender ON versions_update (caller, webhook) WHERE status = 'queued';
CREATE INDEX versions_update_history ON versions_update (finished_at, bytes) WHERE finished_at > 0;

ALTER TABLE versions_task ADD COLUMN sender text NOT NULL DEFAULT ''; -- whose clock told_at is of
ALTER TABLE versions_task ADD COLUMN told_at bigint NOT NULL DEFAULT 0; -- when the image was pushed, as the sender says
ALTER TABLE versions_task ADD COLUMN set_at bigint NOT NULL DEFAULT 0; -- when next_at was set
ALTER TABLE versions_task ADD COLUMN claims bigint NOT NULL DEFAULT 0; -- how often it was claimed since one of them ended
ALTER TABLE versions_task ADD COLUMN sent_commit text NOT NULL DEFAULT ''; -- the commit that may be on the branch
ALTER TABLE versions_task ADD COLUMN sent_at bigint NOT NULL DEFAULT 0;
CREATE INDEX versions_task_newest ON versions_task (target, image, pushed_at);
CREATE INDEX versions_task_told ON versions_task (target, image, sender, told_at)
    WHERE told_at > 0 AND status IN ('queued', 'committed', 'unchanged');

-- Requests that are carried out at once, while they are: their place in the order.
CREATE TABLE versions_underway (
    id           text NOT NULL,
    target       text NOT NULL,
    image        text NOT NULL,
    scope        text NOT NULL,
    pushed_at    bigint NOT NULL,
    owner        text NOT NULL, -- the process
    entered_at   bigint NOT NULL,
    announced_at bigint NOT NULL, -- when its commit was about to be sent, 0 before
    PRIMARY KEY (id, target)
);
CREATE INDEX versions_underway_order ON versions_underway (target, image, pushed_at);

-- One row, which is written to find out whether the store can be.
CREATE TABLE versions_probe (at bigint NOT NULL);
INSERT INTO versions_probe (at) VALUES (0);
