"""Objects made wrong: one place of a document changed, the same for the same seed, and told so that it can be repeated.

It is YAML and JSON as anybody can send them; nothing of Plimsoll is used here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

ODD = "ſ\u200b\u202e\u0130\x85\u2028é\U0001d518\x7f\t"
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 1e308, 2**31, 2**63, 10**40),
    *("", "x", "0", "-1", "1e400", "\u0663", "\u00b2", " ", "/", "a" * 300, ODD),
    *([], {}, [None], {"a": None}, [[]], [{}], ["x"], [0], {"x": []}, [True, "x", {}]),
)
"""What is put in the place of a value: every type of JSON, and texts that look like numbers and are none."""


def mutate(document: Any, random: Random, below: tuple[str | int, ...] = ()) -> tuple[Any, str]:
    """Return a copy of a document with one place changed, and what was done there: `/spec/replicas := "x"`.

    Only what stands below the path `below` is changed.
    """
    result = copy.deepcopy(document)
    paths = [path for path in _paths(result) if len(path) > len(below) and path[: len(below)] == below]
    if not paths:
        return result, "nothing to change"
    path = random.choice(paths)
    parent = _at(result, path[:-1])
    return result, f"/{'/'.join(map(str, path))} {_change(result, parent, path[-1], paths, random)}"


def everywhere(document: Any, random: Random) -> Iterator[tuple[Any, str]]:
    """Yield a document once for each place in it, with a value of another type there, and what was done."""
    for path in _paths(document):
        result = copy.deepcopy(document)
        parent = _at(result, path[:-1])
        others = [value for value in VALUES if type(value) is not type(parent[path[-1]])]
        parent[path[-1]] = copy.deepcopy(random.choice(others))
        yield result, f"/{'/'.join(map(str, path))} := {parent[path[-1]]!r}"[:200]


def _change(document: Any, parent: Any, key: Any, paths: list[tuple[str | int, ...]], random: Random) -> str:
    value = parent[key]
    [kind] = random.choices(("value", "removed", "twice", "cut", "renamed", "moved", "odd"), (12, 3, 2, 2, 1, 2, 1))
    if kind == "removed":
        del parent[key]
        return "removed"
    if kind == "twice" and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(value))
        return "doubled"
    if kind == "twice" and isinstance(value, list) and value:
        value.append(copy.deepcopy(value[0]))
        return "has its first element twice"
    if kind == "cut" and isinstance(value, str) and value:
        parent[key] = value[: random.randrange(len(value))]
        return f"cut to {parent[key]!r}"
    if kind == "odd" and isinstance(value, str):
        at = random.randrange(len(value) + 1)
        parent[key] = value[:at] + random.choice(ODD) + value[at:]
        return f":= {parent[key]!r}"
    if kind == "renamed" and isinstance(parent, dict):
        other = random.choice((key.upper(), key.title(), key.lower(), key + " ", key[:1].swapcase() + key[1:]))
        parent[other] = parent.pop(key)
        return f"renamed to {other!r}"
    if kind == "moved":
        source = random.choice(paths)
        parent[key] = copy.deepcopy(_at(document, source))
        return f":= what stands at /{'/'.join(map(str, source))}"
    parent[key] = copy.deepcopy(random.choice(VALUES))
    return f":= {parent[key]!r}"[:80]


def _paths(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from _paths(item, (*at, key))


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value
