"""Tells projections that are behind, and move, from those that are stuck."""

from collections.abc import Mapping, Sequence

from query_service.projection_statuses import ProjectionStatus, ProjectionStatuses
from shared.errors import DaichoError
from shared.web.health import Progress

STUCK_SECONDS = 30.0
"""More than it takes until another replica projects in the place of one that is paused: they need not all be given up."""


class ProjectionsStuck(DaichoError):
    """A projection is behind, and does not move."""


class ProjectionHealth:
    """A check of readiness, and what it saw when it was made last."""

    def __init__(self, statuses: ProjectionStatuses) -> None:
        self._statuses = statuses
        self._seen: Sequence[ProjectionStatus] = ()

    async def check(self) -> None:
        """Raise `ProjectionsStuck`, or as `ProjectionStatuses.list` does."""
        self._seen = ()
        self._seen = await self._statuses.list()
        if any(one.position > one.head for one in self._seen):
            # Of a log that has lost its end, as by a restore, unless it has grown between the two looks.
            before, self._seen = self._seen, await self._statuses.list()
            past = [one for one in before if one.position > self._seen[0].head]
            if past:
                told = (f"{one.name} is at position {one.position}, past the end of the log" for one in past)
                raise ProjectionsStuck(f"{'; '.join(told)}: it was made of another, rebuild it")
        stuck = [one for one in self._seen if one.state == "stalled" and one.lag_seconds > STUCK_SECONDS]
        if stuck:
            told = (f"{one.name} stays at position {one.position} of {one.head}" for one in stuck)
            raise ProjectionsStuck(f"{'; '.join(told)}: it was due {max(one.lag_seconds for one in stuck):.0f} s ago")

    def progress(self) -> Mapping[str, Progress]:
        """Give how far each projection was."""
        return {
            one.name: Progress(state=one.state, lag_events=one.lag_events, lag_seconds=one.lag_seconds)
            for one in self._seen
        }
