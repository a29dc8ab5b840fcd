"""What the benchmarks' page says follows from what was found."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import document
from benchmarks.aims import growth
from benchmarks.load import Load
from benchmarks.results import Aim, Ratio, Result, ratio, series
from tests.support.pages import DOCS

MET = Ratio(name="ours / floor", values=(0.7, 0.6, 0.8), aim=Aim(number=1, bound=0.65))
MISSED = Ratio(name="p99", values=(3.5,), aim=Aim(number=1, bound=3.0, at_least=False))


def test_an_aim_is_met_on_its_own_side_of_the_bound() -> None:
    assert Aim(number=1, bound=0.5).met(0.5)
    assert not Aim(number=1, bound=0.5).met(0.49)
    assert Aim(number=1, bound=3.0, at_least=False).met(3.0)
    assert not Aim(number=1, bound=3.0, at_least=False).met(3.01)


def test_ratios_are_taken_within_a_round() -> None:
    assert ratio("", [1.0, 4.0, 9.0], [1.0, 2.0, 3.0]).values == (1.0, 2.0, 3.0)


def test_the_median_decides_and_the_spread_is_shown() -> None:
    table = document.aims([Result(name="one", title="One", ratios=(MISSED, MET))])
    assert "| 1 | One: ours / floor | at least 0.65 | 0.7 (0.6–0.8) | met |" in table
    assert "| 1 | One: p99 | at most 3 | 3.5 (3.5–3.5) | **not met** |" in table


def test_what_was_not_measured_says_why() -> None:
    assert "Bulk: not measured, no route." in document.aims([Result(name="b", title="Bulk", skipped="no route")])


def test_a_run_replaces_its_own_part_of_the_page() -> None:
    page = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\nkept\n<!-- y: end -->\n"
    written = document.replaced(page, "x", "new")
    assert written.startswith("a\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->")
    assert document.replaced(written, "x", "new") == written
    assert written.endswith("\nb\n<!-- y: begin -->\nkept\n<!-- y: end -->\n")
    with pytest.raises(ValueError, match="no <!-- z"):
        document.replaced(page, "z", "new")


@pytest.mark.parametrize("name", ["results", "growth"])
def test_the_page_shows_the_run_that_is_kept(name: str) -> None:
    page, kept = (DOCS / "performance.md").read_text("utf-8"), DOCS / "performance" / f"{name}.json"
    if kept.exists():
        run = document.Run.model_validate(json.loads(kept.read_text("utf-8")))
        drawn = sorted(Path(path.name) for path in kept.parent.glob(f"{name}-*.svg"))
        assert document.aims(run.results) in page
        assert all(f"performance/{path}" in page for path in drawn)
    assert document.replaced(page, name, "")


def test_the_plot_of_aims_has_a_bar_for_each_and_its_whole_name(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="only `make bench` installs Matplotlib")
    from benchmarks import plots  # noqa: PLC0415 - as above

    long = MET.model_copy(update={"name": f"{'long ' * 20}name"})
    (file,) = plots.draw("x", [Result(name="one", title="One", ratios=(MISSED, long))], tmp_path)
    words = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", file.read_text("utf-8")))
    assert "1  One: p99" in words
    assert f"1  One: {'long ' * 20}name" in words


def test_growth_tells_how_far_it_went() -> None:
    load = Load(answers=1, rate=10.0, median=1.0, p99=1.0, generator=0.1, failed={})
    loads = {"placing, small": [load], "placing, large": [load.model_copy(update={"rate": 8.0})]}
    found = growth.result({100: (loads, []), 300: (loads, [])})
    assert [(one.name, one.values) for one in found.ratios] == [("cost of placing, 300 events / 100", (1.25,))]
    assert "this run went as far as 300" in found.notes[0]
    assert not growth.result({100: (loads, []), growth.SIZES[-1]: (loads, [])}).notes


def test_a_series_has_a_median() -> None:
    assert series("", "s", [3.0, 1.0, 2.0]).median == 2.0
