"""The design's sentences on what becomes of errors and unknown facts: decided, said, annotated and counted."""

from __future__ import annotations

import json

import pytest

from webhook.engine.facts import Facts, Missing
from webhook.model import answer
from webhook.observe.metrics import Metrics

FAILS = 'rules:\n  - {name: r, expression: "object.spec.nope == 1", action: deny%s}\n'
LACKS = """
rules:
  - {name: r, expression: "false", action: deny, match: {namespaceSelector: {matchLabels: {a: b}}}%s}
"""
OTHER = '  - {name: other, expression: "has(object.metadata)", action: deny}\n'


@pytest.mark.parametrize("decides", ["deny", "warn", "allow"])
@pytest.mark.parametrize(
    ("text", "by", "key", "counter", "labels"),
    [
        (FAILS, "onError", "error", "plimsoll_rule_errors_total", {"pack": "pack", "rule": "r"}),
        (LACKS, "onUnknown", "unknown", "plimsoll_unknown_total", {"fact": "namespace"}),
    ],
    ids=["error", "unknown"],
)
def test_it_is_decided_as_the_rule_says_and_always_annotated_and_counted(
    judge, review, deployment, text, by, key, counter, labels, decides
):
    asked = review(deployment())
    decision = judge(text % f", {by}: {decides}" + OTHER, deployment(), facts=Facts(namespace=Missing("timed out")))
    response = answer.document(asked, decision, "validate")["response"]
    assert response["allowed"] is (decides != "deny")
    assert [cause["reason"] for cause in response.get("status", {"details": {"causes": []}})["details"]["causes"]] == (
        ["r"] if decides == "deny" else []
    )
    assert ["pack/r" in line for line in response.get("warnings", [])] == ([True] if decides == "warn" else [])
    [noted] = json.loads(response["auditAnnotations"][key])
    assert (noted["policy"], noted["rule"]) == ("pack", "r")
    assert ("timed out" if key == "unknown" else "nope") in noted["message"]
    figures = Metrics()
    figures.record("validate", asked, decision, 0.001)
    assert figures.registry.get_sample_value(counter, labels) == 1


def test_by_default_an_unknown_fact_warns_and_an_error_denies_where_the_rule_does(judge, deployment):
    lacking = judge(LACKS % "", deployment(), facts=Facts(namespace=Missing("timed out")))
    assert (lacking.allowed, [fault.effective for fault in lacking.unknown]) == (True, ["warn"])
    failing = judge(FAILS % "", deployment())
    assert (failing.allowed, [fault.effective for fault in failing.errors]) == (False, ["deny"])
    later = judge("enforceFrom: 2027-01-01" + FAILS.replace("rules", "\nrules", 1) % "", deployment())
    assert (later.allowed, [fault.effective for fault in later.errors]) == (True, ["warn"])
    trial = judge(FAILS.replace("deny", "audit") % "", deployment())
    assert (trial.allowed, [fault.effective for fault in trial.errors]) == (True, ["allow"])


def test_a_denial_tells_every_finding_of_every_pack_with_one_cause_each(judge, load, review, deployment):
    text = """
    contact: %s
    rules:
      - {name: images, check: approved-image, params: {repositories: [a.example/]}, action: deny, docs: "https://%s"}
      - {name: hosts, check: no-host-path, action: deny, remediation: use a claim}
      - {name: warns, expression: "containers.size() == 0", action: warn}
    """
    volumes = [{"name": name, "hostPath": {"path": f"/{name}"}} for name in ("var", "etc")]
    obj = deployment(pod={"volumes": volumes, "containers": [{"name": n, "image": f"{n}.example/x:1"} for n in "cb"]})
    decision = judge(load(text % ("one", "one"), text % ("two", "two")), obj)
    status = answer.document(review(obj), decision, "validate")["response"]["status"]
    at = "/spec/template/spec"
    places = [
        ("hosts", f"{at}/volumes/0/hostPath/path"),
        ("hosts", f"{at}/volumes/1/hostPath/path"),
        ("images", f"{at}/containers/0/image"),
        ("images", f"{at}/containers/1/image"),
    ]
    assert [(cause["reason"], cause["field"]) for cause in status["details"]["causes"]] == places * 2
    for number, (rule, place) in enumerate(places * 2, 1):
        assert f"{number}. {rule} in " in status["message"]
        assert place in status["message"]
    end = status["message"].splitlines()[-4:]
    assert end == ["Contact: one (pack pack)", "Contact: two (pack pack1)", "Docs: https://one", "Docs: https://two"]


def test_violations_are_what_was_denied_or_warned_of_and_would_violate_is_the_rest(judge, load, review, deployment):
    def text(head):
        rules = [
            f'  - {{name: {a}, expression: "containers.size() == 0", action: {a}}}' for a in ("deny", "warn", "audit")
        ]
        return "\n".join([head, "rules:", *rules])

    decision = judge(load(text("mode: enforce"), text("mode: dry-run")), deployment())
    noted = answer.document(review(deployment()), decision, "validate")["response"]["auditAnnotations"]
    said = {key: [(i["policy"], i["rule"], i["validationActions"]) for i in json.loads(noted[key])]
            for key in ("violations", "would-violate")}  # fmt: skip
    assert said == {
        "violations": [("pack", "deny", ["Deny"]), ("pack", "warn", ["Warn"])],
        "would-violate": [("pack", "audit", ["Audit"])] + [("pack1", a, ["Audit"]) for a in ("audit", "deny", "warn")],
    }


def test_a_container_whose_image_cannot_be_read_is_in_the_scope_of_every_image(judge, deployment):
    text = """
    rules:
      - {name: r, expression: "containers.size() == 0", action: deny, match: {images: ["registry.example/"]}}
    """
    assert not judge(text, deployment(image="UPPER CASE")).allowed
    assert judge(text, deployment(image="other.example/a")).allowed
