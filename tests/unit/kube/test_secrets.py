"""Pull secrets: the docker configs of our own Secrets, and, where that is allowed, of a pod's."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from webhook.kube.secrets import Secrets, docker_config

AUTHS = {"registry.example": {"auth": "dXNlcjpwYXNz"}}


def secret(key: str, value: Any) -> dict[str, Any]:
    return {"data": {key: base64.b64encode(json.dumps(value).encode()).decode()}}


def place(name: str, namespace: str = "shop") -> str:
    return f"/api/v1/namespaces/{namespace}/secrets/{name}"


def test_our_own_secrets_are_read_in_our_namespace_once_a_minute(api: Any) -> None:
    now = [0.0]
    client = api.client()
    own = client.access.namespace
    api.answers[place("pull", own)] = 200, secret(".dockerconfigjson", {"auths": AUTHS})
    secrets = Secrets(client, ["pull"], clock=lambda: now[0])
    assert secrets("shop", ["theirs"]) == [{"auths": AUTHS}]
    api.answers[place("pull", own)] = 200, secret(".dockerconfigjson", {"auths": {}, "new": 1})
    assert secrets("", ()) == [{"auths": AUTHS}]
    now[0] = 61.0
    assert secrets("", ()) == [{"auths": {}, "new": 1}]


def test_a_pods_secrets_count_only_where_that_is_allowed_and_go_first(api: Any) -> None:
    client = api.client()
    api.answers[place("ours", client.access.namespace)] = 200, secret(".dockerconfigjson", {"auths": {"a": {}}})
    api.answers[place("theirs")] = 200, secret(".dockercfg", AUTHS)
    assert Secrets(client, ["ours"])("shop", ["theirs"]) == [{"auths": {"a": {}}}]
    assert Secrets(client, ["ours"], pods=True)("shop", ["theirs"]) == [{"auths": AUTHS}, {"auths": {"a": {}}}]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_secret_that_cannot_be_read_gives_nothing(status: int, api: Any) -> None:
    client = api.client()
    api.answers[place("gone", client.access.namespace)] = status, {"message": "no"}
    assert Secrets(client, ["gone"])("", ()) == []


def test_what_was_read_serves_while_the_api_server_errs(api: Any) -> None:
    now = [0.0]
    client = api.client()
    where = place("pull", client.access.namespace)
    api.answers[where] = 200, secret(".dockerconfigjson", {"auths": AUTHS})
    secrets = Secrets(client, ["pull"], clock=lambda: now[0])
    assert secrets("", ()) == [{"auths": AUTHS}]
    api.answers[where] = 500, {}
    now[0] = 120.0
    assert secrets("", ()) == [{"auths": AUTHS}]


def test_many_secrets_on_a_slow_api_server_cost_no_more_than_one(api: Any) -> None:
    now = [0.0]
    client = api.client()
    named, asked = [f"pull-{number}" for number in range(16)], []

    def slow(handler: Any) -> tuple[int, Any]:
        asked.append(handler.path)
        now[0] += 1.5
        return 404, {}

    api.answers |= {place(name): slow for name in named}
    api.answers[place("ours", client.access.namespace)] = 200, secret(".dockerconfigjson", {"auths": AUTHS})
    secrets = Secrets(client, ["ours"], pods=True, clock=lambda: now[0])
    assert secrets("shop", named) == [{"auths": AUTHS}]
    assert len(asked) == 2


def test_no_name_leaves_its_part_of_the_path(api: Any) -> None:
    client = api.client()
    api.answers["/api/v1/namespaces/kube-system/secrets/admin"] = 200, secret(".dockerconfigjson", {"auths": AUTHS})
    assert Secrets(client, pods=True)("shop", ["../../kube-system/secrets/admin", "", "UP"]) == []


@pytest.mark.parametrize(
    "data",
    [None, {}, {"password": "eA=="}, {".dockerconfigjson": 3}, {".dockerconfigjson": "no base64!"},
     {".dockerconfigjson": "bm8ganNvbg=="}, {".dockercfg": "W10="}],
)  # fmt: skip
def test_a_secret_without_a_docker_config_holds_none(data: Any) -> None:
    assert docker_config({"data": data}) == {}
