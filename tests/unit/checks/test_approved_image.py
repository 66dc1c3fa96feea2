"""approved-image: what its cases don't say."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.checks import approved_image as check
from webhook.checks.check import Check, ParamError
from webhook.model.decision import Violation
from webhook.model.patch import Draft
from webhook.model.pods import subjects

DIGEST = "sha256:" + "0123456789abcdef" * 4
MIRROR = {"from": "docker.io/", "to": "registry.example/hub/"}


def built(**params: Any) -> Check:
    return check.build({**check.DEFAULTS, **params})


def web(image: Any) -> dict[str, Any]:
    containers = [{"name": "web", "image": image}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": containers}}


def found(standard: Check, obj: dict[str, Any]) -> list[Violation]:
    [subject] = subjects(obj, "", "Pod", "shop", "x")
    return [violation for pod in subject.pods for violation in standard.violations(pod)]


def mended(standard: Check, image: Any) -> Any:
    draft = Draft.of(web(image))
    [subject] = subjects(draft.document, "", "Pod", "shop", "x")
    for pod in subject.pods:
        assert standard.fix is not None
        standard.fix(pod, draft)
    return draft.document["spec"]["containers"][0]["image"]


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"repositories": []}, ("repositories",)),
        ({"repositories": ["registry.example/", "https://registry.example"]}, ("repositories", 1)),
        ({"repositories": ["registry.*"]}, ("repositories", 0)),
        ({"denied": ["registry.example//x"]}, ("denied", 0)),
        ({"mirrors": [{"from": "docker.io/*", "to": "registry.example/"}]}, ("mirrors", 0, "from")),
        ({"mirrors": [{"from": "nginx:1", "to": "registry.example/"}]}, ("mirrors", 0, "from")),
        ({"mirrors": [MIRROR, {"from": "quay.io/", "to": "registry.example/x@sha256:*"}]}, ("mirrors", 1, "to")),
        ({"mirrors": [{"from": "quay.io/", "to": "hub/"}]}, ("mirrors", 0, "to")),
        ({"mirrors": [{"from": "quay.io/", "to": "hub"}]}, ("mirrors", 0, "to")),
        ({"mirrors": [{"from": "", "to": "registry.example/"}]}, ("mirrors", 0, "from")),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused_with_their_place(params: Any, path: tuple[Any, ...]) -> None:
    with pytest.raises(ParamError) as error:
        built(**params)
    assert [place for place, _ in error.value.problems] == [path]


def test_an_empty_list_of_repositories_says_how_to_allow_every_registry() -> None:
    with pytest.raises(ParamError, match=r'write "\*" for every registry'):
        built(repositories=[])


def test_a_tags_parameter_given_in_part_keeps_the_other_defaults() -> None:
    [violation] = found(built(tags={"require": True}), web("registry.example/web:latest"))
    assert violation.reason == "image tag not allowed"
    assert found(built(tags={"denied": []}), web("registry.example/web")) == []


@pytest.mark.parametrize(
    ("denied", "tag", "refused"),
    [
        (["latest"], "latest", True),
        (["latest"], "latest-1", False),
        (["*-snapshot"], "1.2-snapshot", True),
        (["*-snapshot"], "1.2-SNAPSHOT", False),
        (["dev", "main"], "main", True),
        (["*"], "1.2", True),
    ],
)
def test_denied_tags_are_globs_of_the_whole_tag(denied: list[str], tag: str, refused: bool) -> None:
    assert bool(found(built(tags={"denied": denied}), web(f"registry.example/web:{tag}"))) is refused
    assert found(built(tags={"denied": denied}), web(f"registry.example/web:{tag}@{DIGEST}")) == []


def test_a_required_tag_is_one_that_was_written() -> None:
    standard = built(tags={"denied": [], "require": True})
    assert [v.reason for v in found(standard, web("registry.example/web"))] == ["image without a tag"]
    assert [v.reason for v in found(standard, web(f"registry.example/web@{DIGEST}"))] == ["image without a tag"]
    assert found(standard, web(f"registry.example/web:1@{DIGEST}")) == []


@pytest.mark.parametrize("image", [None, "", 5, [], {}, " ", "nginx ", "Nginx", "a@sha256:1", "../x", "x" * 5000, "é"])
def test_what_is_no_reference_is_one_finding_and_left_alone(image: Any) -> None:
    standard = built(repositories=["registry.example/"], mirrors=[MIRROR])
    [violation] = found(standard, web(image))
    assert violation.pointer == "/spec/containers/0/image"
    assert violation.container == "web"
    assert len(violation.found) < 300
    assert mended(standard, image) == image


def test_an_image_can_break_every_part_of_the_standard_at_once() -> None:
    standard = built(repositories=["registry.example/"], digest="required")
    assert [v.reason for v in found(standard, web("nginx"))] == [
        "image not from an approved repository",
        "image tag not allowed",
        "image without a digest",
    ]


@pytest.mark.parametrize(
    ("image", "mirrored"),
    [
        ("nginx", "registry.example/hub/library/nginx"),
        ("nginx:latest", "registry.example/hub/library/nginx:latest"),
        ("index.docker.io/team/app:1", "registry.example/hub/team/app:1"),
        (f"nginx:1@{DIGEST}", f"registry.example/hub/library/nginx:1@{DIGEST}"),
        (f"nginx@{DIGEST}", f"registry.example/hub/library/nginx@{DIGEST}"),
        ("DOCKER.io/team/app:1", "registry.example/hub/team/app:1"),
        ("docker.io.evil.io/team/app:1", "docker.io.evil.io/team/app:1"),
        ("docker.io:5000/team/app:1", "docker.io:5000/team/app:1"),
        ("registry.example/shop/web:1", "registry.example/shop/web:1"),
        ("quay.io/team/app:1", "quay.io/team/app:1"),
    ],
)
def test_a_mirror_rewrites_what_is_not_approved_and_keeps_tag_and_digest(image: str, mirrored: str) -> None:
    standard = built(repositories=["registry.example/"], mirrors=[MIRROR])
    assert mended(standard, image) == mirrored
    assert mended(standard, mirrored) == mirrored


def test_the_longest_mirror_wins_whatever_the_order() -> None:
    longer = {"from": "docker.io/library/", "to": "registry.example:443/official"}
    for mirrors in ([MIRROR, longer], [longer, MIRROR]):
        standard = built(repositories=["registry.example/"], mirrors=mirrors)
        assert mended(standard, "nginx:1") == "registry.example/official/nginx:1"
        assert mended(standard, "team/app:1") == "registry.example/hub/team/app:1"


def test_one_repository_can_be_mirrored_to_another_name() -> None:
    mirrors = [{"from": "nginx", "to": "registry.example/web/nginx-hardened"}]
    standard = built(repositories=["registry.example/"], mirrors=mirrors)
    assert mended(standard, "nginx:1") == "registry.example/web/nginx-hardened:1"
    assert mended(standard, "nginx-evil:1") == "nginx-evil:1"


def test_a_mirror_that_leads_to_nothing_approved_rewrites_nothing() -> None:
    standard = built(repositories=["registry.example/approved/"], mirrors=[MIRROR])
    assert mended(standard, "nginx:1") == "nginx:1"
    long = "registry.example/" + "hub/" * 62
    standard = built(repositories=["registry.example/"], mirrors=[{"from": "docker.io/", "to": long}])
    assert mended(standard, "nginx:1") == "nginx:1"


def test_a_mirror_may_lead_to_docker_hub_when_it_says_so() -> None:
    standard = built(repositories=["docker.io/acme/"], mirrors=[{"from": "quay.io/acme/", "to": "docker.io/acme/"}])
    assert mended(standard, "quay.io/acme/web:1") == "docker.io/acme/web:1"


def test_a_long_list_of_repositories_is_cut_in_the_message() -> None:
    [violation] = found(built(repositories=[f"r{n}.example/" for n in range(40)]), web("nginx:1"))
    assert violation.wanted.endswith("r5.example/ and 34 more")
