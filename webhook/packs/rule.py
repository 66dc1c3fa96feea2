"""A compiled pack: immutable, everything parsed and compiled, ready to be looked up and run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from datetime import date
from typing import Any

from webhook.checks.cel import Program, Several
from webhook.checks.check import Check
from webhook.model.decision import About, Action
from webhook.model.kinds import CLUSTER_SCOPED
from webhook.model.pods import Pod, mapping
from webhook.model.record import record
from webhook.model.review import Review
from webhook.model.workloads import KINDS, Kinds
from webhook.packs.exempt import Exemption
from webhook.packs.match import Out, Scope
from webhook.packs.mentions import Mentions


@record(frozen=True, slots=True)
class Terms:
    """The variables of a rule in CEL as (name, text), in order, and the words that they may use, each with its key.

    A program has its variables built in; these are for whoever wants to see what each of them gives.
    """

    variables: tuple[tuple[str, str], ...] = ()
    words: Mapping[str, str] = field(default_factory=dict, compare=False)


@record(frozen=True, slots=True)
class Expression:
    """A rule in CEL: it is kept where `holds` is true. `message` says what is wanted."""

    holds: Program
    text: str
    message: str
    says: Program | None
    mentions: Mentions = Mentions()
    terms: Terms = Terms()


@record(frozen=True, slots=True)
class Write:
    """One operation of a patch: `tokens` from the pod, `*` for every element; a value, or CEL that gives it."""

    op: str
    tokens: tuple[str, ...]
    value: Any
    program: Program | None


@record(frozen=True, slots=True)
class Mutation:
    """A fix in YAML: where `when` is true, the writes are made."""

    when: Program
    text: str
    message: str
    writes: tuple[Write, ...]
    mentions: Mentions = Mentions()
    terms: Terms = Terms()

    @property
    def wanted(self) -> str:
        """What the patch writes, for a person: each operation with its path."""
        return ", ".join(f"{write.op} /{'/'.join(write.tokens)}" for write in self.writes)


@record(frozen=True, slots=True)
class Pack:
    """What the rules of one pack share. `mode` is the one that counts, after `--mode`."""

    name: str
    version: str
    mode: str
    contact: str
    description: str
    namespace_modes: frozenset[str]
    exemptions: tuple[Exemption, ...]
    source: str

    @property
    def title(self) -> str:
        """Return `name:version`, or the name alone."""
        return f"{self.name}:{self.version}" if self.version else self.name


@record(frozen=True, slots=True)
class Rule:
    """One compiled rule. Exactly one of `check`, `expression` and `mutation` is there.

    `reads` are the parts of an object that it looks at (`pod`, `object`), `object_roots` the fields of `object`, where
    only some are; `always` says that it also reads what
    a comparison of old and new cannot tell (the request, the old object, facts). `on_workload`: it judges the
    workload, not its pods, and skips objects that another workload's controller made. `on_replicas`: it can judge
    a Scale too. `needs_namespace` and
    `needs_owners` say which facts its scope hangs on; `reads_namespace`, that its CEL reads `namespaceObject`. `hangs`
    says that its scope hangs on more than operation, kind and namespace; `narrows`, that it leaves containers out;
    `seeks`, that its check, or its fix, looks for something beside an object, or asks what images are.
    `check_name` is the name of its check; `description` says why the rule is there.
    """

    pack: Pack
    about: About
    scopes: tuple[Scope, ...]
    kinds: frozenset[tuple[str, str]]
    operations: frozenset[str]
    reads: frozenset[str]
    object_roots: frozenset[str] | None
    always: bool
    on_workload: bool
    on_replicas: bool
    fix: bool
    quiet: bool
    existing: bool
    enforce_from: date | None
    on_error: Action
    on_unknown: Action
    needs_namespace: bool
    needs_owners: bool
    reads_namespace: bool
    hangs: bool
    narrows: bool
    containers_key: str
    check: Check | None = None
    expression: Expression | None = None
    mutation: Mutation | None = None
    exemptions: tuple[Exemption, ...] = ()
    seeks: bool = False
    check_name: str = ""
    description: str = ""

    @property
    def label(self) -> str:
        """Return `pack/rule`."""
        return f"{self.about.pack}/{self.about.rule}"


@record(frozen=True, slots=True)
class Chorus:
    """Rules in CEL of one scope, which concern a review all or none, and the program that asks all of them at once."""

    asks: Several
    rules: tuple[Rule, ...]

    @property
    def pods(self) -> bool:
        """Say whether they are about the pods of an object."""
        return "pod" in self.rules[0].reads


@record(frozen=True, slots=True)
class Panel:
    """Rules whose checks look at the same of every pod, and what glances for all of them: see `Part`.

    `bits` are those of all the rules.
    """

    broken: Callable[[Pod, int], int]
    bits: int
    rules: tuple[Rule, ...]

    def kept(self, found: int) -> list[Rule]:
        """Return the rules that are kept where `found` are the bits of what is not."""
        return [rule for rule in self.rules if rule.check and rule.check.part and not rule.check.part.bits & found]


@record(frozen=True, slots=True)
class Bucket:
    """The rules for one kind, operation and namespace at one endpoint, in order, and which facts they need.

    `seekers` are those that look beside an object or into images, `inspectors` those of them that look into images,
    `choruses` and `panels` those that can be asked together, `alone` the others; `packs` are the titles of their packs.
    """

    rules: tuple[Rule, ...] = ()
    namespace: bool = False
    owners: bool = False
    seekers: tuple[Rule, ...] = ()
    packs: tuple[str, ...] = ()
    choruses: tuple[Chorus, ...] = ()
    alone: tuple[Rule, ...] = ()
    inspectors: tuple[Rule, ...] = ()
    panels: tuple[Panel, ...] = ()

    @classmethod
    def of(cls, rules: Iterable[Rule], choruses: Iterable[Chorus]) -> Bucket:
        """Return the bucket of some rules, with those choruses whose rules are all among them."""
        listed = tuple(rules)
        there = set(map(id, listed))
        whole = tuple(one for one in choruses if there.issuperset(map(id, one.rules)))
        panels = tuple(_panels(listed))
        asked = (*(chorus.rules for chorus in whole), *(panel.rules for panel in panels))
        together = {id(rule) for some in asked for rule in some}
        return cls(
            listed,
            any(rule.needs_namespace for rule in listed),
            any(rule.needs_owners for rule in listed),
            tuple(rule for rule in listed if rule.seeks),
            titles(listed),
            whole,
            tuple(rule for rule in listed if id(rule) not in together),
            tuple(rule for rule in listed if rule.check is not None and rule.check.into_images),
            panels,
        )


def _panels(rules: Iterable[Rule]) -> Iterator[Panel]:
    """Yield the rules that can be asked together of each pod: those whose scope hangs on nothing but the bucket."""
    sharing: dict[Callable[[Pod, int], int], list[Rule]] = {}
    for rule in rules:
        apart = rule.hangs or rule.narrows or rule.on_workload
        if rule.check is not None and rule.check.part is not None and not apart:
            sharing.setdefault(rule.check.part.broken, []).append(rule)
    for broken, some in sharing.items():
        bits = 0
        for rule in some:
            bits |= rule.check.part.bits if rule.check and rule.check.part else 0
        yield Panel(broken, bits, tuple(some))


def titles(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Return the packs of rules, sorted, each once."""
    packs = {id(rule.pack): rule.pack for rule in rules}
    return tuple(pack.title for pack in sorted(packs.values(), key=lambda pack: pack.name))


