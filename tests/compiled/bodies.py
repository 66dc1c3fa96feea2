"""The body of reviews that compiled and plain code judge: what the repository has of objects, and what may be wrong.

A job is what `judge.py` reads, a line of JSON: its `label`, the packs that judge it (`rules`, by a key of `packs()`),
the `body` as the API server would send it, in base64, the `endpoints`, and the `facts` that are known of what stands
outside.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import yaml

from compiled.mutation import everywhere, mutate

ROOT = Path(__file__).resolve().parents[2]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SEED = 20261123
ENDPOINTS = ("validate", "advise", "mutate", "all")
WHAT_IS_ASKED = ("validate", "mutate")
"""Where a rule that denies, and its fix, are asked: the others come to the same."""
SHIPPED, CLAUSES = "policies", "clauses"
OF_A_CASE, OF_AN_OBJECT, OF_AN_ENVELOPE = 3, 10, 600
"""Mutations of each case of a check, of each other object, and of the envelopes of reviews."""
LONG = 4_000
NESTED = (
    *(
        "(",
        "((",
        "$(",
        "$((",
        "`",
        "{ ",
        "[[",
        "${",
        "'",
        '"',
        "\\",
        "<(",
        "<<a\n",
        "if ",
        "while true; do ",
        "case a in a) ",
    ),
    *(
        "sh -c ",
        "exec ",
        "env ",
        "env -S ",
        "sudo -u a ",
        "nohup timeout 1 ",
        "a=1 ",
        "; ",
        "& ",
        "| ",
        "!",
        "then ",
        "do\n",
    ),
    *(
        "$(A)",
        "$$(A) ",
        "-Xmx1g ",
        "-XX:+A ",
        "@f ",
        "/",
        "../",
        "a/",
        "a:",
        "@",
        "1",
        "1.",
        "1e",
        "*",
        "-",
        ".",
        "[::",
        "1.2.3.4 ",
    ),
)
"""What a language may nest or repeat: a shell, the kubelet's variables, a JVM's options, images, quantities, paths."""
# what no shipped pack has: every clause of a match and of an exemption, CEL, patches, modes of namespaces
EVERY_CLAUSE = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: clauses}
spec:
  version: "1"
  contact: "#platform"
  allowNamespaceMode: [dry-run]
  values: {team: shop}
  rules:
    - name: labelled
      check: no-host-path
      action: deny
      match:
        objectSelector:
          matchLabels: {app: web}
          matchExpressions:
            - {key: tier, operator: NotIn, values: [db]}
            - {key: team, operator: Exists}
    - {name: scaled, check: autoscaling, action: warn, match: {objectSelector: {matchLabels: {app: web}}}}
    - {name: of-space, check: no-host-path, action: deny, match: {namespaceSelector: {matchLabels: {tier: web}}}}
    - {name: named, check: image-digest, action: deny, match: {names: ["web*", checkout]}}
    - name: some-containers
      check: image-digest
      action: deny
      fix: false
      match: {containers: ["w*", app], images: ["registry.example/"], excludeNamespaces: [kube-system]}
    - {name: not-by, check: no-host-path, action: warn, match: {excludeUsers: [bob], excludeGroups: [admins]}}
    - name: conditions
      expression: "object.spec.replicas >= 2"
      messageExpression: "'replicas: ' + string(object.spec.replicas)"
      message: there are two
      action: deny
      match:
        kinds: [Deployment, StatefulSet]
        matchConditions: [{name: team, expression: "object.metadata.labels.app == 'web'"}]
    - name: requests
      expression: "containers.all(c, has(c.resources) && has(c.resources.requests))"
      message: every container has requests
      action: deny
      existing: deny
    - {name: ours, expression: "namespaceObject.metadata.labels.team == values.team", action: warn}
    - name: pull-policy
      when: "containers.exists(c, !has(c.imagePullPolicy))"
      patch:
        - op: add
          path: /spec/containers/*/imagePullPolicy
          valueExpression: "has(item.imagePullPolicy) ? item.imagePullPolicy : 'IfNotPresent'"
      message: every container says when its image is pulled
      action: deny
    - name: ndots
      when: "!has(pod.spec.dnsConfig)"
      patch: [{op: add, path: /spec/dnsConfig, value: {options: [{name: ndots, value: "2"}]}}]
      message: names are looked up with ndots 2
      action: audit
    - {name: earlier, check: image-digest, action: deny, enforceFrom: 2026-06-01}
    - {name: later, check: no-host-path, action: deny, enforceFrom: 2027-01-01}
  exemptions:
    - rules: [labelled, requests]
      match: {names: ["web-*"], kinds: [Deployment, Pod], namespaces: ["sh*"]}
      reason: r
      owner: o
      expires: 2027-03-31
    - rules: [some-containers, requests, named]
      match: {containers: [web], images: ["registry.example/shop/"]}
      reason: r
      owner: o
      expires: 2027-03-31
    - {rules: [conditions], match: {names: [other]}, reason: r, owner: o, expires: 2026-01-01}
"""


