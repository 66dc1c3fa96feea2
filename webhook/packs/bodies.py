"""What a rule does, compiled: a check with its parameters, a CEL expression, or a patch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from webhook.checks import Module
from webhook.checks.check import Check, ParamError
from webhook.model import pointer
from webhook.model.kinds import find
from webhook.model.record import record
from webhook.model.workloads import KINDS
from webhook.packs.mentions import mentions, on_replicas
from webhook.packs.notes import Notes, entries
from webhook.packs.parse import Path
from webhook.packs.rule import Expression, Mutation, Terms, Write

SHARED = ("object", "oldObject", "request", "namespaceObject")


@record(frozen=True, slots=True)
class Body:
    """One of a check, an expression and a mutation; `words` are what it reads (`pod`, `object`, `request`, ...)."""

    words: frozenset[str]
    check: Check | None = None
    expression: Expression | None = None
    mutation: Mutation | None = None
    on_replicas: bool = False
    object_roots: frozenset[str] | None = None
    more_kinds: frozenset[tuple[str, str]] = frozenset()

    @property
    def on_workload(self) -> bool:
        """Say whether it judges the object (its labels, replicas, strategy), and not the pods in it."""
        if self.check is not None:
            return self.check.pod is None
        return "object" in self.words and not self.words & {"pod", "containers"}


def containers_key(pack: int, rule: int, narrows: bool) -> str:
    """Return the name under which the CEL of a rule finds its `containers`: all rules that take all share one."""
    return f"p{pack}r{rule}.containers" if narrows else "containers"


def together(roots: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """Return the fields of `object` that several texts look at; None where one takes it whole."""
    found: set[str] = set()
    for some in roots:
        if some is None:
            return None
        found |= some
    return frozenset(found)


def values_key(pack: int) -> str:
    """Return the name under which the CEL of a pack finds its `values`."""
    return f"p{pack}.values"


def scope_names(pack: int) -> dict[str, str]:
    """Return what `matchConditions` may name, and the name of each in the activation."""
    return {**{word: word for word in SHARED}, "values": values_key(pack)}


def body(
    notes: Notes, path: Path, entry: Mapping[str, Any], pack: int, narrows: bool, checks: Mapping[str, Module]
) -> Body | None:
    """Return what a rule does; None where it has problems, which are noted. `narrows`: it leaves containers out."""
    if "check" in entry:
        return _check(notes, path, entry, checks[entry["check"]])
    names = {**scope_names(pack), "pod": "pod", "containers": containers_key(pack, int(path[-1]), narrows)}
    variables = [(variable["name"], variable["expression"]) for _, variable in entries(entry, "variables")]
    make = _expression if "expression" in entry else _mutation
    return make(notes, path, entry, names, variables)


def _check(notes: Notes, path: Path, entry: Mapping[str, Any], module: Module) -> Body | None:
    try:
        check = module.build({**module.DEFAULTS, **entry.get("params", {})})
    except ParamError as error:
        for below, text in error.problems:
            notes.problem((*path, "params", *below), text)
        return None
    if entry.get("fix") and not check.fixes:
        notes.problem((*path, "fix"), f"check {module.ID} offers no fix; take `fix: true` away")
    more = frozenset(find(kind, KINDS) for kind in module.KINDS)
    return Body(frozenset(module.READS), check=check, on_replicas="replicas" in module.READS, more_kinds=more)


def _expression(
    notes: Notes, path: Path, entry: Mapping[str, Any], names: Mapping[str, str], variables: list[tuple[str, str]]
) -> Body | None:
    text = entry["expression"]
    holds = notes.cel((*path, "expression"), text, names, "bool", variables)
    says = None
    if "messageExpression" in entry:
        says = notes.cel((*path, "messageExpression"), entry["messageExpression"], names, "string", variables)
    if holds is None:
        return None
    words = holds.reads | (says.reads if says else frozenset())
    texts = [text, *(source for _, source in variables)]
    terms = Terms(tuple(variables), names)
    expression = Expression(holds, text, entry.get("message", ""), says, mentions(texts), terms)
    scalable = not words & {"pod", "containers"} and on_replicas([*texts, entry.get("messageExpression", "")])
    roots = together(program.object_roots for program in (holds, says) if program is not None)
    return Body(words, expression=expression, on_replicas=scalable, object_roots=roots)


def _mutation(
    notes: Notes, path: Path, entry: Mapping[str, Any], names: Mapping[str, str], variables: list[tuple[str, str]]
) -> Body | None:
    when = notes.cel((*path, "when"), entry["when"], names, "bool", variables)
    programs = [when]
    writes = []
    for number, operation in entries(entry, "patch"):
        at = (*path, "patch", number)
        program = None
        if "valueExpression" in operation:
            text = operation["valueExpression"]
            program = notes.cel((*at, "valueExpression"), text, {**names, "item": "item"}, "any", variables)
            programs.append(program)
        try:
            tokens = tuple(pointer.split(operation["path"]))
        except ValueError as error:
            notes.problem((*at, "path"), str(error))
            continue
        if not tokens or tokens[0] not in ("spec", "metadata"):
            text = f"found {operation['path']!r}; the path is relative to the pod, and starts with /spec or /metadata"
            notes.problem((*at, "path"), text)
        writes.append(Write(operation["op"], tokens, operation.get("value"), program))
    if when is None:
        return None
    words = frozenset({"pod"}).union(*(program.reads for program in programs if program))
    seen = mentions([entry["when"], *(source for _, source in variables)])
    terms = Terms(tuple(variables), names)
    return Body(words, mutation=Mutation(when, entry["when"], entry.get("message", ""), tuple(writes), seen, terms))
