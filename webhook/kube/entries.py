"""The entries of webhook configurations: what they have to be, and what of those that a cluster holds differs. Pure.

An object's own entries are `validate`, `advise`, `mutate` and `packs` with `.plimsoll.dev` behind them; all others in
it, and every field that no setting of ours is about, stay as they are.
kubernetes.io/docs/reference/generated/kubernetes-api/v1.37/#validatingwebhook-v1-admissionregistration-k8s-io
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import orjson

from webhook.model.kinds import SYSTEM_NAMESPACES
from webhook.model.record import record
from webhook.packs.match import Clause
from webhook.packs.needs import ENDPOINTS, Kind, needs, resource_rules
from webhook.packs.pushed import Pushed, pushed
from webhook.packs.rule import Ruleset

Object = dict[str, Any]

API = "/apis/admissionregistration.k8s.io/v1"
RESOURCES = {
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
}
SECONDS = {"validate": 3, "advise": 3, "mutate": 1}
POLICIES = {"validate": "Fail", "advise": "Ignore", "mutate": "Ignore"}
DOMAIN = ".plimsoll.dev"
PACKS = f"packs{DOMAIN}"
"""The entry for RulePacks: its rules are the installation's, of ours is its caBundle."""
PAUSED = "plimsoll.dev/paused"
WEAKENED = "plimsoll.dev/weakened"
"""Annotation that keeps which entries an operator had made weaker, while no rule needs them."""
MOST = 64
"""Conditions that the API server takes."""
_KIND_OF = {
    "validate": "ValidatingWebhookConfiguration",
    "advise": "ValidatingWebhookConfiguration",
    "mutate": "MutatingWebhookConfiguration",
}


def conditions(ourselves: str | None = None) -> list[Object]:
    """Return the `matchConditions` of `/advise`: by userInfo, never by what the object's writer controls.

    They leave out the control plane, its controllers and nodes, and the user name `ourselves`: they write
    EndpointSlices and the like without end, and nobody reads their warnings. The Pods that controllers make are
    looked at all the same, or a pack on trial would not see what others inject into them.
    """
    user = "request.userInfo.username"
    control_plane = "['system:apiserver', 'system:kube-controller-manager', 'system:kube-scheduler']"
    pods = "request.resource.resource == 'pods'"
    tests = {
        "no-system-service-accounts": f"{pods} || !{user}.startsWith('system:serviceaccount:kube-system:')",
        "no-control-plane": f"{pods} || !({user} in {control_plane})",
        # A caller without groups has no such field, and an error would leave the call out.
        "no-nodes": "!(has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups)",
    }
    if ourselves:
        # A JSON string is a CEL string.
        tests["not-ourselves"] = f"{user} != {orjson.dumps(ourselves).decode()}"
    return [{"name": name, "expression": expression} for name, expression in tests.items()]


@record(frozen=True, slots=True)
class Terms:
    """Who we are: our Service and its namespace, our user name; `side_effects`: reviews are written down.

    `excluded` are namespaces that whoever installed us leaves out, `seconds` is how long `/validate` and `/advise` are
    waited for.
    """

    service: str
    namespace: str
    ourselves: str | None = None
    side_effects: bool = False
    excluded: tuple[str, ...] = ()
    seconds: int = SECONDS["validate"]


def wanted(
    ruleset: Ruleset, resources: Mapping[Kind, str], terms: Terms, *, written: bool = True
) -> Mapping[str, Mapping[str, Object]]:
    """Return the entries that the rules in force need, by the kind of the configuration and the entry's name.

    Without caBundle, which is put in where it is known. `resources` gives plurals, "" for a kind that the cluster has
    not. `written` is false where the API server did not take the conditions of packs.
    """
    found: dict[str, dict[str, Object]] = {kind: {} for kind in RESOURCES}
    for endpoint, kinds in needs(ruleset).items():
        there = {
            kind: need for kind, need in kinds.items() if resources.get(kind, "") or kind == ("autoscaling", "Scale")
        }
        rules = resource_rules(endpoint, there, resources)
        if not rules:
            continue
        asked = {id(rule): rule for kind in there for rule in ruleset.index.get((endpoint, *kind), ())}
        # whoever sets a namespace's mode is asked for a right whatever the scopes of rules are
        whole = not written or any(need.labels for need in there.values())
        common = Pushed() if whole else pushed(asked.values(), there, ruleset.kinds)
        found[_KIND_OF[endpoint]][f"{endpoint}{DOMAIN}"] = _entry(endpoint, rules, common, terms)
    return found


