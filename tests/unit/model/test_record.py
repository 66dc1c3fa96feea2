"""A record is what a frozen dataclass is to whoever makes, shows, compares and hashes it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import pytest

from webhook.model.record import record


@record(frozen=True, slots=True)
class Place:
    """With a field that neither counts nor is shown."""

    pointer: str
    name: str = "web"
    seen: list[int] = field(default_factory=list, repr=False, compare=False)


@record(frozen=True, slots=True)
class Other:
    """Alike, and not the same."""

    pointer: str
    name: str = "web"


@dataclass(frozen=True, slots=True)
class Model:
    """What dataclasses make of it."""

    pointer: str
    name: str = "web"
    seen: list[int] = field(default_factory=list, repr=False, compare=False)


def test_fields_that_count_make_two_equal_and_their_hashes() -> None:
    one, two = Place("/spec", seen=[1]), Place("/spec", seen=[2])
    assert one == two
    assert len({one, two, Place("/spec", "db")}) == 2
    assert one != Place("/spec", "db")
    assert one != Other("/spec")


def test_it_is_shown_as_a_dataclass_is() -> None:
    assert repr(Place("/spec")) == repr(Model("/spec")).replace("Model", "Place")


def test_it_can_be_copied_with_a_change_and_has_no_other_attributes() -> None:
    changed = replace(Place("/spec", seen=[1]), name="db")
    assert (changed, changed.seen) == (Place("/spec", "db"), [1])
    assert not hasattr(changed, "__dict__")


def test_a_constructor_that_is_written_out_stays() -> None:
    @record(frozen=True, slots=True)
    class Written:
        pointer: str
        name: str = "web"

        def __init__(self, pointer: str, name: str = "web") -> None:
            self.pointer = pointer.upper()  # type: ignore[misc]
            self.name = name  # type: ignore[misc]

    made = Written("/spec")
    assert (made.pointer, made.name, repr(made).rpartition(".")[2]) == (
        "/SPEC",
        "web",
        "Written(pointer='/SPEC', name='web')",
    )
    assert made == Written("/spec") != replace(made, name="db")


def test_it_is_a_dataclass_to_whoever_asks_for_fields_and_takes_what_its_constructor_takes() -> None:
    assert [(one.name, one.repr, one.compare) for one in fields(Place)] == [
        (one.name, one.repr, one.compare) for one in fields(Model)
    ]
    assert Place("/spec").seen is not Place("/spec").seen
    for given, named in (((), {}), (("/spec", "db", [], 1), {}), (("/spec",), {"other": 1})):
        with pytest.raises(TypeError) as theirs:
            Model(*given, **named)  # type: ignore[arg-type]
        with pytest.raises(TypeError) as ours:
            Place(*given, **named)  # type: ignore[arg-type]
        assert str(ours.value) == str(theirs.value).replace("Model", "Place")


def test_what_would_not_work_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match="inherits from a record"):

        @record(frozen=True, slots=True)
        class More(Place):
            more: str

    with pytest.raises(ValueError, match="default_factory"):

        @record(frozen=True, slots=True)
        class Shared:
            seen: list[int] = []  # noqa: RUF012

    with pytest.raises(TypeError, match="frozen"):
        record(frozen=False, slots=True)
