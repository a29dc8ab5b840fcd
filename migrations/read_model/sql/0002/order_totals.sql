-- One row per status that an order has had: how many orders are in it now, and what they amount to.
CREATE TABLE read_model.order_totals (
    status       text           NOT NULL,
    count        bigint         NOT NULL,
    total_amount numeric(24, 2) NOT NULL,
    CONSTRAINT order_totals_pkey PRIMARY KEY (status)
);
ALTER TABLE read_model.order_totals OWNER TO daicho_query;
