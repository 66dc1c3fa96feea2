"""What unit tests share: packs from short texts, reviews from short objects, and the verdict on them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import hypothesis
import pytest

from webhook.engine.evaluate import evaluate
from webhook.engine.facts import Facts
from webhook.model.decision import Decision
from webhook.model.review import Review, clean, parse
from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset

# how long an example takes says how busy the machine is, and no more
hypothesis.settings.register_profile("plimsoll", deadline=None)
hypothesis.settings.load_profile("plimsoll")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _group(api_version: str) -> tuple[str, str]:
    group, _, version = api_version.rpartition("/")
    return group, version


@pytest.fixture
def now() -> datetime:
    """A time that tests share: noon of a November day."""
    return NOW


class Hands:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hands:
    """A clock that moves only when told (`clock.now += 30`)."""
    return Hands()


@pytest.fixture
def load() -> Callable[..., Ruleset]:
    """Compile packs given as the text of their `spec` (or as whole documents, where they name their kind)."""

    def make(*texts: str, **options: Any) -> Ruleset:
        sources = []
        for number, text in enumerate(texts):
            text = textwrap.dedent(text)
            if "kind: RulePack" not in text:
                head = f"apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {{name: pack{number or ''}}}\nspec:\n"
                text = head + textwrap.indent(text, "  ")
            sources.append((f"pack{number}.yaml", text))
        return ruleset(sources, **options)

    return make


@pytest.fixture
def review() -> Callable[..., Review]:
    """Make the review of an object: its creation, or with `old` its update."""

    def make(obj: dict[str, Any] | None, old: dict[str, Any] | None = None, **request: Any) -> Review:
        some = obj or old or {}
        group, version = _group(some["apiVersion"])
        meta = some.get("metadata", {})
        document = {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "u-1",
                "kind": {"group": group, "version": version, "kind": some["kind"]},
                "resource": {"group": group, "version": version, "resource": some["kind"].lower() + "s"},
                "name": meta.get("name", ""),
                "namespace": meta.get("namespace", "shop"),
                "operation": "UPDATE" if old is not None else "CREATE",
                "userInfo": {"username": "jane", "groups": ["dev", "system:authenticated"]},
                "object": obj,
                "oldObject": old,
                **request,
            },
        }
        return parse(clean(document))

    return make


@pytest.fixture
def judge(load: Callable[..., Ruleset], review: Callable[..., Review]) -> Callable[..., Decision]:
    """Judge an object by packs: `judge(text_or_ruleset, object, old=..., facts=..., now=..., endpoint=...)`."""

    def make(
        packs: str | Ruleset,
        obj: dict[str, Any] | None,
        old: dict[str, Any] | None = None,
        facts: Facts | None = None,
        now: datetime = NOW,
        endpoint: str = "all",
        **request: Any,
    ) -> Decision:
        rules = load(packs) if isinstance(packs, str) else packs
        return evaluate(rules, review(obj, old, **request), facts or Facts(), now, endpoint)

    return make


@pytest.fixture
def deployment() -> Callable[..., dict[str, Any]]:
    """Make a Deployment with one container `web`; `pod` and `metadata` are merged over what it has."""

    def make(name: str = "web", *, image: str = "registry.example/shop/web:1.4.2", **more: Any) -> dict[str, Any]:
        template = {
            "metadata": {"labels": {"app": name}, **more.get("template", {})},
            "spec": {"containers": [{"name": "web", "image": image}], **more.get("pod", {})},
        }
        return {
            "apiVersion": more.get("apiVersion", "apps/v1"),
            "kind": more.get("kind", "Deployment"),
            "metadata": {"name": name, "namespace": "shop", **more.get("metadata", {})},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **more.get("spec", {})},
        }

    return make


@pytest.fixture
def pod() -> Callable[..., dict[str, Any]]:
    """Make a Pod with one container `web`."""

    def make(name: str = "web", *, image: str = "registry.example/shop/web:1.4.2", **more: Any) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", **more.get("metadata", {})},
            "spec": {"containers": [{"name": "web", "image": image}], **more.get("spec", {})},
        }

    return make
