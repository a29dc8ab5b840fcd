-- Four bytes for each sealed event, in order: the first of the SHA-256 of its canonical form. The digest proves
-- that something was altered; a locator tells which event of the seal it was. Older seals have none.
ALTER TABLE event_store.seals
    ADD COLUMN locators bytea,
    ADD CONSTRAINT seals_locators_check CHECK (octet_length(locators) = 4 * (last_position - first_position + 1));
