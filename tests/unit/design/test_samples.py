"""The samples before all shipped packs in force: each pack is broken, what a fix can mend is mended, and for good."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from webhook import sources
from webhook.cli.judge import Judged, creation, judge
from webhook.cli.objects import Manifest, read
from webhook.model import image, oci, patch
from webhook.model.oci import Inspected, Lookup
from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset
from webhook.service import Service

ROOT = Path(__file__).parents[3]
PACKS = sorted(path.stem for path in (ROOT / "policies").glob("*.yaml") if not path.name.endswith(".test.yaml"))
FOUND = read([str(ROOT / "samples")])
MANIFESTS = {f"{Path(m.file).relative_to(ROOT / 'samples')}:{m.mark[0]}": m for m in FOUND.manifests}

MIRROR = "as shipped there is no mirror whose copy could stand in for it"
NAMED = "whoever chose that tag has to say which version runs"
PROBE = "only its author knows what says that it is ready"
SIZE = "nobody has thought about its size, and the pack has none for it"
WRITTEN = "an option that somebody wrote is not written over"
LEFT = {
    ("approved-image", "nginx, which is docker.io/library/nginx:latest"): MIRROR,
    ("approved-image", "quay.io/someone/model:latest"): MIRROR,
    ("approved-image", "registry.example.evil.example/shop/payment:6.3.0"): MIRROR,
    ("approved-image", "nginx: no tag, which means latest"): NAMED,
    ("approved-image", "quay.io/someone/model:latest: tag latest"): NAMED,
    ("job-cleanup", "'* * * * *', runs 1 minute apart"): "how often it has to run, its owner knows",
    ("jvm-flags", "-XX:ParallelGCThreads=8 in JAVA_TOOL_OPTIONS"): WRITTEN,
    ("jvm-flags", "-Xmx1g in command"): WRITTEN,
    ("log-format", "plimsoll.dev/log-format: text"): "the annotation says how the program writes; it would be a lie",
    ("log-path", "LOG_DIR=/var/log/app/../indexer"): "a value that somebody wrote is not written over",
    ("log-path", "volume logs is emptyDir without sizeLimit"): "only its author knows how much it was to hold",
    ("lossless-release", "port 5432 (sql) and no readinessProbe"): PROBE,
    ("lossless-release", "port 8080 (http) and no readinessProbe"): PROBE,
    ("lossless-release", "port 8080 and no readinessProbe"): PROBE,
    ("requests-equal-limits", "no cpu requests and limits"): SIZE,
    ("requests-equal-limits", "no memory requests and limits"): SIZE,
    ("required-labels", "no annotation plimsoll.dev/owner"): "as shipped there is no default: whom to call?",
    ("required-labels", "no label app.kubernetes.io/name"): "as shipped there is no default: a name is each service's",
}
"""What rules with a fix still find when their fixes are made: (rule, what is found), and why no fix mends it."""

EXTENDED = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme-%s}
spec:
  extends: %s
  values: %s
"""
VALUES = {
    "containerization": {
        "mirrors": [{"from": "docker.io/", "to": "registry.example/hub/"}],
        "deniedTags": [],
        "defaultLimits": {"cpu": "500m", "memory": "512Mi"},
        "requireLogFormat": True,
        "defaultLogFormat": {"collector": "plimsoll", "format": "json"},
    },
    "best-practices": {
        "labels": [{"name": "acme.example/tier", "places": ["workload", "template"], "default": "backend"}],
        "annotations": [{"name": "acme.example/owner", "places": ["workload", "namespace"], "default": "#platform"}],
    },
}
"""Values that only a company knows, with which the other fixes have something to write."""
STILL_LEFT = {
    *(key for key in LEFT if key[0] not in ("approved-image", "requests-equal-limits", "required-labels")),
    ("approved-image", "quay.io/someone/model:latest"),
    ("approved-image", "registry.example.evil.example/shop/payment:6.3.0"),
}


