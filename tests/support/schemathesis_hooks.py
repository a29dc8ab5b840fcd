"""What schemathesis may call a failure and is none, each with its reason; loaded by `schemathesis` itself.

Nothing is excluded by operation: only an answer that says itself which rule it follows.
"""

import os
import re
from typing import Any

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, Failure, ServerError
from schemathesis.openapi.checks import MissingHeaderNotRejected, RejectedPositiveData

from tests.support.tokens import WITHOUT_TOKENS

UNAVAILABLE = 503
STATE = {"version-mismatch", "idempotency-key-reused", "invalid-cursor"}
"""Problems of a request that is valid in itself, and does not fit what was before it."""

BEYOND_SCHEMAS = (
    "quantity × unit_price must be at most",  # a product
    "the sum of quantity × unit_price must be at most",
    "give version or as_of, not both",  # two parameters
    "must not be before from",
    "days before to, or today",
    "must be between the years 1 and 9999 in UTC",  # date-time allows a year that another zone pushes over the edge
    "second value is expected to be in range of 0 to 59",  # date-time has leap seconds
    "characters",  # NFC can make a text longer than what was sent
)
"""Of rules that JSON Schema cannot express, what the answer says."""


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, value: Any) -> bytes:
    """Send a generated text as it is: each of its lines is refused by itself."""
    return str(value).encode(errors="surrogatepass")


@schemathesis.hook
def before_load_schema(_context: Any, raw_schema: dict[str, Any]) -> None:
    """Read the document as a service without identity means it."""
    if os.environ.get(WITHOUT_TOKENS):
        for operations in raw_schema["paths"].values():
            for operation in operations.values():
                operation.pop("security", None)


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Have no read wait for a position that nobody will reach; what is no valid `Prefer` stays as it is."""
    prefer = case.headers.get("Prefer", "wait=30")
    if re.fullmatch(r"wait=\d+", str(prefer)):
        case.headers["Prefer"] = "wait=0"


@schemathesis.hook
def filter_failure(_context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Tell whether it is a failure."""
    if isinstance(failure, ServerError) and response.status_code == UNAVAILABLE:
        return not _is_documented(case, response)
    if isinstance(failure, RejectedPositiveData):
        return not _follows_a_rule(response)
    if isinstance(failure, MissingHeaderNotRejected):
        # The token of `--header` is sent with a request that was to have none, too; those of `ignored_auth` have none.
        return "Authorization" not in response.request.headers
    if isinstance(failure, AcceptedNegativeData):
        # Whatever is sent there is lines of text, each of which is refused by itself.
        return "/x-ndjson" not in str(case.media_type)
    return True


def _is_documented(case: Any, response: Any) -> bool:
    """A position that nobody has reached yet is waited for, then it is a 503 (`read-model-behind`); so is too much load."""
    documented = str(UNAVAILABLE) in case.operation.definition.raw["responses"]
    return documented and "retry-after" in response.headers and "/problem+json" in response.headers["content-type"][0]


def _follows_a_rule(response: Any) -> bool:
    problem = response.json()
    if problem["type"].removeprefix("urn:daicho:problem:") in STATE:
        return True
    messages = [error["message"] for error in problem.get("errors", ())]
    return bool(messages) and all(any(rule in message for rule in BEYOND_SCHEMAS) for message in messages)
