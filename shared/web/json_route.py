"""Routes that take a JSON object and parts of the path, and nothing else."""

import json
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shared.web.plain_route import PlainRoute
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


class StrictJsonRoute(PlainRoute):
    """A route that takes `application/json` only, bounds its size, and reads it with `loads_object`."""

    request_class = StrictRequest
    body_params = 1
    query_params = 0

    async def read(self, request: StrictRequest, values: dict[str, Any], errors: list[Any]) -> None:
        """Read the endpoint's arguments, the body's too."""
        await super().read(request, values, errors)
        if self.body_field is not None:
            await self._read_body(request, values, errors)

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
