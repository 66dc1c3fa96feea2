"""Figures for Prometheus, added up over all workers (prometheus_client's multiprocess mode).

Labels come from endpoints, rules and actions, never from names of objects or users: a cluster once made six
million series of those. Where a label could still grow without end, `Bounded` keeps it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webhook import __version__
from webhook.observe import log

if TYPE_CHECKING:
    from webhook.model.decision import Decision
    from webhook.model.review import Review

LOG = logging.getLogger("plimsoll.review")
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
SHELF = "shelf"
"""The directory, among the figures', of what processes of the pod share."""
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0)
"""Seconds. A review takes about a millisecond; 1 and 3 s are the timeouts of our webhooks."""

_OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
_ENDPOINTS = frozenset({"validate", "advise", "mutate"})
SHED = ("connections", "large", "overflow", "requests", "threads")
"""Why the server turns something away (web/worker.py, web/exchange.py)."""
FACTS = ("access", "images", "namespace", "neighbours", "owners")
FACT_LOOK_UPS = ("hit", "miss", "stale", "unknown")
"""How a look-up of a fact of the cluster ends (kube/cache.py)."""
EVENTS = ("dropped", "failed", "repeated", "written")
"""What becomes of a denial that is told as an Event (observe/tell.py, upkeep/events.py)."""
SPANS = ("failed", "sent")
"""What becomes of a span of a trace (observe/trace.py)."""
RECORDS = ("dropped", "failed", "written")
"""What becomes of a review that is to be recorded (observe/record.py)."""
STEPS = ("authority", "bundle", "leaf", "restore")
RENEWALS = ("conflict", "done", "failed")
"""What is done for a certificate (tls/rotate.py), and how that ends."""
CONFIGURATIONS = {
    "missing": "1 while a webhook configuration of ours is not there: somebody deleted it, and nobody asks us",
    "paused": "1 while a webhook configuration is left alone, because it says plimsoll.dev/paused",
    "behind": "1 while a webhook configuration has for a minute not been what the rules in force need",
    "weakened": "1 while a webhook configuration has Ignore where Fail is meant, which is left alone",
}
"""What may be the matter with a webhook configuration (upkeep/configurations.py)."""
LOOK_UPS = ("absent", "hit", "miss", "stale", "unknown")
"""How a look-up of an image ends (registry/images.py)."""


def prepare() -> Path:
    """Make a fresh directory for the workers' figures and tell prometheus_client of it.

    Must run before prometheus_client is imported, which decides once, at import, how it counts. The caller
    removes it with `clear` at the end. In memory where /dev/shm is there: a worker must not wait for a disk.
    """
    shm = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a name of its own in it, readable by us alone
    place = shm if os.access(shm, os.W_OK) else None
    directory = Path(tempfile.mkdtemp(prefix="plimsoll-metrics-", dir=place))
    os.environ[VARIABLE] = str(directory)
    return directory


def clear(directory: Path) -> None:
    """Remove what `prepare` made."""
    shutil.rmtree(directory, ignore_errors=True)


class Bounded:
    """A metric by its labels: the first `most` different values have a figure each, all others one that says so."""

    def __init__(self, metric: Any, most: int = 1000) -> None:
        """Start with none seen."""
        self._metric = metric
        self._most = most
        self._seen: dict[tuple[str, ...], Any] = {}

    def __call__(self, *values: str) -> Any:
        """Return the figure to count under."""
        figure = self._seen.get(values)
        if figure is None:
            if len(self._seen) >= self._most:
                return self._metric.labels(*("other" for _ in values))
            figure = self._seen[values] = self._metric.labels(*values)
        return figure


class Tally:
    """What every review counts, gathered for a moment: in a file that others read a count takes 3 µs, here a tenth."""

    def __init__(self) -> None:
        """Start empty."""
        self.reviews: dict[tuple[str, str, str], int] = {}
        self.findings: dict[tuple[str, str, str, str], int] = {}
        self.seconds: dict[str, list[float]] = {}
        """By endpoint: of each bucket how many, with one for all above, and at last their sum."""

    def add(self, endpoint: str, operation: str, word: str, seconds: float) -> None:
        """Count a review."""
        reviews = (endpoint, operation, word)
        self.reviews[reviews] = self.reviews.get(reviews, 0) + 1
        spread = self.seconds.get(endpoint)
        if spread is None:
            spread = self.seconds[endpoint] = [0.0] * (len(BUCKETS) + 2)
        spread[bisect_left(BUCKETS, seconds)] += 1
        spread[-1] += seconds

    def find(self, pack: str, rule: str, action: str, effective: str) -> None:
        """Count a finding."""
        finding = (pack, rule, action, effective)
        self.findings[finding] = self.findings.get(finding, 0) + 1


