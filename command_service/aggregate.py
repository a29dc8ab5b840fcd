"""What the composition root needs of an aggregate's folder."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from command_service.decider import Decider
from command_service.snapshots import StateSchema
from shared.event_log.registry import EventRegistry
from shared.web.documentation import Chapter
from shared.web.problems import Problems


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate type on the write side: its rules, how its state is written, its events, its routes, their problems and documentation.

    `scope` is what an access token must have for its commands.
    """

    aggregate_type: str
    scope: str
    decider: Decider[Any, Any, Any]
    state: StateSchema[Any]
    events: EventRegistry
    router: APIRouter
    problems: Problems
    chapter: Chapter | None = None
