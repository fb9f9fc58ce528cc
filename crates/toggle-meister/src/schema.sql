-- What is switched on and off. A feature that was deleted softly has a time of deletion.
CREATE TABLE feature (
    name KEYTEXT PRIMARY KEY,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    deleted BIGINT
);
-- `flag_client_seen` is the last day on which a client of flagd's protocols was connected, or the
-- first on which a server watched for one.
CREATE TABLE environment (
    name KEYTEXT PRIMARY KEY,
    created BIGINT NOT NULL,
    flag_client_seen BIGINT
);
INSERT INTO environment (name, created) VALUES ('production', 0);
-- A toggle that is OFF has no row. `since` is when the state was set; `start` and `step` are the
-- start of the rollout and the length of its steps, for ROLL and PAUSE.
CREATE TABLE toggle (
    feature KEYTEXT NOT NULL REFERENCES feature (name) ON DELETE CASCADE,
    env KEYTEXT NOT NULL REFERENCES environment (name) ON DELETE CASCADE,
    state TEXT NOT NULL,
    since BIGINT NOT NULL,
    rollout BIGINT,
    start BIGINT,
    step BIGINT,
    PRIMARY KEY (feature, env)
);
CREATE INDEX toggle_env ON toggle (env);
-- Who had a feature already when its rollout was imported.
CREATE TABLE enrolment (
    feature KEYTEXT NOT NULL,
    env KEYTEXT NOT NULL,
    id KEYTEXT NOT NULL,
    PRIMARY KEY (feature, env, id),
    FOREIGN KEY (feature, env) REFERENCES toggle (feature, env) ON DELETE CASCADE
);
-- What has changed, for the other replicas: a feature with all its toggles, an environment, or,
-- without either, the employees.
CREATE TABLE change (
    number BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    feature TEXT,
    env TEXT
);
CREATE INDEX change_at ON change (at);
-- Requests a day, in days since 1970.
CREATE TABLE metric (
    feature KEYTEXT NOT NULL REFERENCES feature (name) ON DELETE CASCADE,
    env KEYTEXT NOT NULL REFERENCES environment (name) ON DELETE CASCADE,
    day BIGINT NOT NULL,
    hits BIGINT NOT NULL,
    PRIMARY KEY (feature, env, day)
);
CREATE INDEX metric_env ON metric (env);
CREATE TABLE release_note (
    id BIGINT PRIMARY KEY,
    title TEXT NOT NULL,
    body TEXT,
    feature KEYTEXT,
    created BIGINT NOT NULL
);
CREATE INDEX release_note_feature ON release_note (feature);
-- People who may use the pages, with or without having signed in.
CREATE TABLE employee (
    username KEYTEXT PRIMARY KEY,
    name TEXT NOT NULL,
    email KEYTEXT NOT NULL,
    role TEXT NOT NULL,
    person BIGINT UNIQUE
);
CREATE INDEX employee_email ON employee (email);
-- When people were last reminded that a feature is due for removal.
CREATE TABLE reminder (
    feature KEYTEXT PRIMARY KEY REFERENCES feature (name) ON DELETE CASCADE,
    at BIGINT NOT NULL
);
-- What was imported from the original last: the numbers of its events in the audit trail.
CREATE TABLE imported (
    first BIGINT NOT NULL,
    last BIGINT NOT NULL
);
