"""From the text of packs to a Ruleset: everything is compiled here, nothing while a review waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from webhook.checks import CHECKS, Module, cel
from webhook.errors import ConfigError, Problem
from webhook.model import pointer as pointers
from webhook.model.decision import About, Action
from webhook.model.record import record
from webhook.model.workloads import KINDS, Kinds
from webhook.packs import bodies, scopes
from webhook.packs.bodies import Body
from webhook.packs.chorus import choruses
from webhook.packs.index import index
from webhook.packs.load import load
from webhook.packs.match import Scope
from webhook.packs.notes import Notes, entries
from webhook.packs.parse import Document, Path, render
from webhook.packs.rule import Pack, Rule, Ruleset
from webhook.packs.schema import rule_keys
from webhook.packs.suggest import near
from webhook.packs.width import widths

OPERATIONS = frozenset({"CREATE", "UPDATE"})
PLAIN = frozenset(
    {"name", "message", "action", "enforceFrom", "quiet", "existing", "onError", "onUnknown", "severity"}
    | {"responsible", "description", "remediation", "docs"}
)
"""Keys of a rule on which nothing else of it depends: what is wrong with one keeps the others from nothing."""
TEXTS = frozenset({"expression", "when", "messageExpression"})
"""Keys of a rule whose CEL is compiled under a misspelt name as well."""


def ruleset(
    sources: Iterable[tuple[str, str]],
    mode: str | None = None,
    dry_run: bool = False,
    kinds: Kinds = KINDS,
    checks: Mapping[str, Module] = CHECKS,
    bases: Iterable[tuple[str, str]] = (),
    few: bool = False,
) -> Ruleset:
    """Return the packs in (name, text) sources, compiled.

    `mode` (enforce, dry-run) replaces the mode of every pack but disabled ones; `dry_run` is the server's own.
    `bases` are packs that may be extended without being among the sources. `few`: what is judged by them is not worth
    joining rules, which `joined` may do later; the verdicts are the same. Raises ConfigError with every problem of
    every pack.
    """
    found = survey(sources, mode, kinds, checks, bases)
    if found.problems:
        raise ConfigError(found.problems)
    compiled = sorted(found.sound, key=lambda part: part.pack.name)
    rules = tuple(rule for part in compiled for rule in part.rules)
    indexed = index(rules, kinds)
    return Ruleset(
        packs=tuple(part.pack for part in compiled),
        rules=rules,
        index=indexed,
        choruses={} if few else choruses(indexed),
        values={bodies.values_key(part.number): part.values for part in compiled},
        widths=widths(rules),
        kinds=kinds,
        dry_run=dry_run,
    )


def joined(ruleset: Ruleset) -> Ruleset:
    """Return a ruleset for `few` with the rules joined that can be asked together: for many."""
    return replace(ruleset, choruses=choruses(ruleset.index), buckets={})


@record(frozen=True, slots=True)
class Part:
    """One pack: what is written, and what it is compiled to. Its CEL finds its values by its number."""

    document: Document
    number: int
    pack: Pack
    rules: tuple[Rule, ...]
    values: Any


@record(frozen=True, slots=True)
class Survey:
    """Packs without a mistake of their own, in the order given, and every problem of every pack.

    Where two have one name, that is a problem, and both are among them.
    """

    sound: tuple[Part, ...]
    problems: tuple[Problem, ...]


def survey(
    sources: Iterable[tuple[str, str]],
    mode: str | None = None,
    kinds: Kinds = KINDS,
    checks: Mapping[str, Module] = CHECKS,
    bases: Iterable[tuple[str, str]] = (),
) -> Survey:
    """Return what is sound among packs in (name, text) sources, compiled, and what is wrong; see `ruleset`.

    Raises nothing: for those who tell of packs, as `plimsoll lint` does, and do not judge by them.
    """
    loaded = load(sources, checks, bases)
    problems = list(loaded.problems)
    for number, document in enumerate(loaded.unsound):
        problems += _more_problems(document, loaded.problems, number, kinds, checks)
    sound = []
    for number, document in enumerate(loaded.sound):
        notes = Notes(document)
        pack, rules, values = _pack(notes, number, mode, kinds, checks)
        problems += notes.problems
        if not notes.problems:
            sound.append(Part(document, number, pack, tuple(rules), values))
    return Survey(tuple(sound), tuple(problems))


def _more_problems(
    document: Document, known: Iterable[Problem], number: int, kinds: Kinds, checks: Mapping[str, Module]
) -> list[Problem]:
    """Return what compiling finds wrong where the structure of a pack is right, so that all is said at once."""
    notes = Notes(document)
    spec = document.value.get("spec")
    wrong = {(problem.source, problem.path) for problem in known}

    def inside(path: Path) -> set[str]:
        place = document.place(path)  # what is inherited is wrong where it was written
        text, source = render(place.path), place.source
        return {p for s, p in wrong if source == s and (p == text or p.startswith((text + ".", text + "[")))}

    keys = rule_keys(checks)
    for part in ("match", "rules", "exemptions"):
        found = spec.get(part) if isinstance(spec, dict) else None
        for i, entry in enumerate(found if isinstance(found, list) else [found] if found else []):
            path: Path = ("spec", part, i) if isinstance(found, list) else ("spec", part)
            if not isinstance(entry, dict):
                continue
            # a name that stands twice spoils nothing else
            harmless = _harmless(entry, keys) if part == "rules" else {"name": "name"}
            if inside(path) - {p for key in harmless for p in inside((*path, key))}:
                continue
            try:
                if part == "rules":
                    meant = {str(harmless.get(key, key)): value for key, value in entry.items()}
                    _compiled(_renamed(notes, path, harmless), path, meant, scopes.WHOLE, number, kinds, checks)
                elif part == "exemptions":
                    scopes.exemption(notes, path, entry, kinds)
                else:
                    scopes.scope(notes, path, entry, kinds, bodies.scope_names(number))
            except (TypeError, ValueError, AttributeError, LookupError):
                continue  # what is wrong with it is known, but at another path: that of a value or of its base
    return notes.problems


def _harmless(entry: Mapping[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """Return the keys of a rule in which a mistake keeps nothing else from being compiled, each with what it means."""
    found: dict[str, str] = {}
    free = [key for key in keys if key not in entry]
    for key, value in entry.items():
        meant = near(key, free) if key not in keys else key if key in PLAIN else None
        if meant in PLAIN or (meant in TEXTS and isinstance(value, str)):
            found[key] = meant
            free = [one for one in free if one != meant]
    return found


def _renamed(notes: Notes, path: Path, meant: Mapping[str, str]) -> Notes:
    """Return notes that find under the names that were meant what stands under others."""
    document = notes.document
    names = {(*path, name): (*path, key) for key, name in meant.items() if name != key}
    if not names:
        return notes
    places = {**document.places, **{name: document.place(key) for name, key in names.items()}}
    starts = {**document.starts, **{name: document.value_place(key) for name, key in names.items()}}
    return Notes(replace(document, places=places, starts=starts), notes.problems)


def _pack(
    notes: Notes, number: int, mode: str | None, kinds: Kinds, checks: Mapping[str, Module]
) -> tuple[Pack, list[Rule], Any]:
    spec = notes.document.value["spec"]
    own_mode = spec.get("mode", "enforce")
    pack = Pack(
        name=notes.document.value["metadata"]["name"],
        version=spec.get("version", ""),
        mode=own_mode if own_mode == "disabled" or not mode else mode,
        contact=spec.get("contact", ""),
        description=spec.get("description", ""),
        namespace_modes=frozenset(spec.get("allowNamespaceMode", [])),
        exemptions=tuple(
            scopes.exemption(notes, ("spec", "exemptions", i), entry, kinds) for i, entry in entries(spec, "exemptions")
        ),
        source=notes.document.place(()).source,
    )
    base = scopes.scope(notes, ("spec", "match"), spec.get("match"), kinds, bodies.scope_names(number))
    rules = []
    for i, entry in entries(spec, "rules"):
        compiled = _compiled(notes, ("spec", "rules", i), entry, base, number, kinds, checks)
        if compiled is not None and entry["action"] != "disabled":
            own, body, judged = compiled
            rules.append(_rule(pack, (base, own), entry, body, judged, (number, i), spec.get("enforceFrom")))
    for pointer, sentence in cel.unfit(spec.get("values", {})):
        notes.problem(("spec", "values", *pointers.split(pointer)), sentence)
    return pack, rules, spec.get("values", {})


def _compiled(
    notes: Notes,
    path: Path,
    entry: Mapping[str, Any],
    base: Scope,
    number: int,
    kinds: Kinds,
    checks: Mapping[str, Module],
) -> tuple[Scope, Body, frozenset[tuple[str, str]]] | None:
    """Return a rule's own scope, what it does and the kinds that it judges; None where it has problems."""
    before = len(notes.problems)
    own = scopes.scope(notes, (*path, "match"), entry.get("match"), kinds, bodies.scope_names(number))
    narrows = base.restricts_containers or own.restricts_containers
    body = bodies.body(notes, path, entry, number, narrows, checks)
    if body is None or len(notes.problems) > before:
        return None
    judged = _judged(notes, path, (base, own), body, kinds)
    return (own, body, judged) if len(notes.problems) == before else None


