"""What `evaluate` alone executes: counts, which are the same at every run on one Python, however busy the machine is.

Opcodes of Python are counted by the interpreter itself, in seconds, on any machine; they don't see what C and C++ do.
Instructions of the processor, in all libraries, are counted by callgrind, where valgrind is installed: the difference
between a process that judges and one that only gets ready for it. That takes some minutes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from bench import ROOT, bodies, packs
from bench.cpu import Bench
from bench.results import Figure
from tools import compiled
from webhook import sources
from webhook.engine.evaluate import evaluate
from webhook.engine.facts import Facts
from webhook.model.review import decode, parse
from webhook.packs import compile as compiler
from webhook.packs.rule import Ruleset

Run = Callable[[], Any]

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WARM = 3
CALLS, LARGE_CALLS = 2000, 300
"""How often a process calls for its count: starting differs by some 0.1 % from process to process."""
PARSED = ("parse/small", "parse/large", "parse/update")
JUDGED = ("core/small", "core/broken", "core/large", "core/update", "twenty/small")
SLOW = ("shipped/small", "many/small")
"""These packs take minutes to compile under callgrind, so only opcodes are counted."""


def subject(name: str) -> Run:
    """Return what is counted under a name: `parse/<body>` reads a body, `<pack>/<body>` evaluates it."""
    pack, _, body = name.partition("/")
    text = bodies.bodies()[body]
    if pack == "parse":
        return lambda: parse(decode(text))
    rules, review = _rules(pack), parse(decode(text))
    return lambda: evaluate(rules, review, Facts(), NOW, "validate")


def _rules(name: str) -> Ruleset:
    if name == "shipped":
        found = sources.read([str(path) for path in sources.shipped()])
        return compiler.ruleset([(source.name, source.text) for source in found], "enforce")
    pack = {"core": packs.core, "many": packs.many, "twenty": packs.twenty}[name]()
    return compiler.ruleset([(name, yaml.safe_dump(pack, sort_keys=False))])


def figures(_: Bench) -> Iterator[Figure]:
    """Yield the opcodes of one call each, as plain Python: what is compiled executes none."""
    names = (*PARSED, *JUDGED, *SLOW)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        _plain(Path(scratch))
        done = subprocess.run(
            [sys.executable, "-m", "bench.counts", *names], cwd=scratch, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise SystemExit(f"bench: counting failed:\n{done.stderr[-2000:]}")
    for name, count in zip(names, json.loads(done.stdout), strict=True):
        yield Figure(f"opcodes/{name}", count, "ops", text="opcodes of Python", relative=True)


def _plain(place: Path) -> None:
    """Lay the package out as plain Python, and what counting needs beside it."""
    compiled.plain(ROOT, place)
    for name in ("bench", "policies", "tests", "tools"):
        (place / name).symlink_to(ROOT / name)


def processor(bench: Bench) -> Iterator[Figure]:
    """Yield the instructions of one call each; without valgrind, and in a quick run, nothing."""
    if bench.quick or shutil.which("valgrind") is None:
        return
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip((*PARSED, *JUDGED), pool.map(instructions, (*PARSED, *JUDGED)), strict=True))
    for name, count in found.items():
        yield Figure(f"instructions/{name}", count, "ins", text="instructions, in all libraries")
    times = (found["core/update"] + found["parse/update"]) / found["parse/update"]
    text = "update that rules don't read, to parsing it alone, in instructions"
    yield Figure("instructions/ratio", times, "x", 1.2, text, relative=True)


def opcodes(run: Run) -> int:
    """Return how many opcodes of Python one call executes, once it is warm."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    _repeat(run, WARM)
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
    return count


def instructions(name: str) -> float:
    """Return how many instructions one call executes, once it is warm."""
    times = LARGE_CALLS if name.endswith("/large") else CALLS
    return (_collected(name, times) - _collected(name, 0)) / times


def _collected(name: str, times: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    # a seed of its own would lay out sets and mappings differently in each process
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    command += ["-m", "bench.counts", name, str(times)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        raise SystemExit(f"bench: callgrind failed:\n{done.stderr[-2000:]}")
    return int(found[1])


def _repeat(run: Run, times: int) -> None:
    for _ in range(times):
        run()


if __name__ == "__main__":
    if sys.argv[2].isdecimal():
        _repeat(subject(sys.argv[1]), WARM + int(sys.argv[2]))
    else:
        print(json.dumps([opcodes(subject(name)) for name in sys.argv[1:]]))
