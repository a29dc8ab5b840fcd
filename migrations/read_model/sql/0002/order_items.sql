-- One row per line of an order; lines count from 1.
CREATE TABLE read_model.order_items (
    order_id     uuid           NOT NULL,
    line_number  integer        NOT NULL,
    product_name text           NOT NULL,
    quantity     integer        NOT NULL,
    unit_price   numeric(10, 2) NOT NULL,
    subtotal     numeric(10, 2) NOT NULL,
    CONSTRAINT order_items_pkey PRIMARY KEY (order_id, line_number)
);
ALTER TABLE read_model.order_items OWNER TO daicho_query;
