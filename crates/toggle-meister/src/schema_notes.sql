-- A note of a feature that was deleted before it was released is withheld: it has no feature, but
-- nobody may see it.
ALTER TABLE release_note ADD COLUMN withheld BIGINT NOT NULL DEFAULT 0;
-- Counts the changes of a note, so that one editor does not overwrite what another has written.
ALTER TABLE release_note ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
