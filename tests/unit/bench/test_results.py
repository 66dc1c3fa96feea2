"""What became worse than in the run kept last is flagged, where it can be compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import results, show
from bench.results import Figure, Run


def run(value: float, cores: int = 2, *, steady: bool = True, relative: bool = False, day: int = 1) -> Run:
    figure = Figure("core/1/ratio", value, "x", 1.0, steady=steady, relative=relative)
    return Run(f"2026-11-{day:02}T10:00:00+00:00", "abc", {"cores": cores}, False, (figure,))


@pytest.mark.parametrize(("now", "worse"), [(1.09, False), (1.11, True), (0.5, False)])
def test_more_than_a_tenth_is_flagged(now: float, worse: bool) -> None:
    (change,) = results.compare(run(now), run(1.0))
    assert change.worse is worse


def test_wall_time_is_never_flagged() -> None:
    assert results.compare(run(9.0, steady=False), run(1.0, steady=False)) == []


def test_on_another_machine_only_relative_figures_are_compared() -> None:
    assert results.compare(run(9.0, cores=4), run(1.0)) == []
    assert results.compare(run(9.0, cores=4, relative=True), run(1.0, relative=True)) != []


def test_the_last_run_is_the_one_that_was_kept_last(tmp_path: Path) -> None:
    assert results.last(tmp_path) is None
    for day in (2, 11, 9):
        results.keep(run(float(day), day=day), tmp_path)
    assert results.last(tmp_path) == run(11.0, day=11)


def test_the_shape_of_a_machine_has_neither_name_nor_path() -> None:
    shape = results.machine()
    assert set(shape) == {"cores", "memory_gib", "model", "linux", "python"}
    assert not any("/" in str(value) for value in shape.values())


def test_the_table_says_what_became_worse() -> None:
    now, before = run(1.5), run(1.0)
    lines = list(show.table(now.figures, results.compare(now, before)))
    assert "NOT" in lines[1]
    assert "+50% !" in lines[1]


def test_the_plot_has_a_bar_for_each_figure_with_an_aim() -> None:
    drawn = show.plot(run(1.5))
    assert drawn.startswith("<svg")
    assert "core/1/ratio" in drawn
