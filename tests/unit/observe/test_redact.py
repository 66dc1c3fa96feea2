"""What is kept of a review: all that rules judge by, and no secret that can be known as one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from webhook.model.decision import Decision
from webhook.observe.redact import APPLIED, MARK, redact

HIDDEN = "hunter2"


def pod(container: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", **metadata},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.29", **container}]},
    }


def container(obj: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = redact({"object": obj})["object"]["spec"]["containers"][0]
    return kept


@pytest.mark.parametrize(
    "name",
    ["DB_PASSWORD", "db-passwd", "API_TOKEN", "SSH_KEY", "clientSecret", "AWS_CREDENTIALS", "Authorization", "DSN"],
)
def test_a_variable_with_the_name_of_a_secret_keeps_its_name_alone(name: str) -> None:
    kept = container(pod({"env": [{"name": name, "value": HIDDEN}, {"name": "TZ", "value": "UTC"}]}))
    assert kept["env"] == [{"name": name, "value": MARK}, {"name": "TZ", "value": "UTC"}]


def test_a_reference_to_a_secret_stays_since_it_is_none() -> None:
    env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]
    obj = pod({"env": env})
    obj["spec"]["imagePullSecrets"] = [{"name": "pull-token"}]
    obj["spec"]["automountServiceAccountToken"] = False
    obj["spec"]["volumes"] = [{"name": "token", "secret": {"secretName": "tls"}}]
    assert redact({"object": obj})["object"] == obj


def test_options_keep_all_but_what_is_given_to_a_secret_in_them() -> None:
    value = f"-Xmx1g -Djavax.net.ssl.keyStorePassword={HIDDEN} -XX:+UseG1GC"
    kept = container(pod({"env": [{"name": "JAVA_TOOL_OPTIONS", "value": value}]}))
    assert kept["env"][0]["value"] == f"-Xmx1g -Djavax.net.ssl.keyStorePassword={MARK} -XX:+UseG1GC"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--token", HIDDEN, "--port", "80"], ["--token", MARK, "--port", "80"]),
        ([f"--db-password={HIDDEN}", "-v"], [f"--db-password={MARK}", "-v"]),
        (["sh", "-c", f"run --api-key {HIDDEN} x"], ["sh", "-c", f"run --api-key {MARK} x"]),
        (["sh", "-c", f"PASSWORD='{HIDDEN} b' run"], ["sh", "-c", f"PASSWORD={MARK} run"]),
        ([f"postgres://shop:{HIDDEN}@db/shop"], [f"postgres://{MARK}@db/shop"]),
    ],
)
def test_commands_keep_all_but_their_secrets(words: list[str], wanted: list[str]) -> None:
    kept = container(pod({"command": words, "args": words}))
    assert (kept["command"], kept["args"]) == (wanted, wanted)


def test_the_header_of_a_probe_is_hidden() -> None:
    probe = {"httpGet": {"path": "/", "httpHeaders": [{"name": "Authorization", "value": HIDDEN}]}}
    assert HIDDEN not in json.dumps(container(pod({"livenessProbe": probe})))


def test_annotations_lose_secrets_and_what_kubectl_applied() -> None:
    given = {APPLIED: HIDDEN, "vault.example/token": HIDDEN, "plimsoll.dev/logs": "stdout"}
    kept = redact({"object": pod({}, annotations=given)})["object"]["metadata"]["annotations"]
    assert kept == {APPLIED: MARK, "vault.example/token": MARK, "plimsoll.dev/logs": "stdout"}


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_data_keeps_its_keys_alone_also_in_a_wrapper_and_in_the_old_object(kind: str) -> None:
    held = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": "a", "managedFields": [{"manager": "kubectl"}]},
        "data": {"a": HIDDEN},
        "stringData": {"b": HIDDEN},
        "binaryData": None,
    }
    wrapper = {"kind": "ManifestWork", "spec": {"workload": {"manifests": [held]}}}
    kept = redact({"object": wrapper, "oldObject": held})
    assert HIDDEN not in json.dumps(kept)
    inner = kept["object"]["spec"]["workload"]["manifests"][0]
    assert inner == kept["oldObject"]
    assert (inner["data"], inner["metadata"]) == ({"a": MARK}, {"name": "a"})


def test_of_the_user_name_and_groups_are_kept() -> None:
    user = {"username": "jane", "groups": ["dev"], "uid": HIDDEN, "extra": {"token": [HIDDEN]}}
    assert redact({"userInfo": user})["userInfo"] == {"username": "jane", "groups": ["dev"]}


def test_a_field_named_like_a_password_is_hidden_in_any_kind() -> None:
    assert redact({"object": {"kind": "Db", "spec": {"adminPassword": HIDDEN, "size": 3}}})["object"]["spec"] == {
        "adminPassword": MARK,
        "size": 3,
    }


def test_a_long_text_takes_time_by_its_length_alone() -> None:
    text = "password" * 200_000  # a pattern that goes back would not end
    assert container(pod({"args": [text]}))["args"] == [text]


def test_what_is_given_stays_as_it_was() -> None:
    obj = pod({"env": [{"name": "TOKEN", "value": HIDDEN}]})
    redact({"object": obj})
    assert obj["spec"]["containers"][0]["env"][0]["value"] == HIDDEN


def test_redaction_changes_no_verdict_of_the_shipped_checks_on_variables(
    judge: Callable[..., Decision],
) -> None:
    pack = "rules: [{name: jvm-flags, check: jvm-flags, action: deny}]"
    env = [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx4g -Dtoken=x"}, {"name": "TOKEN", "value": "x"}]
    obj = pod({"env": env, "resources": {"limits": {"memory": "1Gi"}}}, namespace="shop")
    before = judge(pack, obj)
    assert before.findings
    assert [f.violation.reason for f in judge(pack, redact({"object": obj})["object"]).findings] == [
        f.violation.reason for f in before.findings
    ]
