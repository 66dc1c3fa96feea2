"""A trace says of every rule what came of it and by which clause, and tells the decision's own story."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from webhook import sources
from webhook.cli.case import facts_of, review_of
from webhook.cli.emit import yaml_text
from webhook.cli.judge import Namespaces, Neighbours, admission, creation, namespaces, neighbours
from webhook.cli.objects import read
from webhook.cli.suite import load as suites
from webhook.engine.evaluate import evaluate, needs
from webhook.engine.explain import Heard, Trace, explain
from webhook.engine.facts import Facts, Missing
from webhook.errors import ConfigError
from webhook.model.decision import Decision
from webhook.model.review import Review, decode, parse
from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset
from webhook.service import Service

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MANIFESTS = read([str(ROOT / "samples"), str(ROOT / "tests/golden/cli")]).manifests
GOLDEN = sorted((ROOT / "tests/golden/cli").glob("review-*/stdin"))
ENDPOINTS = ("all", "validate", "advise")


@pytest.fixture(scope="module")
def shipped() -> dict[str, Ruleset]:
    texts = [(source.name, source.text) for source in sources.read([str(path) for path in sources.shipped()])]
    return {"as shipped": ruleset(texts), "in force": ruleset(texts, mode="enforce")}


def told(trace: Trace) -> dict[str, list[Any]]:
    """What a trace says, in a decision's words."""
    heard = [one for rule in trace.rules for one in rule.heard]
    return {
        "findings": sorted((weighed.finding for one in heard for weighed in one.findings), key=repr),
        "errors": sorted({fault for one in heard for fault in one.errors}, key=repr),
        "unknown": sorted({fault for one in heard for fault in one.unknown}, key=repr),
    }


def decided(decision: Decision) -> dict[str, list[Any]]:
    parts = {"findings": decision.findings, "errors": decision.errors, "unknown": decision.unknown}
    return {name: sorted(part, key=repr) for name, part in parts.items()}


def by_state(trace: Trace) -> dict[str, set[str]]:
    states: dict[str, set[str]] = {}
    for rule in trace.rules:
        for state in {one.state for one in rule.heard} or {"out"}:
            states.setdefault(state, set()).add(rule.rule.label)
    return states


@pytest.mark.parametrize("force", ["as shipped", "in force"])
@pytest.mark.parametrize("number", range(len(MANIFESTS)))
def test_of_every_sample_a_trace_tells_what_was_decided(shipped: Any, force: str, number: int) -> None:
    rules = shipped[force]
    values = [manifest.value for manifest in MANIFESTS]
    service = Service(
        lambda: rules,
        namespaces=Namespaces(namespaces(values)),
        neighbours=Neighbours(neighbours(values, "default")),
        clock=lambda: NOW,
    )
    review = creation(MANIFESTS[number].value, "default")

    for endpoint in ENDPOINTS:
        trace, decision = service.explain(endpoint, review), service.decide(endpoint, review)
        assert told(trace) == decided(decision)
        assert [rule.rule for rule in trace.rules] == list(rules.rules), "every rule is accounted for, once"
        found = {f"{f.pack}/{f.rule}" for f in decision.findings if f.exempt is None}
        assert by_state(trace).get("found", set()) == found


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("force", ["as shipped", "in force"])
def test_of_every_golden_review_a_trace_tells_what_was_decided(shipped: Any, force: str, golden: Path) -> None:
    rules, asked = shipped[force], parse(decode(golden.read_bytes()))
    service = Service(lambda: rules, clock=lambda: NOW)
    for endpoint in ENDPOINTS:
        assert told(service.explain(endpoint, asked)) == decided(service.decide(endpoint, asked))


def cases_of_tests() -> Iterator[Any]:
    for path in sorted((ROOT / "policies").glob("*.test.yaml")):
        for suite in suites(str(path), path.read_text(), path.parent):
            for case in suite.cases:
                yield pytest.param(suite.packs, case, id=f"{path.stem}: {case.name}")


