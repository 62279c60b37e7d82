-- Both stores take this file; see 0001_updates.sql.

ALTER TABLE versions_task ADD COLUMN parked bigint NOT NULL DEFAULT 0; -- 1 while it waits for its target, see Queue.Unpark
CREATE INDEX versions_task_parked ON versions_task (branch) WHERE status = 'queued' AND parked = 1;
