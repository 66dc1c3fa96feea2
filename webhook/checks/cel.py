"""CEL: texts of a pack become programs; the only importer of the C++ binding `cel_expr_python`.

A program is compiled once, at load, and evaluated against one activation for all rules of a review.
Words and libraries are those of Kubernetes (https://kubernetes.io/docs/reference/using-api/cel/);
what differs is written in `cellib`. The engine bounds loops by its own iteration budget and nesting
by 32 levels.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Any, Literal

from webhook.checks.cellib import FUNCTIONS, guard, refcounts, rewrite, text, wording, work
from webhook.checks.cellib.opaque import kind
from webhook.checks.cellib.wording import Problem
from webhook.errors import RuleError
from webhook.model.record import record

# The words of CEL texts, as docs/packs.md has them; `item` exists in the values of patches.
VARIABLES = (
    "object", "oldObject", "request", "namespaceObject", "values", "pod", "containers", "item",
)  # fmt: skip
Wants = Literal["bool", "string", "any"]
Names = tuple[tuple[str, str], ...]
Static = Literal["DYN", "TIMESTAMP", "DURATION"]
Path = tuple[str, ...]
# What is as large as an author makes it, and the binding converts whole; `item` is a part of `pod`.
OBJECTS = ("object", "oldObject", "request", "pod")
CONTAINERS = "containers"
UNSCOPED: Mapping[str, str] = MappingProxyType({})
UNTYPED: Mapping[str, Static] = MappingProxyType({})
# What the binding raises while it evaluates, seen: conversion errors as RuntimeError, values that
# Python has no type for as TypeError or SystemError.
FAILURES = (RuntimeError, TypeError, ValueError, OverflowError, SystemError, MemoryError)
# The binding recurses over values; model.review and PyYAML stay far below that, this is for `values`.
DEPTH = 500
# Characters of one text; and nesting at which looking for arguments stops (the binding stops at 32).
LONGEST = 32_768
NESTED = 64
# How authors know the types that JSON has not.
PYTHON = {
    "bytearray": "bytes", "datetime": "timestamp", "timedelta": "duration", "float": "infinite or NaN number",
    "dict": "map with keys that are no strings", "Type": "type",
}  # fmt: skip
# Strings version 2 and the other libraries are what Kubernetes has from 1.34 on.
LIBRARIES = """
extensions:
  - {name: strings, version: 2}
  - {name: bindings}
  - {name: optional}
  - {name: encoders}
  - {name: math}
  - {name: lists}
  - {name: sets}
  - {name: two-var-comprehensions}
