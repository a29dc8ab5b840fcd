"""The OpenAPI documents are valid, complete, true to the table of problems, and those that are committed."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema.exceptions import ValidationError
from openapi_spec_validator import validate

import command_service.app
import query_service.app
from command_service import documentation as command_documentation
from daicho.api_documents import Documented, asyncapi, document_text, openapi_document
from query_service import documentation as query_documentation
from shared.errors import DaichoError
from shared.identity.errors import (
    CrossOrigin,
    ForeignHost,
    InsufficientScope,
    InvalidToken,
    KeysUnavailable,
    MissingToken,
    OffLoopback,
)
from shared.web.access import AccessRules
from shared.web.documentation import Chapter, Documentation, Service
from shared.web.openapi import complete
from shared.web.problems import EVERYWHERE, FORBIDDEN, HTTP_PROBLEMS, UNAUTHORIZED, Problems, explain
from shared.web.readiness import NotReady
from tests.support.documented import Api, api, is_problem
from tests.support.processes import daicho
from tests.unit.test_architecture import NEVER_ANSWERED, ROOT, TABLES

COMMITTED = ROOT / "docs" / "api"
SERVICES: dict[Documented, Service] = {
    "command": command_documentation.service(command_service.app.AGGREGATES),
    "query": query_documentation.service(query_service.app.AGGREGATES),
}
TOLD_ELSEWHERE = {
    NotReady,
    CrossOrigin,
    ForeignHost,
    MissingToken,
    InvalidToken,
    InsufficientScope,
    KeysUnavailable,
    OffLoopback,
}
"""With `/health`, and where tokens are needed."""
OPEN: dict[Documented, list[str]] = {
    "command": ["getLiveness", "getReadiness"],
    "query": ["getEventCatalogue", "getLiveness", "getReadiness"],
}
HEALTH = {"getLiveness", "getReadiness"}
KEYWORDS = {
    "$ref", "additionalProperties", "anyOf", "const", "contentMediaType", "contentSchema", "default", "description", "discriminator", "enum", "examples",
    "format", "items", "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "oneOf", "pattern",
    "multipleOf", "properties", "required", "title", "type",
}  # fmt: skip

both = pytest.mark.parametrize("service", get_args(Documented))


@both
def test_it_is_valid_openapi(service: Documented) -> None:
    validate(api(service).document)


@both
def test_it_tells_what_it_is(service: Documented) -> None:
    document = api(service).document
    info = document["info"]
    assert info["title"]
    assert info["description"]
    assert info["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert info["license"]["identifier"] == "Apache-2.0"
    assert document["servers"][0]["url"] == "/"
    used = {tag for operation in api(service).operations for tag in operation.told["tags"]}
    assert {tag["name"] for tag in document["tags"]} == used
    assert all(tag["description"] for tag in document["tags"])


@both
def test_every_operation_is_described(service: Documented) -> None:
    ids = [operation.told["operationId"] for operation in api(service).operations]
    assert len(ids) == len(set(ids))
    for _, path, told in api(service).operations:
        assert re.fullmatch("[a-z]+([A-Z][a-z]+)*", told["operationId"]), path
        assert told["summary"], path
        assert told["description"], path
        assert len(told["tags"]) == 1, path
        for parameter in told["parameters"]:
            assert parameter["description"], (path, parameter["name"])
            assert parameter["schema"]["examples"], (path, parameter["name"])
            assert {"type": "null"} not in parameter["schema"].get("anyOf", ()), (path, parameter["name"])


@both
def test_every_answer_is_described(service: Documented) -> None:
    for operation in api(service).operations:
        responses = operation.told["responses"]
        assert any(status.startswith("2") for status in responses)
        for status, response in responses.items():
            about = (operation.told["operationId"], status)
            assert response["description"] not in {"", "Successful Response", "Validation Error"}, about
            assert "X-Correlation-ID" in response["headers"], about
            assert ("Retry-After" in response["headers"]) == (status == "503"), about
            if status == "304":
                assert "content" not in response
                continue
            assert all(content["examples"] for content in response["content"].values()), about
            assert is_problem(response) == (status[0] in "45"), about


@both
def test_every_example_fits_its_schema(service: Documented) -> None:
    examples = list(api(service).examples())
    assert len(examples) > 50
    for where, schema, example in examples:
        try:
            api(service).validate(schema, example)
        except ValidationError as error:
            pytest.fail(f"{where}: {error}")


@both
def test_every_field_is_described(service: Documented) -> None:
    for name, schema in api(service).document["components"]["schemas"].items():
        assert schema["description"], name
        for field, told in schema.get("properties", {}).items():
            assert told.get("description") or "$ref" in told, f"{name}.{field}"


@both
def test_schemas_have_no_words_but_those_of_json_schema(service: Documented) -> None:
    document = api(service).document
    schemas = list(document["components"]["schemas"].values())
    schemas += [schema for _, schema, _ in api(service).examples()]
    assert {word for schema in schemas for part in parts(schema) for word in part} <= KEYWORDS
    assert "HTTPValidationError" not in json.dumps(document)


def parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Give a schema and all those in it."""
    yield schema
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    inner += [schema[word] for word in ("items", "additionalProperties") if isinstance(schema.get(word), dict)]
    for one in inner:
        yield from parts(one)


