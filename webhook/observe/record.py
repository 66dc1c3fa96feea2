"""Keeps reviews in files, redacted, so that a pack can be tried on what a cluster really sends: `plimsoll impact`.

Never in the way of a review: a review is handed to a thread of the worker by a queue of few bytes, and is dropped,
and counted, where that is full. The files of all workers stand in one directory, and never take more than was said.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson

from webhook.engine.evaluate import SUBRESOURCES
from webhook.errors import ConfigError, Problem
from webhook.model.decision import Decision
from webhook.model.review import API_VERSION, Review
from webhook.observe.redact import redact
from webhook.ports import Recorder

LOG = logging.getLogger(__name__)
VERSION = 1
PENDING = 8 * 2**20
"""Bytes of reviews that may wait for the disk, in each worker: some thousand of the usual ones."""
ENDING = ".jsonl"


@dataclass(frozen=True, slots=True)
class Terms:
    """How much is kept: one review of `every`, drawn by chance; `files`, of which the oldest goes first, with `size`
    bytes together.
    """

    every: int = 1
    files: int = 16
    size: int = 64 * 2**20


class Both:
    """Hands each review to two recorders."""

    def __init__(self, first: Recorder, second: Recorder) -> None:
        """Take both; `first` comes first."""
        self._first = first
        self._second = second

    def record(self, endpoint: str, review: Review, decision: Decision, seconds: float) -> None:
        """Note one decided review; `seconds` is how long it took."""
        self._first.record(endpoint, review, decision, seconds)
        self._second.record(endpoint, review, decision, seconds)


class Recording:
    """Writes reviews into a directory. Implements `ports.Recorder`; one object for each process.

    Made before the workers are forked: its thread starts with the first review, in the worker.
    """

    def __init__(
        self,
        directory: Path,
        terms: Terms,
        clock: Callable[[], datetime],
        count: Callable[[str], None] = lambda result: None,
    ) -> None:
        """Make `directory` where it isn't there (0700). `count` is told `written`, `dropped` or `failed` of each.

        Raises ConfigError where nothing can be written there.
        """
        self._files = _Files(directory, terms, clock)
        self._every = terms.every
        self._clock = clock
        self._count = count
        self._waiting: deque[bytes] = deque()
        self._weight = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._fails = False

    def record(self, endpoint: str, review: Review, decision: Decision, seconds: float) -> None:
        """Note one decided review, if it is drawn. Dry runs leave no trace, and what no rule judges is of no use."""
        if review.dry_run or review.operation not in ("CREATE", "UPDATE") or review.subresource not in SUBRESOURCES:
            return
        # by the uid, which is random: counting would keep, say, every third, and of each Deployment the Pod alone
        if crc32(review.uid.encode()) % self._every:
            return
        # as bytes, which weigh what they say, and which nobody changes while they wait
        line = orjson.dumps(_line(self._clock(), endpoint, review, decision))
        with self._changed:
            if self._weight + len(line) > PENDING:
                full = True
            else:
                full = False
                self._waiting.append(line)
                self._weight += len(line)
                self._start()
                self._changed.notify()
        if full:
            self._count("dropped")

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                line = self._waiting.popleft()
            self._write(line)
            with self._changed:
                self._weight -= len(line)

    def _write(self, line: bytes) -> None:
        document = orjson.loads(line)
        document["review"]["request"] = redact(document["review"]["request"])
        try:
            fits = self._files.write(orjson.dumps(document) + b"\n")
        except OSError as error:
            if not self._fails:  # once, and not for every review while the disk is full
                LOG.error("reviews can't be recorded: %s", error.strerror)
            self._fails = True
            self._count("failed")
            return
        self._fails = False
        self._count("written" if fits else "dropped")


class _Files:
    """The files of one process in the directory that all share: one is written, the others are full or others'."""

    def __init__(self, directory: Path, terms: Terms, clock: Callable[[], datetime]) -> None:
        self._directory = directory
        self._terms = terms
        self._clock = clock
        self._share = terms.size // terms.files
        self._number = 0
        self._open: int | None = None
        self._written = 0
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(directory, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            text = f"reviews can't be written there: {error.strerror}; name a directory of our own"
            raise ConfigError([Problem("--record", 0, str(directory), text)]) from error

    def write(self, line: bytes) -> bool:
        """Append a line; False where it is longer than a file may be. Raises OSError."""
        if len(line) > self._share:
            return False
        if self._open is None or self._written + len(line) > self._share or not os.fstat(self._open).st_nlink:
            self._begin()
        assert self._open is not None
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._open, rest) :]
        except OSError:
            self._close()  # half a line is the last of its file, where a reader can tell
            raise
        self._written += len(line)
        return True

    def _begin(self) -> None:
        self._close()
        self._prune()
        self._number += 1
        # by the time first, so that names sort by age; no two processes share a pid, and none a number
        name = f"reviews-{self._clock():%Y%m%dT%H%M%S%f}-{os.getpid()}-{self._number}{ENDING}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._open = os.open(self._directory / name, flags, 0o600)
        self._written = 0

    def _close(self) -> None:
        if self._open is not None:
            os.close(self._open)
            self._open = None

    def _prune(self) -> None:
        """Remove the oldest files until there is room for one more; another worker whose file goes begins anew."""
        left = self._terms.files - 1
        room = self._terms.size - self._share
        for path in sorted(self._directory.glob(f"reviews-*{ENDING}"), reverse=True):
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                continue  # another worker was faster
            left, room = left - 1, room - size
            if left < 0 or room < 0:
                path.unlink(missing_ok=True)


def _line(now: datetime, endpoint: str, review: Review, decision: Decision) -> dict[str, Any]:
    return {
        "version": VERSION,
        "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "endpoint": endpoint,
        "answer": _summary(decision),
        "review": {"apiVersion": API_VERSION, "kind": "AdmissionReview", "request": review.request},
    }


def _summary(decision: Decision) -> dict[str, Any]:
    """Return what was answered, without what was found: that may quote the object."""
    findings = [
        {
            "pack": finding.pack,
            "rule": finding.rule,
            "effective": finding.effective,
            "pointer": finding.violation.pointer,
            "container": finding.violation.container,
            "exempt": finding.exempt is not None,
        }
        for finding in decision.findings
    ]
    return {
        "allowed": decision.allowed,
        "findings": findings,
        "errors": sorted({f"{fault.pack}/{fault.rule}" for fault in decision.errors}),
        "unknown": sorted({f"{fault.pack}/{fault.rule}" for fault in decision.unknown}),
        "patched": len(decision.patch),
    }