def shipped() -> list[tuple[str, str]]:
    return [(path.name, path.read_text()) for path in sources.shipped()]


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    """All shipped packs, in force."""
    return ruleset(shipped(), mode="enforce")


@pytest.fixture(scope="module")
def companys() -> Ruleset:
    """All shipped packs in force, those of VALUES with the values of a company."""
    own = [(f"acme-{name}.yaml", EXTENDED % (name, name, values)) for name, values in VALUES.items()]
    others = [(name, text) for name, text in shipped() if name.removesuffix(".yaml") not in VALUES]
    return ruleset([*others, *own], mode="enforce", bases=shipped())


Before = Callable[[Ruleset, dict[str, Manifest]], dict[str, Judged]]


@pytest.fixture
def before(now: datetime) -> Before:
    """Judge manifests: what is said of each that some rule concerns, by its place."""

    def make(rules: Ruleset, manifests: dict[str, Manifest]) -> dict[str, Judged]:
        judged, unconcerned = judge(rules, manifests.values(), lambda: now)
        places = {id(manifest): place for place, manifest in manifests.items()}
        found = {places[id(one.manifest)]: one for one in judged}
        assert len(found) + unconcerned == len(manifests)
        return found

    return make


def mended(judged: dict[str, Judged]) -> dict[str, Manifest]:
    """Return the manifests as the API server has them after /mutate."""
    return {
        place: replace(one.manifest, value=patch.apply(one.review.object or {}, list(one.mended.patch)))
        for place, one in judged.items()
    }


def left(rules: Ruleset, judged: dict[str, Judged]) -> set[tuple[str, str]]:
    """Return what the rules that have a fix find, exempt findings left out."""
    fixing = {(rule.about.pack, rule.about.rule) for rule in rules.rules if rule.fix}
    return {
        (finding.rule, finding.violation.found)
        for one in judged.values()
        for finding in one.decision.findings
        if finding.exempt is None and (finding.pack, finding.rule) in fixing
    }


def writers(judged: dict[str, Judged]) -> set[str]:
    """Return the rules whose fixes were made."""
    return {fixed.rule for one in judged.values() for fixed in one.mended.patched}


def test_there_are_packs_and_samples_and_all_can_be_read() -> None:
    assert len(PACKS) >= 8
    assert len(MANIFESTS) == len(FOUND.manifests) > len(PACKS)
    assert (FOUND.problems, FOUND.strangers) == ((), 0)


@pytest.mark.parametrize("pack", PACKS)
def test_every_pack_in_force_refuses_the_sample_that_has_its_name(rules: Ruleset, before: Before, pack: str) -> None:
    own = {place: manifest for place, manifest in MANIFESTS.items() if place.startswith(f"{pack}.yaml:")}
    findings = [finding for one in before(rules, own).values() for finding in one.decision.findings]
    assert [f for f in findings if (f.pack, f.effective, f.exempt) == (pack, "deny", None)]


def test_no_rule_fails_on_a_sample_and_no_two_fixes_quarrel(rules: Ruleset, before: Before) -> None:
    for place, one in before(rules, MANIFESTS).items():
        # most samples bring no budget, and whether a cluster has one, files don't say
        unknown = [fault for fault in one.decision.unknown if fault.rule != "disruption-budget"]
        assert (one.decision.errors, unknown) == ((), []), place
        assert (one.mended.errors, one.mended.unknown, one.mended.conflicts) == ((), (), ()), place


@pytest.mark.parametrize("packs", ["rules", "companys"])
def test_a_second_run_over_the_samples_changes_nothing(
    request: pytest.FixtureRequest, before: Before, packs: str
) -> None:
    some: Ruleset = request.getfixturevalue(packs)
    first = before(some, MANIFESTS)
    second = before(some, mended(first))
    assert len([place for place, one in first.items() if one.mended.patch]) > len(MANIFESTS) / 2
    assert {place: one.mended.patch for place, one in second.items() if one.mended.patch} == {}


