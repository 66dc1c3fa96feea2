"""`make bench`: measure, print a table, keep the figures, say what became worse.

python -m bench [--quick] [--only core,denied,...] [--keep | --no-keep]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench import (
    bodies,
    cluster,
    counts,
    cpu,
    footprint,
    images,
    latency,
    left,
    packs,
    programs,
    results,
    servers,
    show,
)
from bench.results import Figure
from tools import compiled

Group = Callable[[cpu.Bench], Iterator[Figure]]
GROUPS: dict[str, Group] = {
    "latency": latency.figures,
    "counts": counts.figures,
    "memory": footprint.memory,
    "left": left.figures,
    "start": footprint.begin,
    "commands": footprint.commands,
    "cluster": cluster.figures,
    "instructions": counts.processor,
    "images": images.figures,
}
"""What is measured beside CPU time a review, by the name that `--only` takes."""


def main() -> int:
    """Measure and print; return 1 where a figure is more than 10 % worse than the one kept last."""
    arguments = _arguments()
    if sentences := compiled.stale(compiled.ROOT):
        print(*sentences, sep="\n", file=sys.stderr)
        return 2
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # programs that are installed are not compiled at each start
    wanted = arguments.only.split(",") if arguments.only else [*(case.name for case in cpu.CASES), *GROUPS]
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        figures, failed = _measured(_prepared(Path(scratch), arguments.quick), wanted)
    run = results.of(figures, arguments.quick, datetime.now(UTC))
    before = results.last()
    changes = results.compare(run, before) if before else []
    print(*show.table(run.figures, changes), sep="\n")
    if arguments.keep:
        path = results.keep(run)
        path.with_name("last.svg").write_text(show.plot(run), encoding="utf-8")
        print(f"kept as {path.relative_to(results.ROOT)}")
    worse = [change for change in changes if change.worse]
    for change in worse:
        print(f"worse by {change.share:.0%}: {change.name}, {change.before:,.2f} before, {change.now:,.2f} now")
    return 1 if worse or failed else 0


def _measured(bench: cpu.Bench, wanted: list[str]) -> tuple[list[Figure], bool]:
    """Return the figures of what is wanted, and whether a part failed: the others are not lost with it."""
    figures, failed = [], False
    cases = [case for case in cpu.CASES if case.name in wanted]
    for found in [cpu.measure(bench, cases), *(GROUPS[name](bench) for name in wanted if name in GROUPS)]:
        try:
            for figure in found:
                print(f"{figure.name}: {figure.value:,.2f} {figure.unit}", file=sys.stderr, flush=True)
                figures.append(figure)
        except (AssertionError, SystemExit) as error:
            print(error, file=sys.stderr, flush=True)
            failed = True
    return figures, failed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench BENCH=", description=__doc__)
    names = [*(case.name for case in cpu.CASES), *GROUPS]
    parser.add_argument("--only", default="", metavar="NAME,...", help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="shorter turns, less of them; kept only with --keep")
    parser.add_argument("--keep", action=argparse.BooleanOptionalAction, help="write the figures into bench/results")
    found = parser.parse_args()
    unknown = [name for name in found.only.split(",") if name and name not in names]
    if unknown:
        parser.error(f"--only: no {', '.join(unknown)}; there are {', '.join(names)}")
    if found.keep is None:
        found.keep = not found.quick and not found.only
    return found


def _prepared(scratch: Path, quick: bool) -> cpu.Bench:
    files = {}
    for name, body in bodies.bodies().items():
        files[name] = scratch / f"{name}.json"
        files[name].write_bytes(body)
    return cpu.Bench(programs.programs(), servers.certificates(scratch), packs.write(scratch), files, quick)


if __name__ == "__main__":
    sys.exit(main())
