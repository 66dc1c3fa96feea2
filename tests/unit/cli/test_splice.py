"""Values changed in their own text: the text reads as the new value, and what need not change stays byte for byte."""

from __future__ import annotations

import json as jsons
import re
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from webhook import sources
from webhook.cli import objects
from webhook.cli.edit import nodes, splice
from webhook.cli.edit.mend import Made, mend
from webhook.cli.fix import ROUNDS
from webhook.cli.judge import Judged, Namespaces, Neighbours, court
from webhook.errors import ConfigError
from webhook.model import pointer as pointers
from webhook.model.patch import Draft
from webhook.model.review import clean
from webhook.packs.compile import ruleset

GONE = object()


def spliced(text: str, change: Any, *, careful: bool = False) -> tuple[str | None, Any, list[splice.Held]]:
    """Return a one-document text after a change (of its value, or a function of it), and the value wanted."""
    is_json, documents = objects.documents("f", text)
    old = clean(next(iter(documents)).value)
    (root,) = nodes.json_roots(text) if is_json else nodes.yaml_roots(text)
    new = change(old) if callable(change) else change
    edits, held = splice.changes(text, root, old, new, json=is_json, careful=careful)
    return splice.applied(text, edits), new, held


def put(pointer: str, value: Any) -> Any:
    """Return the change that sets a value at a pointer, as a fix does."""

    def change(old: Any) -> Any:
        draft = Draft.of(old)
        if value is GONE:
            assert draft.remove(pointer)
        else:
            assert draft.put(pointer, value)
        return draft.document

    return change


def read(text: str | None) -> Any:
    assert text is not None
    (tree,) = objects.parse("f", text)
    return clean(tree.value)


