"""The checker itself: a sound history passes, and each way in which one can be wrong is caught by its invariant."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.faults.checker import check
from tests.faults.history import (
    Acknowledged,
    Command,
    Ending,
    Fault,
    History,
    Kind,
    LogRow,
    OrderRead,
    Outcome,
    StatisticsRead,
    Try,
)
from tests.support.replay import replay

A, B = UUID(int=1), UUID(int=2)
ORDER = {"customer_name": "Aiko", "items": [{"product_name": "Tea", "quantity": 2, "unit_price": "5.00"}]}
STEPS: Sequence[tuple[Kind, str, UUID, int, str, Mapping[str, Any]]] = (
    ("place", "OrderPlaced", A, 1, "pending", ORDER),
    ("confirm", "OrderConfirmed", A, 2, "confirmed", {}),
    ("place", "OrderPlaced", B, 1, "pending", ORDER),
    ("ship", "OrderShipped", A, 3, "shipped", {"carrier": "Yamato", "tracking_number": None}),
    ("cancel", "OrderCancelled", B, 2, "cancelled", {"reason": "late"}),
)
"""Kind, event type, order, version, status, data; in the order of positions."""


@dataclass
class World:
    """A run that went well, to be spoilt."""

    rows: list[LogRow]
    history: History
    read_models: Mapping[str, list[dict[str, Any]]]
    verified: str | None = None
    baseline: int = 0

    def caught(self) -> set[str]:
        ending = Ending(self.rows, self.baseline, self.read_models, self.verified)
        return {violation.invariant for violation in check(self.history, ending)}

    def renumber(self) -> None:
        """Give the rows the positions of their order, as the database would have."""
        self.rows = [replace(row, position=number) for number, row in enumerate(self.rows, 1)]

    def forget_followers(self) -> None:
        """Leave nothing but what clients were told."""
        self.history.followed.clear()
        self.history.sampled.clear()


def a_row(position: int) -> LogRow:
    _, event_type, order_id, version, _, data = STEPS[position - 1]
    at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=position)
    metadata = {"correlation_id": f"c{position}"}
    event_id = UUID(int=100 + position)
    return LogRow(position, "order", order_id, version, event_type, event_id, data, metadata, at, f"digest {position}")


def a_command(position: int) -> Command:
    kind, _, order_id, version, status, body = STEPS[position - 1]
    tries = [
        Try("command-1", position - 0.9, position - 0.6, Outcome.UNKNOWN, "lost"),
        Try("command-2", position - 0.5, position - 0.1, Outcome.DONE, "200"),
    ]
    told = Acknowledged(order_id, status, version, position)
    return Command(f"c{position}", 1, kind, order_id, body, "key", version - 1 if version > 1 else None, tries, [told])


@pytest.fixture
def world() -> World:
    rows = [a_row(position) for position in range(1, 6)]
    refused = [Try("command-1", 2.1, 2.2, Outcome.REFUSED, "409 invalid-transition")]
    history = History(
        commands=[*map(a_command, range(1, 6)), Command("c9", 2, "confirm", A, {}, tries=refused)],
        reads=[
            OrderRead(1, "query-1", 2.5, A, 2, 2, 200, 2, 2, "confirmed"),
            OrderRead(1, "query-2", 6.0, A, 5, 3, 200, 5, 3, "shipped"),
            OrderRead(2, "query-2", 0.5, A, 0, 0, 404),
        ],
        statistics=[StatisticsRead(1, "query-1", 2.5, 2, 2, 1), StatisticsRead(1, "query-1", 6.0, 3, 5, 2)],
        followed={"stream": [(row.position, row.event_id) for row in rows]},
        sampled={row.position: row.digest for row in rows},
        faults=[Fault("pause a service", "query-1", 1.0, 2.0)],
    )
    return World(rows, history, replay(rows))


def test_a_sound_history_passes(world: World) -> None:
    assert world.caught() == set()


def lose_the_last(world: World) -> None:
    world.forget_followers()
    world.rows.pop()


def lose_one_whose_position_is_used_again(world: World) -> None:
    world.forget_followers()
    del world.rows[1]
    world.renumber()


def lose_one_and_leave_a_gap(world: World) -> None:
    del world.rows[2]


def double(world: World) -> None:
    world.rows.append(replace(world.rows[0], position=6, aggregate_id=UUID(int=3), event_id=UUID(int=200)))


def double_without_a_key(world: World) -> None:
    world.history.commands[0].key = None
    double(world)


def double_within_its_stream(world: World) -> None:
    world.rows.append(replace(world.rows[4], position=6, version=3, event_id=UUID(int=200)))


def reorder(world: World) -> None:
    world.forget_followers()
    world.rows[1], world.rows[2] = world.rows[2], world.rows[1]
    world.renumber()


def reorder_with_what_was_told(world: World) -> None:
    """As if positions were not given in the order of commits: told consistently, but against time."""
    world.forget_followers()
    world.rows[1], world.rows[2] = world.rows[2], world.rows[1]
    world.renumber()
    for command, position in ((world.history.commands[1], 3), (world.history.commands[2], 2)):
        command.acknowledged = [replace(command.acknowledged[0], position=position)]


def reorder_a_stream(world: World) -> None:
    world.rows[1], world.rows[3] = world.rows[3], world.rows[1]
    world.renumber()


def alter_what_was_asked_for(world: World) -> None:
    world.forget_followers()
    world.rows[0] = replace(world.rows[0], event_data={**ORDER, "customer_name": "Ben"})


def alter_what_was_seen(world: World) -> None:
    world.rows[3] = replace(world.rows[3], digest="another")


def remove_what_was_seen(world: World) -> None:
    world.rows.pop()


def break_a_seal(world: World) -> None:
    world.verified = "position 3 is not what was sealed"


def become_visible_late(world: World) -> None:
    del world.history.sampled[3]


def follower_misses_one(world: World) -> None:
    del world.history.followed["stream"][2]


def follower_gets_one_twice(world: World) -> None:
    world.history.followed["stream"].insert(2, world.history.followed["stream"][2])


def follower_gets_two_swapped(world: World) -> None:
    seen = world.history.followed["stream"]
    seen[1], seen[2] = seen[2], seen[1]


def follower_stops_early(world: World) -> None:
    world.history.followed["stream"].pop()


def follower_gets_what_is_not_there(world: World) -> None:
    world.history.followed["stream"].append((6, UUID(int=300)))


def read_model_applies_one_twice(world: World) -> None:
    world.read_models["order_totals"][0]["count"] += 1


def read_model_lacks_a_row(world: World) -> None:
    world.read_models["order_summaries"].pop()


def statistics_miss_an_order(world: World) -> None:
    world.history.statistics[1] = replace(world.history.statistics[1], total_count=1)


def statistics_are_old(world: World) -> None:
    world.history.statistics[1] = replace(world.history.statistics[1], position=2, total_count=1)


def refused_took_effect(world: World) -> None:
    world.history.commands[4].acknowledged = []
    world.history.commands[4].tries = [Try("command-1", 4.5, 4.9, Outcome.REFUSED, "503 overloaded")]


def nobody_asked(world: World) -> None:
    del world.history.commands[4]


def took_effect_at_another_version(world: World) -> None:
    world.history.commands[1].expected_version = 7


def took_effect_where_it_may_not(world: World) -> None:
    del world.rows[1], world.history.commands[1]
    world.rows[2] = replace(world.rows[2], version=2)


def key_got_two_answers(world: World) -> None:
    told = world.history.commands[1].acknowledged
    told.append(replace(told[0], version=9))


def told_another_position(world: World) -> None:
    told = world.history.commands[4].acknowledged
    told[0] = replace(told[0], position=17)


def told_another_status(world: World) -> None:
    told = world.history.commands[4].acknowledged
    told[0] = replace(told[0], status="shipped")


def read_before_what_was_wanted(world: World) -> None:
    world.history.reads[1] = replace(world.history.reads[1], position=4)


def read_an_old_state(world: World) -> None:
    world.history.reads[1] = replace(world.history.reads[1], version=2, status="confirmed")


def read_older_than_it_knew(world: World) -> None:
    world.history.reads[0] = replace(world.history.reads[0], known_version=3)


def read_nothing(world: World) -> None:
    world.history.reads[0] = replace(world.history.reads[0], code=404, position=0, version=0, status=None)


def read_what_never_was(world: World) -> None:
    world.history.reads[0] = replace(world.history.reads[0], status="cancelled")


def skip_a_version(world: World) -> None:
    """In orders from before the run, of which no client was told anything."""
    world.history = History()
    world.baseline = 5
    world.rows[4] = replace(world.rows[4], version=3)


def got_a_500(world: World) -> None:
    world.history.commands[5].tries.append(Try("command-1", 6.0, 6.1, Outcome.UNKNOWN, "500 internal-error"))


def read_got_a_500(world: World) -> None:
    world.history.broken_reads.append((1.0, "query-1 /statistics"))


SPOILT: Sequence[tuple[Callable[[World], None], set[str]]] = (
    (lose_the_last, {"I1"}),
    (lose_one_whose_position_is_used_again, {"I1", "I3"}),
    (lose_one_and_leave_a_gap, {"I1", "I2", "I4", "I8"}),
    (double, {"I4", "I7"}),
    (double_without_a_key, {"I1", "I4"}),
    (double_within_its_stream, {"I4", "I6", "I7"}),
    (reorder, {"I1"}),
    (reorder_with_what_was_told, {"I2"}),
    (reorder_a_stream, {"I1", "I3", "I4", "I6"}),
    (alter_what_was_asked_for, {"I1", "I5"}),
    (alter_what_was_seen, {"I8"}),
    (remove_what_was_seen, {"I8", "I1", "I4"}),
    (break_a_seal, {"I8"}),
    (become_visible_late, {"I2"}),
    (follower_misses_one, {"I4"}),
    (follower_gets_one_twice, {"I4"}),
    (follower_gets_two_swapped, {"I4"}),
    (follower_stops_early, {"I4"}),
    (follower_gets_what_is_not_there, {"I4"}),
    (read_model_applies_one_twice, {"I5"}),
    (read_model_lacks_a_row, {"I5"}),
    (statistics_miss_an_order, {"I5"}),
    (statistics_are_old, {"I9"}),
    (refused_took_effect, {"I6"}),
    (nobody_asked, {"I6"}),
    (took_effect_at_another_version, {"I6"}),
    (took_effect_where_it_may_not, {"I6"}),
    (key_got_two_answers, {"I7"}),
    (told_another_position, {"I1"}),
    (told_another_status, {"I1"}),
    (read_before_what_was_wanted, {"I9"}),
    (read_an_old_state, {"I9"}),
    (read_older_than_it_knew, {"I9"}),
    (read_nothing, {"I9"}),
    (read_what_never_was, {"I9"}),
    (skip_a_version, {"I3"}),
    (got_a_500, {"errors"}),
    (read_got_a_500, {"errors"}),
)


@pytest.mark.parametrize(("spoil", "invariants"), SPOILT, ids=[spoil.__name__ for spoil, _ in SPOILT])
def test_a_spoilt_history_is_caught(world: World, spoil: Callable[[World], None], invariants: set[str]) -> None:
    spoil(world)
    assert invariants <= world.caught()
