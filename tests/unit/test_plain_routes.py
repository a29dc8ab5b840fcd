"""A plain route refuses, when it is made, what it would not give when it is asked."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Header, Query, Request, Response
from pydantic import BaseModel, Field

from shared.web.plain_route import PlainRoute


class Filters(BaseModel):
    names: list[str] = Field(default=[], alias="name")
    limit: int = 5


class Unreadable(BaseModel):
    names: Sequence[str] = ()


class Absent(BaseModel):
    names: list[str] | None = None


async def nothing() -> None:
    pass


async def with_header(_token: Annotated[str, Header()]) -> Response:
    return Response()


async def with_dependency(_: Annotated[None, Depends(nothing)]) -> Response:
    return Response()


async def with_response(_response: Response) -> Response:
    return Response()


async def with_tasks(_tasks: BackgroundTasks) -> Response:
    return Response()


async def with_body(_filters: Filters) -> Response:
    return Response()


async def with_two_models(_one: Annotated[Filters, Query()], _other: int) -> Response:
    return Response()


async def with_one_value(_limit: int) -> Response:
    return Response()


async def with_a_sequence(_query: Annotated[Unreadable, Query()]) -> Response:
    return Response()


async def with_a_list_or_none(_query: Annotated[Absent, Query()]) -> Response:
    return Response()


async def that_gives_no_response() -> int:
    return 1


def that_is_no_coroutine() -> Response:
    return Response()


@pytest.mark.parametrize(
    "endpoint",
    [
        with_header, with_dependency, with_response, with_tasks, with_body, with_two_models, with_one_value,
        with_a_sequence, with_a_list_or_none, that_gives_no_response, that_is_no_coroutine,
    ],
)  # fmt: skip
def test_what_it_cannot_give_is_refused(endpoint: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="/somewhere"):
        APIRouter(route_class=PlainRoute).get("/somewhere", response_model=None)(endpoint)


async def test_what_it_reads() -> None:
    app = FastAPI()
    router = APIRouter(route_class=PlainRoute)

    @router.get("/things/{thing_id}", response_model=None)
    async def get(thing_id: UUID, filters: Annotated[Filters, Query()], request: Request) -> Response:
        return Response(f"{thing_id.int} {filters.names} {filters.limit} {request.method}")

    app.router.routes.extend(router.routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
        answer = await http.get(f"/things/{UUID(int=7)}?name=a&name=b&limit=9")
        assert answer.text == "7 ['a', 'b'] 9 GET"
        assert (await http.get(f"/things/{UUID(int=7)}")).text == "7 [] 5 GET"
        wrong = (await http.get("/things/none?limit=many")).json()["detail"]
        assert [tuple(one["loc"]) for one in wrong] == [("path", "thing_id"), ("query", "limit")]
        assert (await http.post(f"/things/{UUID(int=7)}")).status_code == 405
