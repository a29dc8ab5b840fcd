"""Rules of the code base that no other tool checks."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import command_service.app
import command_service.problems
import query_service.app
import query_service.problems
from command_service.errors import InvalidSnapshot
from command_service.orders.aggregate import ORDERS as COMMAND_ORDERS
from daicho.errors import NoLedger, OperatorError
from query_service.generations import ViewsOfOthers
from query_service.orders.aggregate import ORDERS as QUERY_ORDERS
from query_service.parking import EventsParked
from query_service.projection_health import ProjectionsStuck
from query_service.projector import ProjectorStalled
from query_service.rebuild.requests import NothingToUndo
from query_service.rebuild.service import RebuildFailed
from shared.errors import DaichoError, EventSchemaError, UnknownEventType
from shared.jetstream.address import NatsMissing
from shared.schema import SchemaMismatch
from shared.supervision import TaskDied
from shared.web import problems as web_problems

ORDERS = "command_service.orders"
ROOT = Path(__file__).parents[2]
PACKAGES = ("command_service", "query_service", "shared", "daicho", "migrations")
ALEMBIC_RUNS = re.compile(r"migrations\.\w+\.(env|versions)\b")
"""What Alembic alone imports, with a migration under way."""

TABLES = (
    web_problems.SHARED_PROBLEMS,
    command_service.problems.PROBLEMS,
    query_service.problems.PROBLEMS,
    COMMAND_ORDERS.problems,
    QUERY_ORDERS.problems,
)
NEVER_ANSWERED = {
    OperatorError: "ends a daicho command",
    InvalidSnapshot: "is logged; the events are read instead",
    SchemaMismatch: "ends the start, or is named by /health/ready",
    TaskDied: "is named by /health/ready",
    ProjectorStalled: "is named by /health/ready",
    ProjectionsStuck: "is named by /health/ready",
    EventsParked: "is a warning of /health/ready",
    RebuildFailed: "is a warning of /health/ready",
    ViewsOfOthers: "is a warning of /health/ready",
    NothingToUndo: "ends `daicho rebuild --undo`",
    NatsMissing: "ends the start, or `daicho relay`",
}
SLUGS = {
    "validation-failed": 422, "order-not-found": 404, "order-already-exists": 409, "invalid-transition": 409,
    "version-mismatch": 412, "concurrency-conflict": 409, "idempotency-key-reused": 422, "overloaded": 503,
    "outcome-unknown": 503, "read-model-behind": 503, "unavailable": 503, "not-found": 404, "method-not-allowed": 405,
    "unsupported-media-type": 415, "body-too-large": 413, "unauthorized": 401, "forbidden": 403, "invalid-cursor": 422,
}  # fmt: skip


def leaves(error: type[DaichoError]) -> set[type[DaichoError]]:
    """Give the subclasses without subclasses, of our packages alone."""
    ours = [one for one in error.__subclasses__() if one.__module__.split(".")[0] in PACKAGES]
    return {error} if not ours else set().union(*(leaves(one) for one in ours))


def test_every_error_that_a_request_can_meet_has_a_problem() -> None:
    known = {name: problem for table in TABLES for name, problem in table.items()}
    without = {
        error.__name__
        for error in leaves(DaichoError)
        if not issubclass(error, tuple(NEVER_ANSWERED)) and web_problems.find_problem(known, error) is None
    }
    assert without == set()


def test_problems_are_those_of_the_contract() -> None:
    problems = {problem for table in TABLES for problem in table.values()}
    problems |= {web_problems.VALIDATION_FAILED, *web_problems.HTTP_PROBLEMS.values()}
    assert {problem.slug: problem.status for problem in problems} == SLUGS
    assert len(problems) == len(SLUGS), "one slug has two titles or two statuses"


def test_what_is_never_answered_has_no_problem() -> None:
    known = {name: problem for table in TABLES for name, problem in table.items()}
    assert leaves(DaichoError) >= NEVER_ANSWERED.keys() - {OperatorError}
    assert leaves(OperatorError) > {NoLedger}
    for error in leaves(OperatorError) | NEVER_ANSWERED.keys():
        assert web_problems.find_problem(known, error) is None, error


def test_an_error_without_a_problem_of_its_own_has_that_of_its_nearest_base() -> None:
    near, far = web_problems.Problem("near", 409, ""), web_problems.Problem("far", 503, "")
    table = {DaichoError: far, EventSchemaError: near}
    assert web_problems.find_problem(table, UnknownEventType) == near
    assert web_problems.find_problem(table, OperatorError) == far
    assert web_problems.find_problem({EventSchemaError: near}, OperatorError) is None


@pytest.mark.parametrize(
    ("module", "also"),
    [
        ("decider", {"command_service.decider", f"{ORDERS}.commands", f"{ORDERS}.errors", "shared.orders.events"}),
        ("commands", {"pydantic", f"{ORDERS}.values", "shared.orders.examples"}),
        ("values", {"pydantic", "pycountry", "shared.text"}),
        ("errors", {"shared.orders.errors"}),
    ],
)
def test_the_orders_rules_import_nothing_impure(module: str, also: set[str]) -> None:
    pure = {"collections.abc", "dataclasses", "decimal", "functools", "re", "typing", "uuid.UUID"}
    source = (ROOT / "command_service" / "orders" / f"{module}.py").read_text(encoding="utf-8")
    assert imported(source) - pure <= also | {"shared.orders.values", "shared.event_log.events"}


def imported(source: str) -> set[str]:
    """Give the names of the modules that a module imports, anywhere in it; of uuid, what it takes from there."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                names |= {name.name for name in node.names}
            case ast.ImportFrom(module="uuid"):
                names |= {f"uuid.{name.name}" for name in node.names}
            case ast.ImportFrom():
                names.add("." * node.level + (node.module or ""))
    return names


def test_no_import_is_overlooked() -> None:
    source = "import time as t, os.path\nfrom uuid import UUID, uuid4\ndef f():\n    from . import x\n    from random import *"
    assert imported(source) == {"time", "os.path", "uuid.UUID", "uuid.uuid4", ".", "random"}


def test_every_module_imports_without_an_environment_and_does_nothing_and_few_of_them_need_nats() -> None:
    names = [
        module.name
        for package in PACKAGES
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
        if not module.name.endswith("__main__") and not ALEMBIC_RUNS.match(module.name)
    ]
    assert {"command_service.main", "query_service.main", "daicho.cli", "migrations.sql"} <= set(names)
    code = (
        "import importlib, sys\n"
        "sys.modules['nats'] = None\n"
        "import command_service.app, query_service.app, daicho.cli\n"
        "del sys.modules['nats']\n"
        f"for name in {names!r}: importlib.import_module(name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr == ""


def test_no_module_is_longer_than_one_sitting() -> None:
    long = {str(path): n for package in PACKAGES for path in (ROOT / package).rglob("*.py")
            if (n := len(path.read_text(encoding="utf-8").splitlines())) > 300}  # fmt: skip
    assert long == {}
