"""What makes a service not ready."""

from collections.abc import Mapping

from shared.errors import DaichoError


class NotReady(DaichoError):
    """A check of `/health/ready` fails; `results` has what each one found, `progress` how far what follows the log is."""

    def __init__(self, results: Mapping[str, str], progress: Mapping[str, object] | None = None) -> None:
        self.results = results
        self.progress = progress or {}
        failed = [name for name, result in results.items() if result != "ok"]
        super().__init__(f"Not ready: {', '.join(failed)}.")

    def members(self) -> dict[str, object]:
        """Give what was found."""
        return {"checks": self.results, "progress": self.progress}
