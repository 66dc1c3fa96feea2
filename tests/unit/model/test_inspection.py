"""The images of a pod's containers, and what is said of them platform by platform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from webhook.model import oci
from webhook.model.inspection import alike, inspections, lookups
from webhook.model.oci import Build, Inspected, Lookup
from webhook.model.pods import subjects


def build(platform: str) -> Build:
    return Build("", oci.platform(platform), {})


def test_what_is_said_of_all_builds_names_no_platform_and_what_is_said_of_some_names_them() -> None:
    builds = [build("linux/amd64"), build("linux/arm64/v8"), build("windows/amd64")]
    said = {"linux": ["old", "root", "root"], "windows": ["old"]}
    found = dict(alike(builds, lambda one: said[one.platform.os]))
    assert found == {"old": "", "root": " on linux/amd64, linux/arm64/v8"}


def test_every_container_is_asked_about_with_the_pods_secrets_and_what_is_no_reference_is_not() -> None:
    spec: dict[str, Any] = {
        "imagePullSecrets": [{"name": "registry"}],
        "initContainers": [{"name": "init", "image": "registry.example/init:1"}],
        "containers": [{"name": "web", "image": "nginx"}, {"name": "broken", "image": "A b"}, {"name": "none"}],
        "ephemeralContainers": [{"name": "debug", "image": "registry.example/debug:1"}],
        "volumes": [{"name": "model", "image": {"reference": "registry.example/model:1"}}],
    }
    (subject,) = subjects({"spec": spec}, "", "Pod", "shop", "web")
    (pod,) = subject.pods
    wanted = ["registry.example/init:1", "docker.io/library/nginx:latest", "registry.example/debug:1"]
    assert [*lookups(pod)] == [Lookup(name, ("registry",)) for name in wanted]
    seen = replace(pod, images=lambda lookup: Inspected(lacking=lookup.reference))
    assert [(one.name, known.lacking) for one, known in inspections(seen)] == [
        *zip(("init", "web", "debug"), wanted, strict=True)
    ]
