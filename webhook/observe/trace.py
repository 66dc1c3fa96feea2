"""Traces of reviews for OpenTelemetry, where somebody wants them: one span for each review, sent by OTLP over HTTP.

The SDK is an extra (`plimsoll-webhook[otel]`), and imported only when there is somewhere to send to. A review only
notes times; its spans are made when it is answered, and sent by a thread of the worker, which starts with the first
one, after the fork. What finds no room is dropped. Names and versions of what is told: OpenTelemetry's
`opentelemetry.io/docs/specs/otel/trace/api`, w3.org/TR/trace-context for `traceparent`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from webhook import __version__
from webhook.errors import ConfigError, Problem

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer as SdkTracer

    from webhook.model.decision import Decision
    from webhook.model.review import Review

PENDING = 2048
"""Spans that may wait to be sent, in each worker; some KB each."""
BATCH = 512
EVERY = 2.0
"""Seconds between two calls of the receiver."""
CALL = 5.0
"""Seconds that one may take."""
PATH = "/v1/traces"
MISSING = (
    "needs OpenTelemetry, which is not installed; install `plimsoll-webhook[otel]` "
    "(opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http)"
)
App = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Tracer:
    """Makes a span of each review. Implements `ports.Recorder`; one object for each process, made before the fork."""

    def __init__(
        self,
        url: str,
        every: int = 1,
        count: Callable[[str, int], None] = lambda result, count: None,
        instance: str = "",
    ) -> None:
        """Send to the receiver at `url`; without a path, to its `/v1/traces`.

        `every` says how many of the reviews are traced that nobody above us traces: one of so many. `count` is told how
        many spans were `sent`, or `failed`. Raises ConfigError for a URL that is none, and where the SDK is missing.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            text = f"{url!r} is no address of a receiver; wanted for example http://otel-collector:4318"
            raise ConfigError([Problem("--trace", 0, "", text)])
        try:
            import opentelemetry.exporter.otlp.proto.http.trace_exporter
            import opentelemetry.sdk.trace.export  # noqa: F401 - imported before the fork, so that workers share it
        except ImportError as error:
            raise ConfigError([Problem("--trace", 0, "", MISSING)]) from error
        self._url = url if parts.path.strip("/") else url.rstrip("/") + PATH
        self._every = every
        self._count = count
        self._instance = instance
        self._lock = threading.Lock()
        self._made: tuple[int, TracerProvider, SdkTracer] | None = None
        self._here = threading.local()

    def listen(self, app: App) -> App:
        """Return a WSGI application that notes what each request says of its trace, and does what `app` does."""

        def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            self._here.parent = {
                name: environ[key]
                for name, key in (("traceparent", "HTTP_TRACEPARENT"), ("tracestate", "HTTP_TRACESTATE"))
                if key in environ
            }
            self._here.stages = []
            return app(environ, start_response)

        return call

    def stage(self, name: str, begun: float) -> None:
        """Note that a part of the review that this thread works on is over; `begun` is of `time.perf_counter`."""
        stages = getattr(self._here, "stages", None)
        if stages is None:
            stages = self._here.stages = []
        stages.append((name, begun, time.perf_counter()))

    def record(self, endpoint: str, review: Review, decision: Decision, seconds: float) -> None:
        """Make the spans of one decided review, which took `seconds` until now."""
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract(getattr(self._here, "parent", {}))
        stages = getattr(self._here, "stages", [])
        self._here.parent, self._here.stages = {}, []
        tracer = self._tracer()
        ends, now = time.time_ns(), time.perf_counter()
        begun = min([now - seconds, *(stage[1] for stage in stages)])

        def at(moment: float) -> int:
            return ends - int((now - moment) * 1e9)

        span = tracer.start_span(
            f"review {endpoint}",
            parent,
            SpanKind.SERVER,
            _attributes(endpoint, review, decision),
            start_time=at(begun),
        )
        if span.is_recording():
            inside = set_span_in_context(span, parent)
            for name, start, over in stages:
                tracer.start_span(name, inside, start_time=at(start)).end(at(over))
        span.end(ends)

    def flush(self, seconds: float = CALL) -> None:
        """Send what waits, if that can be done within `seconds`."""
        if self._made is not None and self._made[0] == os.getpid():
            self._made[1].force_flush(int(seconds * 1000))

    def _tracer(self) -> SdkTracer:
        made = self._made
        if made is not None and made[0] == os.getpid():
            return made[2]
        with self._lock:
            made = self._made
            if made is None or made[0] != os.getpid():
                provider = self._provider()
                made = self._made = os.getpid(), provider, provider.get_tracer("plimsoll", __version__)
        return made[2]

    def _provider(self) -> TracerProvider:
        """Make what samples, keeps and sends; its thread is this process's."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        count = self._count

        class Exporter(OTLPSpanExporter):
            """Counts what is sent."""

            def export(self, spans: Any) -> SpanExportResult:
                told: list[ReadableSpan] = list(spans)
                result = super().export(told)
                count("sent" if result is SpanExportResult.SUCCESS else "failed", len(told))
                return result

        _quieten()
        about = {"service.name": "plimsoll", "service.version": __version__, "service.instance.id": self._instance}
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(1 / self._every)),
            resource=Resource(about),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(
            BatchSpanProcessor(
                Exporter(endpoint=self._url, timeout=CALL),
                max_queue_size=PENDING,
                max_export_batch_size=BATCH,
                schedule_delay_millis=EVERY * 1000,
                export_timeout_millis=CALL * 1000,
            )
        )
        return provider


def _quieten() -> None:
    # The SDK logs each failed batch with the receiver's whole answer; how many failed, a metric says.
    log = logging.getLogger("opentelemetry")
    if not any(isinstance(each, _Seldom) for each in log.filters):
        for name in ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal"):
            logging.getLogger(name).addFilter(_Seldom())
        log.addFilter(_Seldom())


class _Seldom(logging.Filter):
    """Lets one line through in ten minutes."""

    def __init__(self) -> None:
        super().__init__()
        self._said = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._said < 600:
            return False
        self._said = now
        return True


def _attributes(endpoint: str, review: Review, decision: Decision) -> Mapping[str, Any]:
    """Return what a span says of its review: never anything of the object."""
    return {
        "plimsoll.endpoint": endpoint,
        "plimsoll.allowed": decision.allowed,
        "plimsoll.rules": len({(item.pack, item.rule) for item in decision.findings}),
        "plimsoll.errors": len(decision.errors),
        "plimsoll.unknown": len(decision.unknown),
        "k8s.admission.uid": review.uid,
        "k8s.admission.operation": review.operation,
        "k8s.admission.dry_run": review.dry_run,
        "k8s.object.kind": str(review.kind),
        "k8s.object.name": review.name,
        "k8s.namespace.name": review.namespace,
    }
