-- Each index keeps the orders of a status, or of a customer in a status, in a sort of lists, with order_id for ties. A
-- list merges as many walks as it wants statuses, so that orders of any status need no index of their own: docs/reference/queries.md.
-- order_summaries_status_placed_at_idx stays as it is.
DROP INDEX
    read_model.order_summaries_placed_at_idx,
    read_model.order_summaries_total_amount_idx,
    read_model.order_summaries_customer_name_status_idx;

CREATE INDEX order_summaries_status_total_amount_idx ON read_model.order_summaries (status, total_amount, order_id);

-- text_pattern_ops: for names that start with something, whatever the database's collation.
CREATE INDEX order_summaries_customer_name_status_placed_at_idx
    ON read_model.order_summaries (customer_name text_pattern_ops, status, placed_at, order_id);

-- Filters that no sort goes along with are weighed by how many orders they leave; the default of 100 buckets says
-- nothing about the largest totals, and little about names.
ALTER TABLE read_model.order_summaries
    ALTER COLUMN customer_name SET STATISTICS 1000,
    ALTER COLUMN total_amount SET STATISTICS 1000;
