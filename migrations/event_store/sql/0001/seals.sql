-- One row per append call: a hash chain over the log (see canonical_form.sql).
CREATE TABLE event_store.seals (
    last_position  bigint NOT NULL,
    first_position bigint NOT NULL,
    digest         bytea  NOT NULL,
    CONSTRAINT seals_pkey PRIMARY KEY (last_position),
    CONSTRAINT seals_range_check CHECK (first_position BETWEEN 1 AND last_position),
    CONSTRAINT seals_digest_check CHECK (octet_length(digest) = 32)
);
