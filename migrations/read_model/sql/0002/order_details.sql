-- One row per order: what its summary does not tell.
CREATE TABLE read_model.order_details (
    order_id            uuid NOT NULL,
    shipping_address    jsonb,
    carrier             text,
    tracking_number     text,
    cancellation_reason text,
    CONSTRAINT order_details_pkey PRIMARY KEY (order_id)
);
ALTER TABLE read_model.order_details OWNER TO daicho_query;
