"""How long a preStop hook waits, as far as its manifest says."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.model.hook import sleep, stop
from webhook.model.pods import Container


def shell(script: str) -> dict[str, Any]:
    return {"exec": {"command": ["/bin/sh", "-c", script]}}


@pytest.mark.parametrize(
    ("hook", "seconds"),
    [
        ({"sleep": {"seconds": 5}}, 5),
        ({"sleep": {"seconds": "5"}}, None),
        ({"sleep": {"seconds": True}}, None),
        ({"exec": {"command": ["sleep", "10"]}}, 10),
        ({"exec": {"command": ["/bin/sleep", "10s"]}}, 10),
        ({"exec": {"command": ["sleep", "1m"]}}, 60),
        (shell("sleep 5"), 5),
        (shell("sleep 5; nginx -s quit"), 5),
        (shell("sleep 5 && nginx -s quit"), 5),
        (shell("sleep 5 & nginx -s quit"), None),
        (shell("nginx -s quit; sleep 5"), None),
        (shell("sleep $DRAIN"), None),
        ({"httpGet": {"path": "/drain"}}, None),
        ({}, None),
    ],
)
def test_a_sleep_is_seen_as_an_action_and_as_the_first_command(hook: dict[str, Any], seconds: int | None) -> None:
    assert sleep(hook) == seconds


@pytest.mark.parametrize(
    ("lifecycle", "wanted"),
    [
        ({"preStop": {"sleep": {"seconds": 5}}}, {"sleep": {"seconds": 5}}),
        ({"preStop": {"tcpSocket": {"port": 80}}}, {}),
        ({"preStop": {}}, {}),
        ({"postStart": {"exec": {}}}, {}),
        (None, {}),
    ],
)
def test_a_hook_that_is_never_run_is_none(lifecycle: Any, wanted: dict[str, Any]) -> None:
    assert stop(Container("web", "container", {"lifecycle": lifecycle}, "")) == wanted
