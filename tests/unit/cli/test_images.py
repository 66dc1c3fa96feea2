"""`plimsoll images inspect` and `lock`: what is asked, what is shown, what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.model import lock, oci
from webhook.packs.parse import documents
from webhook.packs.walk import walk
from webhook.ports import Rooms

WEB = "registry.example/shop/web:1.4.2"
JAVA = "registry.example/base/java:17"
NODE = "registry.example/base/node:22"


@pytest.fixture
def web(registry: Any, build: Callable[..., Any], image: Callable[..., Any]) -> Any:
    run = {
        "User": "10001",
        "Entrypoint": ["java", "-jar", "web.jar"],
        "Env": ["JAVA_VERSION=17.0.9", "SECRET=hush", "JDK_JAVA_OPTIONS=-Xss1m"],
        "Labels": {"owner": "shop", "bell": "\x07\x1b[31m"},
    }
    marks = {"org.opencontainers.image.base.name": JAVA, "org.opencontainers.image.title": "web"}
    amd = replace(build("os", "jdk", "web", annotations=marks, **run), sources=(JAVA,))
    registry.images[WEB] = image(amd, build("os-arm", "web-arm", platform="linux/arm64"))
    return registry.images[WEB]


@pytest.fixture
def bases(registry: Any, image: Callable[..., Any]) -> Any:
    registry.images[JAVA] = image("os", "jdk")
    registry.images[NODE] = image("os", "node")
    return registry


# -- inspect -------------------------------------------------------------------------------------------------------


def test_an_image_is_shown_platform_by_platform(plimsoll: Callable[..., Any], web: Any) -> None:
    ran = plimsoll("images", "inspect", WEB)
    amd, arm = web.builds
    assert ran.out == (
        f"{WEB}\n"
        f"  digest      {web.digest}\n"
        "  is          an index of images by platform\n"
        "\n"
        "linux/amd64\n"
        f"  digest      {amd.digest}\n"
        "  created     2026-11-20T10:00:00Z\n"
        "  user        10001\n"
        '  entrypoint  ["java", "-jar", "web.jar"]\n'
        "  env         JAVA_VERSION=17.0.9\n"
        "              JDK_JAVA_OPTIONS=-Xss1m\n"
        "  labels      bell=��[31m\n"
        "              owner=shop\n"
        "  size        3.0 MiB in 3 layers\n"
        f"  base        {JAVA} (says an annotation; no proof)\n"
        f"  attested    {JAVA} (says a build attestation; no proof)\n"
        "\n"
        "linux/arm64\n"
        f"  digest      {arm.digest}\n"
        "  created     2026-11-20T10:00:00Z\n"
        "  user        root (the image names none)\n"
        "  size        2.0 MiB in 2 layers\n"
    )
    assert (ran.status, ran.err) == (0, "")


def test_json_is_all_that_is_known(plimsoll: Callable[..., Any], web: Any) -> None:
    assert json.loads(plimsoll("images", "inspect", WEB, "-o", "json").out) == oci.dump(web)


def test_yaml_is_what_a_test_of_a_pack_takes_for_the_image(plimsoll: Callable[..., Any], web: Any) -> None:
    web.builds[0].config["config"]["Labels"]["commit"] = "12e4567"
    del web.builds[0].config["config"]["Labels"]["bell"]  # no YAML of ours holds control characters
    facts = plimsoll("images", "inspect", WEB, "-o", "yaml").out
    Path("pack.yaml").write_text(
        "{apiVersion: plimsoll.dev/v1, kind: RulePack, metadata: {name: acme}, spec: {rules: [{name: any, action: warn,"
        " expression: 'true', message: nothing}]}}"
    )
    case = {"name": "an image", "object": {"apiVersion": "v1", "kind": "Pod"}, "expect": {"action": "allow"}}
    head = yaml.safe_dump({"apiVersion": "plimsoll.dev/v1", "kind": "RulePackTest", "metadata": {"name": "acme"}})
    cases = yaml.safe_dump([{**case, "facts": {"images": "HERE"}}])
    pasted = cases.replace("HERE", "\n" + "".join(f"      {line}\n" for line in facts.splitlines()))
    Path("acme.test.yaml").write_text(f"{head}spec:\n  packs: [pack.yaml]\n  cases:\n" + _indented(pasted, "  "))
    assert plimsoll("test", "acme.test.yaml") == (0, "1 case: 1 passed, 0 failed\n", "")
    [read] = documents("x.yaml", facts)
    assert oci.load(read.value[WEB]) == web


def _indented(text: str, by: str) -> str:
    return "".join(f"{by}{line}" for line in text.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("argv", "given"),
    [
        ((), ("", ("registry.example",), "")),
        (("--registry", "Mirror.example:443"), ("", ("mirror.example", "registry.example"), "")),
        (("--registries", "registries.yaml"), ("registries.yaml", (), "")),
        (
            ("--registries", "registries.yaml", "--registry", "localhost:5000", "--docker-config", "config.json"),
            ("registries.yaml", ("localhost:5000",), "config.json"),
        ),
    ],
)
def test_without_a_file_the_registry_of_the_image_may_be_asked_and_with_one_its_own(
    plimsoll: Callable[..., Any], registry: Any, web: Any, argv: tuple[str, ...], given: Any
) -> None:
    plimsoll("images", "inspect", WEB, *argv)
    assert registry.given == given


def test_what_a_registry_does_not_tell_is_2_with_its_reason(plimsoll: Callable[..., Any], registry: Any) -> None:
    registry.images[WEB] = "registry.example did not answer in time"
    assert plimsoll("images", "inspect", WEB) == (2, "", f"{WEB}: registry.example did not answer in time\n")


@pytest.mark.parametrize("host", ["https://registry.example", "registry.example/team", "word", "registry.example:x"])
def test_what_is_no_host_is_no_registry(plimsoll: Callable[..., Any], host: str) -> None:
    ran = plimsoll("images", "inspect", WEB, "--registry", host)
    assert ran.status == 2
    assert f"argument --registry: {host!r} is no host of a registry; wanted a host" in ran.err


def test_what_is_no_image_is_wrong_use(plimsoll: Callable[..., Any]) -> None:
    ran = plimsoll("images", "inspect", "Shop/Web:1")
    assert ran.status == 2
    assert "argument IMAGE:" in ran.err


# -- lock ----------------------------------------------------------------------------------------------------------


def locked(text: str) -> dict[str, Any]:
    """Return the entries of a lock file by image, having looked that the file has the shape that is promised."""
    [document] = documents("lock.yaml", text)
    assert list(walk(document, (), document.value, lock.FILE)) == []
    return {entry["image"]: entry for entry in document.value["images"]}


def test_a_lock_file_says_by_platform_which_layers_an_image_has(plimsoll: Callable[..., Any], web: Any) -> None:
    ran = plimsoll("images", "lock", WEB)
    amd, arm = web.builds
    assert ran.out.startswith("# What these images were")
    assert locked(ran.out) == {
        WEB: {
            "image": WEB,
            "digest": web.digest,
            "locked": "2026-11-23",
            "platforms": {
                "linux/amd64": {"digest": amd.digest, "layers": list(amd.diff_ids)},
                "linux/arm64": {"digest": arm.digest, "layers": list(arm.diff_ids)},
            },
        }
    }


def test_it_is_the_same_whatever_the_order_and_has_each_image_once(plimsoll: Callable[..., Any], bases: Any) -> None:
    first = plimsoll("images", "lock", NODE, JAVA, NODE)
    assert first.out == plimsoll("images", "lock", JAVA, NODE).out
    assert list(locked(first.out)) == [JAVA, NODE]
    assert bases.asked.count(NODE) == 2  # once in each run


def test_what_is_locked_is_read_back_as_it_was(web: Any) -> None:
    entry = lock.entry(WEB, web, datetime(2026, 11, 23, tzinfo=UTC).date())
    assert lock.parse(lock.dump(entry)) == entry


def test_a_file_is_written_and_said(plimsoll: Callable[..., Any], bases: Any) -> None:
    shown = plimsoll("images", "lock", JAVA).out
    ran = plimsoll("images", "lock", JAVA, "-o", "bases.yaml")
    assert ran == (0, f"{JAVA}: locked, {bases.images[JAVA].digest}\n", "")
    assert Path("bases.yaml").read_text() == shown
    assert [path.name for path in Path().iterdir()] == ["bases.yaml"]


def test_one_image_that_cannot_be_had_is_2_and_nothing_is_written(plimsoll: Callable[..., Any], bases: Any) -> None:
    ran = plimsoll("images", "lock", JAVA, WEB, "-o", "bases.yaml")
    assert ran == (2, "", f"{WEB}: registry.example says that there is no such image\n")
    assert not Path("bases.yaml").exists()


def test_what_has_no_layers_cannot_be_locked(plimsoll: Callable[..., Any], registry: Any, image: Any) -> None:
    registry.images["registry.example/charts/web:1"] = image()
    ran = plimsoll("images", "lock", "registry.example/charts/web:1")
    assert (ran.status, ran.out) == (2, "")
    assert "registry.example/charts/web:1: there are no layers in it for linux/amd64; is it an image to run?" in ran.err


@pytest.fixture
def file(plimsoll: Callable[..., Any], bases: Any) -> Path:
    """A lock file of both bases, made a month ago and then written into by people."""
    assert plimsoll("images", "lock", JAVA, NODE, "-o", "bases.yaml").status == 0
    path = Path("bases.yaml")
    text = (
        path.read_text().replace("2026-11-23", "2026-10-23").replace("- image: " + NODE, "- image: " + NODE + " # LTS")
    )
    path.write_text(text + "# the end\n")
    return path


def test_what_did_not_change_stays_byte_for_byte(plimsoll: Callable[..., Any], bases: Any, file: Path) -> None:
    before = file.read_bytes()
    digests = {name: bases.images[name].digest for name in (JAVA, NODE)}
    assert plimsoll("images", "lock", "--update", "bases.yaml") == (
        0,
        f"{JAVA}: unchanged, {digests[JAVA]} (locked 2026-10-23)\n"
        f"{NODE}: unchanged, {digests[NODE]} (locked 2026-10-23)\n",
        "",
    )
    assert file.read_bytes() == before


def test_what_changed_is_renewed_and_nothing_else(
    plimsoll: Callable[..., Any], bases: Any, image: Any, file: Path
) -> None:
    before = file.read_text()
    old, new = bases.images[JAVA], image("os", "jdk-2")
    bases.images[JAVA] = new
    ran = plimsoll("images", "lock", "--update", "bases.yaml")
    assert ran.out.splitlines()[0] == f"{JAVA}: changed from {old.digest} (locked 2026-10-23) to {new.digest}"
    after = file.read_text()
    assert locked(after)[JAVA] == lock.dump(lock.entry(JAVA, new, datetime(2026, 11, 23, tzinfo=UTC).date()))
    head, node, rest = after.partition(f"  - image: {NODE}")
    assert node + rest == before[before.index(node) :]
    assert head.partition("  - image")[0] == before.partition("  - image")[0]


def test_what_an_image_was_can_stay_below_and_is_left_alone_then(
    plimsoll: Callable[..., Any], bases: Any, image: Any, file: Path
) -> None:
    before = file.read_text()
    for layer in ("jdk-2", "jdk-3"):
        bases.images[JAVA] = image("os", layer)
        assert plimsoll("images", "lock", "--update", "bases.yaml", "--keep-former").status == 0
    after = file.read_text()
    [document] = documents("bases.yaml", after)
    assert [entry["image"] for entry in document.value["images"]] == [JAVA, JAVA, JAVA, NODE]
    assert document.value["images"][0]["digest"] == bases.images[JAVA].digest
    assert after.endswith(before[before.index("  - image") :])


def test_images_are_added_in_their_order(plimsoll: Callable[..., Any], bases: Any, image: Any, file: Path) -> None:
    added = ["registry.example/base/go:1", "registry.example/base/kona:17", "registry.example/base/zulu:21"]
    for name in added:
        bases.images[name] = image("os", name)
    ran = plimsoll("images", "lock", "--update", "bases.yaml", *reversed(added))
    assert [line for line in ran.out.splitlines() if "added" in line] == [
        f"{name}: added, {bases.images[name].digest}" for name in added
    ]
    assert list(locked(file.read_text())) == sorted([JAVA, NODE, *added])
    assert "# LTS" in file.read_text()
    assert file.read_text().endswith("# the end\n")


def test_what_was_locked_by_digest_is_not_asked_for(plimsoll: Callable[..., Any], bases: Any) -> None:
    pinned = f"registry.example/base/java@{bases.images[JAVA].digest}"
    plimsoll("images", "lock", pinned, "-o", "bases.yaml")
    bases.asked.clear()
    assert plimsoll("images", "lock", "--update", "bases.yaml").out.startswith(f"{pinned}: unchanged")
    assert bases.asked == []


def test_the_registries_of_what_is_renewed_may_be_asked(plimsoll: Callable[..., Any], bases: Any, file: Path) -> None:
    plimsoll("images", "lock", "--update", "bases.yaml")
    assert bases.given == ("", ("registry.example",), "")


def test_a_renewal_that_lacks_an_answer_changes_nothing(
    plimsoll: Callable[..., Any], bases: Any, image: Any, file: Path
) -> None:
    before = file.read_bytes()
    bases.images[JAVA] = image("os", "jdk-2")
    bases.images[NODE] = "registry.example did not answer in time"
    assert plimsoll("images", "lock", "--update", "bases.yaml") == (
        2,
        "",
        f"{NODE}: registry.example did not answer in time\n",
    )
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "bases.yaml: holds no documents; wanted exactly one with kind: ImageLock"),
        ("kind: ImageLock\n", "bases.yaml:1: apiVersion: is missing"),
        (
            "{apiVersion: plimsoll.dev/v1, kind: ImageLock, images: [{image: a, digest: sha256:00, platforms: {}}]}",
            "images[0].digest: 'sha256:00' is not allowed; wanted a digest: sha256: and 64 hexadecimal digits",
        ),
    ],
)
def test_what_is_no_lock_file_is_said_with_its_line(plimsoll: Callable[..., Any], text: str, said: str) -> None:
    Path("bases.yaml").write_text(text)
    ran = plimsoll("images", "lock", "--update", "bases.yaml")
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_an_entry_without_lines_of_its_own_is_not_renewed(plimsoll: Callable[..., Any], bases: Any, file: Path) -> None:
    entries = json.dumps([locked(file.read_text())[JAVA]])
    file.write_text(f"apiVersion: plimsoll.dev/v1\nkind: ImageLock\nimages: {entries}\n")
    ran = plimsoll("images", "lock", "--update", "bases.yaml")
    assert ran.status == 2
    assert ran.err.startswith("bases.yaml:3: images[0]: is not written as `plimsoll images lock` writes it")


def test_an_entry_of_another_digest_than_its_image_names_is_said(plimsoll: Callable[..., Any], bases: Any) -> None:
    digest, other = bases.images[JAVA].digest, bases.images[NODE].digest
    plimsoll("images", "lock", f"registry.example/base/java@{digest}", "-o", "bases.yaml")
    text = Path("bases.yaml").read_text()
    Path("bases.yaml").write_text(text.replace(f"java@{digest}", f"java@{other}"))
    ran = plimsoll("images", "lock", "--update", "bases.yaml")
    assert ran.status == 2
    said = f"{digest} is not what registry.example/base/java@{other} names; lock it anew\n"
    assert ran.err == f"bases.yaml:8: images[0].digest: {said}"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "name an IMAGE, or a file by --update FILE"),
        ((JAVA, "--keep-former"), "--keep-former: is for --update FILE"),
        (("--update", "no.yaml"), "no.yaml: cannot be read: No such file or directory"),
        ((JAVA, "-o", "no/bases.yaml"), "no/bases.yaml: cannot be written: No such file or directory"),
        ((JAVA, "-o", "a", "--update", "b"), "not allowed with argument"),
        (("--update", "-"), "--update: renews a file in its place; name one instead of -"),
    ],
)
def test_wrong_use_is_2(plimsoll: Callable[..., Any], bases: Any, argv: tuple[str, ...], said: str) -> None:
    ran = plimsoll("images", "lock", *argv)
    assert ran.status == 2
    assert said in ran.err


def test_a_command_is_wanted(plimsoll: Callable[..., Any], rooms: Rooms) -> None:
    assert plimsoll("images").status == 2
