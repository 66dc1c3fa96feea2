"""Who may set the mode of a namespace: whoever writes its label `plimsoll.dev/mode` needs a right of their own.

The label takes the force from every rule of a pack that honours it, so that the right to write namespaces is not
enough: it would be the right to switch the standards off. The right is a verb on a resource that nobody serves, asked
by a SubjectAccessReview, and for the cluster: a role in a namespace, whatever it allows, does not give it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from webhook.engine.facts import NOT_ASKED, Facts, Missing
from webhook.engine.mode import NAMESPACE_LABEL
from webhook.model import pointer as pointers
from webhook.model.access import Right
from webhook.model.decision import About, Action, Decision, Fault, Finding, Violation
from webhook.model.pods import mapping
from webhook.model.review import Review
from webhook.packs.rule import NAMESPACE, Ruleset

PACK, RULE = "plimsoll", "namespace-mode"
"""What answers, logs and metrics call it: it is no rule of any pack."""
CLUSTER_ROLE = "plimsoll-namespace-mode"
"""The ClusterRole that gives the right, as docs/cluster.md has it."""
VERB, GROUP, RESOURCE = "set-mode", "plimsoll.dev", "namespaces"
ENDPOINT = "advise"
"""Where Namespaces are judged. Whoever judges objects and no requests (`all`) does not know who writes them."""


def right(ruleset: Ruleset, review: Review, endpoint: str) -> Right | None:
    """Return the right that a review hangs on, None where on none.

    It hangs on one where it sets the label of a Namespace, or gives it another value, by whatever subresource; and
    some pack lets namespaces ask for a mode. To take the label away needs none.
    """
    if (review.kind.group, review.kind.kind) != NAMESPACE or endpoint != ENDPOINT:
        return None
    if review.operation not in ("CREATE", "UPDATE"):
        return None
    wanted = _mode(review.object)
    if wanted is None or wanted == _mode(review.old_object) or not ruleset.lenient:
        return None
    # a name that is still to be generated is nobody's: who may set any may set this one
    return Right(VERB, GROUP, RESOURCE, "" if review.name.endswith("*") else review.name)


def decide(ruleset: Ruleset, review: Review, facts: Facts, endpoint: str) -> Decision | None:
    """Return what comes of the right that a review hangs on, None where it hangs on none."""
    needed = right(ruleset, review, endpoint)
    return None if needed is None else weigh(needed, ruleset, review, facts)


def weigh(needed: Right, ruleset: Ruleset, review: Review, facts: Facts) -> Decision | None:
    """Return what comes of a right that a review hangs on, None where the requester has it.

    Without it the write is denied. So it is where nobody could say: only a write of the label waits for that. The
    server's dry-run, which refuses nobody anything, makes it `audit`.
    """
    if facts.access is True:
        return None
    action: Action = "audit" if ruleset.dry_run else "deny"
    packs = tuple(pack.title for pack in ruleset.lenient)
    about = _about(ruleset, review)
    decision = Decision(allowed=action != "deny", packs=packs)
    if isinstance(facts.access, Missing):
        why = facts.access.reason or "the API server was not asked"
        text = f"whether {_who(review)} has the right {needed} could not be had: {why}"
        wants = frozenset({"access"} if facts.access is NOT_ASKED else ())
        return replace(decision, unknown=(Fault(about, "unknown", text, action, "access"),), wants=wants)
    violation = Violation(
        pointers.join("/metadata/labels", NAMESPACE_LABEL),
        "no right to set the mode of a namespace",
        f"{NAMESPACE_LABEL}: {_mode(review.object)}, written by {_who(review)}",
        f"the right {needed}",
    )
    return replace(decision, findings=(Finding(about, violation, action),))


def join(one: Decision, other: Decision) -> Decision:
    """Return two decisions on one review as one."""
    return replace(
        one,
        allowed=one.allowed and other.allowed,
        findings=tuple(sorted((*one.findings, *other.findings), key=_place)),
        errors=(*one.errors, *other.errors),
        unknown=(*one.unknown, *other.unknown),
        packs=tuple(sorted({*one.packs, *other.packs})),
        wants=one.wants | other.wants,
    )


def _about(ruleset: Ruleset, review: Review) -> About:
    return About(
        PACK,
        "",
        RULE,
        "deny",
        severity="high",
        responsible="platform",
        remediation=_remediation(ruleset, review),
    )


def _remediation(ruleset: Ruleset, review: Review) -> str:
    """Return what somebody without the right is to do."""
    contacts = sorted({pack.contact for pack in ruleset.lenient if pack.contact})
    give = f"Have the ClusterRole {CLUSTER_ROLE}, which gives it, bound to {_who(review)} by a ClusterRoleBinding"
    ask = f" (ask {', or '.join(contacts)})" if contacts else ""
    return f"{give}{ask}, or leave the label out."


def _who(review: Review) -> str:
    return f"user {review.user}" if review.user else "a user without a name"


def _mode(obj: Any) -> Any:
    return mapping(mapping(mapping(obj).get("metadata")).get("labels")).get(NAMESPACE_LABEL)


def _place(finding: Finding) -> tuple[str, str]:
    return (finding.pack, finding.rule)