@pytest.mark.parametrize(("packs", "case"), list(cases_of_tests()))
def test_of_every_case_of_the_packs_a_trace_tells_what_was_decided(packs: tuple[str, ...], case: Any) -> None:
    rules = _compiled(packs)
    review, endpoint = review_of(case), case.spec.get("endpoint", "all")
    endpoint = "all" if endpoint == "mutate" else endpoint
    facts = facts_of(case, [needs(rules, review, endpoint)], NOW)
    now = datetime(case.day.year, case.day.month, case.day.day, 12, tzinfo=UTC) if case.day else NOW
    assert told(explain(rules, review, facts, now, endpoint)) == decided(evaluate(rules, review, facts, now, endpoint))


@lru_cache
def _compiled(packs: tuple[str, ...]) -> Ruleset:
    bases = [(source.name, source.text) for source in sources.read([str(path) for path in sources.shipped()])]
    return ruleset([(source.name, source.text) for source in sources.read(packs)], bases=bases)


NAMES = ["web", "shop", "sh*", "other", "*"]
SELECTORS = [{"matchLabels": {"tier": "front"}}, {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}]
CONDITIONS = [
    "object.metadata.name == 'web'",
    "request.userInfo.username != 'jane'",
    "namespaceObject != null && has(namespaceObject.metadata.labels)",
    "object.spec.nope == 1",
]
MATCHES = some.fixed_dictionaries(
    {},
    optional={
        "operations": some.sampled_from([["CREATE"], ["UPDATE"], ["CREATE", "UPDATE"]]),
        "kinds": some.sampled_from([["Deployment"], ["Deployment", "Pod"], ["Pod", "Namespace"]]),
        "namespaces": some.lists(some.sampled_from(NAMES), min_size=1, max_size=2),
        "excludeNamespaces": some.lists(some.sampled_from(NAMES[:4]), min_size=1, max_size=2),
        "namespaceSelector": some.sampled_from(SELECTORS),
        "objectSelector": some.sampled_from(SELECTORS),
        "names": some.lists(some.sampled_from(NAMES), min_size=1, max_size=2),
        "containers": some.sampled_from([["web"], ["side*"]]),
        "excludeUsers": some.sampled_from([["jane"], ["system:*"]]),
        "excludeGroups": some.sampled_from([["dev"], ["ops"]]),
        "matchConditions": some.sampled_from(CONDITIONS).map(lambda text: [{"name": "cond", "expression": text}]),
    },
)
RULES = some.sampled_from(
    [
        {"expression": "containers.size() == 0"},
        {"expression": "has(object.metadata.annotations)"},
        {"expression": "pod.spec.nope == 1"},
        {"check": "no-host-path"},
        {"check": "requests-equal-limits"},
    ]
)
FACTS = some.sampled_from(
    [
        Facts(),
        Facts(namespace=Missing("timed out")),
        Facts(namespace={"metadata": {"name": "shop", "labels": {"tier": "front"}}}),
    ]
)
EXEMPT = some.sampled_from([{"namespaces": ["shop"]}, {"names": ["web"]}, {"containers": ["web"]}, {"kinds": ["Pod"]}])


def thing(kind: str, labels: dict[str, str], image: str, owned: bool) -> dict[str, Any]:
    spec = {"containers": [{"name": "web", "image": image}], "volumes": [{"name": "n", "hostPath": {"path": "/"}}]}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "1", "controller": True}
    meta = {"name": "web", "namespace": "shop", "labels": labels, **({"ownerReferences": [owner]} if owned else {})}
    if kind == "Pod":
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    if kind == "Namespace":
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": {"template": template}}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pack=MATCHES, own=some.lists(some.tuples(MATCHES, RULES), min_size=1, max_size=3), covers=EXEMPT, facts=FACTS,
    kind=some.sampled_from(["Deployment", "Pod", "ReplicaSet", "Namespace", "ConfigMap"]), owned=some.booleans(),
    labels=some.sampled_from([{}, {"tier": "front"}]), old=some.sampled_from(["", "a:1", "b:1"]),
)  # fmt: skip
def test_whatever_the_scopes_and_the_review_a_trace_tells_what_was_decided(
    pack: Any, own: Any, covers: Any, facts: Facts, kind: str, owned: bool, labels: Any, old: str
) -> None:
    rules = [{"name": f"r{n}", "action": "deny", "match": match, **body} for n, (match, body) in enumerate(own)]
    exemptions = [{"rules": ["r0"], "match": covers, "reason": "r", "owner": "o", "expires": "2027-01-01"}]
    spec = {"match": pack, "rules": rules, "exemptions": exemptions}
    document = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": "p"}, "spec": spec}
    try:
        compiled = ruleset([("p.yaml", yaml_text(document))])
    except ConfigError as error:  # a rule that can never match is refused at load
        assert "can never match" in str(error) or "does not judge" in str(error)
        return
    was = thing(kind, {}, old, owned) if old else None
    request = {"oldObject": was, "userInfo": {"username": "jane", "groups": ["dev"]}}
    asked = parse(admission(thing(kind, labels, "a:1", owned), "shop", "UPDATE" if was else "CREATE", **request))

    trace = explain(compiled, asked, facts, NOW, "all")

    assert told(trace) == decided(evaluate(compiled, asked, facts, NOW, "all"))
    for rule in trace.rules:
        for one in rule.heard:
            silent = not (one.findings or one.errors or one.unknown)
            assert silent or one.absent is None, "what does not concern an object says nothing of it"


