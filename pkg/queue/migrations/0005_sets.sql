-- Both stores take this file; see 0001_updates.sql. What was stored before has the defaults.
-- An update may move several images: it has a task for each target and image.

ALTER TABLE versions_task ADD COLUMN beside bigint NOT NULL DEFAULT 0; -- 1 when its image is another one than its update's
ALTER TABLE versions_task ADD COLUMN version text NOT NULL DEFAULT ''; -- '' where they are its update's
ALTER TABLE versions_task ADD COLUMN digest text NOT NULL DEFAULT '';
CREATE INDEX versions_task_beside ON versions_task (image, seq) WHERE beside = 1;

-- The same columns with another key.
CREATE TABLE versions_underway_by_image (
    id           text NOT NULL,
    target       text NOT NULL,
    image        text NOT NULL,
    scope        text NOT NULL,
    pushed_at    bigint NOT NULL,
    owner        text NOT NULL,
    entered_at   bigint NOT NULL,
    announced_at bigint NOT NULL,
    PRIMARY KEY (id, target, image)
);
INSERT INTO versions_underway_by_image (id, target, image, scope, pushed_at, owner, entered_at, announced_at)
    SELECT id, target, image, scope, pushed_at, owner, entered_at, announced_at FROM versions_underway;
DROP TABLE versions_underway;
ALTER TABLE versions_underway_by_image RENAME TO versions_underway;
CREATE INDEX versions_underway_order ON versions_underway (target, image, pushed_at);
