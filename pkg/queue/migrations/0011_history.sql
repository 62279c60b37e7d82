-- Both stores take this file; see 0001_updates.sql. It is for lists of updates by image and
-- status, and for counts.

CREATE INDEX versions_update_image_status ON versions_update (image, status, seq);
CREATE INDEX versions_update_failed ON versions_update (status, recorded) WHERE status = 'failed' AND recorded = 0;
CREATE INDEX versions_task_failed ON versions_task (seq) WHERE status = 'failed';
CREATE INDEX versions_task_queued ON versions_task (target, queued_at) WHERE status = 'queued';

ALTER TABLE versions_task ADD COLUMN update_status text NOT NULL DEFAULT ''; -- of its update, where beside is 1
UPDATE versions_task SET update_status = (SELECT u.status FROM versions_update AS u WHERE u.seq = versions_task.seq) WHERE beside = 1;
CREATE INDEX versions_task_beside_status ON versions_task (image, update_status, seq) WHERE beside = 1;
