"""Puts a question before each call that may take long, or much memory: whether what it goes through is short enough.

`a.map(x, x.b)` is run as `((size(a) <= 1000 || k8s_long(size(a))) ? a.map(x, x.b) : [][0])`, where `k8s_long` is an
error. The questions that cost a call of Python are asked of what is long only, and those before a loop once, not in
each round. What is asked:

- whether a macro builds a list of a short one (`few.py`);
- before a loop that looks at more than its own element, how much that is (`work.py`): `a.all(x, x in object.b)` weighs
  `object.b`, and multiplies. What a loop reads of its own element alone is not more than there is in the list;
- before `distinct` and the functions of `sets`, which compare each element with each, how much they compare;
- before `split` and `replace`, how long the text is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from webhook.checks.cellib import few, rewrite, work
from webhook.checks.cellib.few import receiver
from webhook.checks.cellib.rewrite import BINDERS, BOUND, is_call, is_sign, is_word
from webhook.checks.cellib.text import Edit, Token, apply, arguments, closing, opening, scan

ROOTS = ("object", "oldObject", "request", "namespaceObject", "values", "pod", "containers", "item")
"""The words that may be large; they are those of `cel.VARIABLES`."""
LOOPS = ("all", "exists", "exists_one", "existsOne", "filter", "map", "sortBy", "transformList")
SETS = ("contains", "equivalent", "intersects")
TEXTS = ("replace", "split")
"""What takes time and memory by each character, some hundred times as much as what only looks."""
UNASKED = (8, 4, 1)
"""Elements that a loop goes through unasked: one with no other in it, with one, and with more inside one another."""
ALIKE = 32
"""Elements that `distinct` compares unasked; of `sets` it is so many comparisons of a square of half that side."""
HEAVY = 32
"""By how much the work of a loop with one of `TEXTS` counts more."""
DEEPEST = 6
"""Calls with a question whose lists are made by such calls, one inside another: each doubles the text or more."""
_ANY = re.compile(rf"\b(?:{'|'.join((*LOOPS, *TEXTS, 'distinct', 'sets'))})\b")
_COUNTS = re.compile(r"\b(?:k8s_(?!long\b)\w+|isSorted|sum|min|max)\b")
_SHORTENS = (*few.BUILDS, *few.KEEPS)
_TEXT_KEEPS = (*TEXTS, "lowerAscii", "substring", "trim", "upperAscii")
_OPTIONAL = ("first", "last")
_SIMPLE = re.compile(r"(?!(?:false|in|null|true)\Z)[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class _Loop:
    """A call that binds names: where its dot is, the names, and the indices in which they are known."""

    dot: int
    names: frozenset[str]
    body: range
    rounds: bool


class TooDeep(ValueError):
    """Lists are made of lists in a text so often that its questions would be too long."""


def counts(source: str) -> bool:
    """Return whether a text as it runs may count its work, so that the count begins with it; rather yes than no."""
    return _COUNTS.search(source) is not None


def guarded(source: str, optional: bool = False) -> str:
    """Return the text of CEL with the questions that it needs; `optional` where its variables may hold such values.

    What is no CEL comes back in some form that is none either.
    """
    return _Guard(source, (), False, optional or None).text() if _ANY.search(source) else source


class _Guard:
    """A text, or a part of one, in which the names `known` are bound around it, in a loop or in none.

    Where a value may be an optional one (`optional`; None: not known yet), nothing that a text makes or binds goes to
    Python, since that ends the process; only the words of the rule are weighed, and lists are counted.
    """

    def __init__(self, source: str, known: Sequence[str], inside: bool, optional: bool | None, level: int = 0) -> None:
        if level > DEEPEST:
            raise TooDeep
        self.level = level
        self.source = source
        self.tokens = scan(source)
        self.known = frozenset(known)
        self.inside = inside
        self.loops = list(_loops(self.tokens))
        self.optional = may_be_optional(self.tokens) if optional is None else optional

    def text(self) -> str:
        edits: list[Edit] = []
        for index in reversed(range(1, len(self.tokens) - 2)):  # of two that begin at one place the outer comes first
            conditions = self._conditions(index)
            if not conditions:
                continue
            end = closing(self.tokens, index + 2)
            if end == len(self.tokens):
                return self.source
            start = self._start(index)
            edits.append(Edit(start, start, f"({' && '.join(conditions)} ? "))
            edits.append(Edit(self.tokens[end].end, self.tokens[end].end, " : [][0])"))
        return apply(self.source, edits)

    def _start(self, dot: int) -> int:
        sets = self.tokens[dot - 1].text == "sets" and self.tokens[dot + 1].text in SETS
        return self.tokens[dot - 1 if sets else receiver(self.tokens, dot)].start

    def _conditions(self, dot: int) -> list[str]:
        name = self.tokens[dot + 1].text
        if not is_call(self.tokens, dot + 1, name, member=True):
            return []
        if self.tokens[dot - 1].text == "sets" and name in SETS:
            found = [self._sets(dot)]
        elif name == "distinct":
            found = [self._distinct(dot)]
        elif name in TEXTS:
            found = [self._characters(dot)]
        else:
            found = [few.condition(self.source, self.tokens, dot, lambda text: self._inner(text, dot)), self._loop(dot)]
        return [condition for condition in found if condition]

    def _inner(self, source: str, at: int) -> str:
        """Return a part of the text, which stands at the token `at`, with its own questions."""
        if not _ANY.search(source):
            return source
        around = self._around(at)
        names = self.known.union(*(loop.names for loop in around))
        inside = self.inside or any(loop.rounds for loop in around)
        return _Guard(source, sorted(names), inside, self.optional, self.level + 1).text()

    def _around(self, at: int) -> list[_Loop]:
        return [loop for loop in self.loops if at in loop.body]

    def _part(self, dot: int) -> str:
        return self._inner(self.source[self.tokens[receiver(self.tokens, dot)].start : self.tokens[dot].start], dot)

    def _source(self, dot: int, keeping: Sequence[str]) -> str:
        """Return what the value before the dot is made of, by calls that make nothing longer."""
        return self._part(self._first(dot, keeping))

    def _first(self, dot: int, keeping: Sequence[str]) -> int:
        """Return the dot of the first of such calls that lead to the one at the dot."""
        while True:
            end = dot - 1
            if is_sign(self.tokens, end, "]") and "split" in keeping:
                end = opening(self.tokens, end) - 1
            before = opening(self.tokens, end) - 2 if is_sign(self.tokens, end, ")") else -1
            if before < 1 or not is_sign(self.tokens, before, ".") or self.tokens[before + 1].text not in keeping:
                return dot
            dot = before

    def _distinct(self, dot: int) -> str:
        part, size = self._part(dot), f"size({self._source(dot, _SHORTENS)})"
        asked = f"k8s_alike(size({part}))" if self.optional else f"k8s_compared({part})"
        return f"({size} <= {ALIKE} || {asked})"

    def _characters(self, dot: int) -> str | None:
        """Return the question of a text's length, None where the one before in the same chain of calls asks it."""
        first = self._first(dot, _TEXT_KEEPS)
        before = (self.tokens[index].text for index in range(first + 1, dot) if is_sign(self.tokens, index - 1, "."))
        if any(name in TEXTS for name in before):
            return None
        size = f"size({self._part(first)})"
        return f"({size} <= {work.LONGEST_TEXT} || k8s_text({size}))"

    def _sets(self, dot: int) -> str | None:
        parts = arguments(self.tokens, dot + 2)
        if len(parts) != 2 or not parts[0] or not parts[1]:
            return None
        left, right = (
            self._inner(self.source[self.tokens[part[0]].start : self.tokens[part[-1]].end], dot) for part in parts
        )
        most = (ALIKE // 2) ** 2
        product = f"size({left}) * size({right})"
        asked = f"k8s_pairs({product})" if self.optional else f"k8s_sets({left}, {right})"
        return f"({product} <= {most} || {asked})"

    def _loop(self, dot: int) -> str | None:
        loop = next((loop for loop in self.loops if loop.dot == dot and loop.rounds), None)
        if loop is None:
            return None
        paths = self._beside(loop)
        if not paths:
            return None
        depth = self._depth(loop)
        size = f"size({self._source(dot, _SHORTENS)})"
        inside = self.inside or any(around.rounds for around in self._around(dot))
        weights = [f"(k8s_weigh({path}) || true)" for path in sorted(paths)]
        texts = any(self.tokens[index].text in TEXTS for index in loop.body)
        counted = f"k8s_loop({size}, {UNASKED[0] ** depth}, {HEAVY if texts else 1})"
        asked = " && ".join([*(["k8s_open()"] if inside else []), *weights, counted])
        return f"({size} <= {UNASKED[min(depth, 2)]} || {asked})"

    def _depth(self, loop: _Loop) -> int:
        """Return how many loops are inside one another in a loop."""
        inner = [other for other in self.loops if other.rounds and other.dot in loop.body]
        return max((sum(other.dot in around.body for around in inner) + 1 for other in inner), default=0)

    def _beside(self, loop: _Loop) -> set[str]:
        """Return what a loop looks at beside its own element, as the arguments of `k8s_weigh`."""
        known = self.known.union(*(around.names for around in self._around(loop.dot)))
        own = loop.names.union(*(other.names for other in self.loops if other.dot in loop.body))
        through = self._source(loop.dot, ())
        found: set[str] = set()
        for index in loop.body:
            token = self.tokens[index]
            if token.kind != "name" or token.text in own or not is_word(self.tokens, index, token.text):
                continue
            named = token.text in known or token.text.startswith(BOUND)
            if token.text in ROOTS or (named and not self.optional):
                path, after = _path(self.tokens, index)
                itself = self.source[token.start : self.tokens[after - 1].end] == through
                if not _has(self.tokens, index) and not (itself and _is_index(self.tokens, after, loop.names)):
                    found.add(f"[{path}], {_how(self.tokens, index, after)}")
        return found


def may_be_optional(tokens: Sequence[Token]) -> bool:
    """Return whether a value of a text may be an optional one, or hold one; rather yes than no."""
    called = any(is_call(tokens, index, name, member=True) for index in range(len(tokens)) for name in _OPTIONAL)
    return called or rewrite.open_optional(tokens) is not None


def _loops(tokens: Sequence[Token]) -> Iterator[_Loop]:
    for index, token in enumerate(tokens):
        bind = token.text == "bind" and index > 1 and tokens[index - 2].text == "cel"
        if not (bind or token.text in BINDERS) or not is_call(tokens, index, token.text, member=True):
            continue
        parts = arguments(tokens, index + 1)
        two = len(parts) > 2 and token.text not in ("map", "bind")
        names = [part for part in parts[: 2 if two else 1] if len(part) == 1]
        body = parts[2:] if two or bind else parts[1:]
        if body and names:
            bound = frozenset(tokens[part[0]].text for part in names)
            yield _Loop(index - 1, bound, range(body[0].start, body[-1].stop), token.text in LOOPS)


def _path(tokens: Sequence[Token], index: int) -> tuple[str, int]:
    """Return what is selected of the name at `index`, as an element of a list, and the index behind it.

    An optional value is in the list where it has one. What is not there has no weight: it fails, and so does the loop.
    """
    path, optional, at = tokens[index].text, "", index + 1
    while True:
        name, asked = rewrite.selected(tokens, at), is_sign(tokens, at + 1, "?")
        end = at + 2 + is_sign(tokens, at, "[") + asked
        if (asked or optional) and name is not None and _SIMPLE.fullmatch(name):
            path, optional = f"{path}.?{name}", "?"
        elif not (asked or optional) and (name is not None or _is_number(tokens, at)):
            path += "".join(token.text for token in tokens[at:end])
        else:
            return optional + path, at
        at = end


def _is_number(tokens: Sequence[Token], at: int) -> bool:
    return is_sign(tokens, at, "[") and is_sign(tokens, at + 2, "]") and tokens[at + 1].text.isdigit()


def _how(tokens: Sequence[Token], index: int, after: int) -> int:
    """Return how much is looked at of the value whose tokens go from `index` up to `after`: one of `work`'s ways."""
    if is_sign(tokens, after, "["):
        return work.ONE
    if is_sign(tokens, after, "."):
        return work.SIZE if is_call(tokens, after + 1, "size", member=True) else work.WHOLE
    if is_sign(tokens, index - 1, "(") and index > 1 and is_call(tokens, index - 2, "size", member=False):
        return work.SIZE
    return work.KEY if tokens[index - 1].text == "in" else work.WHOLE


def _has(tokens: Sequence[Token], index: int) -> bool:
    """Return whether a name begins what `has` asks for, which looks at nothing."""
    return is_sign(tokens, index - 1, "(") and index > 1 and is_call(tokens, index - 2, "has", member=False)


def _is_index(tokens: Sequence[Token], at: int, names: frozenset[str]) -> bool:
    """Return whether an index of a loop's own name stands there: in all rounds, each part is looked at once."""
    return is_sign(tokens, at, "[") and is_sign(tokens, at + 2, "]") and tokens[at + 1].text in names
