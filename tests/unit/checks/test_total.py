"""Conditions made wider: they never fail, and are true wherever the text is true or fails."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from webhook.checks import cel
from webhook.checks.cellib.total import Unknown, wider
from webhook.errors import RuleError

METADATA: list[Any] = [
    {},
    {"labels": {}},
    {"labels": {"tier": "web"}},
    {"labels": {"tier": "db"}, "name": "web"},
    {"labels": ["tier"], "name": 3},
    {"labels": "tier"},
]
ATOMS = [
    "has(object.metadata.labels)",
    "has(object.metadata.labels.tier)",
    "object.metadata.labels.tier == 'web'",
    "object.metadata.labels['tier'] != 'web'",
    "'tier' in object.metadata.labels",
    "object.metadata.name.startsWith('w')",
    "object.metadata.name in ['web', 'db']",
    "oldObject.metadata.name == 3",
    "request.userInfo.username == 'alice'",
    "'devs' in request.userInfo.groups",
    "true",
]
USERS: list[Any] = [{}, {"username": "alice"}, {"username": "bob", "groups": ["devs"]}]


def value(text: str, values: dict[str, Any]) -> bool | None:
    """Return what a condition gives, None where it fails."""
    try:
        return bool(cel.compile(text, wants="bool")(cel.activation(values)))
    except RuleError:
        return None


JOINED = [
    *ATOMS,
    *(f"!({atom})" for atom in ATOMS),
    *(f"{a} {sign} !({b})" for (a, b), sign in product(product(ATOMS[:9], ATOMS[:9]), ("&&", "||"))),
    "!(has(object.metadata.labels) && !(object.metadata.labels.tier == 'web' || object.metadata.name == 'x'))",
]


def test_a_wider_text_never_fails_and_is_true_where_the_text_is_or_fails() -> None:
    world = [
        {
            "object": {"metadata": metadata},
            "oldObject": None if number % 2 else {"metadata": METADATA[number - 1]},
            "request": {"operation": "UPDATE", "userInfo": USERS[number % 3]},
        }
        for number, metadata in enumerate(METADATA)
    ]
    for text in JOINED:
        wide = wider(text)
        for values in world:
            was, now = value(text, values), value(wide, values)
            assert now is not None, (text, wide, values)
            assert now or was is False, (text, wide, values)


def test_it_is_no_wider_than_it_has_to_be() -> None:
    """What is there is compared, and so left out where the author leaves it out."""
    values = {"object": {"metadata": METADATA[3]}, "oldObject": None, "request": {"userInfo": USERS[1]}}
    for text in JOINED[: 2 * len(ATOMS)]:
        was = value(text, values)
        assert value(wider(text), values) is (was if was is not None else True), text


@pytest.mark.parametrize(
    "text",
    [
        "object.spec.replicas < 3",
        "object.metadata.labels.all(k, k != 'a')",
        "request.object.metadata.name == 'x'",
        "request.dryRun == true",
        "request.userInfo.username == 3",
        "request.userInfo.extra.a == 'x'",
        "'x' in request.userInfo.username",
        "object == oldObject",
        "object.metadata.name == null",
        "object.a ? true : false",
        "has(object)",
        "object.a == 'x' 'y'",
        "values.a == 'x'",
        "object.a ==",
        "(" * 40 + "true" + ")" * 40,
        "object.metadata.name.matches('(a+)+$')",
    ],
)
def test_what_may_fail_in_a_way_that_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(Unknown):
        wider(text)
