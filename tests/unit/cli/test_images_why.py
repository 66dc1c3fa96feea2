"""`plimsoll images why`, and what `plimsoll check` knows of images: the server's verdict, and what it hangs on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.cli.registries import SILENT

WEB = "registry.example/shop/web:1.4.2"
JAVA = "registry.example/base/java:17"
PACK: dict[str, Any] = {
    "apiVersion": "plimsoll.dev/v1",
    "kind": "RulePack",
    "metadata": {"name": "acme"},
    "spec": {
        "rules": [
            {
                "name": "base",
                "check": "approved-base",
                "params": {"bases": [JAVA]},
                "action": "deny",
                "remediation": "Build on the company's base.",
            },
            {
                "name": "registries",
                "check": "approved-image",
                "params": {"repositories": ["registry.example/"]},
                "action": "deny",
            },
            {"name": "no-limits", "check": "requests-equal-limits", "action": "deny"},
        ]
    },
}


@pytest.fixture
def why(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    def run(*argv: str, **params: Any) -> Any:
        pack = json.loads(json.dumps(PACK))
        pack["spec"]["rules"][0]["params"].update(params)
        Path("acme.yaml").write_text(yaml.safe_dump(pack))
        return plimsoll("images", "why", WEB, "--policies", "acme.yaml", *argv)

    return run


def test_a_child_of_an_approved_base_is_let_in_and_its_layers_are_shown(
    why: Callable[..., Any], registry: Any, image: Any
) -> None:
    registry.images = {JAVA: image("os", "jdk"), WEB: image("os", "jdk", "web")}
    base, web = (registry.images[name].builds[0].diff_ids for name in (JAVA, WEB))
    assert why() == (
        0,
        f"{WEB}: a pod with it is let in\n"
        f"      is:     {registry.images[WEB].digest}\n"
        "\n"
        "  kept: acme/base\n"
        "\n"
        "  kept: acme/registries\n"
        "\n"
        f"linux/amd64: its layers beside those of {JAVA}\n"
        f"    1  {web[0][:19]}  =   {base[0][:19]}\n"
        f"    2  {web[1][:19]}  =   {base[1][:19]}\n"
        f"    3  {web[2][:19]}\n"
        "  2 of the 2 layers of the base are the lowest of the image\n",
        "",
    )


def test_what_is_on_no_base_is_denied_with_what_was_found_and_where_they_part(
    why: Callable[..., Any], registry: Any, image: Any
) -> None:
    registry.images = {JAVA: image("os", "jdk"), WEB: image("os", "other", "web")}
    ran = why()
    base, web = (registry.images[name].builds[0].diff_ids for name in (JAVA, WEB))
    head, rule, *_ = ran.out.split("\n\n")
    assert head.startswith(f"{WEB}: a pod with it is denied\n")
    assert rule.startswith("  not kept: acme/base (deny): not built on an approved base\n      found:  ")
    assert f"      wanted: FROM {JAVA}\n" in rule
    assert rule.endswith("      do:     Build on the company's base.")
    assert ran.out.endswith(
        f"linux/amd64: its layers beside those of {JAVA}\n"
        f"    1  {web[0][:19]}  =   {base[0][:19]}\n"
        f"    2  {web[1][:19]}  !=  {base[1][:19]}  here they part\n"
        f"    3  {web[2][:19]}\n"
        "  1 of the 2 layers of the base are the lowest of the image\n"
    )
    assert ran.status == 1


def test_what_has_fewer_layers_than_the_base_parts_where_it_ends(
    why: Callable[..., Any], registry: Any, image: Any
) -> None:
    registry.images = {JAVA: image("os", "jdk"), WEB: image("os")}
    base = registry.images[JAVA].builds[0].diff_ids
    ran = why()
    assert ran.status == 1
    assert f"    2                       !=  {base[1][:19]}  here they part\n" in ran.out


def test_each_platform_is_compared_with_the_nearest_base_for_it(
    why: Callable[..., Any], plimsoll: Callable[..., Any], registry: Any, image: Any, build: Any
) -> None:
    node = "registry.example/base/node:22"
    arm = {"platform": "linux/arm64"}
    registry.images = {
        JAVA: image(build("os", "jdk"), build("os-arm", "jdk-arm", **arm)),
        node: image("os", "node"),
        WEB: image(build("os", "node", "web"), build("os-arm", "jdk-arm", "web-arm", **arm), build(
            "w", "x", platform="windows/amd64")),
    }  # fmt: skip
    lock = yaml.safe_load(plimsoll("images", "lock", node).out)
    ran = why(locks=[lock])
    digest = registry.images[node].digest
    assert [line for line in ran.out.splitlines() if "beside those" in line or "no base" in line] == [
        f"linux/amd64: its layers beside those of {node} ({digest[:19]}), the nearest of 2 bases",
        f"linux/arm64: its layers beside those of {JAVA}",
        "windows/amd64: no base is for this platform",
    ]


def test_what_is_not_known_is_unknown_and_said_why(why: Callable[..., Any], registry: Any, image: Any) -> None:
    registry.images = {JAVA: image("os", "jdk"), WEB: "registry.example did not answer in time"}
    ran = why()
    assert ran.status == 0
    assert ran.out.startswith(
        f"{WEB}: a pod with it is let in with warnings\n"
        "      is:     not known: registry.example did not answer in time\n\n"
        "  unknown: acme/base (warn)\n"
    )
    assert "beside those" not in ran.out


def test_rules_that_are_not_about_images_are_not_named(why: Callable[..., Any], registry: Any, image: Any) -> None:
    registry.images = {JAVA: image("os", "jdk"), WEB: image("os", "jdk", "web")}
    assert "no-limits" not in why().out


@pytest.mark.parametrize(
    ("match", "asked"),
    [
        ({}, True),
        ({"namespaces": ["dev"]}, True),
        ({"namespaces": ["prod"]}, False),
        ({"images": ["registry.example/shop/"]}, True),
        ({"images": ["registry.example/other/"]}, False),
        ({"kinds": ["Deployment"]}, False),
        ({"objectSelector": {"matchLabels": {"app": "web"}}}, False),
    ],
)
def test_a_rule_whose_match_leaves_the_pod_out_is_not_said_to_be_kept(
    plimsoll: Callable[..., Any], registry: Any, image: Any, match: dict[str, Any], asked: bool
) -> None:
    registry.images = {JAVA: image("os", "jdk"), WEB: image("other")}
    rule = {**PACK["spec"]["rules"][0], "match": match}
    Path("acme.yaml").write_text(yaml.safe_dump({**PACK, "spec": {"rules": [rule]}}))
    ran = plimsoll("images", "why", WEB, "--policies", "acme.yaml", "-n", "dev")
    said = "  not asked: acme/base\n      why:    its match leaves this pod out\n"
    assert (ran.status, said in ran.out) == ((1, False) if asked else (0, True))


def test_a_pack_on_trial_denies_nothing_and_says_so(why: Callable[..., Any], registry: Any, image: Any) -> None:
    registry.images = {JAVA: image("os", "jdk"), WEB: image("other")}
    ran = why("--mode", "dry-run")
    assert ran.status == 0
    assert "not kept: acme/base (audit)" in ran.out
    assert "note:   the rule says deny, but its pack is in dry-run" in ran.out


def test_packs_may_come_by_stdin(plimsoll: Callable[..., Any], registry: Any, image: Any) -> None:
    registry.images = {JAVA: image("os", "jdk"), WEB: image("os", "jdk", "web")}
    ran = plimsoll("images", "why", WEB, "--policies", "-", stdin=yaml.safe_dump(PACK).encode())
    assert (ran.status, ran.err) == (0, "")
    assert "kept: acme/base" in ran.out


def test_packs_without_a_rule_on_images_explain_nothing(plimsoll: Callable[..., Any]) -> None:
    pack = {**PACK, "spec": {"rules": [PACK["spec"]["rules"][2]]}}
    Path("acme.yaml").write_text(yaml.safe_dump(pack))
    ran = plimsoll("images", "why", WEB, "--policies", "acme.yaml")
    text = "plimsoll images why: no rule of these packs looks at images; name packs with --policies\n"
    assert ran == (2, "", text)


# -- check ---------------------------------------------------------------------------------------------------------


def pods(count: int) -> bytes:
    """Return so many pods with one image."""
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "web", "image": WEB}]}}
    return yaml.safe_dump_all({**pod, "metadata": {"name": f"web-{number}"}} for number in range(count)).encode()


@pytest.fixture
def check(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    def run(*argv: str, count: int = 1) -> Any:
        pack = {**PACK, "spec": {"rules": PACK["spec"]["rules"][:1]}}
        Path("acme.yaml").write_text(yaml.safe_dump(pack))
        return plimsoll("check", "--policies", "acme.yaml", "-o", "json", *argv, "-", stdin=pods(count))

    return run


def test_check_asks_nobody_unless_it_is_told_whom_and_says_how(check: Callable[..., Any], registry: Any) -> None:
    ran = check()
    [result] = json.loads(ran.out)["results"]
    assert [fault["rule"] for fault in result["unknown"]] == ["base"]
    assert SILENT in result["unknown"][0]["message"]
    assert (ran.status, registry.asked, registry.given) == (0, [], None)


@pytest.mark.parametrize("named", [("--registries", "registries.yaml"), ("--registry", "registry.example")])
def test_check_asks_the_registries_that_are_named(
    check: Callable[..., Any], registry: Any, image: Any, named: tuple[str, ...]
) -> None:
    registry.images = {JAVA: image("os", "jdk"), WEB: image("os", "other")}
    ran = check(*named)
    [result] = json.loads(ran.out)["results"]
    assert [finding["rule"] for finding in result["findings"]] == ["base"]
    assert ran.status == 1


def test_an_image_of_many_manifests_is_asked_for_once(check: Callable[..., Any], registry: Any, image: Any) -> None:
    registry.images = {JAVA: image("os", "jdk"), WEB: image("os", "jdk", "web")}
    ran = check("--registry", "registry.example", "-j", "1", count=200)
    assert json.loads(ran.out)["summary"]["objects"] == 200
    assert "unknown" not in json.loads(ran.out)["results"][0]
    assert sorted(registry.asked) == [JAVA, WEB]


def test_processes_that_judge_ask_each_by_itself(check: Callable[..., Any], registry: Any, image: Any) -> None:
    registry.images = {JAVA: image("os", "jdk"), WEB: image("os", "other")}
    ran = check("--registry", "registry.example", "-j", "2", count=200)
    assert json.loads(ran.out)["summary"]["denied"] == 200
    assert registry.asked == []  # by this process


def test_a_docker_config_alone_names_no_registry(check: Callable[..., Any]) -> None:
    ran = check("--docker-config", "config.json")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("--docker-config: has no use by itself: no registry is asked here; name")
