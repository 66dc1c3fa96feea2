"""What the API server is told to send: never less than some rule judges, and no more than is known to be in vain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from webhook.checks import cel
from webhook.engine.evaluate import evaluate
from webhook.engine.facts import Facts
from webhook.kube.entries import Terms, wanted
from webhook.model.review import Review, parse
from webhook.model.workloads import KINDS
from webhook.packs.compile import ruleset
from webhook.packs.match import selector
from webhook.packs.needs import RESOURCES, needs
from webhook.packs.rule import Ruleset

NOW = datetime(2026, 11, 27, tzinfo=UTC)
TERMS = Terms("plimsoll", "plimsoll", "system:serviceaccount:plimsoll:plimsoll")
Object = dict[str, Any]
WORDS = frozenset({"object", "oldObject", "request"})
WRAPPERS = {kind: "" for kind, row in KINDS.items() if row.wraps}


def packs(*documents: Object) -> Ruleset:
    return ruleset([(f"{number}.yaml", json.dumps(one)) for number, one in enumerate(documents)])


def pack(*rules: Object, name: str = "acme", **spec: Any) -> Object:
    named = [{"name": f"rule-{number}", "action": "warn", **rule} for number, rule in enumerate(rules)]
    head = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": name}}
    return {**head, "spec": {"version": "1", **spec, "rules": named}}


def entry(rules: Ruleset, endpoint: str, resources: Mapping[tuple[str, str], str] = RESOURCES) -> Object | None:
    found = wanted(rules, {**RESOURCES, **resources}, TERMS)
    return {name: one for kind in found.values() for name, one in kind.items()}.get(f"{endpoint}.plimsoll.dev")


def matched(rules: Ruleset, endpoint: str, **resources: Any) -> dict[str, list[str]]:
    found = entry(rules, endpoint, **resources)
    return {
        f"{rule['apiGroups'][0]}/{resource}": rule["operations"]
        for rule in (found or {"rules": []})["rules"]
        for resource in rule["resources"]
    }


def unsent(hook: Object | None, review: Review, namespace: Mapping[str, str]) -> str:
    """Return why an API server does not call a webhook for a review, as its documentation has it; "" where it does.

    Fails where a condition fails: that would refuse the request, or let it go by.
    """
    if hook is None:
        return "no entry"
    resource = f"{review.resource}/{review.subresource}" if review.subresource else review.resource
    if not any(
        review.resource_group in rule["apiGroups"]
        and resource in rule["resources"]
        and review.operation in rule["operations"]
        for rule in hook["rules"]
    ):
        return "rules"
    labels = review.labels if review.kind.kind == "Namespace" else namespace
    spaced = review.namespace or review.kind.kind == "Namespace"
    if spaced and not selector(hook["namespaceSelector"])(labels):
        return "namespaceSelector"
    both = [one for one in (review.object, review.old_object) if one is not None]
    chosen = selector(hook["objectSelector"])
    if not any(chosen(one["metadata"].get("labels") or {}) for one in both):
        return "objectSelector"
    request = {key: value for key, value in review.request.items() if key not in ("object", "oldObject") and value}
    values = {"object": review.object, "oldObject": review.old_object, "request": request}
    activation = cel.activation(values)
    conditions = [one["expression"] for one in hook["matchConditions"]]
    assert len(conditions) <= 64
    false = [text for text in conditions if not cel.compile(text, wants="bool", words=WORDS)(activation)]
    return false[0] if false else ""


BODIES: list[Object] = [
    {"expression": "request.operation == 'none'"},
    {"expression": "has(pod.spec.nothing)"},
    {"expression": "object.metadata.name == 'none'"},
    {"expression": "!has(object.spec) || !has(object.spec.replicas) || object.spec.replicas < 0"},
    {"expression": "object.spec.replicas < 0"},
    {"expression": "namespaceObject.metadata.name == 'none'"},
    {
        "when": "!has(pod.metadata.annotations)",
        "patch": [{"op": "add", "path": "/metadata/annotations/a", "value": "b"}],
    },
]
CONDITIONS = [
    "request.userInfo.username != 'alice'",
    "!(has(request.userInfo.groups) && 'devs' in request.userInfo.groups)",
    "has(object.metadata.labels) && object.metadata.labels.tier == 'web'",
    "object.metadata.labels.tier == 'web'",
    "!(object.metadata.labels['tier'] == 'web')",
    "object.spec.replicas == 2 || request.namespace == 'shop'",
    "!has(object.spec.template.spec.nodeName)",
    "oldObject.metadata.labels.tier != 'web'",
    "'tier' in object.metadata.labels",
    "object.metadata.name.startsWith('w') && !object.data.x.endsWith('y')",
    "object.metadata.labels.all(key, key != 'tier')",
    "request.object.metadata.name == 'web'",
    "object.spec.replicas < 3",
    "request.operation in ['UPDATE'] || object.metadata.namespace != 'shop'",
]
LABELS = st.sampled_from([{}, {"team": "a"}, {"tier": "web"}, {"tier": "db", "team": "b"}])
SELECTORS = [
    {"matchLabels": {"tier": "web"}},
    {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
    {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web", "db"]}]},
    {"matchLabels": {"team": "a"}, "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
]
CLAUSES: dict[str, Any] = {
    "operations": st.sampled_from([["CREATE"], ["UPDATE"]]),
    "namespaces": st.sampled_from([["shop"], ["s*", "kube-public"]]),
    "excludeNamespaces": st.sampled_from([["monitoring"], ["mon*", "kube-public"], ["monitoring", "kube-public"]]),
    "namespaceSelector": st.sampled_from(SELECTORS),
    "objectSelector": st.sampled_from(SELECTORS),
    "excludeUsers": st.sampled_from([["alice"], ["a*", "ci-?"]]),
    "excludeGroups": st.sampled_from([["devs"], ["d*", "ops"]]),
    "matchConditions": st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=3, unique=True).map(
        lambda texts: [{"name": f"c{CONDITIONS.index(text)}", "expression": text} for text in texts]
    ),
}
ANY = ["Pod", "Deployment", "Job", "ConfigMap", "Namespace", "PersistentVolume", "argoproj.io/Rollout"]
SCOPES = st.lists(st.sampled_from(sorted(CLAUSES)), max_size=2, unique=True).flatmap(
    lambda keys: st.fixed_dictionaries({key: CLAUSES[key] for key in keys})
)


@st.composite
def some_packs(draw: st.DrawFn) -> list[Object]:
    made = []
    for number in range(draw(st.integers(1, 2))):
        bodies = draw(st.lists(st.sampled_from(BODIES), min_size=1, max_size=2))
        rules = [
            {**body, "action": draw(st.sampled_from(["deny", "warn", "audit"])), "match": draw(SCOPES)}
            for body in bodies
        ]
        base = draw(SCOPES) | draw(st.sampled_from([{}, {"kinds": ANY}, {"kinds": ["Pod", "Deployment"]}]))
        made.append(pack(*rules, name=f"pack-{number}", match=base))
    return made


PLACES = {
    "Pod": ("", "v1", "pods", ["", "ephemeralcontainers", "resize"]),
    "Deployment": ("apps", "v1", "deployments", ["", "scale"]),
    "Job": ("batch", "v1", "jobs", [""]),
    "ConfigMap": ("", "v1", "configmaps", [""]),
    "Namespace": ("", "v1", "namespaces", [""]),
    "PersistentVolume": ("", "v1", "persistentvolumes", [""]),
    "Rollout": ("argoproj.io", "v1alpha1", "rollouts", ["", "scale"]),
    "ManifestWork": ("work.open-cluster-management.io", "v1", "manifestworks", [""]),
}
CONTAINER = {"name": "app", "image": "registry.example/app:1"}


@st.composite
def some_object(draw: st.DrawFn, kind: str, namespace: str) -> Object:
    group, version, _, _ = PLACES[kind]
    metadata: Object = {"name": draw(st.sampled_from(["web", "db"]))}
    if kind not in ("Namespace", "PersistentVolume"):
        metadata["namespace"] = namespace
    labels = draw(LABELS)
    if kind == "Namespace":
        metadata["name"] = namespace
        labels = {**labels, "kubernetes.io/metadata.name": namespace}
    if labels or draw(st.booleans()):
        metadata["labels"] = labels
    if draw(st.booleans()):
        metadata["annotations"] = draw(st.sampled_from([{}, {"kubernetes.io/config.mirror": "x"}, {"note": "y"}]))
    made: Object = {"apiVersion": f"{group}/{version}".lstrip("/"), "kind": kind, "metadata": metadata}
    spec = {"containers": [{**CONTAINER, "image": draw(st.sampled_from(["registry.example/app:1", "busybox"]))}]}
    if kind == "Pod":
        made["spec"] = spec
    elif kind in ("Deployment", "Job", "Rollout"):
        made["spec"] = {"replicas": draw(st.integers(0, 3)), "template": {"spec": spec}}
    elif kind == "ConfigMap":
        made["data"] = draw(st.sampled_from([{}, {"x": "y"}]))
    elif kind == "ManifestWork":
        inner = draw(some_object(draw(st.sampled_from(["Pod", "Deployment"])), draw(NAMESPACES)))
        made["spec"] = {"workload": {"manifests": [inner]}}
    return made


NAMESPACES = st.sampled_from(["shop", "monitoring", "kube-public"])
USERS = st.sampled_from(
    [
        {"username": "alice"},
        {"username": "bob", "groups": ["devs"]},
        {"username": "ci-1", "groups": ["ops", "system:authenticated"]},
        {"username": "system:node:n1", "groups": ["system:nodes"]},
        {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        {"username": "system:anonymous"},
    ]
)


@st.composite
def some_review(draw: st.DrawFn) -> Review:
    kind = draw(st.sampled_from(sorted(PLACES)))
    group, version, plural, subresources = PLACES[kind]
    namespace = draw(NAMESPACES)
    subresource = draw(st.sampled_from(subresources))
    operation = "UPDATE" if subresource else draw(st.sampled_from(["CREATE", "UPDATE"]))
    old, new = draw(some_object(kind, namespace)), draw(some_object(kind, namespace))
    gvk = {"group": group, "version": version, "kind": kind}
    if subresource in ("ephemeralcontainers", "resize"):
        new["metadata"] = old["metadata"]  # of what is sent there the API server takes over nothing else
    if subresource == "scale":
        old, new = (
            {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": replicas}
            for replicas in ({"replicas": 5}, draw(st.sampled_from([{}, {"replicas": 3}])))
        )
        gvk = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    request = {
        "uid": "1",
        "kind": gvk,
        "resource": {"group": group, "version": version, "resource": plural},
        "subResource": subresource,
        "name": new["metadata"]["name"],
        "namespace": "" if kind == "PersistentVolume" else namespace,
        "operation": operation,
        "userInfo": draw(USERS),
        "object": new,
        "oldObject": old if operation == "UPDATE" else None,
    }
    return parse(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {key: value for key, value in request.items() if value not in ("", None)},
        }
    )


def by_design(endpoint: str, review: Review) -> bool:
    """Say whether `/advise` is not asked for who it is: a node, or the control plane, but for its pods."""
    system = review.user.startswith("system:serviceaccount:kube-system:")
    return endpoint == "advise" and ((system and review.resource != "pods") or "system:nodes" in review.groups)


@pytest.mark.parametrize("wrappers", [{}, WRAPPERS], ids=["with wrappers", "without"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(documents=some_packs(), reviews=st.lists(some_review(), min_size=5, max_size=15), labels=LABELS)
def test_no_review_that_a_rule_judges_is_left_out(
    documents: list[Object], reviews: list[Review], labels: dict[str, str], wrappers: dict[tuple[str, str], str]
) -> None:
    rules = packs(*documents)
    hooks = {endpoint: entry(rules, endpoint, wrappers) for endpoint in ("validate", "advise", "mutate")}
    for review in reviews:
        if wrappers and review.kind.kind == "ManifestWork":
            continue
        namespace = {**labels, "kubernetes.io/metadata.name": review.namespace}
        seen = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": review.namespace, "labels": namespace}}
        for endpoint, hook in hooks.items():
            decision = evaluate(rules, review, Facts(namespace=seen), NOW, endpoint)
            said = decision.findings or decision.errors or decision.unknown or decision.patched
            why = unsent(hook, review, namespace)
            assert not (why and said) or by_design(endpoint, review), f"{endpoint}: {review.title}: {why}"


def test_an_update_that_a_pack_selects_by_the_old_labels_and_a_rule_by_the_new_is_sent() -> None:
    web, team = ({"objectSelector": {"matchLabels": labels}} for labels in ({"tier": "web"}, {"team": "a"}))
    rule = {"expression": "object.spec.replicas < 3", "action": "deny", "match": team}
    rules = packs(pack(rule, mode="enforce", match={"kinds": ["Deployment"], **web}))

    def deployment(labels: Object, replicas: int) -> Object:
        spec = {"replicas": replicas, "template": {"spec": {"containers": [{"name": "web"}]}}}
        metadata = {"name": "web", "namespace": "shop", "labels": labels}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}

    request = {
        "uid": "1",
        "operation": "UPDATE",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "namespace": "shop",
        "name": "web",
        "object": deployment({"team": "a"}, 5),
        "oldObject": deployment({"tier": "web"}, 1),
    }
    review = parse({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    assert not evaluate(rules, review, Facts(), NOW, "validate").allowed
    assert unsent(entry(rules, "validate", WRAPPERS), review, {}) == ""


def test_subresources_are_asked_for_where_a_rule_looks_at_what_they_change() -> None:
    kinds = {"kinds": ["Pod", "Deployment"]}
    both = ["CREATE", "UPDATE"]
    everything = {"/pods": both, "/pods/ephemeralcontainers": both, "/pods/resize": both, "apps/deployments": both}
    cases: list[tuple[Object, dict[str, list[str]]]] = [
        ({"expression": "has(pod.spec.x)"}, everything),
        ({"expression": "object.spec.replicas < 3"}, {**everything, "apps/deployments/scale": both}),
        ({"expression": "has(object.metadata.labels)"}, {"/pods": both, "apps/deployments": both}),
        (
            {"expression": "object.spec.replicas < 3", "match": {"operations": ["CREATE"]}},
            {"/pods": ["CREATE"], "apps/deployments": ["CREATE"]},
        ),
    ]
    for rule, want in cases:
        assert matched(packs(pack(rule, match=kinds)), "advise", resources=WRAPPERS) == want, rule


def test_nothing_is_asked_for_where_no_rule_needs_it() -> None:
    warning = packs(pack({"expression": "has(pod.spec.x)"}))
    assert entry(warning, "validate") is None
    assert entry(warning, "mutate") is None
    denying = packs(pack({"expression": "has(pod.spec.x)", "action": "deny"}))
    assert entry(denying, "advise") is None
    disabled = packs(pack({"expression": "has(pod.spec.x)", "action": "deny"}, mode="disabled"))
    assert [entry(disabled, endpoint) for endpoint in ("validate", "advise", "mutate")] == [None] * 3


def test_fixes_are_asked_for_where_they_can_be_made() -> None:
    patch = [{"op": "add", "path": "/metadata/annotations/a", "value": "b"}]
    kinds = ["Pod", "Job", "Deployment", "ConfigMap"]
    rules = packs(pack({"when": "true", "patch": patch, "match": {"kinds": kinds}}))
    want = {"/pods": ["CREATE"], "batch/jobs": ["CREATE"], "apps/deployments": ["CREATE", "UPDATE"]}
    assert matched(rules, "mutate", resources=WRAPPERS) == want
    later = packs(pack({"when": "true", "patch": patch, "match": {"kinds": kinds, "operations": ["UPDATE"]}}))
    assert matched(later, "mutate", resources=WRAPPERS) == {"apps/deployments": ["UPDATE"]}


def test_leases_and_events_are_never_asked_for() -> None:
    rule = {
        "expression": "has(object.x)",
        "match": {"kinds": ["coordination.k8s.io/Lease", "events.k8s.io/Event", "ConfigMap"]},
    }
    assert needs(packs(pack(rule)))["advise"].keys() - WRAPPERS.keys() == {("", "ConfigMap")}


def test_what_all_rules_leave_out_is_said_to_the_api_server() -> None:
    common = {
        "kinds": ["Deployment"],
        "excludeNamespaces": ["monitoring", "ci-*"],
        "namespaceSelector": {"matchLabels": {"team": "a"}},
        "objectSelector": {"matchLabels": {"tier": "web"}},
        "excludeUsers": ["alice"],
        "matchConditions": [{"name": "web", "expression": "object.metadata.name == 'web'"}],
    }
    rules = [
        {"expression": "has(pod.spec.x)", "action": "deny"},
        {"expression": "has(pod.spec.y)", "match": {"excludeUsers": ["bob"], "operations": ["CREATE"]}},
    ]
    hook = entry(packs(pack(*rules, match=common)), "validate", WRAPPERS)
    assert hook is not None
    assert hook["namespaceSelector"]["matchExpressions"] == [
        {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": ["kube-node-lease", "kube-system", "monitoring", "plimsoll"],
        },
        {"key": "team", "operator": "In", "values": ["a"]},
    ]
    assert hook["objectSelector"]["matchExpressions"] == [{"key": "tier", "operator": "In", "values": ["web"]}]
    said = {one["name"]: one["expression"] for one in hook["matchConditions"]}
    assert set(said) == {"no-excluded-namespaces", "no-excluded-users", "pack-web"}
    assert "'alice'" in said["no-excluded-users"]
    assert "bob" not in said["no-excluded-users"]
    other = pack({"expression": "has(pod.spec.z)", "action": "deny"}, name="other", match={"kinds": ["Deployment"]})
    alone = entry(packs(pack(*rules, match=common), other), "validate", WRAPPERS)
    assert alone is not None
    assert alone["matchConditions"] == []
    assert alone["objectSelector"] == {}


def test_selectors_say_nothing_about_what_a_wrapper_carries() -> None:
    rule = {"expression": "has(pod.spec.x)", "action": "deny"}
    narrowed = {"namespaceSelector": {"matchLabels": {"team": "a"}}, "excludeNamespaces": ["monitoring"]}
    hook = entry(packs(pack(rule, match=narrowed)), "validate")
    assert hook is not None
    (out,) = hook["namespaceSelector"]["matchExpressions"]
    assert "monitoring" not in out["values"]
    (text,) = [one["expression"] for one in hook["matchConditions"] if one["name"] == "no-excluded-namespaces"]
    assert "'work.karmada.io'" in text


def test_the_label_by_which_a_namespace_asks_for_a_trial_leaves_nothing_out() -> None:
    hook = entry(packs(pack({"expression": "has(pod.spec.x)"}, allowNamespaceMode=["dry-run"])), "advise")
    assert hook is not None
    assert "plimsoll.dev/mode" not in json.dumps(hook)


def test_a_scale_to_none_is_sent_though_the_wire_leaves_its_number_out() -> None:
    rules = packs(
        pack(
            {"expression": "object.spec.replicas > 1", "action": "deny"},
            match={
                "kinds": ["Deployment"],
                "matchConditions": [{"name": "scaled", "expression": "has(object.spec.replicas)"}],
            },
        )
    )
    scale: Object = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {}}
    review = parse(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "1",
                "kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
                "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
                "subResource": "scale",
                "operation": "UPDATE",
                "name": "web",
                "namespace": "shop",
                "userInfo": {"username": "ann"},
                "object": scale,
                "oldObject": {**scale, "spec": {"replicas": 3}},
            },
        }
    )
    assert not evaluate(rules, review, Facts(), NOW, "validate").allowed
    assert unsent(entry(rules, "validate", WRAPPERS), review, {}) == ""


def test_conditions_on_objects_of_other_groups_leave_nothing_out_whatever_their_groups_are_called() -> None:
    """Their CustomResourceDefinitions may keep nulls, which an API server takes for something and we for nothing."""
    for kind in ("autoscaling.k8s.io/VerticalPodAutoscaler", "snapshot.storage.k8s.io/VolumeSnapshot", "x.dev/Thing"):
        match = {"kinds": [kind], "matchConditions": [{"name": "a", "expression": "!has(object.spec.mode)"}]}
        rules = packs(pack({"expression": "has(object.spec.y)"}, match=match))
        group, _, name = kind.partition("/")
        hook = entry(rules, "advise", {**WRAPPERS, (group, name): "things"})
        assert hook is not None
        (text,) = [one["expression"] for one in hook["matchConditions"] if one["name"] == "pack-a"]
        assert text.startswith(f"request.resource.group in ['{group}'] || "), kind
