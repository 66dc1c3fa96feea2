"""`check`, `review` and the server say the same of every sample."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook import sources
from webhook.model.kinds import CLUSTER_SCOPED
from webhook.packs.compile import ruleset
from webhook.service import Service
from webhook.web.app import create_app

ROOT = Path(__file__).parents[3] / "samples"
SAMPLES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.yaml"))


def objects(path: Path) -> Iterator[dict[str, Any]]:
    for document in yaml.safe_load_all(path.read_text()):
        yield from document["items"] if document["kind"] == "List" else [document]


def asked(obj: dict[str, Any]) -> bytes:
    group, _, version = obj["apiVersion"].rpartition("/")
    meta = obj["metadata"]
    space = "" if (group, obj["kind"]) in CLUSTER_SCOPED else meta.setdefault("namespace", "default")
    request = {
        "uid": "u",
        "kind": {"group": group, "version": version, "kind": obj["kind"]},
        "resource": {"group": group, "version": version, "resource": "x"},
        "name": meta["name"],
        "namespace": meta["name"] if obj["kind"] == "Namespace" else space,
        "operation": "CREATE",
        "userInfo": {"username": "plimsoll-check", "groups": ["system:authenticated"]},
        "object": obj,
        "oldObject": None,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


def found_by_review(response: dict[str, Any]) -> list[tuple[Any, ...]]:
    noted = {key: json.loads(text) for key, text in response.get("auditAnnotations", {}).items() if text[:1] == "["}
    return [
        (item["policy"], item["rule"], item["pointer"], item.get("container"), item["validationActions"][0].lower(),
         item.get("exemption"), item["message"])
        for key in ("violations", "would-violate", "exempt")
        for item in noted.get(key, [])
        if "leftOut" not in item
    ]  # fmt: skip


def left_out(response: dict[str, Any]) -> int:
    """Return how many findings the annotations have no room for."""
    texts = response.get("auditAnnotations", {}).values()
    return sum(item.get("leftOut", 0) for text in texts if text[:1] == "[" for item in json.loads(text))


def found_by_check(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    found = []
    for item in result["findings"]:
        container = f"{item['container']}: " if item["container"] else ""
        value = f": {item['found']}" if item["found"] else ""
        wanted = f"; wanted {item['wanted']}" if item["wanted"] != item["reason"] else ""
        found.append(
            (item["pack"], item["rule"], item["pointer"], item["container"], item["effective"], item["exempt"],
             f"{container}{item['reason']}{value}{wanted}")
        )  # fmt: skip
    return found


@pytest.mark.parametrize("mode", ["enforce", "dry-run"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_check_finds_what_review_finds(plimsoll: Callable[..., Any], sample: str, mode: str) -> None:
    path = ROOT / sample
    results = iter(json.loads(plimsoll("check", "--mode", mode, "-o", "json", str(path)).out)["results"])
    judged = 0

    for obj in objects(path):
        answers = {}
        for endpoint in ("validate", "advise", "mutate"):
            ran = plimsoll("review", "--mode", mode, "--endpoint", endpoint, stdin=asked(obj))
            answers[endpoint] = json.loads(ran.out)["response"]
            assert ran.status == (0 if answers[endpoint]["allowed"] else 1)
        both = [item for endpoint in ("validate", "advise") for item in found_by_review(answers[endpoint])]
        if "enforced-pack" not in {**answers["validate"].get("auditAnnotations", {}),
                                   **answers["advise"].get("auditAnnotations", {})}:  # fmt: skip
            assert both == []
            continue
        result = next(results)
        judged += 1
        assert (result["kind"], result["name"]) == (obj["kind"], obj["metadata"]["name"])
        omitted = sum(left_out(answers[endpoint]) for endpoint in ("validate", "advise"))
        rest = Counter(found_by_check(result)) - Counter(both)
        assert rest.total() == omitted == len(result["findings"]) - len(both)
        assert result["allowed"] == (answers["validate"]["allowed"] and answers["advise"]["allowed"])
        assert bool(result["patch"]) == ("patch" in answers["mutate"])

    assert next(results, None) is None


@pytest.fixture(scope="module")
def server() -> Any:
    packs = [(source.name, source.text) for source in sources.read([str(path) for path in sources.shipped()])]
    rules = ruleset(packs)
    return create_app(Service(lambda: rules)).test_client()


@pytest.mark.parametrize("endpoint", ["validate", "advise", "mutate"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_review_prints_what_the_server_answers_byte_for_byte(
    plimsoll: Callable[..., Any], server: Any, sample: str, endpoint: str
) -> None:
    for obj in objects(ROOT / sample):
        question = asked(obj)
        answered = server.post(f"/{endpoint}", data=question, content_type="application/json")
        assert plimsoll("review", "--endpoint", endpoint, stdin=question).out.encode() == answered.data