def _rule(
    pack: Pack,
    both: tuple[Scope, Scope],
    entry: Mapping[str, Any],
    body: Body,
    kinds: frozenset[tuple[str, str]],
    numbers: tuple[int, int],
    pack_from: str | None,
) -> Rule:
    action: Action = entry["action"]
    name = entry["name"]
    narrows = any(scope.restricts_containers for scope in both)
    reads = body.words.union(*(program.reads for scope in both for _, program in scope.conditions))
    return Rule(
        pack=pack,
        about=About(
            pack=pack.name,
            version=pack.version,
            rule=name,
            action=action,
            severity=entry.get("severity", "medium"),
            responsible=entry.get("responsible", ""),
            remediation=entry.get("remediation", ""),
            docs=entry.get("docs", ""),
            contact=pack.contact,
            pack_mode=pack.mode,
        ),
        scopes=tuple(scope for scope in both if scope != scopes.WHOLE),
        kinds=kinds,
        operations=OPERATIONS & (both[0].operations or OPERATIONS) & (both[1].operations or OPERATIONS),
        reads=frozenset("pod" if word == "containers" else word for word in reads) & {"pod", "object"},
        object_roots=bodies.together(
            [body.object_roots, *(p.object_roots for scope in both for _, p in scope.conditions)]
        ),
        always=bool(reads & {"request", "oldObject", "namespaceObject"}),
        on_workload=body.on_workload,
        on_replicas=body.on_replicas,
        fix=bool(entry.get("fix")) or body.mutation is not None,
        quiet=bool(entry.get("quiet")),
        existing=entry.get("existing", "allow") == "allow",
        enforce_from=_later(entry.get("enforceFrom"), pack_from),
        on_error=entry.get("onError", "deny" if action == "deny" else "allow"),
        on_unknown=entry.get("onUnknown", "warn"),
        needs_namespace=bool(pack.namespace_modes)
        or "namespaceObject" in reads
        or any(scope.namespace_selector for scope in both),
        needs_owners=any(scope.names is not None for scope in both),
        reads_namespace="namespaceObject" in reads,
        hangs="namespaceObject" in reads or any(scope.hangs for scope in both),
        narrows=narrows,
        containers_key=bodies.containers_key(*numbers, narrows),
        check=body.check,
        expression=body.expression,
        mutation=body.mutation,
        exemptions=tuple(exemption for exemption in pack.exemptions if name in exemption.rules),
        seeks=body.check is not None and body.check.asks,
        check_name=entry.get("check", ""),
        description=entry.get("description", ""),
    )


def _later(*days: str | None) -> date | None:
    """Return the last of the days: a rule denies only from when both its pack and itself say so."""
    given = [date.fromisoformat(day) for day in days if day]
    return max(given) if given else None


def _judged(
    notes: Notes, path: Path, both: tuple[Scope, Scope], body: Body, kinds: Kinds
) -> frozenset[tuple[str, str]]:
    """Return the kinds that a rule judges: those of its scopes, else those of its check, else every workload kind.

    The kinds that a pack gives as default and a check does not know are passed over; those that the rule itself
    names are an error.
    """
    workloads = frozenset(kinds)
    able = workloads | body.more_kinds
    base, own = (scope.kinds for scope in both)
    if base is None and own is None:
        return able
    wanted = base if own is None else own if base is None else base & own
    assert wanted is not None
    if body.check is not None:
        unable = sorted(f"{group}/{kind}".lstrip("/") for group, kind in (own or frozenset()) - able)
        if unable:
            notes.problem((*path, "match", "kinds"), f"its check does not judge {', '.join(unable)}")
            return wanted
        wanted &= able
    if not wanted:
        where = (*path, "match", "kinds") if own is not None else path
        notes.problem(where, "the rule can never match: its kinds, its pack's and its check's have none in common")
    return wanted
