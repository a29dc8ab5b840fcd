"""`make audit`: asks pip-audit for known holes of the pinned requirements, and says so if it could not find out."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "dev.txt"
"""Those of the runtime are among them."""


def findings(report: str) -> tuple[list[str], str | None]:
    """Give the known holes, one line each, and why something could not be looked up, if that is so."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, LookupError, TypeError):
        return [], "there is no report"
    skipped = [one["skip_reason"] for one in dependencies if "skip_reason" in one]
    holes = [
        f"{one['name']} {one['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version'}"
        for one in dependencies
        for hole in one.get("vulns", ())
    ]
    return holes, f"{len(skipped)} of {len(dependencies)} packages, such as: {skipped[0]}" if skipped else None


def main() -> int:
    done = subprocess.run(
        [sys.argv[1], "--requirement", REQUIREMENTS, "--disable-pip", "--require-hashes", "--format", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    holes, reason = findings(done.stdout)
    sys.stdout.writelines(f"{hole}\n" for hole in holes)
    if reason is not None:
        cause = (done.stderr.strip().splitlines() or [""])[-1] if not done.stdout else ""
        sys.stdout.write(f"audit skipped, its data cannot be reached: {reason} {cause}".rstrip() + "\n")
    elif not holes:
        sys.stdout.write("no known holes\n")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
