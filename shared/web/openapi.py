"""Completes the OpenAPI document that FastAPI makes of the routes: with examples, headers and every problem."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from shared.identity.errors import CrossOrigin, InsufficientScope, InvalidToken, MissingToken
from shared.web.access import Access, AccessRules
from shared.web.correlation import HEADER as CORRELATION
from shared.web.documentation import UNKNOWN_PARAMETER, Documentation, Examples, Link, Service
from shared.web.headers import ANSWER_HEADERS, CORRELATION_WISH, IF_NONE_MATCH, SPELLINGS
from shared.web.problem_answers import MEDIA_TYPE
from shared.web.problem_schemas import problem_schema, schema_name
from shared.web.problems import (
    EVERYWHERE,
    FORBIDDEN,
    UNAUTHORIZED,
    UNAVAILABLE,
    VALIDATION_FAILED,
    Explanation,
    Problem,
    Problems,
    explain,
)

Json = dict[str, Any]

_SCHEME = "accessToken"
_SECURITY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token of the issuer that the service trusts. A service on loopback asks for none unless it is set to.",
}

_UNDOCUMENTED = Documentation()
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


def complete(document: Json, service: Service, problems: Problems, rules: AccessRules) -> None:
    """Complete the document in place; what the service tells nothing of still gets what all operations have."""
    told, headers = {*EVERYWHERE}, set[str]()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            documentation = service.find(operation["operationId"]) or _UNDOCUMENTED
            documentation = _complete_access(operation, documentation, rules.find(method.upper(), path))
            if method == "post":
                documentation = replace(documentation, errors=[*documentation.errors, CrossOrigin()])
            _complete_request(operation, documentation)
            _complete_success(operation["responses"], documentation)
            explanations = _explanations(operation["responses"], documentation, problems)
            errors = _problem_responses(explanations, _instance(path, operation))
            operation["responses"] = dict(sorted({**operation["responses"], **errors}.items()))
            told |= {explanation.problem for explanation in explanations}
            headers |= {name for answer in operation["responses"].values() for name in answer.get("headers", ())}
    document["info"]["description"] = f"{service.description}\n\n{_table(told)}"
    schemas = document["components"]["schemas"]
    schemas |= {schema_name(problem): problem_schema(problem) for problem in told}
    document["components"] = {
        "schemas": {name: schemas[name] for name in sorted(schemas) if name not in _FASTAPIS_OWN},
        "headers": {name: header for name, header in ANSWER_HEADERS.items() if name in headers},
        "securitySchemes": {_SCHEME: _SECURITY_SCHEME},
    }


def _complete_access(operation: Json, documentation: Documentation, access: Access) -> Documentation:
    """Tell which tokens it takes; give its documentation with what the others are answered."""
    if not access.options:
        return documentation
    operation["security"] = [{_SCHEME: sorted(option)} for option in access.options]
    refusals = (MissingToken(), InvalidToken("it has expired"), InsufficientScope(access.options[0]))
    return replace(documentation, errors=[*documentation.errors, *refusals])


def _complete_request(operation: Json, documentation: Documentation) -> None:
    parameters = operation.get("parameters", [])
    names = {parameter["name"] for parameter in parameters}
    added = [IF_NONE_MATCH] if documentation.conditional else []
    added += [CORRELATION_WISH] if CORRELATION not in names else []
    operation["parameters"] = [_parameter(parameter) for parameter in (*parameters, *added)]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content["schema"] = _without_null(content["schema"])
        content["examples"] = _examples(documentation.requests)


def _parameter(parameter: Json) -> Json:
    name = SPELLINGS.get(parameter["name"], parameter["name"])
    schema = _without_null(parameter["schema"])
    filled_in = {"example": schema["examples"][0]} if parameter["in"] == "path" and "examples" in schema else {}
    return {**parameter, "name": name, "schema": schema, **filled_in}


def _without_null(schema: Json) -> Json:
    """Drop null: a parameter or a body may be left out, but is not null when it is there."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return {**schema, "anyOf": options} if options else schema
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    return options[0] if "$ref" in options[0] else {**outer, **options[0]}


def _complete_success(responses: Json, documentation: Documentation) -> None:
    headers = _headers(documentation.headers)
    for status, response in responses.items():
        if status.startswith("2"):
            response |= {"description": documentation.answer, "headers": headers}
            for content in response.get("content", {}).values():
                content["examples"] = _examples(documentation.answers)
            if documentation.links:
                response["links"] = {link.operation_id: _link(link) for link in documentation.links}
    if documentation.conditional:
        kept = _headers(name for name in documentation.headers if name in {"Cache-Control", "ETag", "Event-Position"})
        responses["304"] = {"description": "What the client has still holds; no content", "headers": kept}


def _link(link: Link) -> Json:
    return {"operationId": link.operation_id, "parameters": {link.parameter: f"$response.body#{link.source}"}}


def _explanations(responses: Json, documentation: Documentation, problems: Problems) -> Sequence[Explanation]:
    """Give what a request of this operation can be told of errors, by status."""
    found = [explanation for error in documentation.errors if (explanation := explain(problems, error))]
    assert len(found) == len(documentation.errors), "an error that has no problem is documented"
    is_validated = any(explanation.problem == VALIDATION_FAILED for explanation in found)
    if "422" in responses and not is_validated and (example := explain(problems, UNKNOWN_PARAMETER)):
        found.append(example)
    return sorted(found, key=lambda explanation: explanation.problem.status)


def _problem_responses(explanations: Iterable[Explanation], instance: str) -> Json:
    by_status: dict[int, list[Explanation]] = defaultdict(list)
    for explanation in explanations:
        by_status[explanation.problem.status].append(explanation)
    return {str(status): _problem_response(those, instance) for status, those in by_status.items()}


def _problem_response(explanations: Sequence[Explanation], instance: str) -> Json:
    problems = list(dict.fromkeys(explanation.problem for explanation in explanations))
    headers = ["Retry-After"] if problems[0].status == UNAVAILABLE.status else []
    headers += ["WWW-Authenticate"] if problems[0].status in {UNAUTHORIZED.status, FORBIDDEN.status} else []
    headers += ["Event-Position"] if any("position" in one.members for one in explanations) else []
    examples: Json = {}
    for explanation in explanations:
        slug, number = explanation.problem.slug, sum(key.startswith(explanation.problem.slug) for key in examples)
        content = explanation.content(instance)
        examples[f"{slug}-{number + 1}" if number else slug] = {"summary": explanation.detail, "value": content}
    return {
        "description": ". ".join(problem.title for problem in problems),
        "headers": _headers(headers),
        "content": {MEDIA_TYPE: {"schema": _one_of(problems), "examples": examples}},
    }


def _one_of(problems: Sequence[Problem]) -> Json:
    references = {problem.type: f"#/components/schemas/{schema_name(problem)}" for problem in problems}
    if len(references) == 1:
        return {"$ref": references[problems[0].type]}
    return {
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "type", "mapping": references},
    }


def _headers(names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, CORRELATION)}


def _examples(examples: Examples) -> Json:
    return {
        "-".join(summary.lower().replace(",", "").split()): {"summary": summary, "value": value}
        for summary, value in examples.items()
    }


def _instance(path: str, operation: Json) -> str:
    """Give the path of an example request."""
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter.get("example", "1")))
    return path


def _table(problems: Iterable[Problem]) -> str:
    rows = sorted(problems, key=lambda problem: (problem.status, problem.slug))
    lines = [f"| `{problem.slug}` | {problem.status} | {problem.title} |" for problem in rows]
    return "\n".join(["| Problem | Status | Title |", "|---|---|---|", *lines])