"""


class CelError(ValueError):
    """A CEL text that cannot be used.

    `problems` are (line, column, sentence) in the text itself, both from 1 and sorted;
    `variables` has the same for each variable that is wrong, by its name.
    """

    def __init__(self, problems: Sequence[Problem], variables: Mapping[str, Sequence[Problem]]) -> None:
        self.problems = sorted(set(problems))
        self.variables = {name: sorted(set(found)) for name, found in variables.items()}
        told = [("", problem) for problem in self.problems]
        for name, found in self.variables.items():
            told += [(f"variable {name}: ", problem) for problem in found]
        super().__init__("; ".join(f"{where}{line}:{column}: {said}" for where, (line, column, said) in told))


def placed(problem: tuple[int, int, str]) -> str:
    """Return what is wrong with a text, with its place in it, for whoever wrote it into a pack."""
    line, column, sentence = problem
    where = f"line {line}, column {column}" if line > 1 else f"column {column}"
    return f"CEL, {where}: {sentence}"


@record(frozen=True, slots=True)
class Program:
    """A compiled text. Call it with an activation; threads may share it.

    `reads` are the words that the text and its variables use. `object_roots` are the first fields of
    `object` that are looked at (`has(object.x)` counts as x; empty where `object` is not used), None
    where it is used whole. `paths` are the first two fields, behind the word, of all that is read of objects, fewer
    where all below is used: `("pod", "spec", "volumes")`; of `containers` it is the first field of each. `whole` is
    what the binding has compiled, under the names of `scope`. One that `leaves` a loop's variable behind confuses
    one that `binds` names after it, in one evaluation (`cellib/rewrite.py`). One that `counts` adds up its
    work (`cellib/work.py`).
    """

    text: str
    reads: frozenset[str]
    object_roots: frozenset[str] | None
    wants: Wants
    expression: Any = field(repr=False, compare=False)
    whole: str = field(repr=False, compare=False)
    scope: Names = field(repr=False, compare=False)
    paths: frozenset[Path] = field(repr=False, compare=False)
    leaves: bool = field(repr=False, compare=False)
    binds: bool = field(repr=False, compare=False)
    counts: bool = field(repr=False, compare=False)

    @property
    def typed(self) -> bool:
        """Say whether the type of its value is known before it runs."""
        return bool(self.expression.return_type().name() != "DYN")

    def __call__(self, activation: object) -> Any:
        """Return the value as plain Python; RuleError with a sentence where CEL has an error."""
        if self.counts:
            work.begin()
        try:
            result = self.expression.eval(activation)
            value = result.plain_value()
            if isinstance(value, bool) and self.wants != "string":
                return value
            name = "BOOL" if isinstance(value, bool) else result.type().name()
        except FAILURES as error:
            raise RuleError(wording.at_run(str(error))) from error
        if name in ("ERROR", "UNKNOWN"):
            raise RuleError(wording.at_run(str(value)))
        return _wanted(self.wants, value, name)


@record(frozen=True, slots=True)
class Several:
    """Programs that are asked at once, as the elements of one list: a call instead of many."""

    programs: tuple[Program, ...]
    expression: Any = field(repr=False, compare=False)

    def __call__(self, activation: object) -> list[Any]:
        """Return the values in the order of the programs; RuleError where one of them, or their sum, fails."""
        work.begin()
        try:
            values = self.expression.eval(activation).plain_value()
        except FAILURES as error:
            raise RuleError(wording.at_run(str(error))) from error
        if not isinstance(values, list):
            raise RuleError(wording.at_run(str(values)))
        return values


@record(frozen=True, slots=True)
class _Variable:
    """A variable that compiles: its text in terms of `cel.bind` names, and what it needs."""

    name: str
    body: str
    needs: tuple[str, ...]
    tokens: tuple[text.Token, ...] = field(repr=False)
    typed: _Typed


@record(frozen=True, slots=True)
class _Typed:
    """What an environment knows of a variable: its name, and its type, which `static` names."""

    name: str
    static: str
    type: Any = field(repr=False, compare=False)


@record(frozen=True, slots=True)
class _Declared:
    """The variables of a rule, in order, and what is wrong with those that are wrong."""

    variables: tuple[_Variable, ...]
    names: tuple[str, ...]
    problems: Mapping[str, tuple[Problem, ...]]


def compile(
    source: str,
    *,
    names: Mapping[str, str] = UNSCOPED,
    variables: Sequence[tuple[str, str]] = (),
    wants: Wants,
    words: frozenset[str] | None = None,
    more: Mapping[str, Static] = UNTYPED,
) -> Program:
    """Compile a CEL text; CelError with everything that is wrong with it and its variables.

    `names` maps a word to its key in the activation (`{"values": "p3.values"}`; the word itself where
    not given). `variables` are (name, text) in order; each may use the earlier ones. `wants` is the
    type that must come out. `words` limits the words that exist (default: all of VARIABLES). `more` are words beside
    VARIABLES, with their types; `variables` do not see them. One with a dot (`image.created`) is the field of another,
    and goes before what that has: only so can a field be a timestamp.
    """
    allowed = frozenset(VARIABLES) if words is None else words
    given = tuple((name, body) for name, body in variables)
    # Only the keys of words that stand there: to make an environment costs more than to compile a text in one, and
    # most texts have no `values` and `containers` of their own.
    texts = (source, *(body for _, body in given))
    scope = tuple(sorted((word, key) for word, key in names.items() if word != key and _stands(word, texts)))
    return _compiled(source, scope, given, wants, allowed, tuple(more.items()))


@functools.lru_cache(maxsize=4096)
def _compiled(
    source: str,
    scope: Names,
    variables: tuple[tuple[str, str], ...],
    wants: Wants,
    allowed: frozenset[str],
    more: Names,
) -> Program:
    # kept, because packs that are loaded again are mostly what they were
    declared = _declare(variables, scope, allowed)
    tokens = _tokens(source)
    used = _needed(tokens, declared)
    whole = _bound(source, tokens, used)
    expression = None if more else _at_once(source, tokens, declared, scope, allowed)
    if expression is None or _wrong_type(wants, expression.return_type().name()):
        checked, problems = _check(source, tokens, declared, declared.names, scope, allowed, more)
        if checked is not None:
            problems = [*problems, *_wrong_type(wants, checked.return_type().name())]
        if problems or declared.problems or checked is None:
            raise CelError(problems, declared.problems)
        # what it runs as, where that is not what its author wrote
        other = used or whole != text.apply(source, rewrite.library_edits(tokens))
        expression = _inlined(whole, len(used), scope, more) if other else checked
    everything = [tokens, *(variable.tokens for variable in used)]
    reads = frozenset().union(*(rewrite.names(one, VARIABLES) for one in everything))
    paths = frozenset((word, *path) for word in OBJECTS for one in everything for path in rewrite.paths(one, word))
    paths |= {path for one in everything for path in _of_containers(one)}
    leaves = any(map(rewrite.leaves, everything))
    binds = bool(used) or any(map(rewrite.binds, everything))
    roots = _object_roots(everything)
    return Program(source, reads, roots, wants, expression, whole, scope, paths, leaves, binds, guard.counts(whole))


def _of_containers(tokens: Sequence[text.Token]) -> Iterator[Path]:
    fields = rewrite.elements(tokens, CONTAINERS)
    if fields is None:
        yield (CONTAINERS,)
    else:
        yield from ((CONTAINERS, field) for field in fields)


def together(programs: Sequence[Program]) -> tuple[Several, ...]:
    """Return programs joined, whose names may not differ; in several parts where they are too much for one text.

    None of them may leave a loop's variable behind where another binds one.
    """
    if len(programs) < 2:
        return ()
    scope = tuple(sorted({name for program in programs for name in program.scope}))
    source = ",\n".join(f"({program.whole}\n)" for program in programs)
    try:
        return (Several(tuple(programs), _environment(scope, ()).compile(f"[{source}]")),)
    except FAILURES:
        middle = len(programs) // 2
        return together(programs[:middle]) + together(programs[middle:])


def _stands(word: str, texts: Sequence[str]) -> bool:
    """Say whether a word may stand in one of the texts as a name of its own, and no field; rather yes than no."""
    return any(re.search(rf"(?<![.\w]){word}(?!\w)", source) for source in texts if word in source)


def activation(shared: Mapping[str, Any], more: Mapping[str, Static] = UNTYPED) -> object:
    """Return the values that programs see, by activation key; it serves all programs of a review.

    `more` is as in `compile`. Each value is converted at its first use, once. Strings hold no NUL (the binding cuts
    there); `unfit` tells. An activation belongs to one thread.
    """
    return _environment((), tuple(more.items())).Activation(dict(shared))


def unfit(value: Any) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, sentence) for everything in a plain value that CEL cannot see as it is."""
    stack: list[tuple[str, Any, int]] = [("", value, 0)]
    while stack:
        pointer, found, depth = stack.pop()
        if depth > DEPTH:
            yield pointer, f"nested more than {DEPTH} levels deep"
        elif isinstance(found, str) and (reason := _unfit_text(found)):
            yield pointer, reason
        elif isinstance(found, int) and not -(2**63) <= found < 2**63:
            yield pointer, f"the number {found if abs(found) < 10**40 else ''} does not fit into 64 bits"
        elif isinstance(found, Mapping):
            for key, inner in found.items():
                stack.append((f"{pointer}/{_escaped(str(key))}", inner, depth + 1))
                reason = _unfit_text(key) if isinstance(key, str) else "a string is wanted"
                if reason:
                    yield pointer, f"the key {key!r}: {reason}"
        elif isinstance(found, list | tuple):
            stack += [(f"{pointer}/{index}", inner, depth + 1) for index, inner in enumerate(found)]


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _unfit_text(found: str) -> str:
    if "\0" in found:
        return "a string with a NUL character, at which CEL would cut it"
    if not found.isascii() and any(0xD800 <= ord(character) <= 0xDFFF for character in found):
        return "a string with half a surrogate pair"
    return ""


