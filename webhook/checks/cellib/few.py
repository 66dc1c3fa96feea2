"""Keeps short the lists that macros build, since they take memory by the square of their length.

cel-cpp copies a list for each element that `map` or `filter` adds, and gives nothing back before the evaluation ends
(as of the binding 0.1.3): 9,000 elements took 1.3 GB, which ends a worker. So a text that builds lists is run with a
question around each: `a.map(x, x.b)` is `((size(a) <= 1000 || k8s_long(size(a))) ? a.map(x, x.b) : [][0])`, where
`k8s_long` is an error. With the binding's budget of 10,000 iterations an evaluation takes some 160 MB at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from webhook.checks.cellib.function import Function
from webhook.checks.cellib.rewrite import is_call, is_sign
from webhook.checks.cellib.text import CLOSE, Token, opening

MOST = 1000
"""Elements of what a macro that builds a list goes through."""
BUILDS = ("filter", "map", "sortBy", "transformList")
KEEPS = ("distinct", "reverse", "slice", "sort")
"""What gives a list that is no longer than the one before it, beside those."""


def condition(source: str, tokens: Sequence[Token], dot: int, guarded: Callable[[str], str]) -> str | None:
    """Return the question that goes before the call at the dot, None where none is needed.

    `guarded` puts the questions into a part of the text.
    """
    name = tokens[dot + 1].text
    if name not in BUILDS or not is_call(tokens, dot + 1, name, member=True) or _is_short(tokens, dot):
        return None
    size = f"size({guarded(source[tokens[receiver(tokens, dot)].start : tokens[dot].start])})"
    return f"({size} <= {MOST} || k8s_long({size}))"


def _is_short(tokens: Sequence[Token], dot: int) -> bool:
    """Return whether what is before the dot comes from such a macro itself, so that it is short."""
    while is_sign(tokens, dot - 1, ")"):
        dot = opening(tokens, dot - 1) - 2
        if not is_sign(tokens, dot, "."):
            return False
        if tokens[dot + 1].text in BUILDS:
            return True
        if tokens[dot + 1].text not in KEEPS:
            return False
    return False


def receiver(tokens: Sequence[Token], dot: int) -> int:
    """Return the index of the first token of the value whose method is called after the dot."""
    index = dot
    while index > 0:
        index -= 1
        if tokens[index].kind == "sign" and tokens[index].text in CLOSE:
            index = opening(tokens, index)
            before = tokens[index - 1] if index > 0 else None
            if before is not None and is_sign(tokens, index, "[") and _ends_value(before):
                continue
            if before is not None and is_sign(tokens, index, "(") and before.kind == "name" and before.text != "in":
                index -= 1
        if is_sign(tokens, index - 1, "."):
            index -= 1
        elif is_sign(tokens, index - 1, "?") and is_sign(tokens, index - 2, "."):
            index -= 2
        else:
            return index
    return 0


def _ends_value(token: Token) -> bool:
    return token.text != "in" if token.kind != "sign" else token.text in CLOSE


def _long(count: int) -> bool:
    names = f"{', '.join(BUILDS[:-1])} and {BUILDS[-1]}"
    instead = "all, exists and exists_one go through any number"
    raise ValueError(f"{count} elements are too many for {names}, which take at most {MOST} here; {instead}")


FUNCTIONS = (Function("k8s_long", ("INT",), False, "BOOL", _long),)
