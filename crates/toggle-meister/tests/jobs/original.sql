-- The tables of the original at its last revision, with each state of a toggle in them.
CREATE TABLE squads (id SERIAL PRIMARY KEY, name VARCHAR(50) UNIQUE);
CREATE TABLE employees (
    username VARCHAR(25) PRIMARY KEY, name VARCHAR, squad_id INT REFERENCES squads (id),
    email VARCHAR, role_id INT);
CREATE TABLE environments (name VARCHAR(40) PRIMARY KEY, squad_id INT REFERENCES squads (id));
CREATE TABLE features (
    name VARCHAR(50) PRIMARY KEY, squad_id INT REFERENCES squads (id), created_on TIMESTAMP,
    created_by VARCHAR REFERENCES employees (username));
CREATE TABLE deleted_features (
    name VARCHAR(50) PRIMARY KEY, deleted_on TIMESTAMP,
    deleted_by VARCHAR REFERENCES employees (username));
CREATE TABLE toggles (
    feature VARCHAR, env VARCHAR REFERENCES environments (name) DEFERRABLE INITIALLY IMMEDIATE,
    state VARCHAR(5), date_on TIMESTAMP, schedule JSONB);
CREATE UNIQUE INDEX on_togs ON toggles (feature, env);
CREATE TABLE auditing (
    id SERIAL PRIMARY KEY, event VARCHAR(50) NOT NULL, "user" VARCHAR, date TIMESTAMP,
    event_data JSONB);
CREATE TABLE metrics (
    feature VARCHAR NOT NULL, env VARCHAR NOT NULL, date DATE NOT NULL,
    hit_count INT NOT NULL DEFAULT 1, UNIQUE (feature, env, date));
CREATE TABLE rollout_users (userid VARCHAR NOT NULL, features JSONB, env VARCHAR);
CREATE TABLE release_notes (
    id SERIAL PRIMARY KEY, title VARCHAR NOT NULL, body TEXT, feature VARCHAR,
    created_date TIMESTAMP NOT NULL);

INSERT INTO employees (username, name, email, role_id) VALUES
    ('jane.doe', 'Jane Doe', 'Jane.Doe@corp.example', 1),
    ('tess', NULL, 'tess@corp.example', 2),
    ('dev', 'Dev', 'dev@corp.example', 3),
    ('nobody', 'Nobody', NULL, NULL);
INSERT INTO environments (name) VALUES ('production'), ('stage'), ('my stage');
INSERT INTO features (name, created_on, created_by) VALUES
    ('off', '2020-02-01 10:00:00', 'jane.doe'),
    ('on_', '2020-02-01 10:00:00.5', 'jane.doe'),
    ('legacy', '2016-05-01', NULL),
    ('rolling', '2020-03-01', 'dev'),
    ('starting', '2020-03-01', 'dev'),
    ('ending', '2020-03-01', 'dev'),
    ('half_day', '2020-03-01', 'dev'),
    ('paused', '2020-03-01', 'dev'),
    ('Upper', '2020-03-01', 'dev');
INSERT INTO deleted_features VALUES ('deleted', '2020-01-01', 'jane.doe');
INSERT INTO toggles VALUES
    ('on_', 'production', 'ON', '2020-04-01 12:00:00', '{"dirty": true}'),
    ('on_', 'stage', 'ON', '2020-04-01 12:00:00', '{}'),
    ('legacy', 'production', 'ON', NULL, NULL),
    ('rolling', 'production', 'ROLL', '2020-04-01', '{"increment": 5, "hours_count": 25,
        "total_hours": 48, "current_percent": 30}'),
    ('rolling', 'stage', 'ON', '2020-04-01', '{}'),
    ('starting', 'production', 'ROLL', '2020-04-01', '{"increment": 1, "hours_count": 0,
        "total_hours": 72, "current_percent": 1}'),
    ('ending', 'production', 'ROLL', '2020-04-01', '{"increment": 7, "hours_count": 23,
        "total_hours": 24, "current_percent": 93}'),
    ('half_day', 'production', 'ROLL', '2020-04-01', '{"increment": 1, "hours_count": 0,
        "total_hours": 0, "current_percent": 1}'),
    ('paused', 'production', 'PAUSE', '2020-04-01', '{"hours_count": 40, "total_hours": 48,
        "current_percent": 50, "rolling_state": {"increment": 9, "hours_count": 32,
        "total_hours": 48, "current_percent": 50}}'),
    ('paused', 'stage', 'ON', '2020-04-01', '{}'),
    ('Upper', 'production', 'ON', '2020-04-01', '{}'),
    ('deleted', 'production', 'ON', '2020-04-01', '{}'),
    ('left_over', 'production', 'ON', '2020-04-01', '{}'),
    ('on_', 'my stage', 'ON', '2020-04-01', '{}');
INSERT INTO rollout_users (userid, features, env) VALUES
    ('yes', '{"rolling": true, "starting": true, "paused": true, "on_": true}', 'production'),
    ('yes', '{"rolling": true}', 'production'),
    ('no', '{"rolling": false, "starting": false}', 'production'),
    ('größe', '{"rolling": true, "ending": false}', 'production'),
    ('white', '{"-whitelisted-": true}', 'production'),
    ('empty', NULL, 'production'),
    ('list', '[]', 'production');
INSERT INTO release_notes (id, title, body, feature, created_date) VALUES
    (3, 'General', NULL, NULL, '2020-05-01 08:00:00'),
    (2147483646, 'On', '**bold**', 'on_', '2020-05-02 08:00:00');
INSERT INTO auditing (event, "user", date, event_data) VALUES
    ('feature.add', 'jane.doe', CURRENT_DATE - 100, '{"feature_name": "off"}'),
    ('toggle.switch', 'dev', CURRENT_DATE - 90, '{"toggle_env": "production",
        "toggle_feature": "on_", "new_state": "ON", "over_x_days": 0}'),
    ('environment.add', 'jane.doe', CURRENT_DATE - 100, '{"env_name": "stage"}'),
    ('release_note.create', NULL, NULL, '{"id": 7, "title": "On"}');
INSERT INTO metrics VALUES
    ('on_', 'production', CAST(now() AT TIME ZONE 'utc' AS DATE) - 5, 12),
    ('on_', 'stage', CAST(now() AT TIME ZONE 'utc' AS DATE) - 4, 3),
    ('unknown', 'production', CAST(now() AT TIME ZONE 'utc' AS DATE) - 5, 9);