@pytest.mark.parametrize(
    ("text", "pointer", "value", "wanted"),
    [
        # a scalar: only its own characters, in its own quotes
        ("a: 1 # one\nb: 2\n", "/a", 3, "a: 3 # one\nb: 2\n"),
        ("a:   'x'   # x\n", "/a", "it's", "a:   'it''s'   # x\n"),
        ('a: "x"', "/a", 'y"', 'a: "y\\""'),
        ("a: x\nb: 'c'\n", "/a", "1", "a: '1'\nb: 'c'\n"),
        ("a: x\n", "/a", "yes", 'a: "yes"\n'),
        ("a: x\n", "/a", "2026-11-23", 'a: "2026-11-23"\n'),
        ("a: x\n", "/a", "1:30", 'a: "1:30"\n'),
        ("a: x\n", "/a", "b: c", 'a: "b: c"\n'),
        ("a: x\n", "/a", "b #c", 'a: "b #c"\n'),
        ("a: x\n", "/a", "-Xmx1g", "a: -Xmx1g\n"),
        ("a: x\n", "/a", "é\U0001f600\x07", 'a: "é\U0001f600\\x07"\n'),
        ("{a: x, b: y}\n", "/a", "1,2", '{a: "1,2", b: y}\n'),
        ("a: &k x # c\nb: 1\n", "/a", "w", "a: &k w # c\nb: 1\n"),
        ("a: !!str 1\n", "/a", "2", 'a: !!str "2"\n'),
        # what is only added to stays as it was written
        ('a: "\\u00e9 x\n\n  y" # c\n', "/a", "é x\ny z", 'a: "\\u00e9 x\n\n  y z" # c\n'),
        ("a: >-\n  x\n  y\n\n# c\nb: 1\n", "/a", "x y z", "a: >-\n  x\n  y z\n\n# c\nb: 1\n"),
        ("a: x\n  y # c\n", "/a", "x y -z", "a: x\n  y -z # c\n"),
        ("a: | # c\n    x\n    y\nb: 1\n", "/a", "y\n\nz\n", "a: | # c\n    y\n\n    z\nb: 1\n"),
        ("a: |\n  x\nb: 1\n", "/a", "y", "a: |-\n  y\nb: 1\n"),
        ("a: >\n  x\nb: 1\n", "/a", "y\n", 'a: "y\\n"\nb: 1\n'),
        # a key: at the end of its mapping, before what belongs to what follows
        ("a:\n  b: 1 # b\n\n# c\nc: 2\n", "/a/x", "w", "a:\n  b: 1 # b\n  x: w\n\n# c\nc: 2\n"),
        ("a:\r\n    b: 1\r\n", "/a/x", {"w": [1]}, "a:\r\n    b: 1\r\n    x:\r\n        w:\r\n            - 1\r\n"),
        ("a: 1", "/x", "w", "a: 1\nx: w"),
        ("a: |+\n  t\n\n\nb: 1\n", "/x", 1, "a: |+\n  t\n\n\nb: 1\nx: 1\n"),
        ("b: 1\na: |+\n  t\n\n", "/x", 1, "b: 1\na: |+\n  t\n\nx: 1\n"),
        ("b: 1\na: |\n  t\n\n\n", "/x", 1, "b: 1\na: |\n  t\nx: 1\n\n\n"),
        ("b: 1\na: |\n  t", "/x", 1, "b: 1\na: |-\n  t\nx: 1"),
        ("x:\n- a: 1\n  b:\n  - c\n", "/x/0/b/-", "d", "x:\n- a: 1\n  b:\n  - c\n  - d\n"),
        ("a:\n  - b: 1\n  -   c: 1\n", "/a/-", {"d": 1, "e": [2]},
         "a:\n  - b: 1\n  -   c: 1\n  -   d: 1\n      e:\n        - 2\n"),
        ("a:\n- {b: 1}\n# end\n", "/a/-", {"c": {}}, "a:\n- {b: 1}\n- {c: {}}\n# end\n"),
        ("a:\n-\n- b\n", "/a/-", "c", "a:\n-\n- b\n- c\n"),
        ("{a: 1, b: [2]}\n", "/c", "x, y", '{a: 1, b: [2], c: "x, y"}\n'),
        ("a: { b: 1 } # c\n", "/a/c", 2, "a: { b: 1, c: 2 } # c\n"),
        ("a: [b, ]\n", "/a/-", "c", "a: [b, c, ]\n"),
        ("a: [\n  b, # b\n  c # c\n]\n", "/a/-", "d", "a: [\n  b, # b\n  c, # c\n  d\n]\n"),
        ("a: [\n  b, # b\n]\n", "/a/-", "d", "a: [\n  b, # b\n  d,\n]\n"),
        ("a: [\n  b]\n", "/a/-", "d", "a: [\n  b,\n  d]\n"),
        # what was empty
        ("a: {}\nb: 1\n", "/a/x", 1, "a: {x: 1}\nb: 1\n"),
        ("a: # c\nb: 1\n", "/a", {"x": 1}, "a: # c\n  x: 1\nb: 1\n"),
        ("a: null # c\nb: 1\n", "/a", ["x"], "a: # c\n  - x\nb: 1\n"),
        ("a: ~\nb: 1\n", "/a", "x", "a: x\nb: 1\n"),
        ("a:\nb: 1\n", "/a", "x", "a: x\nb: 1\n"),
        ("{a: , b: 1}\n", "/a", "x", "{a: x, b: 1}\n"),
        ("{b: 1, a}\n", "/a", "x", "{b: 1, a: x}\n"),
        ("a: &k\nb: 1\n", "/a", {"x": 1}, "a: &k\n  x: 1\nb: 1\n"),
        ("a: []\nb: 1\n", "/a/-", {"x": "y" * 100}, "a:\n  - x: " + "y" * 100 + "\nb: 1\n"),
        # what goes
        ("a: 1 # a\n# of b\nb: 2 # b\nc: 3\n", "/b", GONE, "a: 1 # a\n# of b\nc: 3\n"),
        ("a: 1\nb:\n  c: 2", "/b", GONE, "a: 1"),
        ("x:\n  - a: 1 # c\n    b: 2\n", "/x/0/a", GONE, "x:\n  - b: 2\n"),
        ("x: {a: 1, b: 2, c: 3}\n", "/x/a", GONE, "x: {b: 2, c: 3}\n"),
        ("x: {a: 1, b: 2, c: 3}\n", "/x/c", GONE, "x: {a: 1, b: 2}\n"),
        ("x:\n- a\n- b # b\n- c\n", "/x/1", GONE, "x:\n- a\n- c\n"),
        ("x: # c\n  a:\n    b: 1\ny: 1\n", "/x/a", GONE, "x: {} # c\ny: 1\n"),
        ("x: [a]\n", "/x/0", GONE, "x: []\n"),
        # JSON stays JSON, as it is laid out
        ('{"a":1,"b":[2]}', "/c", {"d": [1, "é"]}, '{"a":1,"b":[2],"c":{"d":[1,"é"]}}'),
        ('{"a": {}}\n', "/a/b", "x", '{"a": {"b": "x"}}\n'),
        (
            '{\n\t"a": {\n\t\t"b": 1\n\t}\n}\n', "/a/c", {"d": [1], "e": {}},
            '{\n\t"a": {\n\t\t"b": 1,\n\t\t"c": {\n\t\t\t"d": [\n\t\t\t\t1\n\t\t\t],\n\t\t\t"e": {}\n\t\t}\n\t}\n}\n',
        ),
        ('{\n  "a": [],\n  "b": "\\ud83d\\ude00\\/"\n}', "/a/-", 1,
         '{\n  "a": [\n    1\n  ],\n  "b": "\\ud83d\\ude00\\/"\n}'),
    ],
)  # fmt: skip
def test_a_change_takes_only_the_bytes_that_it_needs(text: str, pointer: str, value: Any, wanted: str) -> None:
    found, new, held = spliced(text, put(pointer, value))

    assert (found, held) == (wanted, [])
    assert read(found) == new


