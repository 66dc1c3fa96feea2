"""The figures of all processes of a pod, as they are read: what /metrics shows, and what stays of a process that ended.

Each process counts in files of its own (`metrics.py`, prometheus_client's multiprocess mode); one of them adds them up.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from webhook.observe.metrics import SHELF
from webhook.shelf import PACKS_TOLD


def render(directory: Path, expires: Callable[[], float | None], now: Callable[[], float]) -> bytes:
    """Return all workers' figures in Prometheus' text format.

    `expires` gives the end of the served certificate's life (seconds since 1970, None: no worker says),
    `now` the time in the same unit.
    """
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Files(directory))
    with _locked(directory, fcntl.LOCK_SH):
        text = generate_latest(registry)
    text += _packs(directory)
    end = expires()
    if end is None:
        return text
    name = b"plimsoll_certificate_expiry_seconds"
    about = b"# HELP %b Seconds until the served certificate ends\n# TYPE %b gauge\n%b %d\n"
    return text + about % (name, name, name, round(end - now()))


class _Files:
    """All processes' figures, added up."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Any:
        """Return them, as prometheus_client's registries ask.

        A file is empty from when a process makes it until it sets its length, and for ever where the process died in
        between; prometheus_client would fail on that.
        """
        from prometheus_client.multiprocess import MultiProcessCollector

        files = [str(path) for path in self._directory.glob("*.db") if path.stat().st_size]
        return MultiProcessCollector.merge(files, accumulate=True)  # type: ignore[no-untyped-call]


def _packs(directory: Path) -> bytes:
    """Return the figures of each pack, which one process knows, and nobody adds up; gone packs leave no series."""
    import orjson

    try:
        told = orjson.loads((directory / SHELF / PACKS_TOLD).read_bytes())
    except FileNotFoundError:
        return b""
    return b"".join(
        _gauge(name, text, labels, figures)
        for name, text, labels, figures in (
            ("plimsoll_pack_info", "Packs in force; always 1", ("pack", "version"), [(one, 1) for one in told["info"]]),
            (
                "plimsoll_pack_loaded_timestamp_seconds",
                "When the text of a pack came into force in this pod",
                ("pack",),
                [((pack,), when) for pack, when in told["loaded"].items()],
            ),
            (
                "plimsoll_pack_broken",
                "1 where what a source holds now is not in force: its last good text is, or nothing",
                ("source",),
                [((source,), int(broken)) for source, broken in told["broken"].items()],
            ),
        )
    )


def _gauge(name: str, text: str, labels: Sequence[str], figures: Iterable[tuple[Sequence[str], float]]) -> bytes:
    """Return a gauge as text. prometheus_client's own would count in a file of the process that only shows it."""
    lines = [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
    for values, figure in figures:
        shown = ",".join(f'{label}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True))
        lines.append(f"{name}{{{shown}}} {figure}")
    return ("\n".join(lines) + "\n").encode()


def _escaped(value: str) -> str:
    """Return a label's value as the text format writes it."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def findings(directory: Path) -> dict[tuple[str, str, str], int]:
    """Return what this pod has found since it began, by (pack, rule, effective action), added up over workers."""
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    registry.register(_Files(directory))
    found: dict[tuple[str, str, str], int] = {}
    with _locked(directory, fcntl.LOCK_SH):
        families = [family for family in registry.collect() if family.name == "plimsoll_findings"]
    for sample in (sample for family in families for sample in family.samples if sample.name.endswith("_total")):
        key = sample.labels["pack"], sample.labels["rule"], sample.labels["effective"]
        found[key] = found.get(key, 0) + int(sample.value)
    return found


def forget(directory: Path, pid: int) -> None:
    """Remove the files of a process that counts no more: the master's zeros would be every minimum."""
    for path in directory.glob(f"*_{pid}.db"):
        path.unlink(missing_ok=True)


def bury(directory: Path, pid: int) -> None:
    """Add the figures of a worker that ended to those of the dead, and remove its files.

    Without this every crashed worker would leave files for ever, and a scrape reads all of them. Counters
    must not fall when a worker ends, so they are kept, in one file for each type.
    """
    from prometheus_client.mmap_dict import MmapedDict

    with _locked(directory, fcntl.LOCK_EX):
        for path in directory.glob(f"gauge_live*_{pid}.db"):
            path.unlink(missing_ok=True)
        for kind in ("counter", "histogram"):
            path = directory / f"{kind}_{pid}.db"
            if not path.exists():
                continue
            dead = MmapedDict(str(directory / f"{kind}_dead.db"))  # type: ignore[no-untyped-call]
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
                dead.write_value(key, dead.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]
            dead.close()  # type: ignore[no-untyped-call]
            path.unlink()


@contextlib.contextmanager
def _locked(directory: Path, how: int) -> Iterator[None]:
    # A scrape between the two steps of `bury` would count a worker twice, or not at all.
    with (directory / "lock").open("a") as file:
        fcntl.flock(file, how)
        yield
