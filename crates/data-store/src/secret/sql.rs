//! The statements for secrets.

service::statements! {
    ONE = "SELECT key_id, sealed, change FROM secret WHERE identity = ?1 AND name = ?2";
    OF_IDENTITY = "SELECT name, key_id, sealed FROM secret WHERE identity = ?1 ORDER BY name";
    COUNT = "SELECT count(*) FROM secret WHERE identity = ?1";
    IDENTITIES = "SELECT DISTINCT identity FROM secret
        WHERE identity > ?1 AND identity >= ?2 AND identity < ?3 ORDER BY identity LIMIT ?4";
    UPSERT = "INSERT INTO secret (identity, name, key_id, sealed, change)
        VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (identity, name) DO UPDATE SET key_id = ?3, sealed = ?4, change = ?5";
    DELETE = "DELETE FROM secret WHERE identity = ?1 AND name = ?2";
    ERASE = "DELETE FROM secret WHERE identity = ?1";
    OTHER_KEYS = "SELECT identity, name, key_id, sealed FROM secret WHERE key_id <> ?1 LIMIT ?2";
    BY_KEY = "SELECT key_id, count(*) FROM secret GROUP BY key_id ORDER BY key_id";
    OF_KEY = "SELECT identity, name, sealed FROM secret WHERE key_id = ?1 LIMIT 1";
    RESEAL = "UPDATE secret SET key_id = ?3, sealed = ?4 WHERE identity = ?1 AND name = ?2";
}
