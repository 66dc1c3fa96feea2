"""Workloads that were there before a rule: what a built-in controller makes for them again is let in, and reported.

So that a drained node is never an outage. Four things have to be so, since whoever writes an object writes its
ownerReferences: the controller itself asks, under its own user; the owner that it names has that uid in the cluster;
the owner's own template has the same finding; and the owner is older than the day from which the rule denies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

from webhook.engine.facts import Facts, Missing, Owner
from webhook.engine.marks import Key
from webhook.engine.view import UNASKED, controller
from webhook.model.decision import Since
from webhook.model.pods import Subject, group_of, mapping
from webhook.model.record import record
from webhook.model.review import Review
from webhook.model.workloads import Kinds
from webhook.packs.match import Lacking
from webhook.packs.rule import Rule

MANAGER = "system:kube-controller-manager"
"""Who asks where the controllers have no users of their own: kube-controller-manager without
`--use-service-account-credentials`."""
_USER = "system:serviceaccount:kube-system:"
# cmd/kube-controller-manager/app, NewClient: the service accounts of those controllers that make what we judge
_CONTROLLERS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("apps", "DaemonSet"): "daemon-set-controller",
        ("apps", "Deployment"): "deployment-controller",
        ("apps", "ReplicaSet"): "replicaset-controller",
        ("apps", "StatefulSet"): "statefulset-controller",
        ("batch", "CronJob"): "cronjob-controller",
        ("batch", "Job"): "job-controller",
        ("", "ReplicationController"): "replication-controller",
    }
)


@record(frozen=True, slots=True)
class Line:
    """The owners of an object, nearest first: what each has of a rule's findings, and since when, if before its day.

    `lacking` says why nobody knows who stands above them.
    """

    owners: tuple[tuple[frozenset[Key], Since | None], ...] = ()
    lacking: Lacking | None = None

    def before(self, keys: frozenset[Key]) -> Since | Lacking | None:
        """Return the owner that had a finding before the rule's day, None where none had, or what is lacking to tell.

        It is the first that is old enough; those below it, which are made anew (the ReplicaSet of a roll-out, the Job
        of a CronJob), have to have the finding, too.
        """
        for has, since in self.owners:
            if not keys <= has:
                return None
            if since is not None:
                return since
        return self.lacking


def asked(rule: Rule, review: Review, subject: Subject) -> bool:
    """Say whether a rule may excuse a subject because its owner was there before, as far as can be told without facts.

    It says `existing: allow` and from which day it denies; and the built-in controller of the owner is who creates.
    """
    if not rule.existing or rule.enforce_from is None or subject.pointer:
        return False
    if review.operation != "CREATE" or review.subresource:
        return False
    owner = controller(subject.object) or {}
    made_by = _CONTROLLERS.get((group_of(owner.get("apiVersion")), str(owner.get("kind"))))
    return made_by is not None and review.user in (_USER + made_by, MANAGER)


def line(
    subject: Subject, facts: Facts, day: date, kinds: Kinds, has: Callable[[Owner, Facts], frozenset[Key]]
) -> Line:
    """Return the owners of a subject that the cluster has.

    `day` is the rule's, in UTC; `has` gives what an owner's own object has of its findings, with the facts about it.
    """
    reference = controller(subject.object)
    known = facts.owners if isinstance(facts.owners, tuple) else facts.owners.found
    found: list[tuple[frozenset[Key], Since | None]] = []
    for owner, above in _upwards(known, facts):
        if reference is None or not _same(owner, reference):
            return Line(tuple(found))
        found.append((has(owner, above), _since(owner, day)))
        reference = controller(owner.object)
    # a kind without pods has no finding to be found, whoever wrote its name there
    if reference is None or (group_of(reference.get("apiVersion")), str(reference.get("kind"))) not in kinds:
        return Line(tuple(found))
    if not isinstance(facts.owners, Missing):
        return Line(tuple(found))
    why = f"{reference.get('kind')} {reference.get('name')}: {facts.owners.reason or UNASKED}"
    return Line(tuple(found), Lacking("owners", why))


def _upwards(owners: tuple[Owner, ...], facts: Facts) -> Iterator[tuple[Owner, Facts]]:
    for number, owner in enumerate(owners):
        yield owner, replace(facts, owners=owners[number + 1 :])


def _same(owner: Owner, reference: Mapping[str, Any]) -> bool:
    """Say whether an owner, as the cluster has it, is who a reference means: its uid is nobody's to choose."""
    uid = mapping(owner.object.get("metadata")).get("uid")
    meant = (group_of(reference.get("apiVersion")), reference.get("kind"), reference.get("name"), reference.get("uid"))
    return bool(uid) and (owner.group, owner.kind, owner.name, uid) == meant


def _since(owner: Owner, day: date) -> Since | None:
    """Return since when an owner has been there, None where that is not before a day of UTC, or not known."""
    text = mapping(owner.object.get("metadata")).get("creationTimestamp")
    try:
        made = datetime.fromisoformat(str(text)).astimezone(UTC).date()
    except (ValueError, OverflowError):  # the year 1 has no other time zone
        return None
    return Since(f"{owner.kind} {owner.name}", made.isoformat()) if made < day else None
