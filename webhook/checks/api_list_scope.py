"""Nobody but the platform lists the whole cluster, and pods have no token that they don't need.

## What it does
Finds the rules of ClusterRoles that allow to list or watch pods, secrets or events (`resources`) over the cluster, by
name or by `*`. With `namespaced`, those of Roles too, which reach as far as their namespace.

Let through are: the platform's own, by name (`platform`); ClusterRoles with an `aggregationRule`, whose rules the
control plane writes (the parts that they are made of are judged); rules with `resourceNames`, which give a list of
the objects named and no other (but not an empty name, which is that of a list of all); subresources such as `pods/log`;
and resources of the same name in another group, such as `pods` of `metrics.k8s.io`, or `*` in the group of an operator.
Verbs and groups are read as Kubernetes reads them.

A ClusterRole is judged as if it were bound to the cluster, because it can be. One that is only meant for RoleBindings
is put under `platform`, by a name that says so.

Of workloads it finds those that mount a token of a service account without need, as `tokens` says. Where
`automountServiceAccountToken` is false there is none, nor in a Pod that the API server has seen and given none,
because its service account says so.

## Why
A script that lists all pods every ten seconds reads the cluster from etcd every ten seconds. One does no harm; a
thousand of them are why the API server runs out of memory. A watch starts with a list, and so does every restart. And
a list of secrets is all of the secrets. A token that the service never uses is used by whoever breaks into it.

## Example
```yaml
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: shop-status}
rules:
  - apiGroups: [""]
    resources: [pods, configmaps]
    verbs: [get, list]
```

## Use instead
```yaml
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: shop-status, namespace: shop}
rules:
  - apiGroups: [""]
    resources: [pods, configmaps]
    verbs: [get, list]
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  automountServiceAccountToken: false
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
```

## Parameters
- `resources`: what ClusterRoles may not list or watch, as `kubectl` writes it: `pods`, and with its group
  `deployments.apps`; default `[pods, secrets, events, events.events.k8s.io]`.
- `namespaced`: what Roles may not list or watch in their own namespace; default none. Many services rightly list the
  pods beside them; `[secrets]` is a place to start.
- `verbs`: which verbs count; default `[list, watch]`. A rule that gives `*` gives these too.
- `platform`: names of ClusterRoles and Roles, or globs, that are the platform's own; default
  `["system:*", cluster-admin, admin, edit, view]`. Monitoring and operators that have to watch the cluster belong here.
- `tokens`: which tokens are looked at. `default-account` (the default): those of pods that run as the service account
  `default`, which everything in the namespace shares, so that nobody can give it the rights of one service alone.
  `declared`: those of all pods. `ignore`: none; for clusters where the service accounts themselves say
  `automountServiceAccountToken: false`, which cannot be seen from a workload.
- `accounts`: service accounts whose pods need a token, `name` or `namespace/name`, or globs; default none.
- `declaration`: the annotation on a pod (template) by which it declares what it needs the token for; default
  `plimsoll.dev/api-access`. Any text but an empty one counts. An empty name: no annotation does.

```yaml
params:
  namespaced: [secrets]
  platform: ["system:*", cluster-admin, admin, edit, view, prometheus, "argocd-*"]
  tokens: declared
  accounts: [monitoring/prometheus, "argocd/*"]
```

## Fix
None. Whether a service needs what it asks for, only its owner knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks.check import Check, ParamError
from webhook.checks.spoken import NAMESPACE, Spoken, globbed, literal, of_kind
from webhook.model.decision import Violation
from webhook.model.glob import Globs, compile_globs
from webhook.model.pods import Pod, Subject, listing, mapping
from webhook.model.record import record

ID = "api-list-scope"
_NAMES: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "resources": {**_NAMES, "description": "What ClusterRoles may not list: pods, deployments.apps."},
        "namespaced": {**_NAMES, "description": "What Roles may not list in their namespace."},
        "verbs": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": "The verbs that count as listing.",
        },
        "platform": {**_NAMES, "description": "Names or globs of the platform's own ClusterRoles and Roles."},
        "tokens": {
            "enum": ["ignore", "default-account", "declared"],
            "description": "Which tokens of service accounts are looked at.",
        },
        "accounts": {**_NAMES, "description": "Service accounts, name or namespace/name, whose pods need a token."},
        "declaration": {
            "type": "string",
            "description": "The annotation by which a pod declares what it needs its token for.",
        },
    },
}
DEFAULTS: dict[str, Any] = {
    "resources": ["pods", "secrets", "events", "events.events.k8s.io"],
    "namespaced": [],
    "verbs": ["list", "watch"],
    "platform": ["system:*", "cluster-admin", "admin", "edit", "view"],
    "tokens": "default-account",
    "accounts": [],
    "declaration": "plimsoll.dev/api-access",
}
KINDS: tuple[str, ...] = ("rbac.authorization.k8s.io/ClusterRole", "rbac.authorization.k8s.io/Role")
READS: tuple[str, ...] = ("object",)

_RBAC = "rbac.authorization.k8s.io"
# where the ServiceAccount admission of Kubernetes mounts the token
_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_Resource = tuple[str, str]


@record(frozen=True, slots=True)
class Lists:
    """What a role may not list: resources as (group, plural)."""

    over: Mapping[str, frozenset[_Resource]]
    verbs: tuple[str, ...]
    platform: Globs


@record(frozen=True, slots=True)
class Tokens:
    """Which pods may have a token; `everyone`: whatever account they run as."""

    everyone: bool
    accounts: Globs
    declaration: str


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for resources that are no `plural` or `plural.group`, and for `*`."""
    problems = [
        ((key, number), f"{text!r} is no resource; wanted its plural, with its group: pods, deployments.apps")
        for key in ("resources", "namespaced")
        for number, text in enumerate(params[key])
        if not text or not text.replace(".", "").replace("-", "").isalnum() or text != text.lower()
    ]
    if problems:
        raise ParamError(problems)
    lists = Lists(
        {"ClusterRole": _resources(params["resources"]), "Role": _resources(params["namespaced"])},
        tuple(params["verbs"]),
        compile_globs(params["platform"]),
    )
    tokens = Tokens(params["tokens"] == "declared", compile_globs(params["accounts"]), params["declaration"])
    return Check(subject=partial(_judge, lists, None if params["tokens"] == "ignore" else tokens))


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL: of pods their tokens, of roles their rules."""
    roles = _spoken_roles(params)
    if params["tokens"] == "ignore":
        return Spoken("true", "''", others=roles)
    everyone, accounts = params["tokens"] == "declared", compile_globs(params["accounts"])
    account = "variables.account"
    token = f"dyn(pod.metadata.?annotations[?{literal(params['declaration'])}].orValue(null))"
    declared = f"[{token}].exists(t, type(t) == string && t.trim() != '')" if params["declaration"] else "false"
    none = (
        f"{of_kind('', 'Pod')} && object.metadata.?uid.orValue('') != ''"
        f" && !containers.exists(c, c.?volumeMounts.orValue([]).exists(m, m.?mountPath.orValue('') == '{_MOUNT}'))"
    )
    let = [
        "dyn(pod.spec.?automountServiceAccountToken.orValue(true)) == false",
        *(() if everyone else (f"{account} != 'default'",)),
        globbed(account, accounts),
        globbed(f"({NAMESPACE} + '/' + {account})", accounts),
        declared,
        none,
    ]
    named = "[pod.spec.?serviceAccountName.orValue(''), pod.spec.?serviceAccount.orValue(''), 'default']"
    return Spoken(
        " || ".join(f"({text})" for text in let),
        f"'the token of service account ' + {account} + ' is mounted'",
        (("account", f"{named}.filter(a, a != '')[0]"),),
        others=roles,
    )


def _spoken_roles(params: Mapping[str, Any]) -> Spoken:
    meant = {
        kind: [{"group": group, "plural": plural} for group, plural in sorted(_resources(params[key]))]
        for kind, key in (("ClusterRole", "resources"), ("Role", "namespaced"))
    }
    judged = (
        f"(request.kind.kind in ['ClusterRole', 'Role'] && request.kind.group == '{_RBAC}')"
        f" && !({globbed('object.metadata.name', compile_globs(params['platform']))})"
        " && dyn(object.?aggregationRule.orValue({})) in [null, {}]"
    )
    covered = (
        "r.?resources.orValue([]).exists(t, variables.meant.exists(m, (t == '*' || t == m.plural)"
        " && ('*' in r.?apiGroups.orValue([]) || m.group in r.?apiGroups.orValue([]))))"
    )
    verbs = f"r.?verbs.orValue([]).exists(v, v == '*' || v in {literal(params['verbs'])})"
    named = "r.?resourceNames.orValue([])"
    # the API server writes `rules: null` of a role without any
    written = "(object.?rules.orValue(null) == null ? [] : object.rules)"
    bad = f"{written}.filter(r, {verbs} && {covered} && ({named}.size() == 0 || '' in {named}))"
    return Spoken(
        f"!({judged}) || variables.listing.size() == 0",
        "variables.listing.map(r, r.verbs.join(', ') + ' on ' + r.resources.join(', ')).join('; ')",
        (
            ("meant", f"{literal(meant)}[request.kind.kind]"),
            ("listing", bad),
        ),
    )


def _resources(texts: list[str]) -> frozenset[_Resource]:
    parts = [text.partition(".") for text in texts]
    return frozenset((group, plural) for plural, _, group in parts)


def _judge(lists: Lists, tokens: Tokens | None, subject: Subject) -> Iterator[Violation]:
    if subject.group == _RBAC and subject.kind in lists.over:
        if not lists.platform(subject.name) and not subject.object.get("aggregationRule"):
            yield from _role(lists, subject)
    elif tokens is not None:
        for pod in subject.pods:
            yield from _pod(tokens, subject, pod)


def _role(lists: Lists, subject: Subject) -> Iterator[Violation]:
    meant = lists.over[subject.kind]
    where = "cluster" if subject.kind == "ClusterRole" else "namespace"
    narrower = "a Role in one namespace, or get by name" if where == "cluster" else "get by name"
    for number, raw in enumerate(listing(subject.object.get("rules"))):
        rule = mapping(raw)
        verbs = [verb for verb in listing(rule.get("verbs")) if verb == "*" or verb in lists.verbs]
        groups = listing(rule.get("apiGroups"))
        resources = [text for text in listing(rule.get("resources")) if _covers(groups, text, meant)]
        names = listing(rule.get("resourceNames"))
        # a list of all has no name: ResourceNameMatches, pkg/apis/rbac/v1, lets it through for an empty one
        if verbs and resources and (not names or "" in names):
            found = f"{_listed(verbs)} on {_listed(resources)}"
            same = _each(lists, meant, groups, resources, verbs)
            yield Violation(f"{subject.pointer}/rules/{number}", f"lists over the {where}", found, narrower, same=same)


def _each(
    lists: Lists, meant: frozenset[_Resource], groups: list[Any], resources: list[Any], verbs: list[Any]
) -> tuple[str, ...]:
    """Return each verb on each resource that is meant, which is one of its API group, whatever a role calls it."""
    said = sorted({*map(str, verbs), *(lists.verbs if "*" in verbs else ())})
    one = [
        resource
        for resource in sorted(meant)
        if any(_covers(groups, text, frozenset([resource])) for text in resources)
    ]
    return tuple([f"{verb} on {plural}.{group}" for verb in said for group, plural in one])


def _covers(groups: list[Any], text: object, meant: frozenset[_Resource]) -> bool:
    """Say whether a resource of a rule is, or holds, one that is meant; `pods/log` is another resource than `pods`."""
    return any((text in ("*", plural)) and ("*" in groups or group in groups) for group, plural in meant)


def _pod(tokens: Tokens, subject: Subject, pod: Pod) -> Iterator[Violation]:
    account = pod.spec.get("serviceAccountName") or pod.spec.get("serviceAccount") or "default"
    if pod.spec.get("automountServiceAccountToken") is False or not isinstance(account, str):
        return
    if account != "default" and not tokens.everyone:
        return
    if tokens.accounts(account) or tokens.accounts(f"{subject.namespace}/{account}"):
        return
    if _declared(tokens, pod) or _given_none(subject, pod):
        return
    reason = "token that nothing declares" if tokens.everyone else "token of the default service account"
    own = "" if tokens.everyone else ", or a service account of its own"
    yield Violation(
        f"{pod.pointer}/spec/automountServiceAccountToken",
        reason,
        f"the token of service account {account} is mounted",
        f"automountServiceAccountToken: false{own}",
    )


def _declared(tokens: Tokens, pod: Pod) -> bool:
    text = pod.annotations.get(tokens.declaration) if tokens.declaration else None
    return isinstance(text, str) and bool(text.strip())


def _given_none(subject: Subject, pod: Pod) -> bool:
    """Say whether this is a Pod that the API server has filled in (it has a uid), without a token in it."""
    if (subject.group, subject.kind) != ("", "Pod") or not mapping(subject.object.get("metadata")).get("uid"):
        return False
    return not any(
        mapping(mount).get("mountPath") == _MOUNT
        for container in pod.containers
        for mount in listing(container.spec.get("volumeMounts"))
    )


def _listed(texts: list[Any]) -> str:
    return ", ".join(sorted({str(text) for text in texts}))
