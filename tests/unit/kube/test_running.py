"""Which images a cluster runs: every container's, the commonest first."""

from __future__ import annotations

from typing import Any

from webhook.kube.running import images


def pod(*names: str, init: str = "") -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"name": f"c{n}", "image": name} for n, name in enumerate(names)]}
    if init:
        spec["initContainers"] = [{"name": "i", "image": init}]
    return {"metadata": {"name": "x"}, "spec": spec}


def test_images_come_with_the_commonest_first_and_each_once_for_a_pod(api: Any) -> None:
    pods = [pod("a:1", "a:1", "a:1"), pod("b:1", init="c:1"), pod("b:1"), {"spec": None}, {}]
    api.answers["/api/v1/pods"] = 200, {"items": pods}
    assert images(api.client(), 10)[0] == "b:1"
    assert sorted(images(api.client(), 10)) == ["a:1", "b:1", "c:1"]
    assert images(api.client(), 1) == ["b:1"]