def one(load: Callable[..., Ruleset], review: Review, text: str, facts: Facts | None = None, **options: Any) -> Any:
    (rule,) = explain(load(text, **options), review, facts or Facts(), NOW, "all").rules
    return rule if rule.absent else rule.heard[0]


RULE = 'rules:\n  - {name: never, expression: "containers.size() == 0", action: deny%s}\n'


@pytest.mark.parametrize(
    ("text", "clause", "whose", "found"),
    [
        (RULE % ", match: {kinds: [Pod]}", "kinds", "rule", "apps/Deployment"),
        (RULE % ", match: {operations: [UPDATE]}", "operations", "rule", "CREATE"),
        ("match: {operations: [UPDATE]}\n" + RULE % "", "operations", "pack", "CREATE"),
        ("match: {excludeNamespaces: [sh*]}\n" + RULE % "", "excludeNamespaces", "pack", "shop"),
        (RULE % ", match: {namespaces: [other]}", "namespaces", "rule", "shop"),
        (RULE % ", match: {names: [other]}", "names", "rule", "web"),
        (RULE % ", match: {objectSelector: {matchLabels: {a: b}}}", "objectSelector", "rule", "no labels"),
        (RULE % ", match: {namespaceSelector: {matchLabels: {a: b}}}", "namespaceSelector", "rule", "env=prod"),
        (RULE % ", match: {excludeUsers: [jane]}", "excludeUsers", "rule", "jane"),
        (RULE % ", match: {excludeGroups: [dev]}", "excludeGroups", "rule", "dev, system:authenticated"),
        (RULE % ", match: {matchConditions: [{name: big, expression: 'false'}]}", "matchConditions", "rule", "false"),
        (RULE % ", match: {containers: [sidecar]}", "containers", "rule", "web"),
        (RULE % ", match: {images: [other.example/]}", "images", "rule", "web"),
        ("mode: disabled\n" + RULE % "", "mode", "", "disabled"),
    ],
)
def test_the_clause_that_leaves_a_rule_out_is_named_with_what_was_found(
    load, review, deployment, text, clause, whose, found
):
    space = Facts(namespace={"metadata": {"name": "shop", "labels": {"env": "prod"}}})
    absent = one(load, review(deployment()), text, space).absent
    assert (absent.out.clause, absent.out.whose, absent.found) == (clause, whose, found)


def test_a_check_that_asks_nothing_says_nothing_of_a_pod_that_cannot_be_read(load, review, deployment):
    text = "rules:\n  - {name: base, check: approved-base, action: deny}\n"
    heard = one(load, review(deployment(pod={"containers": ["web"]})), text)
    assert (heard.state, heard.errors) == ("kept", ())


def test_a_match_condition_that_is_false_is_named(load, review, deployment):
    text = RULE % ", match: {matchConditions: [{name: yes, expression: 'true'}, {name: big, expression: 'false'}]}"
    assert one(load, review(deployment()), text).absent.out.name == "big"


def test_an_update_that_changes_nothing_that_a_rule_reads_is_said(load, review, deployment):
    text = 'rules:\n  - {name: never, expression: "has(object.metadata.annotations)", action: deny}\n'
    update = review(deployment(image="new:1"), old=deployment())
    assert one(load, update, text).absent.out.clause == "unchanged"


