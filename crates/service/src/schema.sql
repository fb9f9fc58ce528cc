-- People who have signed in. A person is who the issuer says, not a name or an e-mail address.
CREATE TABLE person (
    id BIGINT PRIMARY KEY,
    provider TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    login TEXT NOT NULL,
    email TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (provider, issuer, subject)
);
CREATE TABLE person_permission (
    person BIGINT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    permission TEXT NOT NULL,
    PRIMARY KEY (person, permission)
);
-- Permissions for people who have not signed in yet.
CREATE TABLE invitation (
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    permission TEXT NOT NULL,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (provider, name, permission)
);
CREATE TABLE session (
    hash BYTES PRIMARY KEY,
    person BIGINT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    last_used BIGINT NOT NULL
);
CREATE INDEX session_person ON session (person);
-- Sign-ins that were completed, so that none is completed twice.
CREATE TABLE completed_sign_in (
    hash BYTES PRIMARY KEY,
    expires BIGINT NOT NULL
);
-- Tokens for machines. What is kept is a hash, since the token itself is a password.
CREATE TABLE token (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    hash BYTES NOT NULL UNIQUE,
    permissions TEXT NOT NULL,
    prefixes TEXT,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires BIGINT,
    last_used BIGINT
);
CREATE TABLE audit (
    id BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject KEYTEXT NOT NULL,
    -- More of it, as JSON.
    data TEXT
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_subject ON audit (subject, id);
CREATE INDEX audit_actor ON audit (actor, id);
CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    until BIGINT NOT NULL
);
