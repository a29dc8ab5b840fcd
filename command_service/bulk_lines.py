"""A line of a bulk request: a command, with what the path and the headers of its own request would tell."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from string import Formatter
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from command_service.idempotency import IdempotencyKey, fingerprint
from shared.event_log.events import StreamId
from shared.web.correlation import VISIBLE_ASCII

_OWN = frozenset({"command", "key", "expected_version"})
"""A line's own members, beside the command's."""


@cache
def _apart(path: str) -> frozenset[str]:
    """Name what is no part of the body of a command that is sent to this path."""
    return _OWN.union(name for _, name, _, _ in Formatter().parse(path) if name)


class CommandLine(BaseModel, ABC):
    """Base class of an aggregate's lines, each of which is one of its commands as well; `command` names it.

    `path` is that of the command's own route behind the collection's, with members in braces, and `success` the status there;
    `creates` is as in `CommandHandler.handle`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: ClassVar[str] = ""
    success: ClassVar[int] = 200
    creates: ClassVar[bool] = False

    key: Annotated[str, Field(pattern=f"^{VISIBLE_ASCII.pattern}$")] | None = Field(
        default=None, description="The `Idempotency-Key` of this command", examples=["order-4711-place"]
    )
    expected_version: Annotated[StrictInt, Field(ge=0, le=999_999_999)] | None = Field(
        default=None,
        description="The version to act on, as in `If-Match`; at another one, nothing is done",
        examples=[1],
    )

    @abstractmethod
    def stream(self) -> StreamId:
        """Give the stream that the command is for."""

    def idempotency_key(self, members: Mapping[str, Any], principal: str, collection: str) -> IdempotencyKey | None:
        """Give the key, which stands for the request that this line is in short; `members` are the line's as they came."""
        if self.key is None:
            return None
        apart = _apart(self.path)
        body = {name: value for name, value in members.items() if name not in apart}
        path = collection + self.path.format_map(members)
        return IdempotencyKey(principal, self.key, fingerprint("POST", path, body))
