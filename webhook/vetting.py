"""Judges a pack that somebody applies to the cluster: can it be loaded beside those that are in force?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from webhook.checks import CHECKS
from webhook.cli.lint import advice
from webhook.errors import ConfigError
from webhook.model.pods import mapping
from webhook.model.review import Review
from webhook.packs import served
from webhook.packs.load import load
from webhook.packs.merge import CHAIN, base_of, name_of
from webhook.packs.parse import scan
from webhook.packs.rule import Ruleset
from webhook.packs.schema import KIND
from webhook.packs.served import Text

ASKED = ("CREATE", "UPDATE")


class Vetter:
    """Called with a review of a RulePack or a ConfigMap; threads may call it, one is served at a time."""

    def __init__(
        self,
        in_force: Callable[[], Sequence[Text]],
        attempt: Callable[[Sequence[Text]], Ruleset],
        bases: Sequence[Text],
        *,
        namespace: str = "",
        stored: Callable[[str], Mapping[str, object] | None] = lambda name: None,
        waits: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Judge packs beside those `in_force`, compiled by `attempt`, which raises ConfigError.

        `bases` may be extended by any. `namespace` is the one whose ConfigMaps count (empty: any). `stored` returns
        the RulePack of a name as the cluster has it, None where it has none or does not say: a pack may come together
        with its base, which is not in force yet. `waits` is called before it takes long.
        """
        self._in_force = in_force
        self._attempt = attempt
        self._bases = bases
        self._namespace = namespace
        self._stored = stored
        self._waits = waits
        self._now = now
        self._one = threading.Lock()

    def __call__(self, review: Review) -> tuple[list[str], list[str]]:
        """Return every mistake, a line each, and where there is none, advice."""
        given = self._given(review, review.object)
        if review.operation not in ASKED or review.subresource or not given:
            return [], []
        if mapping(mapping(review.object).get("metadata")).get("deletionTimestamp"):
            return [], []  # finalizers are taken from it; it is out of force soon
        if review.old_object is not None and self._given(review, review.old_object) == given:
            return [], []  # not the pack is changed, but what stands around it
        self._waits()
        with self._one:
            return self._judged(review, given)

    def _given(self, review: Review, obj: Mapping[str, object] | None) -> list[Text]:
        if obj is None:
            return []
        if (review.kind.group, review.kind.kind) == (served.GROUP, KIND):
            return [served.rulepack(obj)]
        if (review.kind.group, review.kind.kind) != ("", "ConfigMap"):
            return []
        return served.configmap(obj) if self._namespace in ("", review.namespace) else []

    def _judged(self, review: Review, given: list[Text]) -> tuple[list[str], list[str]]:
        if review.kind.kind == "ConfigMap":
            prefix = served.configmap_name(review.name)
            others = [text for text in self._in_force() if not text[0].startswith(prefix)]
        else:
            others = [text for text in self._in_force() if text[0] != given[0][0]]
        others += self._bases_of(given, others)
        everything = [*others, *given]
        try:
            compiled = self._attempt(everything)
        except ConfigError as error:
            return [str(problem) for problem in error.problems], []
        return [], self._advice(given, everything, compiled)

    def _bases_of(self, given: list[Text], others: Sequence[Text]) -> list[Text]:
        """Return the packs that the given ones extend and that are in the cluster, but not in force yet."""
        named, wanted = _names([*others, *given])
        named |= _names(self._bases)[0]
        found: list[Text] = []
        for _ in range(CHAIN):
            missing = sorted(wanted - named - {""})
            if not missing:
                break
            for name in missing:
                obj = self._stored(name)
                if obj is not None:
                    found.append(served.rulepack(obj))
            more = _names(found)
            named |= more[0] | set(missing)
            wanted = more[1]
        return found

    def _advice(self, given: list[Text], everything: list[Text], compiled: Ruleset) -> list[str]:
        ours = {name for name, _ in given}
        sound = load(everything, CHECKS, self._bases).sound
        documents = [document for document in sound if document.place(()).source in ours]
        written = "\n".join(text for _, text in (*everything, *self._bases))
        return [str(one) for one in advice(documents, compiled, self._now().date(), written) if one.source in ours]


def _names(texts: Sequence[Text]) -> tuple[set[str], set[str]]:
    """Return the names of packs, and of those that they extend."""
    documents = [document for source, text in texts for document in scan(source, text)[0]]
    return {name_of(document) for document in documents}, {base_of(document) for document in documents}
