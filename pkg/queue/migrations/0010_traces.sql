-- Both stores take this file; see 0001_updates.sql.

ALTER TABLE versions_update ADD COLUMN trace text NOT NULL DEFAULT ''; -- the span that stored it, see Update.Trace
