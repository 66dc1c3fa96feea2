"""`plimsoll uninstall`: what is said and asked before anything goes, in which order it goes, and how that ends."""

from __future__ import annotations

import argparse
import os
import pty
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from webhook.cli import uninstall
from webhook.cli.uninstall import REST, WEBHOOKS
from webhook.main import commands, main
from webhook.ports import Remnant, Rooms, Unknown

VALIDATING, MUTATING = (Remnant(kind, "", "plimsoll", f"uid-{kind}", "x.plimsoll.dev") for kind in WEBHOOKS)
SERVER = Remnant("Deployment", "plimsoll", "plimsoll", "uid-d")
RIGHTS = Remnant("ClusterRole", "", "plimsoll", "uid-r")
PACKS = Remnant("CustomResourceDefinition", "", "rulepacks.plimsoll.dev", "uid-p", "with 2 RulePacks in it")
SHOWN = "ValidatingWebhookConfiguration plimsoll: to be taken away (x.plimsoll.dev)"


class Place:
    """A cluster that holds what a test puts there; `asked` is how it was named, `removed` what went, in order."""

    def __init__(self) -> None:
        self.held: list[Remnant] = []
        self.silent: set[str] = set()
        self.stuck: set[str] = set()
        self.gone: set[str] = set()
        self.removed: list[str] = []
        self.asked: tuple[str, str] | None = None

    def find(self, kind: str) -> tuple[Remnant, ...]:
        if kind in self.silent:
            raise Unknown(f"GET {kind}: 403: not for you")
        return tuple(one for one in self.held if one.kind == kind)

    def remove(self, remnant: Remnant) -> bool:
        if remnant.kind in self.stuck:
            raise Unknown(f"DELETE {remnant.kind}: 403: not for you")
        self.removed.append(remnant.kind)
        return remnant.kind not in self.gone


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def rooms(rooms: Rooms, place: Place) -> Rooms:
    def cluster(kubeconfig: str, context: str) -> Place:
        place.asked = (kubeconfig, context)
        return place

    return replace(rooms, uninstall=cluster)


def test_the_webhooks_go_and_nothing_else(plimsoll: Callable[..., Any], place: Place) -> None:
    place.held = [RIGHTS, SERVER, PACKS, MUTATING, VALIDATING]
    ran = plimsoll("uninstall", "--yes", "--kubeconfig", "there", "--context", "prod")
    assert (ran.status, ran.err, place.asked) == (0, "", ("there", "prod"))
    assert place.removed == list(WEBHOOKS)
    assert SHOWN in ran.out
    assert "MutatingWebhookConfiguration plimsoll: taken away" in ran.out
    assert "The API server asks Plimsoll no more." in ran.out
    assert "uninstall --all" in ran.out


def test_the_webhooks_go_first_and_the_rights_last_and_packs_only_where_they_are_named(
    plimsoll: Callable[..., Any], place: Place
) -> None:
    place.held = [PACKS, RIGHTS, SERVER, MUTATING, VALIDATING]
    assert plimsoll("uninstall", "--all", "--yes").status == 0
    assert place.removed == [*WEBHOOKS, "Deployment", "ClusterRole"]
    place.removed.clear()
    ran = plimsoll("uninstall", "--all", "--packs", "--yes")
    assert place.removed == [*WEBHOOKS, "Deployment", "ClusterRole", "CustomResourceDefinition"]
    assert "rulepacks.plimsoll.dev: to be taken away (with 2 RulePacks in it)" in ran.out
    assert "Deployment plimsoll/plimsoll: taken away" in ran.out


def test_where_nothing_is_there_it_says_so_and_is_content(plimsoll: Callable[..., Any], place: Place) -> None:
    assert plimsoll("uninstall").out == "no webhook configuration of Plimsoll's is there\n"
    ran = plimsoll("uninstall", "--all", "--packs")
    assert (ran.status, ran.out, ran.err) == (0, "nothing of Plimsoll's is there\n", "")


def test_a_dry_run_takes_nothing_away(plimsoll: Callable[..., Any], place: Place) -> None:
    place.held = [VALIDATING, replace(MUTATING, stays="also holds evil.example")]
    ran = plimsoll("uninstall", "--dry-run")
    assert (ran.status, place.removed) == (0, [])
    assert ran.out == f"{SHOWN}\nMutatingWebhookConfiguration plimsoll: stays: also holds evil.example\n"


