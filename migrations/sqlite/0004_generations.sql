-- Which configuration made a build: the content hash that the resource `generations` tells. None: before this version.
ALTER TABLE builds ADD COLUMN generation TEXT;
