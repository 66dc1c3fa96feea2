"""What an update changes, and so which rules have anything to say to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webhook.engine.view import inspects, seeks
from webhook.model.pods import Subject, claims, mapping, subjects, templates
from webhook.model.review import Review
from webhook.packs.rule import Rule, Ruleset

# written by the API server itself, or about the object's end; no rule can be kept or broken by them
_BOOKKEEPING = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
# of an object: what no rule can be kept or broken by, and what is compared in part
_APART = frozenset({"status", "metadata"})


class Changes:
    """Compares the object of an update with the old one, part by part, each at most once."""

    def __init__(self, review: Review, ruleset: Ruleset, seen: tuple[Subject, ...] | None = None) -> None:
        """Compare for one review; `seen` are its subjects, where somebody has read them."""
        self._review = review
        self._seen = seen
        self._ruleset = ruleset
        self._kinds = ruleset.kinds
        self._new, self._old = mapping(review.object), mapping(review.old_object)
        self._same: dict[str, bool] = {}
        # an API server reads objects of its own groups, which have no dots, into types: there no 1 is a true
        self._typed = "." not in review.kind.group

    def concerned(self, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        """Return the rules that read something that this update changes.

        Rules that read the request, the old object or facts are always concerned, but not where only status,
        finalizers or the API server's own bookkeeping differ.
        """
        if self.same("object"):
            return () if _ending(self._new) != _ending(self._old) else tuple(filter(self._always, rules))
        concerned = tuple(rule for rule in rules if not self._untouched(rule) or self._always(rule))
        return rules if len(concerned) == len(rules) else concerned

    def _always(self, rule: Rule) -> bool:
        """Say whether a rule reads what no comparison of objects shows: the request, or facts."""
        if rule.always or not rule.seeks:
            return rule.always
        if self._seen is None:
            self._seen = self._subjects(self._new)
        asked = (
            ask(self._ruleset, (rule,), self._review, subject) for subject in self._seen for ask in (seeks, inspects)
        )
        return any(True for asks in asked for _ in asks)

    def _subjects(self, obj: Mapping[str, Any]) -> tuple[Subject, ...]:
        review, kind = self._review, self._review.kind
        return subjects(obj, kind.group, kind.kind, review.namespace, review.name, self._kinds)

    def _untouched(self, rule: Rule) -> bool:
        parts: set[str] = set(rule.reads)
        if "object" in parts and rule.object_roots is not None:
            parts = (parts - {"object"}) | {f"object.{root}" for root in rule.object_roots}
        if any(scope.object_selector for scope in rule.scopes):
            parts.add("labels")
        return all(self.same(part) for part in parts)

    def same(self, part: str) -> bool:
        """Say whether `part` (`object`, one field of it as `object.spec`, `pod`, `labels`) is the same as before."""
        found = self._same.get(part)
        if found is None:
            found = self._same[part] = self._compared(part)
        return found

    def _compared(self, part: str) -> bool:
        new, old = self._new, self._old
        if part == "pod":
            return self._equal(self._pods(new), self._pods(old))
        if part == "labels":
            return self._equal(_labels(new), _labels(old))
        if part == "object":  # its metadata last: it is copied nowhere, and most updates change something else
            return self._but(new, old, _APART) and self.same("object.metadata")
        whole, _, field = part.partition(".")
        if whole != "object":  # a part that nobody compares must not count as unchanged
            raise KeyError(part)
        if field == "metadata":
            return self._but(mapping(new.get(field)), mapping(old.get(field)), _BOOKKEEPING)
        return field == "status" or self._equal(new.get(field), old.get(field))

    def _equal(self, new: Any, old: Any) -> bool:
        return bool(new == old) and (self._typed or _of_one_type(new, old))

    def _but(self, new: dict[str, Any], old: dict[str, Any], left_out: frozenset[str]) -> bool:
        """Say whether two maps are the same but for some keys."""
        for key, value in new.items():
            if key not in left_out and not (key in old and self._equal(value, old[key])):
                return False
        return all([key in new or key in left_out for key in old])

    def _pods(self, obj: Mapping[str, Any]) -> list[Any]:
        kind = self._review.kind
        row = self._kinds.get((kind.group, kind.kind))
        if row is not None and not row.wraps:
            # with the claims that come with its pods: OpenKruise lets them be changed by themselves
            made = [(one.name, one.path, one.metadata, one.spec) for one in claims(obj, row)]
            return [(where, _plain(metadata), spec, made) for where, metadata, spec, _ in templates(obj, row)]
        found = self._subjects(obj)
        # a wrapped manifest counts whole: its scope hangs on its own name, namespace and labels; so does an
        # object of a kind without pods, which a rule that reads pods judges in their place
        return [
            (
                s.pointer,
                _matter(s.object) if s.pointer or (s.group, s.kind) not in self._kinds else None,
                [(p.pointer, _plain(p.metadata), p.spec) for p in s.pods],
            )
            for s in found
        ]


def equal(new: Any, old: Any) -> bool:
    """Say whether two values of JSON are the same; to Python, 1 is true, and 0 is false."""
    return bool(new == old) and _of_one_type(new, old)


def _of_one_type(new: Any, old: Any) -> bool:
    """Say whether equal values are of the same types all the way down; most are texts, which equal nothing else."""
    if isinstance(new, dict):
        return all([isinstance(value, str) or _of_one_type(value, old[key]) for key, value in new.items()])
    if isinstance(new, list | tuple):
        return all([isinstance(one, str) or _of_one_type(one, other) for one, other in zip(new, old, strict=True)])
    return type(new) is type(old)


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key not in _BOOKKEEPING}


def _ending(obj: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what an update of the status, or of the object's end, changes."""
    metadata = mapping(obj.get("metadata"))
    return obj.get("status"), metadata.get("finalizers"), metadata.get("deletionTimestamp")


def _matter(obj: Mapping[str, Any]) -> dict[str, Any]:
    parts = {key: value for key, value in obj.items() if key != "status"}
    parts["metadata"] = _plain(mapping(obj.get("metadata")))
    return parts


def _labels(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(mapping(obj.get("metadata")).get("labels"))
