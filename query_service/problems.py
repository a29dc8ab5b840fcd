"""The problems of queries, whatever the aggregate."""

from query_service.cursor import InvalidCursor
from query_service.projected_position import ReadModelBehind
from query_service.projections_api import UnknownProjection
from shared.web.problems import NOT_FOUND, READ_POSITION, Problem, Problems

PROBLEMS: Problems = {
    ReadModelBehind: Problem(
        "read-model-behind",
        503,
        "The read model has not come that far yet",
        {
            "position": READ_POSITION,
            "min_position": {"type": "integer", "minimum": 0, "description": "The position that was asked for"},
        },
    ),
    UnknownProjection: NOT_FOUND,
    InvalidCursor: Problem("invalid-cursor", 422, "The cursor is not one of ours"),
}
