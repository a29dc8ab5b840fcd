-- One row per UTC day on which an order was placed or shipped.
CREATE TABLE read_model.sales_by_day (
    day             date           NOT NULL,
    placed_count    bigint         NOT NULL,
    placed_revenue  numeric(24, 2) NOT NULL,
    shipped_count   bigint         NOT NULL,
    shipped_revenue numeric(24, 2) NOT NULL,
    CONSTRAINT sales_by_day_pkey PRIMARY KEY (day)
);
ALTER TABLE read_model.sales_by_day OWNER TO daicho_query;

-- What the orders projected so far add up to.
INSERT INTO read_model.sales_by_day (day, placed_count, placed_revenue, shipped_count, shipped_revenue)
SELECT day, sum(placed_count), sum(placed_revenue), sum(shipped_count), sum(shipped_revenue)
FROM (
    SELECT (placed_at AT TIME ZONE 'UTC')::date AS day, 1 AS placed_count, total_amount AS placed_revenue,
        0 AS shipped_count, 0 AS shipped_revenue
    FROM read_model.order_summaries
    UNION ALL
    SELECT (shipped_at AT TIME ZONE 'UTC')::date, 0, 0, 1, total_amount
    FROM read_model.order_summaries WHERE shipped_at IS NOT NULL
) AS orders
GROUP BY day;