def test_the_line_ends_that_only_yaml_knows_are_line_ends() -> None:
    text = "a: x\u2028b: # c\x85  c: 1\u2028"

    assert spliced(text, put("/b/d", 2))[0] == "a: x\u2028b: # c\x85  c: 1\u2028  d: 2\u2028"


@pytest.mark.parametrize(
    ("text", "wants", "wanted"),
    [
        # two lists end in it, and lines follow both: its header is changed once
        ("a:\n- - |\n    t", {"a": [["t", "x"], "z"]}, "a:\n- - |-\n    t\n  - x\n- z"),
        ("a:\n- - |+\n    t", {"a": [["t", "x"], "z"]}, "a:\n- - |-\n    t\n  - x\n- z"),
        ("a:\n- - |-\n    t", {"a": [["t", "x"], "z"]}, "a:\n- - |-\n    t\n  - x\n- z"),
        ("a:\n- |2+\n    t", {"a": ["  t", "x"]}, "a:\n- |2-\n    t\n- x"),
        # it is written anew, and lines follow
        ("a: |\n  t", {"a": "t u", "b": 1}, "a: |-\n  t u\nb: 1"),
        ("a: >\n  t", {"a": "t u", "b": 1}, "a: >-\n  t u\nb: 1"),
        ("a: |\n  t", {"a": "t\n", "b": 1}, 'a: "t\\n"\nb: 1'),
        ("a: |\n  t", {"a": {"b": 1}}, "a:\n  b: 1"),
        # what follows goes, up to the end of the file: the break that ends it has to stay
        ("a: |\n  t\nb: 1", {"a": "t\n"}, "a: |\n  t\n"),
        ("a: |+\n  t\n\nb: 1", {"a": "t\n\n"}, "a: |+\n  t\n\n"),
        ("a: |\n  t\nb: 1\nc:\n- 2", {"a": "t\n"}, "a: |\n  t\n"),
        ("a:\n  a: |\n    t\n  b: 1\nb: 2", {"a": {"a": "t\n"}}, "a:\n  a: |\n    t\n"),
        ("a: |+\n  t\n\nb: 1", {"a": "t\n\n", "c": 1}, "a: |+\n  t\n\nc: 1"),
        ("a: |\r\n  t\r\nb: 1", {"a": "t\n"}, "a: |\r\n  t\r\n"),
        # blank lines behind what goes would be of its text, where it keeps them or they hold more spaces
        ("a: |+\n  t\nb: 1\n\n\nc: 2\n", {"a": "t\n", "c": 2}, "a: |+\n  t\nc: 2\n"),
        ("a: |+\n  t\nb: 1\n\n", {"a": "t\n"}, "a: |+\n  t\n"),
        ("a: |\n  t\nb: 1\n    \n", {"a": "t\n"}, "a: |\n  t\n"),
        ("a: |\r\n  t\r\nb: 1\r\n    \r\n", {"a": "t\n"}, "a: |\r\n  t\r\n"),
        ("a: |\n  t\nb: 1\n\nc: 2\n", {"a": "t\n", "c": 2}, "a: |\n  t\n\nc: 2\n"),
        # spaces that its header leaves to it are its text, in lines without anything else, too
        ("a: |2\n    t\n    \n", {"a": "  t\n  \n", "b": 1}, "a: |2\n    t\n    \nb: 1\n"),
        ("a: |\n  t\n   ", {"a": "t\n ", "b": 1}, "a: |-\n  t\n   \nb: 1"),
    ],
)
def test_the_text_of_a_block_scalar_stays_whatever_comes_or_goes_behind_it(text: str, wants: Any, wanted: str) -> None:
    found, _, held = spliced(text, wants)

    assert (found, held) == (wanted, [])
    assert read(found) == wants


