"""How much work one evaluation may do that the binding's budget of iterations does not see.

A loop counts its rounds, and not what each looks at: 9,000 rounds of `e in object.x` over 9,000 maps took 11 s, and
nothing can stop the binding. What may be long is therefore weighed before (`guard.py` puts the questions into a text),
and all that one evaluation does so is added up. Nothing is weighed where lists are short, as they mostly are.

A weight is about the bytes of a value: a value or a key is `NODE`, and each character 1.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from webhook.checks.cellib.function import Function

NODE = 16
MOST = 128 * 1024 * 1024
"""Weight that one evaluation looks at: from 0.1 s for texts to about 1 s for maps."""
CONVERTED = 256
"""What an element is counted as that a function in Python is given; it takes some 1.5 microseconds."""
PAIR = 128
"""What two elements are counted as where nobody knows how much there is in them."""
ROUNDS = 10_000
"""The binding's own budget of iterations."""
LONGEST_TEXT = 100_000
"""Characters of a text that `split` and `replace` take: three million became 140 MB in half a second."""
PLAIN = (str, bool, int)
"""What `distinct` looks up, and does not compare with all that it has."""
WHOLE, ONE, SIZE, KEY = range(4)
"""What a loop looks at of a value: all of it, one of its elements, its size, or whether it has a key."""
_LESS = "look at fewer of them, or at fewer fields of each"


# What the evaluation that runs in a thread has looked at, and what its next loop looks at in each round.
_done = threading.local()


def begin() -> None:
    """Forget what was done before: an evaluation of this thread begins."""
    _done.units = _done.weight = 0


def spend(units: int, what: str) -> None:
    """Count work; ValueError, which says `what` it is for, where it is more than one evaluation may do."""
    _done.units = units = _done.__dict__.get("units", 0) + units
    if units > MOST:
        raise ValueError(f"{what}, more work than an evaluation may take; {_LESS}")


def weigh(value: object, most: int) -> int:
    """Return the weight of a value; something above `most` where it is more."""
    stack = [value]
    weight = 0
    while stack and weight <= most:
        found = stack.pop()
        weight += NODE
        if isinstance(found, str | bytes):
            weight += len(found)
        elif isinstance(found, dict):
            stack.extend(found)
            stack.extend(found.values())
        elif isinstance(found, list):
            stack.extend(found)
    return weight


def spending(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a list that counts the elements which it is given."""

    def spent(values: Sequence[Any], *more: Any) -> Any:
        spend(len(values) * CONVERTED, f"{name} is asked of too many elements, {len(values)} at last")
        return call(values, *more)

    return spent


def _open() -> bool:
    """Return true; an error where all work is spent, so that a loop that goes on after it weighs nothing more."""
    spend(0, "loops look at too much in all")
    return True


def _weigh(values: list[Any], way: int) -> bool:
    weight: int = _done.__dict__.get("weight", 0)
    for value in values:
        if isinstance(value, list | dict) and (way == SIZE or (way == KEY and isinstance(value, dict))):
            weight += NODE
        elif isinstance(value, list | dict) and way == ONE:
            inner = value.values() if isinstance(value, dict) else value
            weight += max((weigh(one, MOST) for one in inner), default=NODE)
        else:
            weight += weigh(value, MOST)
    _done.weight = weight
    return True


def _loop(count: int, inner: int, factor: int) -> bool:
    weight: int = _done.__dict__.pop("weight", 0)
    rounds = min(count * inner, max(count, ROUNDS))
    beside = f"some {weight // NODE} values beside each"
    spend(rounds * weight * factor, f"{count} elements are too many for a loop that looks at {beside}")
    return True


def _compared(values: list[Any]) -> bool:
    if not all(isinstance(value, PLAIN) for value in values):
        what = f"{len(values)} elements are too many for distinct of maps, lists and fractions"
        spend(len(values) * weigh(values, MOST), what)
    return True


def _sets(left: list[Any], right: list[Any]) -> bool:
    what = f"{len(left)} and {len(right)} elements are too many for sets, which compares each with each"
    spend(len(left) * weigh(right, MOST), what)
    return True


def _alike(count: int) -> bool:
    spend(count * count * PAIR, f"{count} elements are too many for distinct")
    return True


def _pairs(count: int) -> bool:
    spend(count * PAIR, f"{count} comparisons are too many for sets")
    return True


def _text(count: int) -> bool:
    raise ValueError(
        f"a text of {count} characters is too long for split and replace, which take at most {LONGEST_TEXT} here"
    )


FUNCTIONS = (
    Function("k8s_open", (), False, "BOOL", _open),
    Function("k8s_weigh", ("LIST", "INT"), False, "BOOL", _weigh),
    Function("k8s_loop", ("INT", "INT", "INT"), False, "BOOL", _loop),
    Function("k8s_compared", ("LIST",), False, "BOOL", _compared),
    Function("k8s_sets", ("LIST", "LIST"), False, "BOOL", _sets),
    Function("k8s_alike", ("INT",), False, "BOOL", _alike),
    Function("k8s_pairs", ("INT",), False, "BOOL", _pairs),
    Function("k8s_text", ("INT",), False, "BOOL", _text),
)
