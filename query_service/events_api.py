"""`GET /events` and `GET /asyncapi.json`: the log itself, and what is in it."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from query_service.event_pages import EventFilters, EventPages
from query_service.parameters import Number, PositionNumber, ReadParameters
from query_service.read_your_writes import READ_HEADERS, read_model
from query_service.reading import ReadModel
from query_service.strict_query import given_once
from shared.event_log.events import Position, RecordedEvent
from shared.event_log.json_form import EventForm, event_json
from shared.event_log.registry import EventRegistry
from shared.web.correlation import VISIBLE_ASCII

router = APIRouter(tags=["events"], dependencies=[Depends(given_once)])
catalogue_router = APIRouter(tags=["events"], dependencies=[Depends(given_once)])

Schema = Annotated[
    Literal["current", "stored"],
    Field(
        description="`current`: data of older schema versions are brought to the current one, as `schema_version` then says; "
        "`stored`: as they were written. Data that this release cannot read are always shown as stored.",
        examples=["current"],
    ),
]


EventType = Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_.]*$", max_length=200)]


class ShownParameters(BaseModel):
    """How events are shown; parameters other than the fields are refused by name."""

    model_config = ConfigDict(extra="forbid")

    schema_: Schema = Field(default="current", alias="schema")


class HistoryParameters(ShownParameters, ReadParameters):
    """How the events of an order are shown."""


class FilterParameters(ShownParameters):
    """Which events of the log are wanted."""

    event_type: list[EventType] = Field(
        default=[], max_length=50, description="One of these; may be repeated", examples=[["OrderShipped"]]
    )
    aggregate_id: UUID | None = Field(
        default=None,
        description="Of this aggregate, such as an order",
        examples=["0199b7a4-7c00-7000-8000-000000000001"],
    )
    correlation_id: str | None = Field(
        default=None,
        pattern=f"^{VISIBLE_ASCII.pattern}$",
        description="Of the story that has this `X-Correlation-ID`",
        examples=["checkout-7f3a"],
    )

    def filters(self) -> EventFilters:
        """Give them as the log is searched by them."""
        return EventFilters(self.event_type or None, self.aggregate_id, self.correlation_id)


class EventParameters(FilterParameters, ReadParameters):
    """Filters and page of `GET /events`."""

    after: PositionNumber = Field(default=0, description="Events past this position", examples=[0])
    limit: Number = Field(default=100, ge=1, le=1000, description="Most events in the page", examples=[100])


class Events(BaseModel):
    """Some events, in order of position."""

    items: list[EventForm] = Field(description="The events")


class EventsPage(Events):
    """Some events; `after=next_after` gives those that follow, now or later.

    A page may hold fewer than `limit`, where events are large: only an empty one means that there are no more so far.
    """

    next_after: int = Field(description="How far the log was searched, for `after`", examples=[3])


class EventCatalogue(BaseModel):
    """An AsyncAPI 3 document."""

    model_config = ConfigDict(extra="allow")

    asyncapi: str = Field(description="The version of AsyncAPI", examples=["3.0.0"])
    info: dict[str, Any] = Field(description="What it is about", examples=[{"title": "Daicho events"}])
    channels: dict[str, Any] = Field(description="Where events can be read", examples=[{}])
    components: dict[str, Any] = Field(description="The events, and their JSON Schemas", examples=[{}])


@router.get(
    "/events",
    response_model=EventsPage,
    operation_id="listEvents",
    summary="The event log",
    openapi_extra={"parameters": READ_HEADERS},
)
async def list_events(
    parameters: Annotated[EventParameters, Query()], read: Annotated[ReadModel, Depends(read_model)], request: Request
) -> Response:
    """Give the events past a position, in order. Only an empty page means that there are no more so far.

    It is read from the log itself, so it holds whatever a command was answered for.
    """
    pages = cast("EventPages", request.app.state.event_pages)
    if read.wanted:
        await read.head(request.app.state.event_log)
    page = await pages.read(Position(parameters.after), parameters.limit, parameters.filters())
    read.require(page.head)
    items = shown(page.events, parameters.schema_, request)
    content = f'{{"items": {items}, "next_after": {page.searched}}}'
    return Response(content, headers={"Event-Position": str(page.head)}, media_type="application/json")


@catalogue_router.get(
    "/asyncapi.json",
    response_model=EventCatalogue,
    operation_id="getEventCatalogue",
    summary="The event catalogue, as AsyncAPI 3",
)
async def get_event_catalogue(request: Request) -> JSONResponse:
    """Describe every event: its JSON Schema, an example, and where to read it."""
    return JSONResponse(request.app.state.event_catalogue())


def shown(events: Iterable[RecordedEvent], schema: Literal["current", "stored"], request: Request) -> str:
    """Write events as a JSON array, in the wanted schema version."""
    if schema == "current":
        registry = cast("EventRegistry", request.app.state.event_registry)
        events = (registry.to_current(event) for event in events)
    return f"[{', '.join(event_json(event) for event in events)}]"