def packs() -> dict[str, list[tuple[str, str]]]:
    """Return the packs that judge, each set of them as (name, text) by its key."""
    found = {
        SHIPPED: [(path.name, path.read_text()) for path in sorted((ROOT / "policies").glob("*.yaml")) if _pack(path)],
        CLAUSES: [("clauses.yaml", EVERY_CLAUSE)],
    }
    for check, case in _cases():
        rule = {"name": "it", "check": check, "action": "deny", "params": case.get("params", {})}
        document = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": "one"}}
        for fix in (False, True):
            text = json.dumps({**document, "spec": {"rules": [{**rule, "fix": fix}]}})
            found[_alone(check, case, fix)] = [("one.yaml", text)]
    return found


def jobs() -> Iterator[dict[str, Any]]:
    """Yield all jobs, the same every time."""
    objects = dict(_objects())
    yield from _of_cases()
    yield from _of_objects(objects)
    yield from _of_texts()
    yield from _of_envelopes(objects)


def _alone(check: str, case: dict[str, Any], fix: bool) -> str:
    return f"{check} {json.dumps(case.get('params', {}), sort_keys=True)}{' with its fix' if fix else ''}"


def _pack(path: Path) -> bool:
    return not path.name.endswith(".test.yaml")


def _cases() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((ROOT / "webhook/checks").glob("*.cases.yaml")):
        check = path.name.removesuffix(".cases.yaml")
        yield from ((check, _json(case)) for case in yaml.load(path.read_text(), LOADER))


def _objects() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of the samples, of the tests of packs, and of a golden file, each with its label."""
    yield "a namespace on trial", SPACE
    for folder in ("samples", "policies", "tests/golden/cli/fix-ugly/after", "bench"):
        for path in sorted((ROOT / folder).rglob("*.yaml")):
            for number, document in enumerate(yaml.load_all(path.read_text(), LOADER)):
                for inner, obj in _inside(_json(document)):
                    yield f"{path.relative_to(ROOT)} document {number}{inner}", obj


def _inside(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(document, dict) or not all(isinstance(document.get(k), str) for k in ("apiVersion", "kind")):
        return
    spec = document.get("spec")
    if document["kind"] == "RulePackTest" and isinstance(spec, dict):
        for name, obj in spec.get("base", {}).items():
            yield f" base {name}", obj
        for number, case in enumerate(spec.get("cases", [])):
            yield from ((f" case {number}", obj) for obj in (case.get("object"), case.get("oldObject")) if _is(obj))
    elif document["kind"] == "List":
        yield from ((f" item {number}", item) for number, item in enumerate(document.get("items", [])) if _is(item))
    elif document["kind"] not in ("RulePack", "CustomResourceDefinition"):
        yield "", document


def _is(obj: Any) -> bool:
    return isinstance(obj, dict) and isinstance(obj.get("kind"), str) and isinstance(obj.get("apiVersion"), str)


def _json(value: Any) -> Any:
    """Return what YAML gave as JSON has it: without dates, with keys that are texts."""
    return json.loads(json.dumps(value, default=str))


# -- jobs --------------------------------------------------------------------------------------------------------


def _of_cases() -> Iterator[dict[str, Any]]:
    """Each case of a check as it is, and mutated, by its check alone and by all packs."""
    for check, case in _cases():
        label = f"{check}: {case['name']}"
        facts: dict[str, Any] = {key: case[key] for key in ("neighbours", "lacking", "failed", "images") if key in case}
        random = Random(f"{SEED} {label}")
        obj = case["object"] if "object" in case else _deployment(case["pod"])
        alone = _alone(check, case, fix=True)
        rules = [alone, SHIPPED]
        yield from _judged(label, obj, None, facts, rules)
        for wrong, what in everywhere(obj, random):
            yield _job(f"{label}; {what}", alone, json.dumps(_review(wrong, None, obj)).encode(), facts, WHAT_IS_ASKED)
        for wrong, what in everywhere(facts, random):
            yield _job(f"{label}; facts {what}", alone, json.dumps(_review(obj, None)).encode(), wrong, WHAT_IS_ASKED)
        for number in range(OF_A_CASE):
            wrong, what = mutate(obj, random)
            new, old = ((wrong, None), (wrong, obj), (obj, wrong))[number % 3]
            told = f"{label}; mutation {number}: {what}{', before' if new is obj else ''}"
            yield from _judged(told, new, old, facts, rules, kind=obj)


def _of_objects(objects: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each other object as it is, in each wrapper, and mutated, by all packs and by every clause of a match."""
    labels = sorted(objects)
    for label in labels:
        obj, random = objects[label], Random(f"{SEED} {label}")
        yield from _judged(label, obj, None, {}, [SHIPPED, CLAUSES])
        other = random.choice(labels)
        yield from _judged(f"{label}; was {other}", obj, objects[other], {}, [SHIPPED, CLAUSES])
        for number in range(OF_AN_OBJECT):
            wrong, what = mutate(obj, random)
            told = f"{label}; mutation {number}: {what}"
            if number % 4 == 3:
                again, more = mutate(wrong, random)
                how, work = random.choice(list(_wrapped(again)))
                yield from _judged(f"{told}; and {more}; in {how}", work, None, {}, [SHIPPED])
            elif number % 4 == 2:
                space, where = mutate(SPACE, random)
                by = [SHIPPED, CLAUSES]
                yield from _judged(f"{told}; its namespace {where}", wrong, obj, {"namespace": space}, by, kind=obj)
            elif number % 4 == 1:
                of_it = ("metadata", "ownerReferences") if number % 8 == 1 else ()
                made, where = mutate(_made(wrong, obj), random, of_it)
                owner, more = mutate(OWNER | {"spec": obj.get("spec")}, random)
                told, by = f"{told}; and {where}; its owner {more}", [SHIPPED, CLAUSES]
                yield from _judged(told, made, None, {"owners": [owner]}, by, kind=_made(obj, obj), user=CONTROLLER)
            else:
                yield from _judged(told, wrong, None, {}, [SHIPPED, CLAUSES], kind=obj)