Width = Mapping[str, frozenset[str] | None]
"""Fields of an object, each with the fields below it that are looked at; None: all of them."""
SCALE = "scale"
NAMESPACE = ("", "Namespace")
Key = tuple[str, str, str]
BUCKETS = 4096
"""Buckets that are kept, by kind, operation and namespace; more namespaces than that begin anew."""


@record(frozen=True, slots=True)
class Ruleset:
    """All packs, compiled; `index` finds the rules by (endpoint, group, kind).

    `choruses` finds those that can be asked together. `values` are the values of every pack under the key that its
    CEL reads them by, `widths` what CEL reads of objects, by word, where that is not all. `dry_run` is the server's.
    `buckets` keeps what `bucket` has found; it follows from the rest.
    """

    packs: tuple[Pack, ...] = ()
    rules: tuple[Rule, ...] = ()
    index: Mapping[Key, tuple[Rule, ...]] = field(default_factory=dict)
    choruses: Mapping[Key, tuple[Chorus, ...]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    widths: Mapping[str, Width] = field(default_factory=dict)
    kinds: Kinds = field(default_factory=lambda: KINDS)
    dry_run: bool = False
    buckets: dict[Any, Bucket] = field(default_factory=dict, repr=False, compare=False)

    @property
    def lenient(self) -> tuple[Pack, ...]:
        """The packs that let a namespace ask for a mode by its label, which somebody then has to guard."""
        return tuple(pack for pack in self.packs if pack.namespace_modes and pack.mode != "disabled")

    def bucket(self, endpoint: str, review: Review) -> Bucket:
        """Return the rules that concern a review at an endpoint (`validate`, `advise`, `mutate`, `all`).

        By its kind, its operation, and, where that is known, by its namespace; of a Scale those on replicas alone:
        the rest of the workload is not in it.
        """
        namespace = self._namespace(review)
        key = (
            endpoint,
            (review.kind.group, review.kind.kind),
            review.operation,
            review.subresource == SCALE,
            namespace,
        )
        found = self.buckets.get(key)
        if found is None:
            if len(self.buckets) >= BUCKETS:
                self.buckets.clear()
            found = self.buckets[key] = self._narrowed(endpoint, review, namespace)
        return found

    def _narrowed(self, endpoint: str, review: Review, namespace: str) -> Bucket:
        key = (endpoint, review.kind.group, review.kind.kind)
        rules = (rule for rule in self.index.get(key, ()) if _passed_over(rule, review, namespace) is None)
        return Bucket.of(rules, self.choruses.get(key, ()))

    def passed_over(self, endpoint: str, review: Review, rule: Rule) -> Out | None:
        """Return why a rule is not in the bucket of a review; None where it is.

        The clause is that of a match, or `mode` (its pack is disabled), `endpoint` (another one is asked), `scale`
        (it does not judge replicas).
        """
        if rule.pack.mode == "disabled":
            return Out("mode")
        kind = (review.kind.group, review.kind.kind)
        for place, clause in (("all", "kinds"), (endpoint, "endpoint")):
            if not any(one is rule for one in self.index.get((place, *kind), ())):
                whose = next((scope.whose for scope in rule.scopes if scope.kinds and kind not in scope.kinds), "")
                return Out(clause, whose if clause == "kinds" else "")
        return _passed_over(rule, review, self._namespace(review))

    def _namespace(self, review: Review) -> str:
        """Return the namespace that a bucket is for; '' where only each subject's own counts."""
        kind = (review.kind.group, review.kind.kind)
        row = self.kinds.get(kind)
        # what a wrapper carries may lie in any namespace, and cluster-scoped kinds lie in none; one is its own
        namespace = review.namespace if kind not in CLUSTER_SCOPED and not (row and row.wraps) else ""
        return review.name if kind == NAMESPACE else namespace

    def workload(self, review: Review) -> Review:
        """Return a review as one of the workload: that of a Scale names the kind that is scaled, not `Scale`.

        `spec.replicas` is filled in: 0 is left out on the wire (autoscaling/v1 ScaleSpec, `omitempty`).
        """
        if review.subresource != SCALE:
            return review
        for (group, kind), row in self.kinds.items():
            if (group, row.resource) == (review.resource_group, review.resource):
                return replace(
                    review,
                    kind=replace(review.kind, group=group, kind=kind),
                    object=_whole(review.object),
                    old_object=_whole(review.old_object),
                )
        return review

    def concerned(self) -> Mapping[str, frozenset[tuple[str, str]]]:
        """Return, by endpoint, the (group, kind) that some rule concerns: what is to be registered.

        Where a pack lets namespaces ask for a mode, Namespaces are among them: who sets it is asked for a right.
        """
        result: dict[str, set[tuple[str, str]]] = {"validate": set(), "advise": set(), "mutate": set()}
        if self.lenient:
            result["advise"].add(NAMESPACE)
        for (endpoint, group, kind), rules in self.index.items():
            if rules and endpoint in result:
                result[endpoint].add((group, kind))
        return {endpoint: frozenset(kinds) for endpoint, kinds in result.items()}


def _passed_over(rule: Rule, review: Review, namespace: str) -> Out | None:
    if review.operation not in rule.operations:
        narrowing = (
            scope.whose for scope in rule.scopes if scope.operations and review.operation not in scope.operations
        )
        return Out("operations", next(narrowing, ""))
    if review.subresource == SCALE and not rule.on_replicas:
        return Out("scale")
    for scope in rule.scopes if namespace else ():
        clause = scope.shuts(namespace)
        if clause:
            return Out(clause, scope.whose)
    return None


def _whole(scale: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if scale is None else {**scale, "spec": {"replicas": 0, **mapping(scale.get("spec"))}}
