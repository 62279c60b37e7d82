-- Both stores take this file. @identity@ is filled in by the store; times are
-- microseconds since 1970 in UTC, 0 where there is none.

CREATE TABLE versions_update (
    seq         @identity@, -- the order of arrival
    id          text NOT NULL UNIQUE,
    image       text NOT NULL,
    version     text NOT NULL,
    digest      text NOT NULL,
    scope       text NOT NULL,
    caller      text NOT NULL,
    webhook     text NOT NULL,
    delivery_id text NOT NULL,
    request     bytea,
    pushed_at   bigint NOT NULL,
    absent_as   text NOT NULL,
    status      text NOT NULL,
    accepted_at bigint NOT NULL,
    finished_at bigint NOT NULL,
    recorded    bigint NOT NULL -- 1 when it had ended before it came
);
CREATE UNIQUE INDEX versions_update_delivery ON versions_update (webhook, delivery_id)
    WHERE webhook <> '' AND delivery_id <> '';
CREATE INDEX versions_update_push ON versions_update (webhook, image, version, digest, seq)
    WHERE webhook <> '' AND delivery_id = '';
CREATE INDEX versions_update_image ON versions_update (image, seq);
CREATE INDEX versions_update_status ON versions_update (status, seq);
CREATE INDEX versions_update_finished ON versions_update (finished_at) WHERE finished_at > 0;

CREATE TABLE versions_task (
    seq         bigint NOT NULL, -- of its update, as are image, scope and pushed_at
    n           bigint NOT NULL, -- its place there
    image       text NOT NULL,
    scope       text NOT NULL,
    pushed_at   bigint NOT NULL,
    target      text NOT NULL,
    branch      text NOT NULL,
    status      text NOT NULL,
    attempts    bigint NOT NULL,
    queued_at   bigint NOT NULL, -- since when it is to be done: what a day's backoff counts from
    next_at     bigint NOT NULL,
    claim       text NOT NULL, -- the run of a job that applies it, '' while it waits
    last_error  text NOT NULL,
    result      bytea,
    finished_at bigint NOT NULL,
    PRIMARY KEY (seq, n)
);
CREATE INDEX versions_task_waiting ON versions_task (branch, next_at) WHERE status = 'queued';
CREATE INDEX versions_task_scope ON versions_task (target, image, scope) WHERE status = 'queued';
CREATE INDEX versions_task_order ON versions_task (target, image, scope, pushed_at, seq)
    WHERE status IN ('queued', 'committed', 'unchanged');

CREATE TABLE versions_key (
    caller      text NOT NULL,
    name        text NOT NULL,
    hash        bytea NOT NULL,
    lease_until bigint NOT NULL, -- 0 once it is answered
    http_status bigint NOT NULL,
    location    text NOT NULL,
    body        bytea,
    created_at  bigint NOT NULL,
    PRIMARY KEY (caller, name)
);
CREATE INDEX versions_key_created ON versions_key (created_at);
