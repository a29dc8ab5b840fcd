-- One row per coupon.
CREATE TABLE read_model.coupons (
    coupon_id uuid    NOT NULL,
    percent   integer NOT NULL,
    redeemed  boolean NOT NULL,
    CONSTRAINT coupons_pkey PRIMARY KEY (coupon_id)
);
ALTER TABLE read_model.coupons OWNER TO daicho_query;
