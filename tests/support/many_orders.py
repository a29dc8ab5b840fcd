"""A read model filled with any number of realistic orders, straight in SQL: no events stand behind them."""

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncEngine

# Two years of orders, some placed in the same second. A few customers order often, most of the fifth as many once or
# twice; totals are skewed the same way, and many are equal. All but the newest orders are shipped or cancelled.
_FILL = text("""
WITH name AS (
    SELECT
        ARRAY['Aiko', 'Ben', 'Chloé', 'Dmitri', 'Élodie', 'Fatima', 'Goran', 'Hana', 'Ingrid', 'João', 'Kenji', 'Łukasz',
              'Mary', 'Noor', 'Ōta', 'Priya', 'Quentin', 'Renée', 'Søren', 'Tom', 'Uma', 'Viktor', 'Wei', 'Ximena',
              'Yui', 'Zoë', '健', '美咲', 'Мария', 'Αλέξης'] AS first,
        ARRAY['Tanaka', 'Smith', 'Müller', 'García', 'Novák', 'Okafor', 'Singh', 'Ōe', 'Żukowska', 'Ivanov', 'O''Brien',
              'Åberg', 'Đorđević', '100%_\\ Ltd', '田中', '佐藤', 'Jones', 'Li', 'Nguyễn', 'de la Cruz'] AS last
), drawn AS (
    SELECT
        n,
        timestamptz '2024-03-01' + trunc(n * 63072000.0 / :orders / 100) * interval '100 seconds' AS placed_at,
        trunc(greatest(:orders / 5, 1) * power(random(), 3))::int AS customer,
        round(least(99999999.99, exp(3.5 + 1.3 * random_normal()))::numeric, CASE WHEN n % 3 = 0 THEN 0 ELSE 2 END) AS total,
        random() AS fate,
        (:orders - n)::float8 / :orders AS age
    FROM generate_series(1, :orders) AS n
), settled AS (
    SELECT
        *,
        CASE
            WHEN fate < 0.07 THEN 'cancelled'
            WHEN fate > 0.9995 OR (age < 0.02 AND fate > 0.2 + 25 * age) THEN 'pending'
            WHEN fate > 0.999 OR (age < 0.04 AND fate > 0.1 + 20 * age) THEN 'confirmed'
            ELSE 'shipped'
        END AS status
    FROM drawn
)
INSERT INTO read_model.order_summaries (
    order_id, customer_name, total_amount, status, item_count, placed_at, confirmed_at, shipped_at, cancelled_at, version
)
SELECT
    (lpad(to_hex((extract(epoch FROM placed_at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
        || '8' || substr(md5(n::text), 4, 15))::uuid,
    first[1 + customer % 30] || ' ' || last[1 + customer / 30 % 20] || CASE WHEN customer < 600 THEN '' ELSE ' ' || customer / 600 END,
    greatest(total, 0.01),
    status,
    1 + n % 5,
    placed_at,
    CASE WHEN status IN ('confirmed', 'shipped') THEN placed_at + interval '1 hour' END,
    CASE status WHEN 'shipped' THEN placed_at + interval '1 day' END,
    CASE status WHEN 'cancelled' THEN placed_at + interval '2 hours' END,
    CASE status WHEN 'pending' THEN 1 WHEN 'shipped' THEN 3 ELSE 2 END
FROM settled, name
""").bindparams(bindparam("orders", type_=None))


async def fill_order_summaries(engine: AsyncEngine, orders: int) -> None:
    """Add so many orders to `order_summaries`, the same ones each time, and have its statistics made."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT setseed(0.5)"))
        await connection.execute(_FILL, {"orders": orders})
        await connection.execute(text("VACUUM (ANALYZE) read_model.order_summaries"))
