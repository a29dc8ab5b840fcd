"""Routes that take parts of their path, a model of their query and the request, and give a response: nothing else."""

from collections.abc import Callable, Iterator, Sequence
from inspect import iscoroutinefunction
from typing import Any, get_args, get_origin, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send


class PlainRoute(APIRoute):
    """A route that is FastAPI's in all but how a request is handled.

    There are no dependencies to resolve, no values to render and nothing to close behind it, and FastAPI's care for these
    takes half of the time of a request. What a request has besides, a subclass reads.
    """

    request_class: type[Request] = Request
    body_params = 0
    """Most parameters that are read from the body, by a subclass."""
    query_params = 1
    """Most models of the query."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        takes = self.dependant
        others = (
            takes.dependencies, takes.header_params, takes.cookie_params, takes.response_param_name, takes.background_tasks_param_name,
            takes.http_connection_param_name, takes.websocket_param_name, takes.security_scopes_param_name,
            takes.body_params[self.body_params :], takes.query_params[self.query_params :],
        )  # fmt: skip
        if any(others):
            raise TypeError(f"{path} takes more than a request, parts of its path and {type(self).__name__}'s own")
        if not iscoroutinefunction(endpoint) or not _gives_a_response(endpoint):
            raise TypeError(f"{path} needs a coroutine function that gives a Response")
        self._lists = frozenset(
            name for field in takes.query_params for name in _lists(path, field.field_info.annotation)
        )

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self.methods and scope["method"] not in self.methods:
            await super().handle(scope, receive, send)  # It tells which methods there are.
            return
        request = self.request_class(scope, receive)
        values: dict[str, Any] = {}
        errors: list[Any] = []
        await self.read(request, values, errors)
        if errors:
            raise RequestValidationError(errors)
        if self.dependant.request_param_name is not None:
            values[self.dependant.request_param_name] = request
        response: Response = await self.endpoint(**values)
        await response(scope, receive, send)

    async def read(self, request: Any, values: dict[str, Any], errors: list[Any]) -> None:
        """Read the endpoint's arguments, and what is wrong with them."""
        for field in self.dependant.path_params:
            values[field.name], wrong = field.validate(request.path_params[field.alias], loc=("path", field.alias))
            errors += wrong
        for field in self.dependant.query_params:
            query = request.query_params
            given = {name: query.getlist(name) if name in self._lists else query[name] for name in query}
            values[field.name], wrong = field.validate(given, loc=("query",))
            errors += wrong


def _gives_a_response(endpoint: Callable[..., Any]) -> bool:
    given = get_type_hints(endpoint).get("return")
    return isinstance(given, type) and issubclass(given, Response)


def _lists(path: str, model: Any) -> Iterator[str]:
    """Give the names by which the query may have something more than once."""
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        raise TypeError(f"{path} must take its query as one model")
    for name, field in model.model_fields.items():
        kinds = {get_origin(one) or one for one in (field.annotation, *get_args(field.annotation))}
        if field.validation_alias not in {None, field.alias} or kinds & {set, frozenset, tuple, Sequence}:
            raise TypeError(f"{path} cannot read {name} of its query")
        if get_origin(field.annotation) is list:
            yield field.alias or name
        elif list in kinds:
            raise TypeError(f"{path} cannot read {name} of its query: a list needs a default that is one")
