"""The figures: what is counted under which labels, and that labels can't grow without end."""

from __future__ import annotations

import orjson
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from webhook.model.decision import About, Decision, Fault, Finding, Fixed, Violation
from webhook.model.review import Review, parse
from webhook.observe import metrics
from webhook.observe.metrics import Bounded, Metrics

ABOUT = About("acme", "1", "no-latest", "deny")


@pytest.fixture
def review() -> Review:
    request = {
        "uid": "u-1",
        "operation": "CREATE",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "name": "secret-project",
        "namespace": "shop",
        "object": {},
    }
    return parse({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})


def value(figures: Metrics, name: str, **labels: str) -> float | None:
    figures.settle()
    found: float | None = figures.registry.get_sample_value(name, labels)
    return found


def test_a_denied_review_is_counted_with_its_findings(review: Review) -> None:
    figures = Metrics()
    finding = Finding(ABOUT, Violation("/spec", "tag", "latest", "a tag"), "deny")
    figures.record("validate", review, Decision(False, (finding, finding)), 0.002)
    reviews = value(figures, "plimsoll_reviews_total", endpoint="validate", operation="CREATE", decision="denied")
    findings = value(figures, "plimsoll_findings_total", pack="acme", rule="no-latest", action="deny", effective="deny")
    assert (reviews, findings) == (1, 2)
    assert value(figures, "plimsoll_review_seconds_sum", endpoint="validate") == pytest.approx(0.002)


def test_how_long_reviews_took_is_counted_by_buckets_as_prometheus_does(review: Review) -> None:
    figures, theirs = Metrics(), CollectorRegistry()
    histogram = Histogram("theirs", "-", buckets=metrics.BUCKETS, registry=theirs)
    for seconds in (0.0, 0.0005, 0.00051, 0.004, 3.0, 4.0):
        figures.record("validate", review, Decision(), seconds)
        histogram.observe(seconds)
    for bound in (*map(str, metrics.BUCKETS), "+Inf"):
        bound = bound if bound == "+Inf" else str(float(bound))
        wanted = theirs.get_sample_value("theirs_bucket", {"le": bound})
        assert wanted is not None
        assert value(figures, "plimsoll_review_seconds_bucket", endpoint="validate", le=bound) == wanted
    assert value(figures, "plimsoll_review_seconds_count", endpoint="validate") == 6


def test_errors_and_unknown_facts_are_counted(review: Review) -> None:
    figures = Metrics()
    error = Fault(ABOUT, "error", "it broke", "deny")
    unknown = Fault(ABOUT, "unknown", "no answer", "warn", "namespace")
    figures.record("validate", review, Decision(errors=(error,), unknown=(unknown,)), 0.001)
    assert value(figures, "plimsoll_rule_errors_total", pack="acme", rule="no-latest") == 1
    assert value(figures, "plimsoll_unknown_total", fact="namespace") == 1


def test_only_fixes_that_were_made_count_as_patched(review: Review) -> None:
    figures = Metrics()
    patched = (Fixed(ABOUT, 1, "/spec"), Fixed(ABOUT, 1, "/spec", would=True))
    figures.record("mutate", review, Decision(patched=patched), 0.001)
    assert value(figures, "plimsoll_patched_total", pack="acme", rule="no-latest") == 1


def test_no_label_holds_a_name_of_an_object(review: Review) -> None:
    figures = Metrics()
    figures.record("validate", review, Decision(), 0.001)
    labels = [
        label for family in figures.registry.collect() for sample in family.samples for label in sample.labels.values()
    ]
    assert not {"secret-project", "shop", "u-1"} & set(labels)


def test_labels_that_grow_without_end_become_other() -> None:
    registry = CollectorRegistry()
    bounded = Bounded(Counter("seen", "Seen", ["name"], registry=registry), 2)
    for name in "abcda":
        bounded(name).inc()
    counted = {name: registry.get_sample_value("seen_total", {"name": name}) for name in ("a", "b", "c", "d", "other")}
    assert counted == {"a": 2, "b": 1, "c": None, "d": None, "other": 2}