@both
def test_no_reference_leads_nowhere_and_no_schema_is_left_over(service: Documented) -> None:
    document = api(service).document
    text = json.dumps(document)
    found = set(re.findall(r'"#/components/(\w+)/([\w-]+)"', text))
    there = {(kind, name) for kind, those in document["components"].items() for name in those}
    everywhere = {
        one for one in there if one[1] in {"NotFoundProblem", "MethodNotAllowedProblem", "InternalErrorProblem"}
    }
    assert found <= there
    assert there - found <= everywhere | {("securitySchemes", "accessToken")}


@both
def test_an_operation_that_needs_a_token_tells_so(service: Documented) -> None:
    for operation in api(service).operations:
        responses = operation.told["responses"]
        needed = operation.told.get("security", [])
        assert {"401", "403"} <= responses.keys() if needed else not {"401", "403"} & responses.keys()
        assert all(scopes for one in needed for scopes in one.values())
        for status in {"401", "403"} & responses.keys():
            assert "WWW-Authenticate" in responses[status]["headers"]
    assert [one.told["operationId"] for one in api(service).operations if not one.told.get("security")] == OPEN[service]


@both
def test_every_operation_is_documented_and_no_other(service: Documented) -> None:
    documented = [name for chapter in SERVICES[service].chapters for name in chapter.operations]
    assert len(documented) == len(set(documented))
    assert set(documented) | HEALTH == {operation.told["operationId"] for operation in api(service).operations}


def test_every_problem_is_documented() -> None:
    errors = [error for service in SERVICES.values() for error in errors_of(service)]
    for table in TABLES:
        for kind in table:
            assert kind in TOLD_ELSEWHERE or any(isinstance(error, kind) for error in errors), kind
    known: Problems = {kind: problem for table in TABLES for kind, problem in table.items()}
    told = {explanation.problem for error in errors if (explanation := explain(known, error))}
    for problem in HTTP_PROBLEMS.values():
        assert problem in told | {*EVERYWHERE, UNAUTHORIZED, FORBIDDEN}, problem
    assert not {type(error) for error in errors if isinstance(error, DaichoError)} & NEVER_ANSWERED.keys()


@both
def test_what_is_told_of_a_problem_is_what_is_answered(service: Documented) -> None:
    for name, schema in api(service).document["components"]["schemas"].items():
        if name.endswith("Problem"):
            allowed = schema["properties"].keys()
            for where, of, example in api(service).examples():
                if name in json.dumps(of) and example["type"] == schema["properties"]["type"]["const"]:
                    assert example.keys() <= allowed, where


def errors_of(service: Service) -> list[Exception]:
    return [
        error
        for chapter in service.chapters
        for documentation in chapter.operations.values()
        for error in documentation.errors
    ]


def test_an_error_that_has_no_problem_cannot_be_documented() -> None:
    operation = {"operationId": "x", "responses": {"200": {}}}
    document = {"info": {}, "paths": {"/": {"get": operation}}, "components": {"schemas": {}}}
    service = Service("", "", "", [Chapter("x", "", {"x": Documentation(errors=[DaichoError()])})])
    with pytest.raises(AssertionError, match="has no problem"):
        complete(document, service, {}, AccessRules([]))


def test_an_answer_that_is_not_documented_is_found_out() -> None:
    one = Api(openapi_document("query"))
    found = one.find("GET", "/orders/1")
    assert found is not None
    assert found.path == "/orders/{order_id}"
    assert one.find("DELETE", "/orders") is None
    assert one.find("GET", "/orders/1/2/3") is None


@pytest.mark.parametrize(
    ("file", "arguments"),
    [
        ("command.openapi.json", ("openapi", "command")),
        ("query.openapi.json", ("openapi", "query")),
        ("asyncapi.json", ("asyncapi",)),
    ],
)
async def test_what_is_committed_is_what_is_served(file: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    """If this fails, `make api` writes them anew."""
    written = tmp_path / file
    assert await daicho(None, *arguments, "--output", str(written)) == (0, "")
    committed = (COMMITTED / file).read_text(encoding="utf-8")
    assert written.read_text(encoding="utf-8") == committed
    code, output = await daicho(None, *arguments)
    assert (code, output) == (0, committed)


async def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    code, output = await daicho(None, "asyncapi", "--output", str(tmp_path / "none" / "x.json"))
    assert (code, "cannot be written" in output) == (1, True)


def test_documents_do_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = document_text(openapi_document("query")), document_text(asyncapi())
    monkeypatch.setenv("DAICHO_MAX_STREAMS", "not a number")
    monkeypatch.setenv("DAICHO_DATABASE_URL", "nowhere")
    assert (document_text(openapi_document("query")), document_text(asyncapi())) == before
