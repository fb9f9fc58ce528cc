-- The facts as they are.
CREATE TABLE fact (
    identity KEYTEXT NOT NULL,
    name KEYTEXT NOT NULL,
    value TEXT NOT NULL,
    version BIGINT NOT NULL,
    change BIGINT NOT NULL,
    expires BIGINT,
    PRIMARY KEY (identity, name)
);
CREATE INDEX fact_expires ON fact (expires) WHERE expires IS NOT NULL;
-- Their last versions, and with their numbers the stream of changes. A version without a value
-- is a removal.
CREATE TABLE fact_version (
    identity KEYTEXT NOT NULL,
    name KEYTEXT NOT NULL,
    version BIGINT NOT NULL,
    change BIGINT NOT NULL,
    value TEXT,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (identity, name, version)
);
CREATE UNIQUE INDEX fact_version_change ON fact_version (change);
-- Identities that were erased, for the stream of changes only.
CREATE TABLE erasure (
    change BIGINT PRIMARY KEY,
    identity KEYTEXT NOT NULL,
    at BIGINT NOT NULL
);
-- Secrets, encrypted. The nonce stands before the encrypted value.
CREATE TABLE secret (
    identity KEYTEXT NOT NULL,
    name KEYTEXT NOT NULL,
    key_id TEXT NOT NULL,
    sealed BYTES NOT NULL,
    change BIGINT NOT NULL,
    PRIMARY KEY (identity, name)
);