# -- what is shared ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "change", "wanted"),
    [
        ("a: &k {x: 1}\nb: *k\n", {"a": {"x": 2}, "b": {"x": 2}}, "a: &k {x: 2}\nb: *k\n"),
        ("a: &k\n  x: 1\nb: *k\n", {"a": {"x": 1, "z": 3}, "b": {"x": 1, "z": 3}}, "a: &k\n  x: 1\n  z: 3\nb: *k\n"),
        ("a: &k x\nb: *k # b\n", {"a": "x", "b": "w"}, "a: &k x\nb: w # b\n"),
        ("a: &k {x: 1}\nb: {<<: *k}\n", {"a": {"x": 2}, "b": {"x": 2}}, "a: &k {x: 2}\nb: {<<: *k}\n"),
        ("a: &k {x: 1}\nb: {<<: *k}\n", {"a": {"x": 1}, "b": {"x": 2}}, "a: &k {x: 1}\nb: {<<: *k, x: 2}\n"),
        ("a: &k {x: 1}\nb:\n  <<: *k\n", {"a": {"x": 1}, "b": {"x": 2}}, "a: &k {x: 1}\nb:\n  <<: *k\n  x: 2\n"),
    ],
)
def test_what_is_shared_is_changed_once_or_written_where_it_differs(text: str, change: Any, wanted: str) -> None:
    assert (spliced(text, change)[0], read(wanted)) == (wanted, change)


@pytest.mark.parametrize(
    ("text", "change", "pointer", "why"),
    [
        ("a: &k {x: 1}\nb: *k\n", {"a": {"x": 2}, "b": {"x": 1}}, "/a", "shared by the anchor &k with other places"),
        ("a: &k {x: 1}\nb: *k\n", {"a": {"x": 1}, "b": {"x": 2}}, "/b", "is an alias of what stands at the anchor &k"),
        ("a: &k x\nb: *k\n", {"a": "w", "b": "x"}, "/a", "shared by the anchor &k with other places"),
        ("a: &k {x: [1]}\nb: {<<: *k}\n", {"a": {"x": [1]}, "b": {"x": [2]}}, "/b/x", "comes from another place by <<"),
        ("a: &k {x: 1}\nb: {<<: *k, w: 2}\n", {"a": {"x": 1}, "b": {"w": 2}}, "/b/x", "comes from another place by <<"),
        ("a: '{{ .Values.x }}'\n", {"a": "w"}, "/a", "filled in by a template"),
        ("a:\n  b: 1\n", {"a": [1]}, "/a", "of another form"),
    ],
)
def test_what_cannot_be_changed_alone_is_held_with_a_sentence(text: str, change: Any, pointer: str, why: str) -> None:
    _, _, (held,) = spliced(text, change)

    assert held.pointer == pointer
    assert why in held.why


