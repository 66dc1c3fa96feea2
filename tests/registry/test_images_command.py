"""`plimsoll images` and `plimsoll check`, as a person starts them, with a real registry."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from registry import images, server
from registry.images import Family
from registry.pusher import Pusher, pushing

Ran = subprocess.CompletedProcess[str]
Plimsoll = Callable[..., Ran]
LOOPBACK = ["127.0.0.0/8", "::1/128"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Registry]:
    """A registry of this file's own, which counts what these commands ask."""
    with server.running(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="module")
def family(own: server.Registry) -> Family:
    with pushing(own) as pusher:
        return images.publish(pusher)


@pytest.fixture
def moving(own: server.Registry, family: Family) -> Iterator[Pusher]:
    """Pushes what moves a tag, which is put back behind the test."""
    with pushing(own) as pusher:
        yield pusher
        base = family["base"]
        pusher.push(base.artifact, base.repository, base.tag)


@pytest.fixture
def plimsoll(tmp_path: Path) -> Plimsoll:
    """Run `plimsoll <argv>` as a process of its own; `stdin` is what stands there."""

    def run(*argv: str, stdin: str = "") -> Ran:
        command = [sys.executable, "-m", "webhook.main", *argv]
        return subprocess.run(
            command, cwd=tmp_path, input=stdin, capture_output=True, text=True, check=False, timeout=120
        )

    return run


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Write a registries file for a registry, and return the flag that names it."""

    def write(one: server.Registry) -> tuple[str, str]:
        entry: dict[str, Any] = {"addresses": LOOPBACK, "insecure": True}
        if one.bundle is not None:
            (tmp_path / "ca.crt").write_bytes(one.bundle.read_bytes())
            entry = {"addresses": LOOPBACK, "ca": "ca.crt"}
        hosts = [one.address, *([urlsplit(one.tokens.url).netloc] if one.tokens else [])]
        entries = [{"host": host, **entry} for host in hosts]
        document = {"apiVersion": "plimsoll.dev/v1", "kind": "Registries", "registries": entries}
        (tmp_path / "registries.yaml").write_text(json.dumps(document))
        return ("--registries", "registries.yaml")

    return write


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Write a pack that asks for an approved base, and return the flag that names it."""

    def write(**params: Any) -> tuple[str, str]:
        rule = {"name": "base", "check": "approved-base", "params": params, "action": "deny"}
        head = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": "acme"}}
        (tmp_path / "acme.yaml").write_text(yaml.safe_dump({**head, "spec": {"rules": [rule]}}))
        return ("--policies", "acme.yaml")

    return write


def test_an_image_is_what_was_pushed(plimsoll: Plimsoll, own: server.Registry, family: Family, listed: Any) -> None:
    app = family["app-multi"]
    found = json.loads(plimsoll("images", "inspect", app.reference, "-o", "json", *listed(own)).stdout)
    assert (found["digest"], found["index"]) == (app.digest, True)
    assert [build["platform"] for build in found["builds"]] == ["linux/amd64", "linux/arm64"]
    shown = plimsoll("images", "inspect", app.pinned, *listed(own)).stdout
    assert f"  digest      {app.digest}\n" in shown
    assert "  entrypoint  " in shown
    assert "JAVA_VERSION=jdk-17.0.9+9\n" in shown


def test_a_name_on_the_command_line_opens_no_way_to_this_machine(
    plimsoll: Plimsoll, own: server.Registry, family: Family
) -> None:
    before = own.counted()
    ran = plimsoll("images", "inspect", family["app"].reference)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "127.0.0.1" in ran.stderr and "loopback" in ran.stderr
    assert own.counted() == before


def test_what_is_not_there_is_2(plimsoll: Plimsoll, own: server.Registry, family: Family, listed: Any) -> None:
    missing = f"{own.address}/team/app:never"
    ran = plimsoll("images", "inspect", missing, *listed(own))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"{missing}: ")