def test_what_has_to_stay_stays_and_is_named(plimsoll: Callable[..., Any], place: Place) -> None:
    place.held = [VALIDATING, replace(MUTATING, stays="also holds evil.example")]
    ran = plimsoll("uninstall", "--yes")
    assert (ran.status, place.removed) == (1, [VALIDATING.kind])
    assert "asks Plimsoll no more" not in ran.out
    place.held = [replace(MUTATING, stays="also holds evil.example")]
    assert plimsoll("uninstall", "--yes").status == 1


@pytest.mark.parametrize(
    ("said", "status", "removed"), [("y\n", 0, 1), ("Yes\n", 0, 1), ("\n", 2, 0), ("no\n", 2, 0), ("\x04", 2, 0)]
)
def test_on_a_terminal_it_asks_first(
    rooms: Rooms,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    said: str,
    status: int,
    removed: int,
) -> None:
    place.held = [VALIDATING]
    parser = argparse.ArgumentParser()
    uninstall.configure(parser)
    keyboard, terminal = pty.openpty()
    with os.fdopen(keyboard, "wb", buffering=0) as hands, os.fdopen(terminal, encoding="utf-8") as stdin:
        hands.write(said.encode())
        monkeypatch.setattr(sys, "stdin", stdin)
        assert uninstall.run(parser.parse_args([]), rooms) == status
    assert len(place.removed) == removed
    shown = capsys.readouterr()
    assert shown.out.startswith(SHOWN)
    assert "Take away this? [y/N]" in shown.err
    assert ("nothing is taken away" in shown.err) is (removed == 0)


def test_where_nobody_can_be_asked_it_takes_nothing_away_without_a_word_of_consent(
    plimsoll: Callable[..., Any], place: Place
) -> None:
    place.held = [VALIDATING]
    ran = plimsoll("uninstall", stdin=b"y\n")
    assert (ran.status, place.removed) == (2, [])
    assert SHOWN in ran.out
    assert "--yes" in ran.err


def test_who_may_not_see_or_delete_one_kind_still_gets_rid_of_the_other(
    plimsoll: Callable[..., Any], place: Place
) -> None:
    place.held, place.silent = [VALIDATING, MUTATING], {VALIDATING.kind}
    ran = plimsoll("uninstall", "--yes")
    assert (ran.status, place.removed) == (1, [MUTATING.kind])
    assert "ValidatingWebhookConfiguration: cannot be looked for: GET" in ran.err
    assert "asks Plimsoll no more" not in ran.out
    place.silent, place.stuck, place.removed = set(), {VALIDATING.kind}, []
    ran = plimsoll("uninstall", "--yes")
    assert (ran.status, place.removed) == (1, [MUTATING.kind])
    assert "ValidatingWebhookConfiguration plimsoll: is still there: DELETE" in ran.err
    assert "asks Plimsoll no more" not in ran.out


def test_what_has_gone_meanwhile_is_gone(plimsoll: Callable[..., Any], place: Place) -> None:
    place.held, place.gone = [VALIDATING], {VALIDATING.kind}
    ran = plimsoll("uninstall", "--yes")
    assert ran.status == 0
    assert "ValidatingWebhookConfiguration plimsoll: had gone already" in ran.out


def test_a_cluster_that_tells_nothing_is_an_error(plimsoll: Callable[..., Any], place: Place) -> None:
    place.silent = set(WEBHOOKS)
    ran = plimsoll("uninstall", "--yes")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("cannot be looked for") == 2


def test_it_is_a_command_of_plimsoll_and_a_kubeconfig_of_no_use_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "uninstall" in commands()
    assert main(["uninstall", "--yes", "--kubeconfig", "/nonexistent/config"]) == 2
    assert "/nonexistent/config" in capsys.readouterr().err


def test_webhooks_are_never_among_the_rest() -> None:
    assert not {*WEBHOOKS} & {*REST}
    assert "Secret" not in REST  # not even listed: nobody needs the right to read Secrets for this