def test_a_failed_load_is_said_until_a_load_goes_well() -> None:
    figures = Metrics()
    figures.loaded(3)
    figures.load_failed()
    assert (value(figures, "plimsoll_packs_loaded"), value(figures, "plimsoll_pack_load_failed")) == (3, 1)
    figures.loaded(2)
    assert (value(figures, "plimsoll_packs_loaded"), value(figures, "plimsoll_pack_load_failed")) == (2, 0)


def test_what_may_be_counted_is_there_with_zero_before_it_happens() -> None:
    figures = Metrics()
    assert value(figures, "plimsoll_rule_errors_total", pack="acme", rule="no-latest") is None
    figures.expect([("acme", "no-latest")])
    assert value(figures, "plimsoll_rule_errors_total", pack="acme", rule="no-latest") == 0
    assert [value(figures, "plimsoll_shed_total", reason=reason) for reason in metrics.SHED] == [0] * 5
    assert [value(figures, "plimsoll_unknown_total", fact=fact) for fact in metrics.FACTS] == [0] * 5


def test_the_log_line_names_the_object_and_the_rules_and_nothing_else(
    review: Review, caplog: pytest.LogCaptureFixture
) -> None:
    finding = Finding(ABOUT, Violation("/spec", "tag", "hunter2", "a tag"), "deny")
    with caplog.at_level("INFO"):
        Metrics().record("validate", review, Decision(False, (finding,)), 0.0015)
    (line,) = caplog.records
    assert line.fields["rules"] == ["acme/no-latest"]  # type: ignore[attr-defined]
    assert line.fields["name"] == "secret-project"  # type: ignore[attr-defined]
    assert "hunter2" not in orjson.dumps(line.fields).decode()  # type: ignore[attr-defined]


def test_a_review_without_findings_is_no_line_at_info(review: Review, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        Metrics().record("validate", review, Decision(), 0.001)
    assert caplog.records == []


def test_ten_thousand_names_make_no_more_series_than_there_are_bounds(review: Review) -> None:
    """Whatever grows: packs under ever other names, objects, namespaces, users, operations, endpoints."""
    figures = Metrics()
    for number in range(10_000):
        name = f"n-{number}"
        about = About(name, "1", name, "deny")
        finding = Finding(about, Violation("/spec", "tag", name, "a tag", name), "deny")
        fault = Fault(about, "error", name, "deny")
        unknown = Fault(about, "unknown", name, "warn", name)
        fixed = Fixed(about, 1, "/spec")
        request = {**review.request, "name": name, "namespace": name, "userInfo": {"username": name}}
        asked = parse({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
        decision = Decision(False, (finding,), (fault,), (unknown,), patched=(fixed,))
        figures.record(name, asked, decision, 0.001)
        figures.fact(name, name)
        figures.quiet(name, 1.0)
        figures.event(name)
        figures.upkeep_failed(name)
    figures.settle()
    counts = {
        family.name: len({tuple(sorted(s.labels.items())) for s in family.samples if "le" not in s.labels})
        for family in figures.registry.collect()
    }
    assert max(counts.values()) <= 1001
    assert sum(counts.values()) < 5000
    assert (
        value(figures, "plimsoll_findings_total", pack="other", rule="other", action="other", effective="other") == 9000
    )


def test_a_figure_that_can_not_be_kept_is_told_with_the_reviews_uid(
    review: Review, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Full:
        def labels(self, *_: str) -> None:
            raise OSError(28, "No space left on device")

    figures = Metrics()
    monkeypatch.setattr(figures, "_reviews", metrics.Bounded(Full()))
    monkeypatch.setattr(figures, "_unknown", metrics.Bounded(Full()))
    figures.record("validate", review, Decision(), 0.001)
    figures.settle()
    (said,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "No space left" in said.getMessage(), "what many reviews counted is lost together"
    caplog.clear()
    unknown = Fault(ABOUT, "unknown", "no answer", "warn", "namespace")
    figures.record("validate", review, Decision(unknown=(unknown,)), 0.001)
    (said,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert said.fields == {"endpoint": "validate", "uid": "u-1"}  # type: ignore[attr-defined]
