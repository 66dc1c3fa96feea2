"""No review became dearer unseen: opcodes of Python are the same at every run, so that CI can tell where times can't.

Counted in plain Python, as in `make bench`, whose kept figures these are held against.
"""

from __future__ import annotations

import sys

import pytest

from bench import counts, results

KEPT = results.last()


@pytest.mark.parametrize("name", [*counts.PARSED, *counts.JUDGED, *counts.SLOW])
def test_a_review_executes_hardly_more_than_in_the_run_kept_last(name: str) -> None:
    assert KEPT is not None
    (before,) = [figure for figure in KEPT.figures if figure.name == f"opcodes/{name}"]
    same = KEPT.machine["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert same, "kept by another Python, whose opcodes are others: `make bench`, and commit what it keeps"

    now = counts.opcodes(counts.subject(name))

    assert now > 500, "what is compiled executes no opcodes: `make pure`"
    most = before.value * (1 + results.MOST)
    assert now <= most, f"{before.value:,.0f} in the run kept last; where more is meant: `make bench`, and commit that"
