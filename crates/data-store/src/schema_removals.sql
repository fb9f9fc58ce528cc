-- The removals that are forgotten after a while: without it, each clean-up reads all versions.
CREATE INDEX fact_version_removed ON fact_version (at) WHERE value IS NULL;