def _wanted(wants: Wants, value: Any, name: str) -> Any:
    """Return a result of the type that the caller wants; RuleError for every other."""
    if wants == "bool" and not isinstance(value, bool):
        raise RuleError(f"the expression gives {wording.a_type(name)}, true or false is wanted")
    if wants == "string" and not isinstance(value, str):
        raise RuleError(f"the expression gives {wording.a_type(name)}, a string is wanted")
    return _plain(value) if wants == "any" else value


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and value - value == 0:
        return value
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(inner) for key, inner in value.items()}
    told = kind(value) or PYTHON.get(type(value).__name__, type(value).__name__)
    raise RuleError(f"a value of type {told} has no place in an object; make it a string or a number")


@functools.lru_cache(maxsize=1)
def _binding() -> Any:
    """Return the binding, loaded once a pack has CEL, as none that is shipped has: 50 ms and 6 MB, with protobuf."""
    from cel_expr_python import cel

    return cel


@functools.lru_cache(maxsize=1)
def _libraries() -> Any:
    return _binding().NewEnvConfigFromYaml(LIBRARIES)


@functools.lru_cache(maxsize=1)
def _losses() -> tuple[bool, bool]:
    """Return whether the binding loses the arguments, and the result, of a Python function."""
    binding = _binding()
    seen: list[list[Any]] = []

    def probe(given: list[int]) -> list[int]:
        seen.extend((given, [0]))
        return seen[1]

    overload = binding.Overload("probe", binding.Type.LIST, [binding.Type.LIST], False, probe)
    extension = binding.CelExtension("probe", [binding.FunctionDecl("probe", [overload])])
    environment = binding.NewEnv(variables={}, extensions=[extension])
    environment.compile("probe([1])").eval(environment.Activation({}))
    # Two references are right: the list `seen`, and the argument of getrefcount.
    return sys.getrefcount(seen[0]) > 2, sys.getrefcount(seen[1]) > 2