def test_fixes_leave_only_what_no_fix_can_know(rules: Ruleset, before: Before) -> None:
    first = before(rules, MANIFESTS)
    after = left(rules, before(rules, mended(first)))
    assert after == set(LEFT)
    assert len(left(rules, first)) > len(after)


def test_fixes_bring_no_finding_that_was_not_there(rules: Ruleset, before: Before) -> None:
    def found(judged: dict[str, Judged]) -> set[tuple[str, str, str]]:
        return {(p, f.rule, f.violation.reason) for p, one in judged.items() for f in one.decision.findings}

    first = before(rules, MANIFESTS)
    assert found(before(rules, mended(first))) <= found(first)


def test_every_fix_is_made_on_some_sample_but_those_that_need_a_companys_values(
    rules: Ruleset, companys: Ruleset, before: Before
) -> None:
    fixing = {rule.about.rule for rule in rules.rules if rule.fix}
    lacking = {"approved-image", "image-digest", "log-format", "required-labels"}
    assert fixing - writers(before(rules, MANIFESTS)) == lacking
    # what a tag stands for no file says; further below there is a registry
    assert fixing - writers(before(companys, MANIFESTS)) == {"image-digest"}


def test_with_a_companys_values_fixes_leave_less(companys: Ruleset, before: Before) -> None:
    assert left(companys, before(companys, mended(before(companys, MANIFESTS)))) == STILL_LEFT


class Registry:
    """Has every image, with layers that nobody else has."""

    def look(self, lookups: Collection[Lookup], namespace: str, timeout: float) -> Mapping[Lookup, Inspected]:
        build = {"config": {"rootfs": {"diff_ids": ["sha256:own"]}}}
        content = oci.load({"digest": "sha256:" + "a" * 64, "builds": [build]})
        return dict.fromkeys(lookups, Inspected(content))


@pytest.fixture
def asking(now: datetime) -> Service:
    """A service that asks a registry, with the rules on images of a company that has named its bases."""
    images = {
        "containerization": {"baseLocks": [{"images": [LOCK]}], "registries": ["*"], "deniedTags": []},
        "best-practices": {"pinnedImages": ["*"]},
    }
    own = [(f"acme-{name}.yaml", EXTENDED % (name, name, values)) for name, values in images.items()]
    rules = ruleset(own, mode="enforce", bases=shipped())
    return Service(lambda: rules, images=Registry(), clock=lambda: now)


LOCK = {
    "image": "registry.example/base/java:17",
    "digest": "sha256:" + "b" * 64,
    "platforms": {"linux/amd64": {"layers": ["sha256:" + "c" * 64]}},
}


def test_with_a_registry_every_tag_in_the_samples_is_pinned_and_for_good(asking: Service) -> None:
    pinned = 0
    for place, manifest in MANIFESTS.items():
        review = creation(manifest.value, "shop")
        first = asking.decide("mutate", review)
        done = [op for op in first.patch if str(op["path"]).endswith(("/image", "/reference"))]
        assert all(image.parse(op["value"]).digest for op in done), place
        assert [fault for fault in first.unknown if fault.rule == "image-digest"] == [], place
        after = patch.apply(review.object or {}, list(first.patch))
        assert asking.decide("mutate", creation(after, "shop")).patch == (), place
        assert [f for f in asking.decide("all", creation(after, "shop")).findings if f.rule == "image-digest"] == []
        pinned += len(done)
    assert pinned > len(MANIFESTS) / 2


def test_with_bases_named_no_sample_is_on_one_by_its_name_alone(asking: Service) -> None:
    found = [
        finding
        for manifest in MANIFESTS.values()
        for finding in asking.decide("all", creation(manifest.value, "shop")).findings
        if finding.rule == "approved-base"
    ]
    assert len(found) > len(MANIFESTS) / 2
    assert {finding.effective for finding in found} == {"deny"}
    assert {finding.violation.wanted for finding in found} == {f"FROM {LOCK['image']}@{LOCK['digest']}"}
