"""The problems that are documented are those that can be answered, with their status and members."""

from collections.abc import Iterator

from command_service import app as command_app
from command_service import problems as command_problems
from command_service.errors import VersionMismatch
from command_service.orders.errors import InvalidTransition
from query_service import app as query_app
from query_service import problems as query_problems
from query_service.projected_position import ReadModelBehind
from shared.errors import DaichoError
from shared.event_log.events import Position, Version
from shared.orders.errors import OrderNotFound
from shared.orders.values import OrderStatus
from shared.web import problems as web
from shared.web.readiness import NotReady
from tests.support.pages import DOCS, rows

TABLES = [
    web.SHARED_PROBLEMS,
    command_problems.PROBLEMS,
    query_problems.PROBLEMS,
    *(aggregate.problems for aggregate in command_app.AGGREGATES),
    *(aggregate.problems for aggregate in query_app.AGGREGATES),
]
PROBLEMS = {
    *(problem for table in TABLES for problem in table.values()),
    *web.HTTP_PROBLEMS.values(),
    *(problem for problem in vars(web).values() if isinstance(problem, web.Problem)),
}
DOCUMENTED = {
    slug.strip("`"): (int(status), members) for slug, status, _, members, _ in rows(DOCS / "reference" / "problems.md")
}
WITH_MEMBERS: list[DaichoError] = [
    VersionMismatch(Version(2), Version(1)),
    InvalidTransition("shipped", OrderStatus.PENDING),
    ReadModelBehind(Position(2), Position(1)),
    OrderNotFound(Position(1)),
    NotReady({"schema": "the database cannot be reached"}),
]


def test_every_problem_is_documented_and_no_other() -> None:
    assert {slug: status for slug, (status, _) in DOCUMENTED.items()} == {one.slug: one.status for one in PROBLEMS}


def test_the_members_of_each_are_documented() -> None:
    assert {type(error) for error in WITH_MEMBERS} == {one for one in subclasses(DaichoError) if "members" in vars(one)}
    for error in WITH_MEMBERS:
        problem = next(found for table in TABLES if (found := web.find_problem(table, type(error))))
        for member in error.members():
            assert f"`{member}`" in DOCUMENTED[problem.slug][1], member


def subclasses(error: type[DaichoError]) -> Iterator[type[DaichoError]]:
    for one in error.__subclasses__():
        yield one
        yield from subclasses(one)