@functools.lru_cache(maxsize=1)
def _functions() -> Any:
    binding = _binding()
    arguments, result = _losses()
    refcounts.keep_none()
    overloads: dict[str, list[Any]] = {}
    for number, function in enumerate(FUNCTIONS):
        types = [getattr(binding.Type, parameter) for parameter in function.parameters]
        returns = getattr(binding.Type, function.returns)
        call = function.call
        if arguments or result:
            call = refcounts.balanced(call, arguments, result)
        overloads.setdefault(function.name, []).append(
            binding.Overload(f"k8s_{number}", returns, types, function.member, call)
        )
    return binding.CelExtension("kubernetes", [binding.FunctionDecl(name, rows) for name, rows in overloads.items()])


@functools.lru_cache(maxsize=256)
def _environment(scope: Names, more: Names) -> Any:
    """Return what texts are compiled in that are evaluated: some 0.3 MB each, as long as one of these texts lives."""
    return _new_environment(scope, (), more)


@functools.lru_cache(maxsize=4)
def _checking_environment(scope: Names, variables: tuple[_Typed, ...], more: Names) -> Any:
    """Return what texts are checked in that use variables, which are bound around them before they are evaluated.

    The texts beside one set of variables come one after the other, so that a few are kept: each takes 0.2 MB.
    """
    return _new_environment(scope, variables, more)


def _new_environment(scope: Names, variables: tuple[_Typed, ...], more: Names) -> Any:
    binding = _binding()
    keys = {word: word for word in VARIABLES} | dict(scope)
    declared = {key: binding.Type.DYN for key in keys.values()}
    declared |= {f"variables.{variable.name}": variable.type for variable in variables}
    declared |= {name: getattr(binding.Type, static) for name, static in more}
    aliases = {word: key for word, key in keys.items() if word != key}
    return binding.NewEnv(
        config=_libraries(),
        variables=declared,
        extensions=[_functions()],
        container=binding.ExpressionContainer(name="", aliases=aliases),
    )


@functools.lru_cache(maxsize=64)
def _declare(variables: tuple[tuple[str, str], ...], scope: Names, words: frozenset[str]) -> _Declared:
    """Compile the variables one by one; a wrong one counts as DYN, so that the next are checked too."""
    names = tuple(name for name, _ in variables)
    declared = _Declared((), names, {})
    for name, source in variables:
        tokens = _tokens(source)
        problems: list[Problem] = []
        checked = _at_once(source, tokens, declared, scope, words)
        if checked is None:
            checked, problems = _check(source, tokens, declared, names, scope, words)
        known = _binding().Type.DYN
        if checked is not None:
            static = checked.return_type().name()
            if "optional_type" in static:
                problems = [Problem(1, 1, "a variable cannot be an optional value; end it with orValue(...)")]
            elif "TYPE" not in static:
                known = checked.return_type()
        if name in (variable.name for variable in declared.variables):
            problems = [*problems, Problem(1, 1, f"there are two variables of the name {name}")]
        used = _needed(tokens, declared)
        needs = tuple(variable.name for variable in used)
        body = _runnable(source, tokens, used)
        wrong = {name: tuple(problems)} if problems else {}
        variable = _Variable(name, body, needs, tokens, _Typed(name, known.name(), known))
        declared = _Declared((*declared.variables, variable), names, {**declared.problems, **wrong})
    return declared