def _entry(endpoint: str, rules: list[Object], common: Pushed, terms: Terms) -> Object:
    out = sorted({*SYSTEM_NAMESPACES, terms.namespace, *terms.excluded, *common.excluded})
    named: Clause = ("kubernetes.io/metadata.name", "NotIn", tuple(out))
    own = conditions(terms.ourselves) if endpoint == "advise" else []
    more = [{"name": name, "expression": expression} for name, expression in common.conditions]
    return {
        "name": f"{endpoint}{DOMAIN}",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "service": {"name": terms.service, "namespace": terms.namespace, "path": f"/{endpoint}", "port": 443}
        },
        "failurePolicy": POLICIES[endpoint],
        "matchConditions": [*own, *more][:MOST],
        "matchPolicy": "Equivalent",
        "namespaceSelector": _selector([named, *common.namespace_selector]),
        "objectSelector": _selector(common.object_selector),
        "rules": rules,
        "sideEffects": "NoneOnDryRun" if terms.side_effects else "None",
        "timeoutSeconds": SECONDS[endpoint] if endpoint == "mutate" else terms.seconds,
        **({"reinvocationPolicy": "IfNeeded"} if endpoint == "mutate" else {}),
    }


def _selector(clauses: Iterable[Clause]) -> Object:
    found = [
        {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
        for key, operator, values in clauses
    ]
    return {"matchExpressions": found} if found else {}


@record(frozen=True, slots=True)
class Kept:
    """What a configuration has to become: its entries and annotations, and which fields of which entries differ.

    `weakened` are the entries whose failurePolicy an operator made weaker.
    """

    webhooks: list[Object]
    annotations: Mapping[str, str | None]
    differences: tuple[str, ...]
    weakened: tuple[str, ...]


def kept(
    held: Object, entries: Mapping[str, Object], bundle: bytes | None, *, fill: bool = True, dry_run: bool = False
) -> Kept:
    """Return what a configuration that a cluster holds has to become.

    `entries` are those that the rules need, `bundle` (PEM) what signed our certificate; None: it is not ours to
    write, and rules come only into entries that somebody has given one. Without `fill` no entry gets its first rules.
    A server with `dry_run` stops nobody, so that every failurePolicy is as well, and Ignore is no weakness.
    """
    webhooks: list[Object] = []
    differences: list[str] = []
    weakened: list[str] = []
    remembered = _remembered(held)
    listed = listing(held)
    present = {str(hook.get("name")) for hook in listed}
    for hook in listed:
        name = str(hook.get("name"))
        if name == PACKS:
            webhooks.append(_merged(hook, {}, bundle, differences))
        elif name not in _OURS:
            webhooks.append(hook)
        elif name not in entries:
            differences.append(f"{name}: no rule needs it")
            remembered |= {name} if _weak(hook, _policy(name)) and not dry_run else set()
        else:
            entry = entries[name]
            if dry_run or _weak(hook, entry["failurePolicy"]):
                entry = {**entry, "failurePolicy": hook["failurePolicy"]}
                weakened += [] if dry_run else [name]
            webhooks.append(_merged(hook, _filled(hook, entry, bundle, fill=fill), bundle, differences))
            remembered -= {name}
    for name, entry in entries.items():
        if name in present or not fill:
            continue
        known = bundle or _bundle(next((hook for hook in listed if _bundle(hook)), {}))
        if known is None:
            continue
        made = {**entry, "clientConfig": _client(listed, entry["clientConfig"], known)}
        if dry_run:
            made["failurePolicy"] = "Ignore"
        elif name in remembered:
            made["failurePolicy"] = "Ignore"
            weakened.append(name)
            remembered -= {name}
        webhooks.append(_lean(made))
        differences.append(f"{name}: a rule needs it")
    annotations: dict[str, str | None] = {}
    if remembered != _remembered(held):
        annotations[WEAKENED] = ",".join(sorted(remembered)) or None
    return Kept(webhooks, annotations, tuple(differences), tuple(weakened))


_OURS = frozenset(f"{endpoint}{DOMAIN}" for endpoint in ENDPOINTS)


def listing(held: Object) -> list[Object]:
    """Return the entries of a configuration."""
    return list(held.get("webhooks") or [])


def paused(held: Object) -> bool:
    """Say whether an operator asked for hands off."""
    return PAUSED in ((held.get("metadata") or {}).get("annotations") or {})


def weakened(held: Object) -> list[str]:
    """Return the entries that have Ignore where Fail is meant."""
    return [name for hook in listing(held) if (name := str(hook.get("name"))) in _OURS and _weak(hook, _policy(name))]


def bundles(held: Object) -> list[bytes | None]:
    """Return the caBundle of each entry of ours that the API server may call by it; None where it has none."""
    ours = [hook for hook in listing(held) if hook.get("name") in _OURS | {PACKS} and hook.get("rules")]
    return [_bundle(hook) for hook in ours]


def _remembered(held: Object) -> set[str]:
    text = ((held.get("metadata") or {}).get("annotations") or {}).get(WEAKENED) or ""
    return {name for name in text.split(",") if name in _OURS}


def _policy(name: str) -> str:
    return POLICIES[name.removesuffix(DOMAIN)]


def _weak(hook: Object, policy: str) -> bool:
    return policy == "Fail" and hook.get("failurePolicy") == "Ignore"


def _filled(hook: Object, entry: Object, bundle: bytes | None, *, fill: bool) -> Object:
    """Return what an entry has to be; without its rules, where it has none yet and could not be answered."""
    if hook.get("rules") or (fill and (bundle or _bundle(hook))):
        return entry
    return {key: value for key, value in entry.items() if key != "rules"}


def _merged(hook: Object, entry: Object, bundle: bytes | None, differences: list[str]) -> Object:
    """Return an entry with everything that differs from what it has to be in its place."""
    name = str(hook.get("name"))
    made = dict(hook)
    for key, value in entry.items():
        if key == "clientConfig":
            client = _client([hook], value, _bundle(hook))
            if _service(hook.get("clientConfig")) != _service(client):
                made[key] = client
                differences.append(f"{name}: {key}")
        elif _plain(key, hook.get(key)) != _plain(key, value):
            made[key] = value
            differences.append(f"{name}: {key}")
    if bundle is not None and _bundle(made) != bundle:
        made["clientConfig"] = {**(made.get("clientConfig") or {}), "caBundle": base64.b64encode(bundle).decode()}
        differences.append(f"{name}: caBundle")
    return _lean(made)


def _lean(entry: Object) -> Object:
    """Return an entry without an empty list of conditions, which the API server does not keep."""
    return {key: value for key, value in entry.items() if key != "matchConditions" or value}


def _client(listed: Iterable[Object], client: Object, bundle: bytes | None) -> Object:
    """Return where an entry calls; the port is the installation's, and so that of the entries that are there."""
    ports = (((hook.get("clientConfig") or {}).get("service") or {}).get("port") for hook in listed)
    service = {**client["service"], "port": next((port for port in ports if port), client["service"]["port"])}
    return {"service": service, **({"caBundle": base64.b64encode(bundle).decode()} if bundle else {})}


def _bundle(hook: Object) -> bytes | None:
    text = (hook.get("clientConfig") or {}).get("caBundle")
    try:
        return base64.b64decode(text, validate=True) if text else None
    except (binascii.Error, ValueError):
        return b""


def _service(client: Any) -> Any:
    found = dict((client or {}).get("service") or {})
    return client.get("url") if client else None, {"path": "/", "port": 443, **found}


def _plain(key: str, value: Any) -> Any:
    """Return the value of a field so that two that mean the same are equal: defaults filled in, order away."""
    if key == "rules":
        return {
            (*one, rule.get("scope") or "*")
            for rule in value or ()
            for one in product(
                *(rule.get(part) or () for part in ("apiGroups", "apiVersions", "operations", "resources"))
            )
        }
    if key == "matchConditions":
        return {one["name"]: one["expression"] for one in value or ()}
    if key in ("namespaceSelector", "objectSelector"):
        given = value or {}
        clauses = [(label, "In", (one,)) for label, one in (given.get("matchLabels") or {}).items()]
        for one in given.get("matchExpressions") or ():
            clauses.append((one["key"], one["operator"], tuple(sorted(one.get("values") or ()))))
        return set(clauses)
    return value
