//! The statements for facts.

service::statements! {
    ONE = "SELECT value, version, change, expires FROM fact WHERE identity = ?1 AND name = ?2";
    OF_IDENTITY = "SELECT name, value, expires FROM fact
        WHERE identity = ?1 AND (expires IS NULL OR expires > ?2) ORDER BY name";
    ALL_OF_IDENTITY = "SELECT value, version, change, expires, name FROM fact
        WHERE identity = ?1 AND (expires IS NULL OR expires > ?2) ORDER BY name";
    COUNT = "SELECT count(*) FROM fact WHERE identity = ?1";
    IDENTITIES = "SELECT DISTINCT identity FROM fact
        WHERE identity > ?1 AND identity >= ?2 AND identity < ?3
            AND (expires IS NULL OR expires > ?4)
        ORDER BY identity LIMIT ?5";
    SIZES = "SELECT identity, sum(octet_length(name) + octet_length(value)) FROM fact
        WHERE identity > ?1 AND identity >= ?2 AND identity < ?3
            AND (expires IS NULL OR expires > ?4)
        GROUP BY identity ORDER BY identity LIMIT ?5";
    LONG = "SELECT sum(octet_length(value)) FROM fact
        WHERE identity = ?1 AND name <> ?2 AND octet_length(value) > CAST(?3 AS BIGINT)";
    OF_IDENTITIES = "SELECT identity, name, value FROM fact
        WHERE identity > ?1 AND identity >= ?2 AND identity <= ?3
            AND (expires IS NULL OR expires > ?4)
        ORDER BY identity, name";
    LAST_VERSION = "SELECT max(version) FROM fact_version WHERE identity = ?1 AND name = ?2";
    HISTORY = "SELECT version, value, at, actor FROM fact_version
        WHERE identity = ?1 AND name = ?2 AND version < ?3 ORDER BY version DESC LIMIT ?4";
    CHANGES = "SELECT change, identity, name, value, version FROM fact_version WHERE change > ?1
        UNION ALL SELECT change, identity, NULL, NULL, 0 FROM erasure WHERE change > ?1
        ORDER BY 1 LIMIT ?2";
    UPSERT = "INSERT INTO fact (identity, name, value, version, change, expires)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (identity, name)
        DO UPDATE SET value = ?3, version = ?4, change = ?5, expires = ?6";
    INSERT_VERSION = "INSERT INTO fact_version
        (identity, name, version, change, value, at, actor) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    TRIM_VERSIONS = "DELETE FROM fact_version
        WHERE identity = ?1 AND name = ?2 AND version <= ?3";
    DELETE = "DELETE FROM fact WHERE identity = ?1 AND name = ?2";
    HAS_HISTORY = "SELECT change FROM fact_version WHERE identity = ?1 LIMIT 1";
    ERASE_FACTS = "DELETE FROM fact WHERE identity = ?1";
    ERASE_VERSIONS = "DELETE FROM fact_version WHERE identity = ?1";
    INSERT_ERASURE = "INSERT INTO erasure (change, identity, at) VALUES (?1, ?2, ?3)";
    EXPIRED = "SELECT identity, name FROM fact
        WHERE expires IS NOT NULL AND expires <= ?1 ORDER BY expires LIMIT ?2";
    OLD_REMOVALS = "SELECT identity, name, change FROM fact_version AS v
        WHERE value IS NULL AND at < ?1 AND NOT EXISTS (SELECT 1 FROM fact_version AS later
            WHERE later.identity = v.identity AND later.name = v.name
                AND later.version > v.version)
        LIMIT ?2";
    FORGET = "DELETE FROM fact_version WHERE identity = ?1 AND name = ?2";
    LAST_ERASURE = "SELECT max(change) FROM erasure WHERE at < ?1";
    PURGE_ERASURES = "DELETE FROM erasure WHERE at < ?1";
    RAISE_CHANGES = "INSERT INTO sequence (name, value) VALUES ('change', ?1)
        ON CONFLICT (name) DO UPDATE SET value = sequence.value + ?1";
    RAISE_HORIZON = "INSERT INTO sequence (name, value) VALUES ('horizon', ?1)
        ON CONFLICT (name) DO UPDATE SET value = CASE WHEN sequence.value < ?1
            THEN ?1 ELSE sequence.value END";
}
