"""What makes a service not ready."""

from collections.abc import Mapping

from shared.errors import DaichoError


class NotReady(DaichoError):
    """A check of `/health/ready` fails; `results` has what each one found."""

    def __init__(self, results: Mapping[str, str]) -> None:
        self.results = results
        failed = [name for name, result in results.items() if result != "ok"]
        super().__init__(f"Not ready: {', '.join(failed)}.")

    def members(self) -> dict[str, object]:
        """Give what each check found."""
        return {"checks": self.results}
