"""Objects that wait packed: they come back as they were, and are found by what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from webhook.cli import objects, shelf
from webhook.cli.objects import Manifest
from webhook.cli.shelf import Shelf, pack, unpack
from webhook.model.neighbours import Ref

BUDGETS = Ref("policy/v1", "PodDisruptionBudget")


def test_a_manifest_comes_back_as_it_was() -> None:
    value = {
        "apiVersion": "v1",
        "kind": "Pod",
        "odd": [None, True, 1.5, 2**80, -1, "\ud800", "é", {"": []}],
    }
    mark = (3, {"odd": (4, [(5, None, 1)], 2)}, 3)

    assert unpack(pack(Manifest("f.yaml", value, mark))) == Manifest("f.yaml", value, mark)


def budget(name: str, space: str = "") -> Manifest:
    meta = {"name": name, "namespace": space} if space else {"name": name}
    value = {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": meta}
    return Manifest("f.yaml", value, (1, None, 1))


def test_objects_are_found_by_place_kind_and_name_in_any_version() -> None:
    kept = Shelf.of([pack(budget("a", "shop")), pack(budget("b")), pack(budget("c", "shop"))], "default", "why")

    def names(space: str, ref: Ref) -> list[str]:
        found = kept.find(space, ref, 1.0)
        assert found.lacking == "why"
        return [obj["metadata"]["name"] for obj in found.objects]

    assert names("shop", BUDGETS) == ["a", "c"]
    assert names("shop", Ref("policy/v1", "PodDisruptionBudget", "c")) == ["c"]
    assert names("default", BUDGETS) == ["b"]
    assert names("other", BUDGETS) == []
    assert names("shop", Ref("v1", "PodDisruptionBudget")) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_files_are_read_in_order_and_what_is_wrong_is_said(
    jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(60):
        text = "a: [" if number % 20 == 7 else f"{{apiVersion: v1, kind: Pod, n: {number}}}\n---\nno: object\n"
        Path(f"{number:02}.yaml").write_text(text)

    found = shelf.read([".", "gone.yaml"], jobs)
    plain = objects.read([".", "gone.yaml"])

    assert [unpack(packed) for packed in found.packed] == list(plain.manifests)
    assert (found.strangers, found.problems) == (plain.strangers, plain.problems)
    assert len(plain.manifests) == plain.strangers == 57
    assert len(plain.problems) == 4


def test_a_file_that_is_wrong_at_its_end_gives_no_object(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("{apiVersion: v1, kind: Pod}\n---\n- a: [\n")

    found = shelf.read([str(tmp_path)])

    assert (found.packed, found.strangers, len(found.problems)) == ((), 0, 1)
