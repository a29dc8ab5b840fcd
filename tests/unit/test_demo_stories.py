"""The demo's stories: the same for a seed, allowed by the order's rules, wrong where they mean to be."""

from collections import Counter
from datetime import timedelta

import pytest
from pydantic import ValidationError

from command_service.orders.commands import CancelOrder, ConfirmOrder, PlaceOrder, ShipOrder
from command_service.orders.decider import DECIDER
from command_service.orders.errors import InvalidTransition
from daicho.demo.catalogue import customer
from daicho.demo.requests import Known, request
from daicho.demo.stories import Mistake, Story, story
from shared.orders.values import OrderStatus

STORIES = [story(7, number) for number in range(2000)]


def with_mistake(mistake: Mistake) -> list[tuple[Story, int]]:
    return [(one, number) for one in STORIES for number, step in enumerate(one.steps) if step.mistake is mistake]


def test_a_seed_gives_the_same_stories_and_another_seed_others() -> None:
    assert [story(7, number) for number in range(100)] == STORIES[:100]
    others = [story(8, number) for number in range(100)]
    assert sum(one.steps == other.steps for one, other in zip(STORIES, others, strict=False)) == 0


def test_without_its_mistakes_each_story_is_allowed_and_ends_in_the_last_status() -> None:
    ends: Counter[OrderStatus | None] = Counter()
    for one in STORIES:
        state = DECIDER.initial_state
        for step in one.without_mistakes():
            (event,) = DECIDER.decide(step.command, state)
            state = DECIDER.evolve(state, event)
        ends[state.status] += 1
    assert ends.keys() == {OrderStatus.SHIPPED, OrderStatus.CANCELLED}
    assert 0.05 < ends[OrderStatus.CANCELLED] / len(STORIES) < 0.11


def test_leaving_mistakes_out_loses_no_time() -> None:
    for one in STORIES:
        whole = sum((step.after for step in one.steps), timedelta(0))
        first = [step.mistake for step in one.steps].index(None)
        steps = list(one.without_mistakes())
        assert sum((step.after for step in steps), timedelta(0)) == whole
        assert steps[0].command == one.steps[first].command
        assert all(step.after > timedelta(0) for step in steps[1:])


@pytest.mark.parametrize("mistake", Mistake)
def test_every_mistake_happens_and_not_too_often(mistake: Mistake) -> None:
    assert 0.005 < len(with_mistake(mistake)) / len(STORIES) < 0.04


def test_a_wrong_quantity_is_not_valid_and_is_put_right() -> None:
    for one, number in with_mistake(Mistake.WRONG_QUANTITY):
        with pytest.raises(ValidationError, match="quantity"):
            PlaceOrder.model_validate(request(one, number, Known()).body)
        right = request(one, number + 1, Known())
        assert PlaceOrder.model_validate(right.body) == one.steps[number + 1].command
        assert right.headers["Idempotency-Key"] != request(one, number, Known()).headers["Idempotency-Key"]


def test_twice_is_the_very_same_request() -> None:
    for one, number in with_mistake(Mistake.TWICE):
        assert request(one, number, Known()) == request(one, number - 1, Known())


def test_shipping_too_early_is_refused() -> None:
    for one, number in with_mistake(Mistake.TOO_EARLY):
        placed, *_ = DECIDER.decide(next(one.without_mistakes()).command, DECIDER.initial_state)
        with pytest.raises(InvalidTransition, match="pending"):
            DECIDER.decide(one.steps[number].command, DECIDER.evolve(DECIDER.initial_state, placed))


def test_a_stale_request_names_the_version_before_and_the_next_one_the_right_one() -> None:
    for one, number in with_mistake(Mistake.STALE):
        known = Known("/orders/1", 2)
        assert request(one, number, known).headers["If-Match"] == '"1"'
        again = request(one, number + 1, known)
        assert (again.path, again.headers["If-Match"]) == ("/orders/1/ship", '"2"')


def test_commands_other_than_placing_say_on_which_version_they_act() -> None:
    known = Known("/orders/1", 3)
    paths = {PlaceOrder: "/orders", ConfirmOrder: "/orders/1/confirm", ShipOrder: "/orders/1/ship",
             CancelOrder: "/orders/1/cancel"}  # fmt: skip
    seen = set()
    for one in STORIES:
        for number, step in enumerate(one.steps):
            made = request(one, number, known)
            assert made.path == paths[type(step.command)]
            assert ("If-Match" in made.headers) == (made.path != "/orders")
            seen.add(made.path)
    assert seen == set(paths.values())


def test_customers_are_always_the_same_and_come_again() -> None:
    before = [customer(number) for number in range(50)]
    customer.cache_clear()
    assert [customer(number) for number in range(50)] == before
    names = Counter(
        one.steps[0].command.customer_name for one in STORIES if isinstance(one.steps[0].command, PlaceOrder)
    )
    assert names.most_common(1)[0][1] > 3
    assert len(names) > 500
    countries = {customer(number).address.country for number in range(200)}
    assert len(countries) == 8
