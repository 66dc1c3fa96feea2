"""What a webhook configuration has to become: only what differs in meaning, and nothing that an operator meant."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest

from webhook.kube import entries
from webhook.kube.entries import Terms, kept, wanted
from webhook.packs.compile import ruleset
from webhook.packs.needs import RESOURCES

PEM = b"pem\n"
PACK = {
    "apiVersion": "plimsoll.dev/v1",
    "kind": "RulePack",
    "metadata": {"name": "acme"},
    "spec": {
        "match": {"kinds": ["Pod"], "excludeUsers": ["alice"]},
        "rules": [{"name": "a", "expression": "has(pod.spec.x)", "action": "deny"}],
    },
}
WANTED = wanted(ruleset([("a.yaml", json.dumps(PACK))]), RESOURCES, Terms("plimsoll", "ours"))[
    "ValidatingWebhookConfiguration"
]
NAME = "validate.plimsoll.dev"


def held(*hooks: dict[str, Any], **annotations: str) -> dict[str, Any]:
    names = {f"plimsoll.dev/{name}": text for name, text in annotations.items()}
    return {"metadata": {"annotations": names}, "webhooks": copy.deepcopy(list(hooks))}


def whole() -> dict[str, Any]:
    """Return the entry as it has to be."""
    (hook,) = kept(held(), WANTED, PEM).webhooks
    return copy.deepcopy(hook)


def test_an_entry_that_is_as_it_has_to_be_is_left_alone() -> None:
    found = kept(held(whole()), WANTED, PEM)
    assert (found.differences, found.annotations, found.weakened) == ((), {}, ())


def test_order_and_defaults_make_no_difference() -> None:
    hook = whole()
    hook["rules"] = [
        {**rule, "resources": [name], "operations": ["UPDATE", "CREATE"], "scope": None}
        for rule in reversed(hook["rules"])
        for name in rule["resources"]
    ]
    hook["matchConditions"].reverse()
    (out,) = hook["namespaceSelector"]["matchExpressions"]
    out["values"].reverse()
    del hook["objectSelector"], hook["clientConfig"]["service"]["port"]
    assert kept(held(hook), WANTED, PEM).differences == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rules", []),
        ("matchConditions", []),
        ("namespaceSelector", {}),
        ("objectSelector", {"matchLabels": {"a": "b"}}),
        ("timeoutSeconds", 30),
        ("matchPolicy", "Exact"),
        ("sideEffects", "NoneOnDryRun"),
        ("admissionReviewVersions", ["v1beta1"]),
        ("clientConfig", {"url": "https://elsewhere.example", "caBundle": base64.b64encode(PEM).decode()}),
        ("clientConfig", {**whole()["clientConfig"], "caBundle": "b3RoZXI="}),
    ],
)
def test_every_field_of_ours_is_put_right(field: str, value: Any) -> None:
    found = kept(held({**whole(), field: value}), WANTED, PEM)
    assert found.webhooks == [whole()]
    assert len(found.differences) == 1


def test_a_weakened_entry_stays_weak_when_it_goes_and_comes_back() -> None:
    weak = {**whole(), "failurePolicy": "Ignore"}
    found = kept(held(weak), WANTED, PEM)
    assert (found.differences, found.weakened) == ((), (NAME,))
    gone = kept(held(weak), {}, PEM)
    assert (gone.webhooks, gone.annotations) == ([], {entries.WEAKENED: NAME})
    back = kept(held(weakened=NAME), WANTED, PEM)
    assert back.webhooks == [weak]
    assert (back.weakened, back.annotations) == ((NAME,), {entries.WEAKENED: None})


def test_entries_of_others_and_the_rules_of_that_for_packs_are_left_as_they_are() -> None:
    theirs = {"name": "their.example.org", "failurePolicy": "Fail", "rules": [{"apiGroups": ["*"]}]}
    packs = {"name": "packs.plimsoll.dev", "failurePolicy": "Fail", "rules": [{"apiGroups": ["plimsoll.dev"]}]}
    found = kept(held(theirs, packs, whole()), WANTED, PEM)
    client = {"caBundle": base64.b64encode(PEM).decode()}
    assert found.webhooks == [theirs, {**packs, "clientConfig": client}, whole()]


def test_a_port_of_the_installation_is_kept() -> None:
    hook = whole()
    hook["clientConfig"]["service"]["port"] = 8443
    hook["clientConfig"]["service"]["name"] = "elsewhere"
    (found,) = kept(held(hook), WANTED, PEM).webhooks
    assert found["clientConfig"]["service"] == {
        "name": "plimsoll",
        "namespace": "ours",
        "path": "/validate",
        "port": 8443,
    }


def test_rules_come_only_where_calls_can_be_verified_and_answered() -> None:
    empty = {"name": NAME, "failurePolicy": "Fail"}
    assert "rules" not in kept(held(empty), WANTED, None).webhooks[0]
    assert "rules" not in kept(held(empty), WANTED, PEM, fill=False).webhooks[0]
    assert kept(held(), WANTED, PEM, fill=False).webhooks == []
    assert kept(held(), WANTED, None).webhooks == []
    theirs = {**empty, "clientConfig": {"caBundle": base64.b64encode(b"theirs").decode()}}
    assert kept(held(theirs), WANTED, None).webhooks[0]["rules"]
    assert kept(held({**whole(), "timeoutSeconds": 9}), WANTED, PEM, fill=False).webhooks == [whole()]


def test_a_bundle_that_cannot_be_read_is_another_one() -> None:
    hook = whole()
    hook["clientConfig"]["caBundle"] = "%%%"
    assert kept(held(hook), WANTED, PEM).webhooks == [whole()]


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
def test_for_a_server_in_a_dry_run_every_failure_policy_is_as_well(policy: str) -> None:
    hook = {**whole(), "failurePolicy": policy}
    found = kept(held(hook), WANTED, PEM, dry_run=True)
    assert (found.differences, found.annotations, found.weakened) == ((), {}, ())


def test_what_a_dry_run_adds_stops_nobody_and_what_it_takes_out_is_not_remembered_as_weak() -> None:
    (made,) = kept(held(), WANTED, PEM, dry_run=True).webhooks
    assert made["failurePolicy"] == "Ignore"
    found = kept(held(made), {}, PEM, dry_run=True)
    assert (found.webhooks, found.annotations) == ([], {})


def test_what_an_installation_leaves_out_and_how_long_it_waits_stays() -> None:
    terms = Terms("plimsoll", "ours", excluded=("mesh", "ours"), seconds=5)
    pack = {**PACK, "spec": {**PACK["spec"], "rules": [PACK["spec"]["rules"][0], {  # type: ignore[index]
        "name": "b", "action": "warn", "when": "!has(pod.spec.dnsPolicy)",
        "patch": [{"op": "add", "path": "/spec/dnsPolicy", "value": "Default"}]}]}}  # fmt: skip
    found = wanted(ruleset([("a.yaml", json.dumps(pack))]), RESOURCES, terms)
    made = {name: hook for kind in found.values() for name, hook in kind.items()}
    for hook in made.values():
        (out,) = hook["namespaceSelector"]["matchExpressions"]
        assert out["values"] == ["kube-node-lease", "kube-system", "mesh", "ours"]
    assert made[NAME]["timeoutSeconds"] == 5
    assert made["mutate.plimsoll.dev"]["timeoutSeconds"] == 1
