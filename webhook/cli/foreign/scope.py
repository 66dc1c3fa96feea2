"""What the scopes of several engines have in common: kinds, users, namespaces and selectors in our words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from webhook.cli.foreign.outcome import Refusal
from webhook.cli.foreign.words import either, glob, quote
from webhook.model import kinds
from webhook.model.pods import mapping
from webhook.model.workloads import KINDS

CONTROLLERS = (
    ("CronJob", "cronjobs"),
    ("DaemonSet", "daemonsets"),
    ("Deployment", "deployments"),
    ("Job", "jobs"),
    ("ReplicaSet", "replicasets"),
    ("ReplicationController", "replicationcontrollers"),
    ("StatefulSet", "statefulsets"),
)
"""The kinds with a pod template that Kyverno makes rules for beside those for Pods, with their plural."""
_PLURALS = {(row.group, row.resource): row.kind for row in KINDS.values()} | {
    (group, plural): kind for (group, kind), plural in kinds.OTHERS.items()
}


def texts(given: Any, pointer: str = "") -> list[str]:
    """Return a list of texts. Raises Refusal where it is none."""
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise Refusal("is no list of texts", pointer)
    return given


def entries(given: Any, pointer: str = "") -> list[Mapping[str, Any]]:
    """Return a list of mappings, empty where there is none. Raises Refusal where it is something else."""
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        raise Refusal("is no list of mappings", pointer)
    return given


def kind(group: str, name: str) -> str:
    """Return a kind as `match.kinds` has it. Raises Refusal for a wildcard, and a bare kind that is not known."""
    if "*" in name or "?" in name or "*" in group or "/" in name or "." in name:
        raise Refusal(f"the kind {name} is a wildcard or a subresource; kinds are literal here")
    try:
        known = kinds.find(name, KINDS)
    except ValueError as error:
        if group:
            return f"{group}/{name}"
        raise Refusal(str(error)) from error
    return name if known[0] == group else f"{group}/{name}" if group else name


def of_resource(group: str, plural: str) -> str:
    """Return the kind of a resource as `match.kinds` has it. Raises Refusal where it is not known."""
    found = _PLURALS.get((group, plural))
    if found is None:
        raise Refusal(f"the resource {plural} of the group {group or 'core'} is not known here; kinds are")
    return kind(group, found)


def is_judged_whole(wanted: Iterable[str]) -> None:
    """Raise Refusal where rules on the object as a whole leave some of these kinds out: what a controller made."""
    owned = {row.kind for row in KINDS.values() if row.owners}
    for name in wanted:
        if name.rpartition("/")[2] in owned:
            raise Refusal(f"a rule on {name} as a whole leaves those out here that a controller made")


def spaced(wanted: Iterable[str]) -> None:
    """Raise Refusal where clauses on namespaces never leave out some of these kinds, because they are in none."""
    for name in wanted:
        found = kinds.find(name, KINDS)
        if found in kinds.CLUSTER_SCOPED and found != ("", "Namespace"):
            raise Refusal(f"clauses on namespaces do not leave out {name} here, which is in none")


def selector(given: Any) -> dict[str, Any]:
    """Return a LabelSelector. Raises Refusal where it has wildcards, as Kyverno's may."""
    if not isinstance(given, Mapping):
        raise Refusal("the selector is no mapping")
    said = [str(part) for pair in mapping(given.get("matchLabels")).items() for part in pair]
    for clause in entries(given.get("matchExpressions")):
        said += [str(clause.get("key")), *texts(clause.get("values") or [])]
    if any("*" in text or "?" in text for text in said):
        raise Refusal("the selector has wildcards; here it is one of Kubernetes'")
    if unknown := given.keys() - {"matchLabels", "matchExpressions"}:
        raise Refusal(f"the selector has {', '.join(sorted(unknown))}, which is not known")
    return dict(given)


def subject(given: Mapping[str, Any]) -> tuple[str, str]:
    """Return the kind (User or Group) and name, or glob, of an RBAC subject."""
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise Refusal("a subject has no name")
    if given.get("kind") in ("User", "Group"):
        return str(given["kind"]), name
    if given.get("kind") == "ServiceAccount" and given.get("namespace"):
        return "User", f"system:serviceaccount:{given['namespace']}:{name}"
    raise Refusal("a subject is neither a User, a Group, nor a ServiceAccount with its namespace")


def asked_by(subjects: Iterable[tuple[str, str]]) -> str:
    """Return CEL for: one of these users or groups asks."""
    ways = []
    for what, name in subjects:
        if what == "User":
            ways.append(glob("request.userInfo.username", name))
        elif "*" in name or "?" in name:
            ways.append(f"request.userInfo.?groups.orValue([]).exists(g, {glob('g', name)})")
        else:
            ways.append(f"{quote(name)} in request.userInfo.?groups.orValue([])")
    return either(ways)
