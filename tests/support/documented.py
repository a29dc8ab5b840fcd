"""Holds what a service answers, and what its OpenAPI document shows, against that document."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import httpx
from jsonschema import Draft202012Validator

from daicho.api_documents import Documented, openapi_document
from shared.web.problem_answers import MEDIA_TYPE
from shared.web.problems import EVERYWHERE
from shared.web.security_headers import HEADERS as SECURITY_HEADERS

EVERYDAY = {"content-type", "content-length", "date", "server", "transfer-encoding", "connection"}
EVERYDAY |= {name.lower() for name in SECURITY_HEADERS}
"""Headers that HTTP itself has, or the server, or every answer."""
UNLISTED = re.compile(r"/(openapi\.json|docs|assets/.*)")
NO_OPERATION = {problem.type for problem in EVERYWHERE}
DEFECT = 500
"""What no operation means to answer; some tests break a database so that it does."""


class Operation(NamedTuple):
    """One operation of a document."""

    method: str
    path: str
    told: Mapping[str, Any]


class Api:
    """A document, with what can be asked of it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.operations = [
            Operation(method, path, told)
            for path, operations in document["paths"].items()
            for method, told in operations.items()
        ]

    def find(self, method: str, path: str) -> Operation | None:
        """Give the operation of a request; HEAD is that of GET."""
        wanted = "get" if method == "HEAD" else method.lower()
        for operation in self.operations:
            template = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(operation.path))
            if operation.method == wanted and re.fullmatch(template, path):
                return operation
        return None

    def validate(self, schema: Mapping[str, Any], value: Any) -> None:
        """Hold a value against a schema of the document."""
        whole = {**schema, "components": self.document["components"]}
        Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)

    def header(self, reference: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give what a header's reference leads to."""
        name = reference["$ref"].removeprefix("#/components/headers/")
        header: Mapping[str, Any] = self.document["components"]["headers"][name]
        return header

    def check(self, method: str, path: str, answer: httpx.Response) -> None:
        """Fail unless the document tells of this answer: its status, headers, media type and body."""
        operation = self.find(method, path)
        if operation is None:
            assert UNLISTED.fullmatch(path) or answer.json()["type"] in NO_OPERATION, (
                f"{method} {path} is not documented"
            )
            return
        about = f"{operation.told['operationId']} {answer.status_code}"
        response = operation.told["responses"].get(str(answer.status_code))
        if response is None:
            assert answer.status_code == DEFECT, f"{about}: {answer.text}"
            return
        self._check_headers(about, response, answer.headers)
        content = response.get("content", {})
        if not content:
            assert not answer.content, about
        elif method != "HEAD":
            media_type = answer.headers["content-type"].partition(";")[0]
            assert media_type in content, f"{about}: {media_type}"
            value = answer.json() if media_type.endswith(("/json", "+json")) else answer.text
            self.validate(content[media_type]["schema"], value)

    def _check_headers(self, about: str, response: Mapping[str, Any], given: httpx.Headers) -> None:
        documented = {name.lower(): self.header(reference) for name, reference in response["headers"].items()}
        unknown = given.keys() - documented.keys() - EVERYDAY
        assert not unknown, f"{about}: {unknown}"
        assert "x-correlation-id" in given, about
        for name, header in documented.items():
            if name in given:
                value = given[name]
                self.validate(header["schema"], int(value) if header["schema"]["type"] == "integer" else value)

    def examples(self) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
        """Give each example of a body, a parameter or a header: where it is, its schema, and itself."""
        for operation in self.operations:
            name, told = operation.told["operationId"], operation.told
            bodies = [("request", told["requestBody"])] if "requestBody" in told else []
            for where, part in [*bodies, *told["responses"].items()]:
                for content in part.get("content", {}).values():
                    for key, example in content["examples"].items():
                        yield f"{name} {where} {key}", content["schema"], example["value"]
            for parameter in told["parameters"]:
                for example in parameter["schema"].get("examples", ()):
                    yield f"{name} {parameter['name']}", parameter["schema"], example
        for name, header in self.document["components"]["headers"].items():
            yield name, header["schema"], header["example"]


@cache
def api(service: Documented) -> Api:
    """Give a service's document, as it would be served."""
    return Api(json.loads(json.dumps(openapi_document(service))))


def watched(client: httpx.AsyncClient, service: Documented) -> httpx.AsyncClient:
    """Have every answer to a client held against the service's document."""

    async def hold(answer: httpx.Response) -> None:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return  # has no end
        await answer.aread()
        api(service).check(answer.request.method, answer.request.url.path, answer)

    client.event_hooks["response"].append(hold)
    return client


def is_problem(response: Mapping[str, Any]) -> bool:
    """Tell whether a documented response is a problem and nothing else."""
    return list(response["content"]) == [MEDIA_TYPE]
