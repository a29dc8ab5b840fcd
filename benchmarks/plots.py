"""Plots of what was found, as SVG."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.results import Result

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "daicho",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_LABEL = 48
_MET, _NOT_MET, _LINE = "#2a7f62", "#b5473c", "#888888"


def draw(name: str, results: Sequence[Result], folder: Path) -> list[Path]:
    """Draw the ratios that have aims, and each result's curves; give the files."""
    files = []
    with mpl.rc_context(_STYLE):
        if any(found.aim for result in results for found in result.ratios):
            files.append(_save(_aims(results), folder / f"{name}-aims.svg"))
        files += [_save(_curves(one), folder / f"{name}-{one.name}.svg") for one in results if one.curves]
    return files


def _aims(results: Sequence[Result]) -> Figure:
    """Draw each ratio as a share of what it was to be: past the line is good, whichever way its bound goes."""
    found = [(result, one, one.aim) for result in results for one in result.ratios if one.aim]
    found.sort(key=lambda each: -each[2].number)
    figure = Figure(figsize=(9, 0.8 + 0.4 * len(found)), layout="constrained")
    axes = figure.subplots()
    for row, (_, one, aim) in enumerate(found):
        shares = sorted(value / aim.bound if aim.at_least else aim.bound / max(value, 1e-9) for value in one.values)
        share = one.median / aim.bound if aim.at_least else aim.bound / max(one.median, 1e-9)
        spread = [[share - shares[0]], [shares[-1] - share]]
        axes.barh(
            row, share, color=_MET if aim.met(one.median) else _NOT_MET, xerr=spread, ecolor="#333333", height=0.6
        )
    axes.axvline(1, color=_LINE, linestyle="--")
    axes.set_xscale("log")
    names = [f"{aim.number}  {result.title}: {one.name}" for result, one, aim in found]
    axes.set_yticks(range(len(found)), [textwrap.fill(name, _LABEL) for name in names], fontsize=8)
    axes.set_xlabel("share of the aim reached (dashed: all of it; right is better)")
    return figure


def _curves(result: Result) -> Figure:
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    for curve in result.curves:
        axes.plot(curve.x, curve.y, marker="." if len(curve.x) < 50 else None, label=curve.name)  # noqa: PLR2004
    axes.set_xlabel(result.axes[0])
    axes.set_ylabel(result.axes[1])
    axes.set_ylim(bottom=0)
    axes.set_title(result.title)
    axes.legend()
    if max(x for curve in result.curves for x in curve.x) >= 100_000:  # noqa: PLR2004 - sizes of logs
        axes.set_xscale("log")
    return figure


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    return path
