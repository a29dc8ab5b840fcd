"""Routes that take a JSON object and parts of the path, and nothing else."""

import json
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from shared.web.strict_json import has_media_type, loads_object, read_body


class StrictRequest(Request):
    """A request whose body is read once, up to the app's limit, as `loads_object` reads it.

    FastAPI's own limit answers in plain text, which no handler can change.
    """

    async def body(self) -> bytes:
        """Give the body. Raises as `read_body`."""
        if not hasattr(self, "_body"):
            self._body = await read_body(self, self.app.state.max_body_bytes)
        return self._body

    async def json(self) -> Any:
        """Give the object in the body. Raises as `loads_object`."""
        if not hasattr(self, "_json"):
            self._json = loads_object(await self.body())
        return self._json


class StrictJsonRoute(APIRoute):
    """A route that takes `application/json` only, bounds its size, and reads it with `loads_object`.

    It is FastAPI's in all but how a request is handled: there are no dependencies to resolve, no values to render and
    nothing to close behind it, and FastAPI's care for these takes half of the time of a command.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        takes = self.dependant
        if takes.dependencies or takes.query_params or takes.header_params or takes.cookie_params:
            raise TypeError(f"{path} takes more than a body, a request and parts of its path")
        if not iscoroutinefunction(endpoint) or len(takes.body_params) > 1 or not _gives_a_response(endpoint):
            raise TypeError(f"{path} needs a coroutine function of one body at most that gives a Response")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self.methods and scope["method"] not in self.methods:
            await super().handle(scope, receive, send)  # It tells which methods there are.
            return
        request = StrictRequest(scope, receive)
        values, errors = self._from_path(request)
        if self.body_field is not None:
            await self._read_body(request, values, errors)
        if errors:
            raise RequestValidationError(errors)
        if self.dependant.request_param_name is not None:
            values[self.dependant.request_param_name] = request
        response: Response = await self.endpoint(**values)
        await response(scope, receive, send)

    def _from_path(self, request: Request) -> tuple[dict[str, Any], list[Any]]:
        values: dict[str, Any] = {}
        errors: list[Any] = []
        for field in self.dependant.path_params:
            values[field.name], wrong = field.validate(request.path_params[field.alias], loc=("path", field.alias))
            errors += wrong
        return values, errors

    async def _read_body(self, request: StrictRequest, values: dict[str, Any], errors: list[Any]) -> None:
        """Read the endpoint's argument from the body; without a body, it has its default."""
        if not await _is_json(request):
            raise HTTPException(415, "the body must be application/json, in UTF-8")
        (field,) = self.dependant.body_params
        if await request.body():
            values[field.name], wrong = field.validate(await _object(request), loc=("body",))
            errors += wrong
        elif field.field_info.is_required():
            errors.append({"type": "missing", "loc": ("body",), "msg": "Field required", "input": None})


def _gives_a_response(endpoint: Callable[..., Any]) -> bool:
    given = get_type_hints(endpoint).get("return")
    return isinstance(given, type) and issubclass(given, Response)


async def _object(request: StrictRequest) -> Any:
    try:
        return await request.json()
    except json.JSONDecodeError as error:
        details = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "JSON decode error", "input": {}}
        raise RequestValidationError([{**details, "ctx": {"error": error.msg}}]) from error


async def _is_json(request: Request) -> bool:
    content_type = request.headers.get("content-type")
    if content_type == "application/json":
        return True
    if content_type is None:
        return not await request.body()
    return has_media_type(request, "application/json")
