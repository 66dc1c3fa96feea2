"""Kubeconfig files and service accounts, read as kubectl and client-go read them."""

from __future__ import annotations

import base64
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.errors import ConfigError
from webhook.kube import kubeconfig
from webhook.kube.client import Credential


def write(path: Path, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, **more: Any) -> Path:
    held = {
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", **(cluster or {})}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "users": [{"name": "u", "user": user if user is not None else {"token": "t"}}],
    }
    path.write_text(yaml.safe_dump(held | more))
    return path


def plugin(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login", "interactiveMode": "Never"}


def test_a_token_and_a_cluster_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "config",
        {"token": "t"},
        {"certificate-authority-data": b64("pem"), "tls-server-name": "s"},
    )
    access = kubeconfig.read([path], None, {})
    assert (access.url, access.ca, access.server_name, access.namespace) == (
        "https://127.0.0.1:6443",
        b"pem",
        "s",
        "shop",
    )
    assert access.credential(False) == Credential("t")
    assert not access.insecure


def test_files_are_found_beside_the_kubeconfig_and_data_counts_more(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"ca")
    (tmp_path / "crt.pem").write_bytes(b"crt")
    user = {"client-certificate": "crt.pem", "client-key": "missing.pem", "client-key-data": b64("key")}
    access = kubeconfig.read([write(tmp_path / "config", user, {"certificate-authority": "ca.pem"})], None, {})
    assert access.ca == b"ca"
    assert access.credential(False) == Credential(None, b"crt", b"key")


def test_of_several_files_the_first_that_has_a_name_counts_and_missing_files_are_passed_over(
    tmp_path: Path,
) -> None:
    first = tmp_path / "first"
    first.write_text(yaml.safe_dump({"users": [{"name": "u", "user": {"token": "first"}}]}))
    second = write(tmp_path / "second", {"token": "second"})
    access = kubeconfig.read([tmp_path / "none", first, second], None, {})
    assert access.credential(False).token == "first"
    assert access.url == "https://127.0.0.1:6443"


