"""Rules of the code base that no other tool checks."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import command_service.app
import command_service.problems
import query_service.app
import query_service.problems
from command_service.orders.aggregate import ORDERS as COMMAND_ORDERS
from daicho.errors import OperatorError
from query_service.checkpoints import ProjectionVersionMismatch
from query_service.orders.aggregate import ORDERS as QUERY_ORDERS
from query_service.projector import ProjectorStalled
from shared.errors import DaichoError
from shared.schema import SchemaNotAtHead
from shared.supervision import TaskDied
from shared.web import problems as web_problems

ROOT = Path(__file__).parents[2]
PACKAGES = ("command_service", "query_service", "shared", "daicho")

TABLES = (
    web_problems.SHARED_PROBLEMS,
    command_service.problems.PROBLEMS,
    query_service.problems.PROBLEMS,
    COMMAND_ORDERS.problems,
    QUERY_ORDERS.problems,
)
NEVER_ANSWERED = {
    OperatorError: "ends a daicho command",
    SchemaNotAtHead: "ends the start, or is named by /health/ready",
    ProjectionVersionMismatch: "ends the start",
    TaskDied: "is named by /health/ready",
    ProjectorStalled: "is named by /health/ready",
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
    problems |= {web_problems.VALIDATION_FAILED, *web_problems._HTTP_PROBLEMS.values()}
    assert {problem.slug: problem.status for problem in problems} == SLUGS


@pytest.mark.parametrize("module", ["decider", "commands"])
def test_the_orders_rules_import_nothing_impure(module: str) -> None:
    allowed = (
        "pydantic",
        "command_service.decider",
        "command_service.orders.",
        "shared.orders.",
        "shared.event_log.events",
    )
    tree = ast.parse((ROOT / "command_service" / "orders" / f"{module}.py").read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    foreign = {name for name in imported if not name.startswith(allowed)}
    assert foreign <= {"collections.abc", "dataclasses", "decimal", "typing", "uuid"}


def test_every_module_imports_without_an_environment_and_does_nothing() -> None:
    names = [
        module.name
        for package in PACKAGES
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
        if not module.name.endswith("__main__")
    ]
    assert "command_service.main" in names
    code = f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr == ""


def test_no_module_is_longer_than_one_sitting() -> None:
    long = {str(path): n for package in PACKAGES for path in (ROOT / package).rglob("*.py")
            if (n := len(path.read_text(encoding="utf-8").splitlines())) > 300}  # fmt: skip
    assert long == {}
