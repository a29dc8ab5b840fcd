"""Writes what was found: JSON and plots in `docs/performance/`, tables in `docs/performance.md` between its markers."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel

from benchmarks.results import Aim, Ratio, Result, spread

DOCS = Path(__file__).parents[1] / "docs"


class Run(BaseModel):
    """One run of a set of benchmarks."""

    conditions: dict[str, str]
    results: tuple[Result, ...]


def write(name: str, run: Run, docs: Path = DOCS) -> None:
    """Write a run's JSON, its plots, and its part of the page."""
    from benchmarks import plots  # noqa: PLC0415 - only `make bench` has Matplotlib

    folder = docs / "performance"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(
        json.dumps(run.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n", "utf-8"
    )
    drawn = plots.draw(name, run.results, folder)
    page = docs / "performance.md"
    page.write_text(replaced(page.read_text("utf-8"), name, section(run, drawn)), "utf-8")


def replaced(page: str, name: str, content: str) -> str:
    """Put content between the markers of that name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page has no {begin} and {end}")
    return f"{before}{begin}\n\n{content.strip()}\n\n{end}{after}"


def section(run: Run, drawn: Iterable[Path] = ()) -> str:
    """Write a run as Markdown."""
    tables = [aims(run.results), *(f"![{path.stem}](performance/{path.name})" for path in drawn)]
    return "\n\n".join(tables + [part for result in run.results for part in _shown(result)] + [_conditions(run)])


def aims(results: Sequence[Result]) -> str:
    """Write each ratio that has an aim, and whether it was met."""
    rows = [
        (found.aim.number, found.aim, f"| {found.aim.number} | {result.title}: {found.name} | {_bound(found.aim)} | {spread(found)} | {_met(found)} |")
        for result in results for found in result.ratios if found.aim
    ]  # fmt: skip
    skipped = [f"{result.title}: not measured, {result.skipped}." for result in results if result.skipped]
    lines = ["| Aim | Ratio | Aimed at | Found | |", "|---|---|---|---|---|"]
    lines += [row for _, _, row in sorted(rows, key=lambda row: row[0])]
    return "\n".join(lines) + "".join(f"\n\n{line}" for line in skipped)


def _shown(result: Result) -> list[str]:
    if result.skipped:
        return []
    lines = ["| | Median (least–greatest) | |", "|---|---|---|"]
    lines += [f"| {found.name} | {spread(found)} | {found.unit} |" for found in result.series]
    lines += [f"| **{found.name}** | {spread(found)} | ratio |" for found in result.ratios]
    settings = f"{result.settings[:1].upper()}{result.settings[1:]}." if result.settings else ""
    return [f"### {result.title}", settings, "\n".join(lines), *result.notes]


def _conditions(run: Run) -> str:
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in run.conditions.items())]
    return "### Where and how\n\n" + "\n".join(lines)


def _bound(aim: Aim) -> str:
    return f"{'at least' if aim.at_least else 'at most'} {aim.bound:g}"


def _met(found: Ratio) -> str:
    assert found.aim is not None
    return "met" if found.aim.met(found.median) else "**not met**"