def test_a_context_may_be_named(tmp_path: Path) -> None:
    contexts = [{"name": "other", "context": {"cluster": "c"}}]
    access = kubeconfig.read([write(tmp_path / "config", contexts=contexts)], "other", {})
    assert access.credential(False) == Credential()
    assert access.namespace == "default"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"current-context": ""}, "no context is chosen"),
        ({"current-context": "far"}, "no context is named 'far'; there are: here"),
        ({"clusters": []}, "no cluster is named 'c'; there are: none"),
        ({"users": []}, "no user is named 'u'"),
        ({"user": {"username": "u", "password": "p"}}, "removed from Kubernetes in 1.19"),
        ({"user": {"auth-provider": {"name": "gcp"}}}, "use an exec plugin"),
        ({"user": {"token": "t", "as": "other"}}, "impersonation"),
        ({"user": {"client-key-data": "?"}}, "isn't base64"),
        ({"user": {"client-key": "gone.pem"}}, "gone.pem can't be read"),
        ({"user": {"exec": {**EXEC, "apiVersion": "client.authentication.k8s.io/v1alpha1"}}}, "is wanted"),
        ({"user": {"exec": {**EXEC, "interactiveMode": "Always"}}}, "wants a terminal"),
        ({"cluster": {"proxy-url": "socks5://127.0.0.1"}}, "only http and https proxies"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_file(more: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "config", **more)
    with pytest.raises(ConfigError) as caught:
        kubeconfig.read([path], None, {})
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["- a", "a: [", "\x00"])
def test_a_file_that_is_no_kubeconfig_says_so(text: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(ConfigError, match="config: "):
        kubeconfig.read([tmp_path / "config"], None, {})


def test_no_file_at_all_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: there is no such file"):
        kubeconfig.read([tmp_path / "nowhere"], None, {})


def test_a_plugin_gives_a_token_once_and_again_when_it_is_refused(tmp_path: Path) -> None:
    plugin(
        tmp_path / "login",
        'echo x >> "$COUNT"; test "$GIVEN" = yes || exit 1\n'
        'echo "{\\"status\\": {\\"token\\": \\"t$(wc -l < "$COUNT" | tr -d " ")\\"}}"',
    )
    path = write(tmp_path / "config", {"exec": {**EXEC, "env": [{"name": "GIVEN", "value": "yes"}]}})
    access = kubeconfig.read([path], None, {**os.environ, "COUNT": str(tmp_path / "count")})
    assert access.credential(False).token == "t1"
    assert access.credential(False).token == "t1"
    assert access.credential(True).token == "t2"


def test_a_plugins_credential_that_has_ended_is_asked_for_again(tmp_path: Path) -> None:
    answer = '{"status": {"token": "t", "expirationTimestamp": "2020-01-01T00:00:00Z"}}'
    plugin(tmp_path / "login", f"echo x >> {tmp_path}/count; echo '{answer}'")
    access = kubeconfig.read([write(tmp_path / "config", {"exec": EXEC})], None, os.environ)
    access.credential(False)
    access.credential(False)
    assert (tmp_path / "count").read_text() == "x\nx\n"


def test_a_plugin_may_give_a_certificate_and_is_told_of_the_cluster_where_it_asks(tmp_path: Path) -> None:
    answer = '{"status": {"clientCertificateData": "crt", "clientKeyData": "key"}}'
    plugin(tmp_path / "login", f"echo \"$KUBERNETES_EXEC_INFO\" > {tmp_path}/info; echo '{answer}'")
    path = write(tmp_path / "config", {"exec": {**EXEC, "provideClusterInfo": True}})
    access = kubeconfig.read([path], None, os.environ)
    assert access.credential(False) == Credential(None, b"crt", b"key")
    info = yaml.safe_load((tmp_path / "info").read_text())
    assert info["spec"] == {"interactive": False, "cluster": {"server": "https://127.0.0.1:6443"}}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo first >&2; echo no login >&2; exit 3", "failed with 3: no login"),
        ("echo hello", "didn't answer with an ExecCredential"),
        ("echo '{}'", "didn't answer with an ExecCredential"),
        ("sleep 5", "didn't end within 0 s"),
    ],
)
def test_a_plugin_that_fails_is_said_with_its_last_line(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "PLUGIN_SECONDS", 0.3)
    plugin(tmp_path / "login", script)
    access = kubeconfig.read([write(tmp_path / "config", {"exec": EXEC})], None, os.environ)
    with pytest.raises(ConfigError, match=said):
        access.credential(False)


def test_a_plugin_that_is_not_there_is_said(tmp_path: Path) -> None:
    access = kubeconfig.read([write(tmp_path / "config", {"exec": EXEC})], None, os.environ)
    with pytest.raises(ConfigError, match="can't be run: No such file"):
        access.credential(False)


def account(directory: Path) -> Path:
    for name, text in (("ca.crt", "ca"), ("namespace", "plimsoll\n"), ("token", "first\n")):
        (directory / name).write_text(text)
    return directory


def test_a_service_account_is_read_and_ipv6_hosts_are_bracketed(tmp_path: Path) -> None:
    access = kubeconfig.service_account("fd00::1", "443", account(tmp_path))
    assert (access.url, access.ca, access.namespace) == ("https://[fd00::1]:443", b"ca", "plimsoll")
    assert access.credential(False).token == "first"


def test_a_rotated_token_is_read_when_the_old_one_is_refused_and_after_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = kubeconfig.service_account("10.0.0.1", "443", account(tmp_path))
    (tmp_path / "token").write_text("second")
    assert access.credential(False).token == "first"
    assert access.credential(True).token == "second"
    (tmp_path / "token").write_text("third")
    real = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: real + 61)
    assert access.credential(False).token == "third"


def test_a_token_file_that_goes_away_leaves_the_last_token(tmp_path: Path) -> None:
    access = kubeconfig.service_account("10.0.0.1", "443", account(tmp_path))
    (tmp_path / "token").unlink()
    assert access.credential(True).token == "first"


@pytest.mark.parametrize("gone", ["ca.crt", "namespace", "token"])
def test_a_pod_without_a_service_account_is_told_at_once(gone: str, tmp_path: Path) -> None:
    account(tmp_path)
    (tmp_path / gone).unlink()
    with pytest.raises(ConfigError, match="No such file"):
        kubeconfig.service_account("10.0.0.1", "443", tmp_path)