def _of_texts() -> Iterator[dict[str, Any]]:
    """Texts that nest, or repeat, without end, in each place of a pod that is read as a language of its own.

    Python ends a recursion after 1,000 calls by an exception, compiled code after the stack, with the process.
    """
    for text in NESTED:
        long = (text * (LONG // len(text)))[:LONG]
        for place, pod in _spoken(long):
            body = json.dumps(_review(_deployment({"spec": pod}), None)).encode()
            yield _job(f"{text!r} {LONG} characters long as {place}", SHIPPED, body, {}, ("validate",))


def _spoken(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield pods that have a text where a program is started, a variable set, an image or a size named."""
    one: dict[str, Any] = {"name": "web", "image": "registry.example/shop/web:1"}
    java = {"name": "JAVA_TOOL_OPTIONS", "value": text}
    chain = [{"name": f"A{n}", "value": f"$(A{n - 1})" * 2} for n in range(1, 40)]
    for place, more in (
        ("a script", {"command": ["sh", "-c", text]}),
        ("words", {"command": text.split(" ")[: LONG // 8]}),
        ("an argument", {"args": [text]}),
        ("a variable", {"env": [java]}),
        ("the end of a chain of variables", {"env": [{"name": "A0", "value": text[:100]}, *chain], "args": ["$(A39)"]}),
        ("an image", {"image": text}),
        ("a size", {"resources": {"limits": {"memory": text}, "requests": {"cpu": text}}}),
        ("a path", {"volumeMounts": [{"name": "v", "mountPath": text, "subPathExpr": text}], "workingDir": text}),
        ("what a probe runs", {"livenessProbe": {"exec": {"command": ["sh", "-c", text]}}}),
    ):
        yield place, {"containers": [{**one, **more}], "volumes": [{"name": "v", "hostPath": {"path": text}}]}


def _of_envelopes(objects: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Reviews that are no reviews: other types and names around the object, and bytes that are no JSON."""
    random, labels = Random(f"{SEED} envelopes"), sorted(objects)
    for number in range(OF_AN_ENVELOPE):
        label = random.choice(labels)
        review = _review(objects[label], objects[label] if number % 2 else None)
        if number % 3:
            hidden = review["request"].pop("object")
            review, what = mutate(review, random)
            if isinstance(review.get("request"), dict):
                review["request"].setdefault("object", hidden)
            body = json.dumps(review).encode()
        else:
            what, body = _garbled(json.dumps(review, ensure_ascii=number % 2 == 0).encode(), random)
        yield _job(f"envelope {number} of {label}; {what}", CLAUSES, body, {})
    body = json.dumps(_review(objects["samples/deployment-bad.yaml document 0"], None)).encode()
    for levels in (90, 190, 195, 200, 300, 1100):
        deep = b'{"x":' * levels + b"{}" + b"}" * levels
        yield _job(f"{levels} levels deep", CLAUSES, body.replace(b'"spec": ', b'"x": ' + deep + b', "spec": ', 1), {})


def _garbled(body: bytes, random: Random) -> tuple[str, bytes]:
    at = random.randrange(len(body))
    kind = random.choice(("cut", "byte", "NUL", "twice", "null"))
    if kind == "cut":
        return f"cut at {at}", body[:at]
    if kind == "byte":
        byte = random.randrange(256)
        return f"byte {at} := {byte}", body[:at] + bytes([byte]) + body[at + 1 :]
    at = body.find(b'"', at)
    if kind == "NUL":
        return f"NUL at {at}", body[: at + 1] + b"\\u0000" + body[at + 1 :]
    if kind == "twice":
        return f"twice {at}", body.replace(b'"object": ', b'"object": [null], "object": ', 1)
    return f"null at {at}", body.replace(b'": ', b'": null, "again": ', random.randrange(1, 9))


def _judged(
    label: str,
    obj: Any,
    old: Any,
    facts: dict[str, Any],
    rules: list[str],
    kind: dict[str, Any] | None = None,
    user: str = "jane",
) -> Iterator[dict[str, Any]]:
    body = json.dumps(_review(obj, old, kind, user)).encode()
    for key in rules:
        yield _job(label, key, body, facts)


def _job(
    label: str, rules: str, body: bytes, facts: dict[str, Any], endpoints: tuple[str, ...] = ENDPOINTS
) -> dict[str, Any]:
    encoded = base64.b64encode(body).decode()
    return {"label": label, "rules": rules, "body": encoded, "endpoints": endpoints, "facts": facts}


def _review(obj: Any, old: Any, kind: dict[str, Any] | None = None, user: str = "jane") -> dict[str, Any]:
    """Return the review of an object; what it is is read from `kind`, where it is not to be read from itself."""
    some = obj if kind is None else kind
    group, _, version = str(some.get("apiVersion", "")).rpartition("/")
    meta = some.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    named = {"group": group, "version": version}
    request = {
        "uid": "u-1",
        "kind": {**named, "kind": some["kind"]},
        "resource": {**named, "resource": some["kind"].lower() + "s"},
        "name": meta.get("name", ""),
        "namespace": meta.get("namespace", "shop"),
        "operation": "CREATE" if old is None else "UPDATE",
        "userInfo": {"username": user, "groups": ["dev", "system:authenticated"]},
        "object": obj,
        "oldObject": old,
        "dryRun": False,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


# -- objects around objects --------------------------------------------------------------------------------------

SPACE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "shop", "labels": {"tier": "web", "team": "shop", "plimsoll.dev/mode": "dry-run"}},
}
CONTROLLER = "system:serviceaccount:kube-system:deployment-controller"
OWNER: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop", "uid": "u-9", "creationTimestamp": "2026-01-05T00:00:00Z"},
}


def _made(obj: Any, kind: dict[str, Any]) -> dict[str, Any]:
    """Return an object as the controller of a Deployment would make it."""
    meta = obj.get("metadata")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-9", "controller": True}
    metadata = {**(meta if isinstance(meta, dict) else {}), "ownerReferences": [reference]}
    is_pod = kind["kind"] == "Pod"
    named = {} if is_pod else {"apiVersion": "apps/v1", "kind": "ReplicaSet"}
    return {**obj, **named, "metadata": metadata}


def _deployment(pod: dict[str, Any]) -> dict[str, Any]:
    template = {"metadata": pod.get("metadata", {}), "spec": pod["spec"]}
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}
    return copy.deepcopy({**head, "spec": {"template": template}})


def _wrapped(obj: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield wrappers of an object, by name; in one it stands in a List, in one in another wrapper."""
    listed = {"apiVersion": "v1", "kind": "List", "items": [obj, obj]}
    work = _work("work.open-cluster-management.io/v1", "ManifestWork", {"workload": {"manifests": [obj]}})
    yield "a ManifestWork", work
    several = {"manifestWorkTemplate": {"workload": {"manifests": [obj, listed]}}}
    yield (
        "a ManifestWorkReplicaSet",
        _work("work.open-cluster-management.io/v1alpha1", "ManifestWorkReplicaSet", several),
    )
    yield ("a Work in a Work", _work("work.karmada.io/v1alpha1", "Work", {"workload": {"manifests": [listed, work]}}))
    yield ("a Manifest", {**_work("apps.clusternet.io/v1alpha1", "Manifest", {}), "template": obj})


def _work(api_version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "w", "namespace": "edge"}, "spec": spec}
