"""Peak memory of one batch of large events (each within the command service's limits)."""
import asyncio, json, resource, sys
from uuid import uuid4
from command_service.event_store import Commit
from command_service.postgres_store import PostgresEventStore
from shared.event_log.events import EventId, NewEvent, StreamId, Version
from tests.support.databases import server, migrated_template, cloned, connected
from tests.support.orders import START
from tests.support.projecting import Projecting
from time import perf_counter
N = int(sys.argv[1])
async def main(pg, template):
    items = [{"product_name": "\u53f0" * 200, "quantity": 1, "unit_price": "1.00"} for _ in range(500)]
    data = json.dumps({"customer_name": "x", "items": items, "total_amount": "500.00", "shipping_address": None}, ensure_ascii=False)
    async with cloned(pg, template) as url, connected(url) as engine, connected(url, 1, autocommit=False) as read:
        store = PostgresEventStore(engine)
        for _ in range(N):
            await store.append([Commit(StreamId("order", uuid4()), Version(0), (NewEvent(EventId(uuid4()), "OrderPlaced", 2, data, "{}", START),))])
        print(len(data.encode()), "bytes an event; before:", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB")
        one = Projecting(engine, read, batch=1000)
        await one.register()
        t = perf_counter()
        try:
            print(await one.apply_next() and "applied")
        except Exception as e:
            print(type(e).__name__, str(e)[:200], repr(e.__cause__)[:200])
        print("peak:", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB", f"{perf_counter()-t:.1f} s")
with server() as pg, migrated_template(pg) as template:
    asyncio.run(main(pg, template))
