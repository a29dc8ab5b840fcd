-- One row per order, for lists.
CREATE TABLE read_model.order_summaries (
    order_id      uuid           NOT NULL,
    customer_name text           NOT NULL,
    total_amount  numeric(10, 2) NOT NULL,
    status        text           NOT NULL,
    item_count    integer        NOT NULL,
    placed_at     timestamptz    NOT NULL,
    confirmed_at  timestamptz,
    shipped_at    timestamptz,
    cancelled_at  timestamptz,
    version       integer        NOT NULL,
    CONSTRAINT order_summaries_pkey PRIMARY KEY (order_id),
    CONSTRAINT order_summaries_status_check CHECK (status IN ('pending', 'confirmed', 'shipped', 'cancelled'))
);

CREATE INDEX order_summaries_placed_at_idx ON read_model.order_summaries (placed_at, order_id);
CREATE INDEX order_summaries_status_placed_at_idx ON read_model.order_summaries (status, placed_at, order_id);
CREATE INDEX order_summaries_total_amount_idx ON read_model.order_summaries (total_amount, order_id);
CREATE INDEX order_summaries_customer_name_status_idx
    ON read_model.order_summaries (customer_name text_pattern_ops, status);
ALTER TABLE read_model.order_summaries OWNER TO daicho_query;