# -- whatever the text ------------------------------------------------------------------------------------------------

SCALARS = (
    1,
    0,
    -7,
    True,
    False,
    None,
    2.5,
    "",
    "x",
    "yes",
    "0777",
    "a b",
    "a: b",
    "#",
    "it's",
    '"',
    "é\U0001f600",
    "a\tb",
)
LONG = "word " * 40 + "end"
TEXTS = ("one\n", "one\n\n  two\nthree\n", "one\ntwo", "one\n\n\n", LONG)
randoms = st.integers(0, 2**32).map(Random)
values = st.recursive(
    st.sampled_from(SCALARS + TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdefgh"), inner, max_size=4),
    max_leaves=12,
)
roots = st.dictionaries(st.sampled_from(("spec", "kind", "x y", "1", "true", "d/e.f")), values, min_size=1, max_size=5)


class Writer:
    """Writes values as people do: every style, comments wherever they may be, anchors where a value comes again."""

    def __init__(self, random: Any, anchors: bool, far: bool) -> None:
        self.random = random
        self.far = far  # comments may stand farther in than what follows them
        self.anchors: dict[str, Any] | None = {} if anchors else None
        self.count = 0
        self.unit = random.choice([1, 2, 4])

    def maybe(self, *texts: str) -> str:
        return str(self.random.choice(["", "", *texts]))

    def comment(self) -> str:
        return self.maybe("  # x: {y", " # - 'z", "   ", " #")

    def between(self) -> str:
        return self.maybe("# a: b\n", "\n", "      # far: [\n\n" if self.far else "# near\n\n", "#\n")

    def named(self, value: Any) -> tuple[str, str | None]:
        """Return an anchor to write before a value, or an alias instead of it."""
        if self.anchors is None or self.random.random() < 0.6:
            return "", None
        for name, known in self.anchors.items():
            if known == value and type(known) is type(value):
                return "", f"*{name}"
        self.count += 1
        return f"&k{self.count} ", None

    def scalar(self, value: Any, flow: bool) -> str:
        if isinstance(value, str):
            double = jsons.dumps(value, ensure_ascii=self.random.random() < 0.2 and value.isascii())
            single = "'" + value.replace("'", "''") + "'"
            plain = value if value in ("x", "a b", "it's", LONG) else double
            return str(self.random.choice([double, plain, single if "\n" not in value else double]))
        if value is None:
            return str(self.random.choice(["null", "~", "" if not flow else "null"]))
        return jsons.dumps(value)

    def flow(self, value: Any) -> str:
        gap = self.random.choice(["", " "])
        comma = self.random.choice([", ", ",  ", ",\n       ", " , ", ", # c\n        "])
        last = self.maybe(",") if value else ""
        if isinstance(value, dict):
            return "{" + gap + comma.join(f"{self.key(k)}: {self.flow(v)}" for k, v in value.items()) + last + gap + "}"
        if isinstance(value, list):
            return "[" + gap + comma.join(map(self.flow, value)) + last + gap + "]"
        return self.scalar(value, True)

    def key(self, name: str) -> str:
        return name if name not in ("1", "true") else f"'{name}'"

    def after(self, value: Any, column: int, offset: int) -> str:
        """Return a value as it stands behind `key:` or `-`, with its line's end."""
        anchor, alias = self.named(value)
        if alias:
            return f" {alias}{self.comment()}\n"
        found = self.body(value, column, offset, anchor)
        if anchor:
            assert self.anchors is not None
            self.anchors[anchor[1:-1]] = value
        return found

    def body(self, value: Any, column: int, offset: int, anchor: str) -> str:
        lead = f" {anchor}".rstrip()
        if isinstance(value, dict | list) and value and self.random.random() < 0.75:
            inner = self.block(value, column + (self.unit if isinstance(value, dict) else offset))
            return f"{lead}{self.comment()}\n{inner}"
        if isinstance(value, dict | list):
            return f"{lead} {self.flow(value)}{self.comment()}\n"
        if isinstance(value, str) and "\n" in value and not value.startswith("\n") and self.random.random() < 0.7:
            ends = len(value) - len(value.rstrip("\n"))
            rows = value.rstrip("\n").split("\n") + [""] * (ends - 1)
            pad = " " * (column + self.unit)
            head = "|" + ("-" if ends == 0 else "" if ends == 1 else "+")
            blank = "" if ends > 1 else self.maybe("\n\n")
            return f"{lead} {head}{self.comment()}\n" + "".join(f"{pad + row if row else ''}\n" for row in rows) + blank
        if value == LONG and self.random.random() < 0.7:
            pad = "\n" + " " * (column + self.unit)
            first, second = value[:80].rstrip(), value[80:].lstrip()
            if self.random.random() < 0.5:
                return f"{lead} >-{self.comment()}{pad}{first}{pad}{second}\n"
            return f"{lead} {first}{pad}{second}\n"
        return f"{lead} {self.scalar(value, False)}".rstrip() + f"{self.comment()}\n"

    def block(self, value: Any, column: int) -> str:
        pad, parts = " " * column, []
        if isinstance(value, dict):
            offset = self.random.choice([0, self.unit])
            for name, item in value.items():
                parts.append(f"{self.between()}{pad}{self.key(name)}:{self.after(item, column, offset)}")
            return "".join(parts)
        gap = self.random.choice([" ", " ", "   "])
        for item in value:
            if isinstance(item, dict) and item and self.random.random() < 0.8:
                inner = self.block(item, column + 1 + len(gap))
                bare = inner.lstrip("\n ")
                parts.append(
                    f"{self.between()}{pad}-{self.comment()}\n{inner}"
                    if bare[0] == "#"
                    else f"{self.between()}{pad}-{gap}{bare}"
                )
                continue
            parts.append(f"{self.between()}{pad}-{self.after(item, column, self.unit)}")
        return "".join(parts)


@st.composite
def documents(draw: Any, anchors: bool = False, far: bool = True) -> str:
    random = draw(randoms)
    writer = Writer(random, anchors, far)
    text = writer.between() + writer.maybe("---\n", "%YAML 1.1\n---\n", "--- # c\n")
    if not text.rstrip().endswith(("---", "# c")):
        text = writer.between()
    text += writer.block(draw(roots), 0) + writer.between() + writer.maybe("...\n", "# end\n")
    if random.random() < 0.3:
        text = text.rstrip("\n")
    return text.replace("\n", random.choice(["\n", "\n", "\r\n"]))


def containers(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return ([value] if isinstance(value, dict | list) else []) + [found for one in inner for found in containers(one)]


def grown(random: Any, old: Any) -> Any:
    """Return a value with more in it."""
    new = jsons.loads(jsons.dumps(old))
    for number in range(random.randint(1, 3)):
        more = random.choice([5, "w", "on", [1, "z"], {"n": {"m": ["o", {"p": "q"}]}}, {}])
        place = random.choice(containers(new))
        if isinstance(place, dict):
            place[f"new{number}"] = more
        else:
            place.append(more)
    return new


def subsequence(part: str, whole: str) -> bool:
    rest = iter(whole)
    return all(char in rest for char in part)


# no shrinking: a seed has nothing to shrink, and the texts are short as they are
MANY = settings(max_examples=100, suppress_health_check=list(HealthCheck), phases=[Phase.reuse, Phase.generate])


@MANY
@given(documents(), randoms)
def test_what_is_added_leaves_every_byte_that_was_there(text: str, random: Any) -> None:
    found, new, held = spliced(text, lambda old: grown(random, old))

    assert held == []
    assert read(found) == new
    at_end = text.rstrip(" \r\n") == text and "|" in text  # a block scalar that the file ends in needs a `-`
    assert at_end or subsequence(text, found or "")


def scalars(value: Any, base: str = "") -> list[str]:
    """Return the pointers of all scalars."""
    if not isinstance(value, dict | list):
        return [base]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [found for key, one in inner for found in scalars(one, pointers.join(base, key))]


@MANY
@given(documents(), randoms, st.sampled_from([*SCALARS[:5], *SCALARS[6:], *TEXTS]))
def test_another_scalar_takes_the_place_of_the_first_and_no_byte_more(text: str, random: Any, value: Any) -> None:
    places: list[str] = []

    def change(old: Any) -> Any:
        places.extend(random.sample(scalars(old), min(1, len(scalars(old)))))
        draft = Draft.of(old)
        for place in places:
            draft.put(place, value)
        return draft.document

    found, new, held = spliced(text, change)

    assert held == []
    assert read(found) == new
    for place in places:
        (node,) = nodes.yaml_roots(text)
        for token in pointers.split(place):
            node = node.entries[node.names[token]][1] if node.kind == "mapping" else node.items[int(token)]
        assert (found or "").startswith(text[: node.start])
        assert (found or "").endswith(text[node.end :])


# a comment far in, behind a block scalar, would be of its text: `mend` sees that when it reads again
@MANY
@given(documents(far=False), randoms)
def test_what_is_taken_out_leaves_all_else(text: str, random: Any) -> None:
    def change(old: Any) -> Any:
        new = jsons.loads(jsons.dumps(old))
        full = [one for one in containers(new) if one and (one is not new or len(one) > 1)]
        if full:
            one = random.choice(full)
            del one[random.choice(list(one) if isinstance(one, dict) else range(len(one)))]
        return new

    found, new, held = spliced(text, change)

    assert held == []
    assert read(found) == new


@MANY
@given(documents(anchors=True), randoms)
def test_with_anchors_a_change_is_made_whole_or_held(text: str, random: Any) -> None:
    found, new, held = spliced(text, lambda old: grown(random, old), careful=True)

    assert held or read(found) == new


class Blocks:
    """Writes documents of block scalars: every header, blank lines with and without spaces, every end of the file."""

    def __init__(self, random: Any) -> None:
        self.random = random

    def scalar(self, pad: str) -> str:
        pick, inside = self.random.choice, f"{pad}  "
        header = pick("|||>") + (width := pick(["", "", "2"])) + pick(["", "", "-", "+"])
        first = inside + (pick(["", "  "]) if width else "") + "t"
        more = [pick(["", pad, inside, f"{inside} ", f"{inside}u", f"{inside}  v"]) for _ in range(pick([0, 1, 2]))]
        blank = [pick(["", pad, inside, f"{inside}  "]) for _ in range(pick([0, 0, 1, 3]))]
        return "\n".join([header + pick(["", "", " # c"]), *pick([[first, *more]] * 8 + [[], [inside]]), *blank])

    def value(self, pad: str, depth: int) -> str:
        form = self.random.choice(["scalar", "mapping", "list"]) if depth else "scalar"
        if form == "scalar":
            return " " + (self.scalar(pad) if self.random.random() < 0.7 else self.random.choice(["1", "x", "[a]", ""]))
        inner = f"{pad}  "
        leads = self.random.sample(("a:", "b:", "c:"), self.random.randint(1, 3))
        leads = leads if form == "mapping" else ["-"] * len(leads)
        return "".join(f"\n{inner}{lead}{self.value(inner, depth - 1)}" for lead in leads)

    def document(self) -> str:
        names = self.random.sample("xzw", self.random.randint(1, 3))
        text = "\n".join(f"{name}:{self.value('', 2)}" for name in names)
        text += self.random.choice(["", "", "\n", "\n\n", " \n", "\n..."])
        return text.replace("\n", self.random.choice(["\n", "\n", "\r\n"]))


def otherwise(random: Any, old: Any) -> Any:
    """Return a value with scalars changed, parts taken out and more in it, a few of each."""
    new = jsons.loads(jsons.dumps(old))
    for _ in range(random.randint(0, 2)):
        full = [one for one in containers(new) if len(one) > 1]  # what gets empty may be of another form
        if full:
            one = random.choice(full)
            del one[random.choice(list(one) if isinstance(one, dict) else range(len(one)))]
        one = random.choice(containers(new))
        place = random.choice(list(one) if isinstance(one, dict) else range(len(one))) if one else None
        if place is not None and not isinstance(one[place], dict | list):
            one[place] = random.choice(["w", "w\n", "w\n\n", f"{one[place]}z", 5, {"n": 1}, [1], "one\ntwo\n"])
    return grown(random, new) if random.random() < 0.5 else new


@MANY
@given(randoms)
def test_block_scalars_however_they_end_keep_their_text_when_all_else_changes(random: Any) -> None:
    text = Blocks(random).document()
    try:
        read(text)
    except ConfigError:  # a first line that stands farther in than the header says
        return

    found, new, held = spliced(text, lambda old: otherwise(random, old))

    assert held or read(found) == new


# -- whole manifests --------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def hear() -> Callable[[objects.Manifest], Judged | None]:
    """Judge by the shipped packs, all in force."""
    packs = ruleset([(path.name, path.read_text()) for path in sources.shipped()], "enforce")
    return court(packs, Namespaces({}), Neighbours({}), lambda: NOW, "shop")


def container(random: Any, name: str) -> dict[str, Any]:
    amounts = {"cpu": random.choice(["500m", 1, "1"]), "memory": random.choice(["1Gi", "512Mi"])}
    more = {
        "env": random.choice(
            [None, [], [{"name": "JAVA_TOOL_OPTIONS", "value": LONG}], [{"name": "A", "value": "yes"}]]
        ),
        "resources": random.choice([None, {}, {"limits": amounts}, {"limits": amounts, "requests": {"cpu": "100m"}}]),
        "volumeMounts": random.choice([None, [], [{"name": "tmp", "mountPath": "/tmp"}]]),
        "imagePullPolicy": random.choice([None, "IfNotPresent"]),
        "command": random.choice([["java", "-jar", "/app.jar"], ["sh", "-c", "one\n\ntwo\n"]]),
    }
    kept = {key: value for key, value in more.items() if random.random() < 0.7}
    return {"name": name, "image": "registry.example/shop/web:main", **kept}


def workload(random: Any) -> dict[str, Any]:
    spec = {
        "containers": [container(random, name) for name in random.choice(["a", "ab"])],
        "volumes": random.choice([None, [], [{"name": "tmp", "emptyDir": {}}]]),
        "dnsConfig": random.choice([None, {}, {"options": [{"name": "ndots", "value": "5"}]}]),
    }
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    meta = {"name": "web", "labels": random.choice([None, {}, {"app": "web"}])}
    outer = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": outer}


@MANY
@given(randoms, st.booleans())
def test_a_manifest_however_written_is_mended_once_and_nothing_but_what_is_shared_is_left(
    hear: Callable[[objects.Manifest], Judged | None], random: Any, anchors: bool
) -> None:
    writer = Writer(random, anchors, far=True)
    text = writer.between() + writer.block(workload(random), 0)
    text = f"{text}---\n{writer.between()}--- # c\n{Writer(random, anchors, far=True).block(workload(random), 0)}"
    text = text.replace("\n", random.choice(["\n", "\r\n"])).rstrip(random.choice(["", "\r\n"]))

    def mended(text: str) -> tuple[str, list[Made]]:
        manifests = [manifest for manifest in objects.within("f", text) if manifest is not None]
        return mend("f", text, [(manifest, hear(manifest)) for manifest in manifests])

    new, made = mended(text)
    assert made
    for _ in range(ROUNDS if anchors else 0):  # where one fix cannot be made, others may make it another one
        new, _ = mended(new)

    again, left = mended(new)
    assert again == new
    assert all(one.why for one in left)
    assert anchors or not left
    assert re.findall(r"#[^\r\n]*", new) == re.findall(r"#[^\r\n]*", text)


@MANY
@given(roots, randoms)
def test_what_is_added_to_json_leaves_every_byte_and_json(value: Any, random: Any) -> None:
    indent = random.choice([None, 2, 4, "\t"])
    separators = random.choice([(",", ":"), (", ", ": ")])
    text = jsons.dumps(value, indent=indent, separators=separators, ensure_ascii=random.random() < 0.5)

    found, new, held = spliced(text, lambda old: grown(random, old))

    assert held == []
    assert clean(jsons.loads(found or "")) == new
    assert subsequence(text, found or "")
