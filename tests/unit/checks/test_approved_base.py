"""approved-base: what its cases don't say."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.checks import approved_base as check
from webhook.checks.check import Check, ParamError
from webhook.model import oci
from webhook.model.decision import Unsure, Violation
from webhook.model.oci import Content, Former, Inspected, Lookup
from webhook.model.pods import subjects

BASE, WEB = "registry.example/base/java:17", "registry.example/shop/web:1"
DIGEST, LAYER = "sha256:" + "1" * 64, "sha256:" + "a" * 64
DAY = 86400


def built(**params: Any) -> Check:
    return check.build({**check.DEFAULTS, **params})


def content(*layers: str, digest: str = "sha256:d") -> Content:
    return oci.load({"digest": digest, "builds": [{"config": {"rootfs": {"diff_ids": list(layers)}}}]})


def lock(*, image: str = BASE, platform: str = "linux/amd64", layers: tuple[str, ...] = (LAYER,)) -> dict[str, Any]:
    one = {"image": image, "digest": DIGEST, "platforms": {platform: {"digest": DIGEST, "layers": list(layers)}}}
    return {"apiVersion": "plimsoll.dev/v1", "kind": "ImageLock", "images": [one]}


def pod(*names: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "image": name} for number, name in enumerate(names)]
    return {"metadata": {"name": "x"}, "spec": {"containers": containers, **spec}}


def judged(standard: Check, known: dict[str, Inspected], name: str = WEB) -> list[Violation | Unsure]:
    [subject] = subjects(pod(name), "", "Pod", "shop", "x")
    looked = subject.beside(subject.neighbours, lambda lookup: known.get(lookup.reference) or oci.uninspected(lookup))
    return [one for each in looked.pods for one in standard.violations(each)]


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"bases": [BASE, "registry.example/base/*"]}, ("bases", 1)),
        ({"bases": ["https://registry.example/base"]}, ("bases", 0)),
        ({"bases": [BASE], "except": ["registry.*"]}, ("except", 0)),
        ({"locks": [lock(), lock(image="Base")]}, ("locks", 1, "images", 0, "image")),
        ({"locks": [lock(platform="linux")]}, ("locks", 0, "images", 0, "platforms", "linux")),
        (
            {"locks": [lock(layers=(check.EMPTY_LAYER, check.EMPTY_LAYER))]},
            ("locks", 0, "images", 0, "platforms", "linux/amd64"),
        ),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused_with_their_place(params: Any, path: tuple[Any, ...]) -> None:
    with pytest.raises(ParamError) as error:
        built(**params)
    assert [at for at, _ in error.value.problems] == [path]


def test_the_images_of_a_pod_are_asked_for_with_its_secrets_and_the_bases_without() -> None:
    standard = built(bases=[BASE, "debian"], locks=[lock()], **{"except": ["registry.example/mesh/"]})
    assert standard.bases == (BASE, "docker.io/library/debian:latest")
    assert standard.inspects is not None
    [subject] = subjects(
        pod(WEB, WEB, "registry.example/mesh/proxy:1", "No Image", imagePullSecrets=[{"name": "pull"}]),
        *("", "Pod", "shop", "x"),
    )
    assert set(standard.inspects(subject.pods[0])) == {
        Lookup(WEB, ("pull",)),
        Lookup(BASE),
        Lookup("docker.io/library/debian:latest"),
    }


def test_nothing_is_asked_where_no_container_needs_a_base_and_where_there_are_no_bases() -> None:
    standard = built(bases=[BASE], **{"except": [WEB]})
    [subject] = subjects(pod(WEB), "", "Pod", "shop", "x")
    assert standard.inspects is not None
    assert list(standard.inspects(subject.pods[0])) == []
    assert not built().asks
    assert built(locks=[lock()]).bases == ()


@pytest.mark.parametrize(
    ("keep", "days", "age", "good"),
    [
        (1, 14, 14 * DAY, True),
        (1, 14, 14 * DAY + 1, False),
        (0, 14, 60, False),
        (1, 0, 0, True),
        (1, 0, 60, False),
    ],
)
def test_what_a_base_was_before_is_good_for_its_grace_and_no_longer(
    keep: int, days: int, age: float, good: bool
) -> None:
    standard = built(bases=[BASE], keep=keep, graceDays=days)
    known = {
        BASE: Inspected(content("new"), former=(Former(content("old"), age),)),
        WEB: Inspected(content("old", "web")),
    }
    found = judged(standard, known)
    assert [one.reason for one in found if isinstance(one, Violation)] == (
        [] if good else ["built on a base that was replaced"]
    )


@pytest.mark.parametrize(
    ("age", "said"), [(60, "until today"), (DAY, "until yesterday"), (40.4 * DAY, "until 40 days ago")]
)
def test_the_message_says_until_when_a_base_was_that(age: float, said: str) -> None:
    former = Former(content("old", digest="sha256:0123456789abcdef"), age)
    known = {BASE: Inspected(content("new"), former=(former,)), WEB: Inspected(content("old", "web"))}
    [found] = judged(built(bases=[BASE], keep=0), known)
    assert isinstance(found, Violation)
    assert f"{said} (sha256:0123456789ab)" in found.found


def test_the_nearest_base_is_the_one_that_shares_most() -> None:
    bases = {name: f"registry.example/base/{name}:1" for name in ("small", "large", "other")}
    known = {
        bases["small"]: Inspected(content("os", "x")),
        bases["large"]: Inspected(content("os", "certs", "jdk")),
        bases["other"]: Inspected(content("y")),
        WEB: Inspected(content("os", "certs", "jre")),
    }
    [found] = judged(built(bases=list(bases.values())), known)
    assert isinstance(found, Violation)
    assert found.wanted == f"FROM {bases['large']}"


def test_of_many_bases_the_message_names_some() -> None:
    many = [f"registry.example/base/b{number}:1" for number in range(9)]
    known = {name: Inspected(content(name)) for name in many} | {WEB: Inspected(content("squashed"))}
    [found] = judged(built(bases=many), known)
    assert isinstance(found, Violation)
    assert found.wanted == f"FROM one of {', '.join(many[:6])} and 3 more"


def test_a_base_by_digest_and_its_lock_are_named_as_they_are_to_be_written() -> None:
    by_digest = f"registry.example/base/java@{DIGEST}"
    [found] = judged(built(locks=[lock(image=by_digest, layers=(LAYER, LAYER))]), {WEB: Inspected(content(LAYER))})
    assert isinstance(found, Violation)
    assert found.wanted == f"FROM {by_digest}"


def test_each_base_that_is_not_known_is_said() -> None:
    other = "registry.example/base/go:1"
    [found] = judged(
        built(bases=[BASE, other]),
        {BASE: Inspected(lacking="503"), other: Inspected(lacking="timed out"), WEB: Inspected(content("x"))},
    )
    assert isinstance(found, Unsure)
    assert (found.fact, f"{BASE}: 503; {other}: timed out" in found.why) == ("images", True)