def test_a_guarded_registry_behind_an_authority_of_its_own_is_asked_as_a_docker_config_says(
    plimsoll: Plimsoll, guarded: server.Registry, listed: Any, tmp_path: Path
) -> None:
    with pushing(guarded, guarded.account) as pusher:
        app = images.publish(pusher)["app"]
    assert guarded.account is not None
    auth = guarded.account.basic.removeprefix("Basic ")
    (tmp_path / "config.json").write_text(json.dumps({"auths": {guarded.address: {"auth": auth}}}))
    named = listed(guarded)
    refused = plimsoll("images", "inspect", app.reference, *named)
    assert refused.returncode == 2
    assert "wants credentials, and there are none" in refused.stderr
    ran = plimsoll("images", "inspect", app.reference, *named, "--docker-config", "config.json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert app.digest in ran.stdout


@pytest.mark.parametrize(
    ("name", "status"), [("app", 0), ("bare", 0), ("app-docker", 0), ("forged", 1), ("squashed", 1), ("reordered", 1)]
)
def test_why_says_what_the_layers_prove(
    plimsoll: Plimsoll, own: server.Registry, family: Family, listed: Any, pack: Any, name: str, status: int
) -> None:
    base = family["base"]
    ran = plimsoll("images", "why", family[name].reference, *pack(bases=[base.reference]), *listed(own))
    assert (ran.returncode, ran.stderr) == (status, "")
    assert f"  {'not kept' if status else 'kept'}: acme/base" in ran.stdout
    assert f"linux/amd64: its layers beside those of {base.reference}\n" in ran.stdout
    assert ("here they part" in ran.stdout) == bool(status)


def test_a_lock_approves_what_is_built_on_it_and_after_a_rebuild_what_is_built_on_either(
    plimsoll: Plimsoll, own: server.Registry, family: Family, moving: Pusher, listed: Any, pack: Any, tmp_path: Path
) -> None:
    base, former, rebuilt = family["base"], family["app"].reference, family["app-on-rebuilt"].reference
    bases = tmp_path / "bases.yaml"

    def approved() -> list[int]:
        policies = pack(locks=[yaml.safe_load(bases.read_text())])
        return [plimsoll("images", "why", app, *policies, *listed(own)).returncode for app in (former, rebuilt)]

    assert plimsoll("images", "lock", base.reference, "-o", "bases.yaml", *listed(own)).returncode == 0
    assert approved() == [0, 1]
    locked = bases.read_text()
    images.rebuild(moving, family)
    ran = plimsoll("images", "lock", "--update", "bases.yaml", "--keep-former", *listed(own))
    assert f"{base.reference}: changed from {base.digest} " in ran.stdout
    assert f" to {family['rebuilt'].digest}\n" in ran.stdout
    assert approved() == [0, 0]
    bases.write_text(locked)
    assert plimsoll("images", "lock", "--update", "bases.yaml", *listed(own)).returncode == 0
    assert approved() == [1, 0]
    assert plimsoll("images", "lock", base.reference, *listed(own)).stdout == bases.read_text()


def test_what_inspect_prints_for_a_test_of_a_pack_gives_the_verdict_of_the_registry(
    plimsoll: Plimsoll, own: server.Registry, family: Family, listed: Any, pack: Any, tmp_path: Path
) -> None:
    base, forged = family["base"].reference, family["forged"].reference
    pack(bases=[base])
    facts: dict[str, Any] = {}
    for name in (base, forged):
        facts |= yaml.safe_load(plimsoll("images", "inspect", name, "-o", "yaml", *listed(own)).stdout)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    spec = {"containers": [{"name": "a", "image": forged}]}
    case = {"name": "a forged base", "object": {**pod, "spec": spec}, "facts": {"images": facts}}
    document = {
        "apiVersion": "plimsoll.dev/v1",
        "kind": "RulePackTest",
        "metadata": {"name": "acme"},
        "spec": {"packs": ["acme.yaml"], "cases": [{**case, "expect": {"action": "deny"}}]},
    }
    (tmp_path / "acme.test.yaml").write_text(yaml.safe_dump(document))
    ran = plimsoll("test", "acme.test.yaml")
    assert (ran.returncode, ran.stdout) == (0, "1 case: 1 passed, 0 failed\n")


def test_check_asks_once_in_each_process_however_many_manifests_have_an_image(
    plimsoll: Plimsoll, own: server.Registry, family: Family, listed: Any, pack: Any
) -> None:
    app, base = family["forged"], family["base"]
    container = {"name": "a", "image": app.reference}
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [container]}}
    manifests = yaml.safe_dump_all({**pod, "metadata": {"name": f"a-{number}"}} for number in range(300))
    before = own.counted()
    ran = plimsoll(
        *("check", *pack(bases=[base.reference]), *listed(own), "-j", "2", "-o", "json", "-"), stdin=manifests
    )
    assert (ran.returncode, ran.stderr) == (1, "")
    assert json.loads(ran.stdout)["summary"]["denied"] == 300
    asked = own.counted() - before
    for one in (app, base):
        assert 1 <= asked["GET", f"/v2/{one.repository}/manifests/{one.tag}"] <= 2
