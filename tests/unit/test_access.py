"""Every route of both services has a scope, or is on the list of those that are open."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import SecretStr
from starlette.routing import BaseRoute, Match, Route

from command_service.app import create_app as create_command_app
from command_service.settings import CommandSettings
from query_service.app import create_app as create_query_app
from query_service.settings import QuerySettings
from shared.web.access import ANY_TOKEN, OPEN, Access, AccessRules, Guarded, needs

URL = SecretStr("postgresql://nowhere.invalid/none")
APPS: dict[str, FastAPI] = {
    "command": create_command_app(CommandSettings(database_url=URL)),
    "query": create_query_app(QuerySettings(database_url=URL)),
}
HOLD_NO_DATA = {"/openapi.json", "/docs", "/asyncapi.json", "/health/live", "/health/ready", "/"}
SCOPES = {
    "POST /orders": {"orders:write"},
    "POST /orders/batch": {"orders:write"},
    "POST /orders/{order_id}/confirm": {"orders:write"},
    "POST /orders/{order_id}/ship": {"orders:write"},
    "POST /orders/{order_id}/cancel": {"orders:write"},
    "GET /orders": {"orders:read"},
    "GET /orders/{order_id}": {"orders:read"},
    "GET /orders/{order_id}/history": {"orders:read"},
    "GET /statistics": {"orders:read"},
    "GET /statistics/daily": {"orders:read"},
    "GET /analytics/statuses": {"orders:read"},
    "GET /events": {"orders:read"},
    "GET /events/stream": {"orders:read"},
    "GET /projections": {"operations", "orders:read"},
    "GET /metrics": {"operations", "orders:read"},
    "GET /projections/{name}/parked": {"operations"},
    "POST /projections/{name}/parked/retry": {"operations"},
    "POST /projections/{name}/rebuild": {"operations"},
}
"""Each of these scopes is enough by itself."""


def routes(these: Iterable[BaseRoute]) -> Iterator[Any]:
    """Give every route, those of included routers too."""
    for one in these:
        inner = getattr(one, "original_router", None) or getattr(one, "router", None)
        if inner is not None:
            yield from routes(inner.routes)
        else:
            yield one


def needed(app: FastAPI) -> dict[str, Access]:
    rules: AccessRules = app.state.access_rules
    return {
        f"{method} {route.path}": rules.find(method, route.path.replace("{file:path}", "x.css"))
        for route in routes(app.routes)
        for method in route.methods - {"HEAD"}
    }


def test_every_route_needs_a_scope_or_holds_no_data() -> None:
    found = {name: access for app in APPS.values() for name, access in needed(app).items()}
    paths = {name: name.partition(" ")[2] for name in found}
    is_open = {name for name, path in paths.items() if path in HOLD_NO_DATA or path.startswith("/assets/")}
    assert all(found[name] is OPEN for name in is_open)
    scopes = {name: {scope for option in access.options for scope in option} for name, access in found.items()}
    assert {name: those for name, those in scopes.items() if name not in is_open} == SCOPES
    assert all(len(option) == 1 for name in SCOPES for option in found[name].options)


@pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
def test_no_route_is_overlooked(app: FastAPI) -> None:
    documented = {f"{method.upper()} {path}" for path, those in app.openapi()["paths"].items() for method in those}
    assert documented <= needed(app).keys()


@pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
@pytest.mark.parametrize("odd", ["{}\n", "{}/", "/{}", "{}//", "{}%2f", "{};x", "{}?", "/./{}", "{}\r", "{}\0", "{} "])
def test_an_odd_path_needs_what_the_route_needs_that_takes_it(app: FastAPI, odd: str) -> None:
    rules: AccessRules = app.state.access_rules
    for route in [one for one in routes(app.routes) if isinstance(one, Route)]:
        for method in route.methods or ():
            plain = route.path.replace("{order_id}", "7").replace("{name}", "order_items").replace("{file:path}", "x")
            path = odd.format(plain)
            taken_by = next((one for one in routes(app.routes) if _takes(one, method, path)), None)
            if taken_by is not None and method != "HEAD":
                expected = rules.find(method, taken_by.path.replace("{file:path}", "x"))
                assert rules.find(method, path).options in (
                    expected.options,
                    ANY_TOKEN.options if expected is OPEN else (),
                )


def _takes(route: BaseRoute, method: str, path: str) -> bool:
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    return route.matches(scope)[0] == Match.FULL


def test_a_path_that_ends_in_a_newline_is_no_way_around() -> None:
    """The router takes it for the route: `$` matches before a last newline."""
    rules: AccessRules = APPS["query"].state.access_rules
    assert rules.find("GET", "/orders\n") is rules.find("GET", "/orders") is not ANY_TOKEN


def test_what_is_no_route_needs_a_token() -> None:
    rules: AccessRules = APPS["query"].state.access_rules
    for method, path in (
        ("GET", "/none"),
        ("DELETE", "/orders"),
        ("TRACE", "/orders"),
        ("POST", "/docsx"),
        ("GET", ""),
    ):
        assert rules.find(method, path) is ANY_TOKEN


def test_the_first_route_of_the_method_counts() -> None:
    one, two = APIRouter(), APIRouter()
    one.add_api_route("/a/{name}", lambda: None, methods=["GET"])
    two.add_api_route("/a/b", lambda: None, methods=["GET", "PUT"])
    rules = AccessRules([Guarded(one, needs("one")), Guarded(two, needs("two"))])
    assert rules.find("GET", "/a/b") == needs("one")
    assert rules.find("PUT", "/a/b") == needs("two")
    assert rules.find("PUT", "/a/c") is ANY_TOKEN


def test_a_router_in_a_router_is_refused() -> None:
    outer, inner = APIRouter(), APIRouter()
    inner.add_api_route("/a", lambda: None)
    outer.include_router(inner)
    with pytest.raises(TypeError, match="by itself"):
        AccessRules([Guarded(outer, needs("x"))])


def test_access_is_all_scopes_of_one_option() -> None:
    access = needs("a", "b") | needs("c")
    for scopes, admitted in (({"a"}, False), ({"a", "b"}, True), ({"c", "x"}, True), (set[str](), False)):
        assert access.admits(frozenset(scopes)) is admitted
    assert ANY_TOKEN.admits(frozenset())