@pytest.mark.parametrize(("operation", "clause"), [("DELETE", "object"), ("CONNECT", "object")])
def test_a_review_without_an_object_is_said(load, review, deployment, operation, clause):
    asked = review(None, old=deployment(), operation=operation)
    assert one(load, asked, RULE % "").absent.out.clause == clause


def test_what_a_controller_made_is_left_to_its_workload_and_the_controller_is_named(load, review, deployment):
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": True}
    made = deployment(kind="ReplicaSet", metadata={"ownerReferences": [owner]})
    text = 'rules:\n  - {name: never, expression: "has(object.metadata.annotations)", action: deny}\n'
    absent = one(load, review(made), text).absent
    assert (absent.out.clause, absent.found) == ("controller", "Deployment web")


@pytest.mark.parametrize(
    ("text", "options", "action", "weaker"),
    [
        (RULE % "", {}, "deny", ""),
        ("mode: dry-run\n" + RULE % "", {}, "audit", "mode"),
        (RULE % "", {"dry_run": True}, "audit", "server"),
        ("enforceFrom: 2027-01-01\n" + RULE % "", {}, "warn", "enforceFrom"),
        ("allowNamespaceMode: [dry-run]\n" + RULE % "", {}, "audit", "namespace"),
    ],
)
def test_what_weakens_a_rule_is_named(load, review, deployment, text, options, action, weaker):
    space = Facts(namespace={"metadata": {"name": "shop", "labels": {"plimsoll.dev/mode": "dry-run"}}})
    heard = one(load, review(deployment()), text, space, **options)
    assert (heard.action, heard.weaker, heard.state) == (action, weaker, "found")


EXEMPTION = "exemptions:\n  - {rules: [never], match: {%s}, reason: old, owner: us, expires: 2027-03-31}\n"


def test_the_exemption_that_covers_a_finding_is_there_with_its_clauses(load, review, deployment):
    heard = one(load, review(deployment()), RULE % "" + EXEMPTION % "namespaces: [sh*], names: [web]")
    assert heard.state == "exempt"
    (weighed,) = heard.findings
    assert weighed.cover.clauses == (("namespaces", "shop"), ("names", "web"))
    assert (weighed.cover.exemption.reason, weighed.cover.exemption.owner) == ("old", "us")


def test_a_failure_that_an_exemption_keeps_silent_is_there_with_its_sentence(load, review, deployment):
    failing = 'rules:\n  - {name: never, expression: "object.spec.nope == 1", action: deny}\n'
    heard = one(load, review(deployment()), failing + EXEMPTION % "namespaces: [shop]")
    assert (heard.state, heard.errors) == ("exempt", ())
    assert "nope" in heard.spared[0][1]


def test_every_variable_has_its_value_and_the_expression_its_own(load, review, deployment):
    text = """
    rules:
      - name: never
        variables:
          - {name: images, expression: "containers.map(c, c.image)"}
          - {name: count, expression: "size(variables.images) + values.more"}
          - {name: broken, expression: "object.spec.nope"}
        expression: "variables.count > 5"
        action: deny
    values: {more: 2}
    """
    heard: Heard = one(load, review(deployment()), text)
    known = {value.name: value for value in heard.values}
    assert list(known) == ["variables.images", "variables.count", "variables.broken", "expression"]
    assert known["variables.images"].value == ["registry.example/shop/web:1.4.2"]
    assert known["variables.count"].value == 3
    assert known["variables.count"].pointer == "/spec/template"
    assert "nope" in known["variables.broken"].failed
    assert known["expression"].value is False


def test_a_patch_shows_what_its_condition_gives(load, review, deployment):
    patch = "[{op: add, path: /spec/dnsPolicy, value: Default}]"
    text = f'rules:\n  - {{name: never, when: "!has(pod.spec.dnsPolicy)", patch: {patch}, action: warn}}\n'
    heard = one(load, review(deployment()), text)
    assert [(value.name, value.value) for value in heard.values] == [("when", True)]


def test_the_rules_of_another_endpoint_are_said_to_be_there(load, review, deployment):
    (rule,) = explain(load(RULE % ""), review(deployment()), Facts(), NOW, "advise").rules
    assert (rule.absent.out.clause, rule.absent.found) == ("endpoint", "advise")
