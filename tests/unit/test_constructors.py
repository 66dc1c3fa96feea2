"""Constructors that are written out for the compiler make what dataclasses' own make, and move no line."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from tools import compiled
from tools.constructors import written_out

HEAD = """from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, InitVar, KW_ONLY
from typing import Any, ClassVar, Generic, TypeVar

T = TypeVar("T")


"""


@pytest.fixture
def classes(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Any, Any]]:
    """Returns the class A of a module, as it is and written out."""

    def made(name: str, source: str) -> Any:
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(source, name, "exec"), module.__dict__)
        return module.__dict__["A"]

    return lambda source: (made("plain", source), made("written", written_out(source)))


def module(body: str, decorator: str = "@dataclass(slots=True)", base: str = "") -> str:
    return f"{HEAD}{decorator}\nclass A{base}:\n    {body}\n\n\nlast = 1\n"


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ("a: int\n    b: str = 'x'", [(1,), (1, "y")]),
        ("a: Mapping[str, Any] = field(default_factory=dict)\n    b: int = 2", [(), ({"c": 1},), ({}, 3)]),
        ("a: int = field(repr=False, default=7)\n    kept: ClassVar[int] = 3", [(), (8,)]),
        ("a: int\n    b: int = 0\n\n    def __post_init__(self) -> None:\n        self.b += self.a", [(1,), (1, 2)]),
        ("a: list[int] = field(default_factory=lambda: [1, 2])", [(), ([3],)]),
    ],
)
def test_what_is_written_out_makes_the_same_objects(
    classes: Callable[[str], tuple[Any, Any]], body: str, given: list[tuple[Any, ...]]
) -> None:
    plain, written = classes(module(body))
    assert written.__init__.__code__.co_filename == "written"  # dataclass left it alone
    for arguments in given:
        assert dataclasses.asdict(written(*arguments)) == dataclasses.asdict(plain(*arguments))
    assert list(inspect.signature(written).parameters) == list(inspect.signature(plain).parameters)


def test_each_object_has_a_list_of_its_own(classes: Callable[[str], tuple[Any, Any]]) -> None:
    _, written = classes(module("a: list[int] = field(default_factory=list)"))
    first, second = written(), written()
    first.a.append(1)
    assert second.a == []


def test_generic_classes_and_other_names_of_the_decorator_are_seen() -> None:
    for decorator in ("@dataclass", "@dataclasses.dataclass(slots=True)", "@record(frozen=True, slots=True)"):
        assert "def __init__(self, a: T) -> None: self.a = a" in written_out(module("a: T", decorator, "(Generic[T])"))


@pytest.mark.parametrize(
    ("body", "base"),
    [
        ("a: int\n\n    def __init__(self) -> None:\n        self.a = 1", ""),
        ("a: InitVar[int]", ""),
        ("_: KW_ONLY\n    a: int", ""),
        ("a: int = field(init=False, default=1)", ""),
        ("b: int", "(Exception)"),
        ("pass", ""),
    ],
)
def test_what_is_more_than_a_list_of_fields_is_left_as_it_is(body: str, base: str) -> None:
    source = module(body, base=base)
    assert written_out(source) == source


def test_a_class_that_no_blank_line_follows_is_left_as_it_is() -> None:
    source = f"{HEAD}@dataclass\nclass A:\n    a: int"
    assert written_out(source) == source


def test_no_line_of_the_compiled_modules_moves() -> None:
    changed = 0
    for path in compiled.modules(compiled.ROOT):
        source = path.read_text(encoding="utf-8")
        lines = source.split("\n")
        written = written_out(source).split("\n")
        assert len(written) == len(lines)
        added = [new for old, new in zip(lines, written, strict=True) if new != old]
        assert all(line.startswith("    def __init__(self, ") for line in added)
        changed += len(added)
    assert changed > 100
