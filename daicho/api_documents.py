"""`daicho openapi` and `daicho asyncapi`: the documents that the services publish, written without running them."""

import json
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

import command_service.app
import query_service.app
from command_service.settings import CommandSettings
from daicho.errors import FileUnwritable
from query_service.event_catalogue import asyncapi_document
from query_service.settings import QuerySettings

Documented = Literal["command", "query"]

_NO_DATABASE = SecretStr("postgresql://")
"""An app connects when it starts, and here it does not; nothing of its document depends on the environment."""


def openapi_document(service: Documented) -> dict[str, Any]:
    """Give what `GET /openapi.json` of a service answers."""
    match service:
        case "command":
            return command_service.app.create_app(CommandSettings.model_construct(database_url=_NO_DATABASE)).openapi()
        case "query":
            return query_service.app.create_app(QuerySettings.model_construct(database_url=_NO_DATABASE)).openapi()


def asyncapi() -> dict[str, Any]:
    """Give what `GET /asyncapi.json` of the query service answers."""
    return asyncapi_document({one.aggregate_type: one.events for one in query_service.app.AGGREGATES})


def document_text(document: dict[str, Any]) -> str:
    """Write a document as people read it, always in the same order."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


async def run_openapi(service: Documented, output: Path | None) -> None:
    """Write a service's OpenAPI document."""
    _write(document_text(openapi_document(service)), output)


async def run_asyncapi(output: Path | None) -> None:
    """Write the event catalogue."""
    _write(document_text(asyncapi()), output)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileUnwritable(output, error.strerror or str(error)) from error