def _tokens(source: str) -> tuple[text.Token, ...]:
    """Return the tokens of a text, none of one that no author wrote by hand (`_check` refuses it)."""
    if len(source) > LONGEST:
        return ()
    found = text.scan(source)
    return found if text.depth(found) <= NESTED else ()


def _check(
    source: str,
    tokens: tuple[text.Token, ...],
    declared: _Declared,
    variables: Sequence[str],
    scope: Names,
    words: frozenset[str],
    more: Names = (),
) -> tuple[Any, list[Problem]]:
    """Compile a text as its author wrote it, with `variables.x` declared by type.

    Returns the expression, None where there is one problem or more.
    """
    if len(source) > LONGEST:
        return None, [Problem(1, 1, f"the text has {len(source)} characters, more than {LONGEST}")]
    problems = wording.at_sight(source, tokens, words, VARIABLES)
    edits = rewrite.library_edits(tokens)
    known = [variable.name for variable in declared.variables]
    named = {name for _, name in rewrite.variable_uses(tokens)}
    used = tuple(variable.typed for variable in declared.variables if variable.name in named)
    later = [name for name in variables if name not in known]
    if wording.hopeless(tokens):
        return None, problems
    try:
        environment = _checking_environment(scope, used, more) if used else _environment(scope, more)
        expression = environment.compile(text.apply(source, edits))
    except FAILURES as error:
        problems += wording.at_compile(str(error), source, edits, known, later, sorted(words))
        return None, problems
    return (None if problems else expression), problems


def _at_once(
    source: str, tokens: tuple[text.Token, ...], declared: _Declared, scope: Names, words: frozenset[str]
) -> Any:
    """Compile a text that uses variables with them bound around it, as it will run, and not by itself before.

    None where it uses none, or anything is wrong: `_check` then says what, at its place in what its author wrote. What
    compiles so compiles by itself: the variables have the types there that they have here. It spares an environment
    for each set of variables, which costs as much as to compile some five texts.
    """
    used = _needed(tokens, declared)
    if not used or declared.problems or wording.at_sight(source, tokens, words, VARIABLES):
        return None
    try:
        return _inlined(_bound(source, tokens, used), len(used), scope)
    except CelError:
        return None


def _wrong_type(wants: Wants, static: str) -> list[Problem]:
    if "optional_type" in static:
        return [Problem(1, 1, "the expression gives an optional value; end it with orValue(...)")]
    if wants == "any" or static == "DYN" or static == {"bool": "BOOL", "string": "STRING"}[wants]:
        return []
    wanted = "true or false" if wants == "bool" else "a string"
    return [Problem(1, 1, f"the expression gives {wording.a_type(static)}, {wanted} is wanted")]


def _needed(tokens: Sequence[text.Token], declared: _Declared) -> list[_Variable]:
    """Return the variables that a text uses, directly or through others, in the order declared."""
    by_name = {variable.name: variable for variable in declared.variables}
    found: set[str] = set()
    for _, name in rewrite.variable_uses(tokens):
        if name in by_name:
            found |= {name, *by_name[name].needs}
    return [variable for variable in declared.variables if variable.name in found]


def _bound(source: str, tokens: tuple[text.Token, ...], used: Sequence[_Variable]) -> str:
    """Return the text as the binding can run it, with its variables bound around it."""
    return rewrite.bound(_runnable(source, tokens, used), [(variable.name, variable.body) for variable in used])


def _runnable(source: str, tokens: tuple[text.Token, ...], used: Sequence[_Variable]) -> str:
    optional = any(guard.may_be_optional(variable.tokens) for variable in used)
    plain = text.apply(source, rewrite.library_edits(tokens) + rewrite.variable_edits(tokens))
    try:
        return guard.guarded(plain, optional)
    except guard.TooDeep as error:
        raise CelError([Problem(1, 1, wording.MADE_OF)], {}) from error


def _inlined(whole: str, variables: int, scope: Names, more: Names = ()) -> Any:
    """Compile a text as it is run, with so many variables bound around it."""
    if "{" in whole and rewrite.loose_optional(text.scan(whole)) is not None:
        raise CelError([Problem(1, 1, wording.LOOSE_OPTIONAL)], {})
    try:
        return _environment(scope, more).compile(whole)
    except FAILURES as error:
        raise CelError([Problem(1, 1, wording.bound(str(error), variables))], {}) from error


def _object_roots(texts: Sequence[Sequence[text.Token]]) -> frozenset[str] | None:
    found: frozenset[str] = frozenset()
    for tokens in texts:
        fields = rewrite.roots(tokens, "object")[1]
        if fields is None:
            return None
        found |= fields
    return found