class Metrics:
    """Everything that is counted; one object for each process. Implements `ports.Recorder`.

    What reviews count stands in the figures once somebody calls `settle`, which a worker does many times a second.
    """

    def __init__(self) -> None:
        """Make the figures, in a registry of their own."""
        self._tally = Tally()
        self._lock = threading.Lock()
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        registry = self.registry = CollectorRegistry()

        def counter(name: str, text: str, labels: list[str], most: int = 1000) -> Bounded:
            return Bounded(Counter(name, text, labels, registry=registry), most)

        self._reviews = counter("plimsoll_reviews", "Reviews answered", ["endpoint", "operation", "decision"])
        self._findings = counter("plimsoll_findings", "Findings", ["pack", "rule", "action", "effective"])
        self._errors = counter("plimsoll_rule_errors", "Rules that failed", ["pack", "rule"])
        self._unknown = counter("plimsoll_unknown", "Facts that could not be had", ["fact"], 100)
        self._patched = counter("plimsoll_patched", "Fixes applied", ["pack", "rule"])
        self._shed = counter("plimsoll_shed", "Requests and connections turned away", ["reason"])
        seconds = "Time from the read body to the decision"
        self._seconds = Bounded(
            Histogram("plimsoll_review_seconds", seconds, ["endpoint"], buckets=BUCKETS, registry=registry)
        )
        self._images = counter("plimsoll_image_lookups", "Look-ups of images", ["result"])
        self._lookups = counter("plimsoll_fact_lookups", "Look-ups of facts", ["fact", "result"], 100)
        self._events = counter("plimsoll_events", "Denials told as Events", ["result"], 10)
        self._spans = counter("plimsoll_spans", "Spans of traces", ["result"], 10)
        self._records = counter("plimsoll_records", "Reviews to be recorded", ["result"])
        self._connections = Gauge(
            "plimsoll_connections", "Open connections", registry=registry, multiprocess_mode="livesum"
        )
        self._packs = Gauge(
            "plimsoll_packs_loaded",
            "Packs in force, in the worker that has fewest",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._failed = Gauge(
            "plimsoll_pack_load_failed",
            "1 when the last load failed in a worker, which keeps the last good packs",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._quiet = Bounded(
            Gauge(
                "plimsoll_watch_stale_seconds",
                "Seconds since the API server said anything on a watch; a bookmark comes each minute or so",
                ["watch"],
                registry=registry,
                multiprocess_mode="livemax",
            ),
            100,
        )
        self._upkeep = counter("plimsoll_upkeep_errors", "Tasks of upkeep that failed and were begun again", ["task"])
        self._renewals = counter(
            "plimsoll_certificate_renewals", "Steps taken for certificate and authority", ["step", "result"], 100
        )
        self._authority = Gauge(
            "plimsoll_authority_expiry_seconds",
            "Seconds until the certificate's authority ends",
            ["secret"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._unverified = Gauge(
            "plimsoll_certificate_check_failed",
            "1 when what we serve can't be verified with the bundle that callers have",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._configurations = {
            word: Gauge(
                f"plimsoll_webhook_configuration_{word}",
                text,
                ["kind"],
                registry=registry,
                multiprocess_mode="livemax",
            )
            for word, text in CONFIGURATIONS.items()
        }
        self._repairs = counter(
            "plimsoll_webhook_configuration_repairs", "Edits of our webhook configurations that were undone", ["kind"]
        )
        self._build = Gauge(
            "plimsoll_build_info", "Always 1", ["version"], registry=registry, multiprocess_mode="livemax"
        )

    def record(self, endpoint: str, review: Review, decision: Decision, seconds: float) -> None:
        """Count one decided review and write its log line; `seconds` is how long it took."""
        endpoint = endpoint if endpoint in _ENDPOINTS else "other"
        try:
            self._count(endpoint, review, decision, seconds)
        except OSError as error:
            _lost(error, {"endpoint": endpoint, "uid": review.uid})
        _log(endpoint, review, decision, seconds)

    def _count(self, endpoint: str, review: Review, decision: Decision, seconds: float) -> None:
        operation = review.operation if review.operation in _OPERATIONS else "other"
        with self._lock:
            self._tally.add(endpoint, operation, "allowed" if decision.allowed else "denied", seconds)
            for finding in decision.findings:
                about = finding.about
                self._tally.find(about.pack, about.rule, about.action, finding.effective)
        for fault in decision.errors:
            self._errors(fault.pack, fault.rule).inc()
        for fault in decision.unknown:
            self._unknown(fault.fact).inc()
        for fixed in decision.patched:
            if not fixed.would:
                self._patched(fixed.pack, fixed.rule).inc()

    def settle(self) -> None:
        """Bring what reviews have counted since the last time into the figures."""
        if not self._tally.reviews:
            return
        with self._lock:
            tally, self._tally = self._tally, Tally()
        with _kept():
            for values, count in tally.reviews.items():
                self._reviews(*values).inc(count)
            for finding, count in tally.findings.items():
                self._findings(*finding).inc(count)
            for endpoint, spread in tally.seconds.items():
                histogram = self._seconds(endpoint)
                # what `observe` does, for many at once, which it has no words for
                histogram._sum.inc(spread[-1])
                for bucket, observed in zip(histogram._buckets, spread[:-1], strict=True):
                    if observed:
                        bucket.inc(observed)

    def shed(self, reason: str) -> None:
        """Count one connection or request that was turned away."""
        with _kept():
            self._shed(reason).inc()

    def image(self, result: str) -> None:
        """Count one look-up of an image."""
        with _kept():
            self._images(result).inc()
            self._lookups("images", result).inc()

    def fact(self, fact: str, result: str) -> None:
        """Count one look-up of a fact of the cluster."""
        with _kept():
            self._lookups(fact, result).inc()

    def event(self, result: str, count: int = 1) -> None:
        """Count denials by what became of telling them as Events."""
        with _kept():
            self._events(result).inc(count)

    def spans(self, result: str, count: int) -> None:
        """Count spans that were sent, or could not be."""
        with _kept():
            self._spans(result).inc(count)

    def recorded(self, result: str) -> None:
        """Count one review that was to be recorded."""
        with _kept():
            self._records(result).inc()

    def connections(self, count: int) -> None:
        """Say how many connections this worker holds now."""
        with _kept():
            self._connections.set(count)

    def loaded(self, packs: int) -> None:
        """Say that so many packs are in force after a load that went well."""
        with _kept():
            self._build.labels(__version__).set(1)
            self._packs.set(packs)
            self._failed.set(0)

    def expect(self, rules: Iterable[tuple[str, str]]) -> None:
        """Show what may be counted with 0, since an increase from nothing to 1 is none to Prometheus.

        `rules` are (pack, rule) of those in force.
        """
        with _kept():
            for reason in SHED:
                self._shed(reason)
            for result in LOOK_UPS:
                self._images(result)
            for result in RECORDS:
                self._records(result)
            for fact in FACTS:
                self._unknown(fact)
                for result in LOOK_UPS if fact == "images" else FACT_LOOK_UPS:
                    self._lookups(fact, result)
            for result in EVENTS:
                self._events(result)
            for result in SPANS:
                self._spans(result)
            for pack, rule in rules:
                self._errors(pack, rule)

    def quiet(self, watch: str, seconds: float) -> None:
        """Say for how long a watch has been silent."""
        with _kept():
            self._quiet(watch).set(seconds)

    def configuration(self, kind: str, **words: bool) -> None:
        """Say what is the matter with our webhook configuration of a kind: each of `CONFIGURATIONS`, and whether."""
        with _kept():
            self._repairs(kind)
            for word, is_so in words.items():
                self._configurations[word].labels(kind).set(int(is_so))

    def configuration_repaired(self, kind: str) -> None:
        """Count one edit of a webhook configuration that was undone."""
        with _kept():
            self._repairs(kind).inc()

    def upkeep_failed(self, task: str) -> None:
        """Count one failure of a task of upkeep."""
        with _kept():
            self._upkeep(task).inc()

    def renewed(self, step: str, result: str) -> None:
        """Count one step for the certificate: how it ended is one of `RENEWALS`."""
        with _kept():
            self._renewals(step, result).inc()

    def expect_renewals(self) -> None:
        """Show with 0 what may be counted of a certificate that is kept."""
        with _kept():
            for step in STEPS:
                for result in RENEWALS:
                    self._renewals(step, result)

    def authority(self, secret: str, seconds: float) -> None:
        """Say how long the authority, kept in a Secret, is still valid."""
        with _kept():
            self._authority.labels(secret).set(seconds)

    def verified(self, *, well: bool) -> None:
        """Say whether callers can verify what we serve."""
        with _kept():
            self._unverified.set(0 if well else 1)

    def load_failed(self, failed: bool = True) -> None:
        """Say whether a load failed, and the last good packs stay."""
        with _kept():
            self._failed.set(int(failed))


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """Let a figure that can't be kept be lost, and said: its file may be gone, or its disk full.

    A count that fails must neither decide a review nor end a worker.
    """
    try:
        yield
    except OSError as error:
        _lost(error)


def _lost(error: OSError, fields: dict[str, str] | None = None) -> None:
    LOG.error("figures can't be kept: %s", error.strerror, extra={"fields": fields or {}})


def _log(endpoint: str, review: Review, decision: Decision, seconds: float) -> None:
    if decision.errors:
        level = logging.WARNING
    elif decision.findings or decision.unknown or decision.patched:
        level = logging.INFO
    else:
        level = logging.DEBUG  # what is fine is most of a cluster's traffic
    if not LOG.isEnabledFor(level):
        return
    fields = {
        "endpoint": endpoint,
        "uid": review.uid,
        "operation": review.operation,
        "kind": str(review.kind),
        "namespace": review.namespace,
        "name": review.name,
        "dry_run": review.dry_run,
        "allowed": decision.allowed,
        "rules": sorted({f"{item.pack}/{item.rule}" for item in decision.findings}),
        "errors": sorted({f"{item.pack}/{item.rule}" for item in decision.errors}) if decision.errors else [],
        "unknown": sorted({item.fact for item in decision.unknown}) if decision.unknown else [],
        "patched": sorted({f"{item.pack}/{item.rule}" for item in decision.patched if not item.would})
        if decision.patched
        else [],
        "milliseconds": int(seconds * 1_000_000 + 0.5) / 1000,  # `round` goes by the decimal text, which is dear
    }
    log.say(LOG, level, f"review {'allowed' if decision.allowed else 'denied'}", fields)
