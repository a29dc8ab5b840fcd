"""Query parameters that every route over the read model takes."""

from pydantic import BaseModel, ConfigDict, Field

MAX_POSITION = 2**63 - 1


class ReadParameters(BaseModel):
    """Base class of a route's query parameters; others than its fields are refused by name."""

    model_config = ConfigDict(extra="forbid")

    min_position: int | None = Field(
        default=None, ge=0, le=MAX_POSITION, description="As the header `Event-Position`, where headers cannot be set."
    )
