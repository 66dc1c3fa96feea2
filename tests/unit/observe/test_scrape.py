"""The figures of all processes of a pod are added up, whatever became of the process that counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from webhook.observe import metrics, scrape

WORKER = """
import sys
from webhook.observe.metrics import Metrics
figures = Metrics()
figures.loaded(int(sys.argv[1]))
figures.connections(int(sys.argv[1]))
for _ in range(int(sys.argv[1])):
    figures.shed("requests")
import os; print(os.getpid())
"""


def work(directory: Path, number: int) -> int:
    """Run a process that counts `number` times, and return its id."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(number)],
        env={metrics.VARIABLE: str(directory), "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return int(done.stdout)


def rendered(directory: Path, name: str) -> float:
    text = scrape.render(directory, lambda: None, lambda: 0.0).decode()
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(name)))


def test_workers_are_added_up_and_a_worker_that_ends_takes_no_count_with_it(tmp_path: Path) -> None:
    first, second = work(tmp_path, 3), work(tmp_path, 4)
    assert rendered(tmp_path, "plimsoll_shed_total") == 7
    assert rendered(tmp_path, "plimsoll_connections") == 7
    assert rendered(tmp_path, "plimsoll_packs_loaded") == 3
    scrape.bury(tmp_path, first)
    assert rendered(tmp_path, "plimsoll_shed_total") == 7
    assert rendered(tmp_path, "plimsoll_connections") == 4
    scrape.bury(tmp_path, second)
    assert rendered(tmp_path, "plimsoll_shed_total") == 7
    assert not list(tmp_path.glob(f"*_{first}.db"))


def test_a_master_that_counted_before_the_fork_stands_in_no_minimum(tmp_path: Path) -> None:
    master = work(tmp_path, 0)
    work(tmp_path, 2)
    scrape.forget(tmp_path, master)
    assert rendered(tmp_path, "plimsoll_packs_loaded") == 2


def test_the_certificates_end_is_seconds_from_now(tmp_path: Path) -> None:
    text = scrape.render(tmp_path, lambda: 1500.0, lambda: 1000.0)
    assert b"plimsoll_certificate_expiry_seconds 500\n" in text


def test_a_file_that_a_process_has_only_begun_takes_no_figures_away(tmp_path: Path) -> None:
    (tmp_path / "counter_17.db").touch()
    (tmp_path / "gauge_livemax_17.db").touch()
    assert scrape.render(tmp_path, lambda: 5.0, lambda: 0.0).endswith(b"plimsoll_certificate_expiry_seconds 5\n")
