"""image-digest: what its cases don't say."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.checks import image_digest as check
from webhook.checks.check import Check, ParamError
from webhook.model import oci
from webhook.model.oci import Inspected, Lookup
from webhook.model.patch import Draft
from webhook.model.pods import Subject, subjects


def built(**params: Any) -> Check:
    return check.build({**check.DEFAULTS, **params})


def subject(obj: dict[str, Any], known: dict[str, Inspected]) -> Subject:
    [one] = subjects(obj, "", "Pod", "shop", "x")
    return one.beside(one.neighbours, lambda lookup: known.get(lookup.reference) or oci.uninspected(lookup))


def pod(*names: str) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "image": name} for number, name in enumerate(names)]
    return {"metadata": {"name": "x"}, "spec": {"containers": containers, "imagePullSecrets": [{"name": "pull"}]}}


@pytest.mark.parametrize("key", ["images", "except"])
def test_a_pattern_that_cannot_be_meant_is_refused_with_its_place(key: str) -> None:
    with pytest.raises(ParamError) as error:
        built(**{key: ["registry.example/", "registry.*"]})
    assert [at for at, _ in error.value.problems] == [(key, 1)]


def test_one_tag_is_asked_for_once_however_it_is_written_and_only_by_the_fix() -> None:
    standard = built()
    [one] = subject(pod("nginx", "docker.io/library/nginx:latest", "nginx", f"a@sha256:{'0' * 64}"), {}).pods
    assert standard.inspects is None and standard.fix_inspects is not None
    assert set(standard.fix_inspects(one)) == {Lookup("docker.io/library/nginx:latest", ("pull",))}


def test_a_fix_says_what_it_could_not_pin_and_why() -> None:
    standard, obj = built(), pod("registry.example/web:1", "registry.example/gone:1")
    known = {"registry.example/gone:1": Inspected(lacking="there is no such image", absent=True)}
    draft = Draft.of(obj)
    assert standard.fix is not None
    unsure = list(standard.fix(subject(draft.document, known).pods[0], draft) or ())
    assert draft.operations == []
    assert [(one.why, one.fact) for one in unsure] == [
        ("registry.example/web:1 is not pinned to its digest: no registry was asked", "images"),
        ("registry.example/gone:1 is not pinned to its digest: there is no such image", "images"),
    ]
