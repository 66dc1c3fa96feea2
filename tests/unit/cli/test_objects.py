"""From paths to objects: what is found, where it stands, what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from webhook.cli import objects
from webhook.cli.objects import Found, Manifest
from webhook.errors import ConfigError

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str | bytes, name: str = "f.yaml") -> Found:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return objects.read([name])


def one(text: str, name: str = "f.yaml") -> Manifest:
    found = read(text, name)
    assert found.problems == ()
    (manifest,) = found.manifests
    return manifest


def names(found: Found) -> list[str]:
    return [manifest.value["metadata"]["name"] for manifest in found.manifests]


def test_files_directories_and_globs_are_read_each_file_once() -> None:
    for name in ("b.yaml", "a.yml", "d/c.json", "d/e/f.yaml", "d/.hidden.yaml", "d/.git/g.yaml", "d/readme.md"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(POD % Path(name).stem)

    found = objects.read(["b.yaml", "*.y*ml", "d", "./d/c.json"])

    assert names(found) == ["b", "a", "c", "f"]
    assert found.problems == ()


def test_what_is_missing_is_said_and_the_rest_is_read() -> None:
    Path("empty").mkdir()
    Path("good.yaml").write_text(POD % "good")

    found = objects.read(["gone.yaml", "empty", "none*.yaml", "good.yaml"])

    assert names(found) == ["good"]
    assert [str(problem) for problem in found.problems] == [
        "empty: this directory holds no *.yaml, *.yml, *.json file",
        "none*.yaml: no file matches",
        "gone.yaml: cannot be read: No such file or directory",
    ]


@pytest.mark.parametrize(
    ("text", "kinds", "strangers"),
    [
        ("kind: List\napiVersion: v1\nitems:\n- {kind: Pod, apiVersion: v1}\n- {no: object}\n", ["Pod"], 1),
        ("kind: PodList\napiVersion: v1\nitems:\n- {metadata: {name: a}}\n", ["Pod"], 0),
        ("---\n# nothing\n---\nkind: Pod\napiVersion: v1\n---\n- a list\n---\ntext\n", ["Pod"], 2),
        ("kind: Pod\n", [], 1),
        ('{"kind": "Pod", "apiVersion": "v1"}\n{"kind": "Job", "apiVersion": "batch/v1"}', ["Pod", "Job"], 0),
        ("{kind: Pod, apiVersion: v1}\n", ["Pod"], 0),
        ("", [], 0),
    ],
)
def test_documents_lists_and_strangers_are_told_apart(text: str, kinds: list[str], strangers: int) -> None:
    found = read(text)

    assert [manifest.value["kind"] for manifest in found.manifests] == kinds
    assert (found.strangers, found.problems) == (strangers, ())


def test_null_members_vanish_as_on_the_server() -> None:
    assert one("apiVersion: v1\nkind: Pod\nmetadata:\nspec: {a: ~, b: [~, 1]}\n").value == {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {"b": [None, 1]},
    }


def test_lines_are_those_of_keys_and_elements_and_go_to_the_nearest_parent() -> None:
    manifest = one(
        "# a comment\n---\napiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    resources:\n"
        "      limits: {cpu: 1,\n        memory: 1Gi}\n"
    )

    assert manifest.source == "f.yaml:3"
    pointers = {
        "": 3,
        "/spec": 5,
        "/spec/containers/0": 7,
        "/spec/containers/0/resources": 8,
        "/spec/containers/0/resources/limits/memory": 10,
        "/spec/containers/0/resources/requests/cpu": 8,
        "/spec/containers/7": 6,
    }
    assert {pointer: manifest.line(pointer) for pointer in pointers} == pointers


def test_lines_of_json_and_of_list_items() -> None:
    text = (
        '{"apiVersion": "v1",\n"kind": "List", "items": [\n{"apiVersion": "v1", "kind": "Pod",\n"spec": {\n"a": 1}}]}'
    )
    manifest = one(text, "f.json")

    assert (manifest.source, manifest.line("/spec/a"), manifest.line("/spec/b")) == ("f.json:3", 5, 4)


def test_an_alias_has_the_lines_of_what_it_stands_for() -> None:
    manifest = one("apiVersion: v1\nkind: Pod\na: &a\n  x: 1\nb:\n  c: *a\n")

    assert manifest.value["b"] == {"c": {"x": 1}}
    assert (manifest.line("/b/c"), manifest.line("/b/c/x")) == (6, 4)


def test_copies_of_an_alias_are_values_of_their_own() -> None:
    value = one("apiVersion: v1\nkind: Pod\na: &a {x: 1}\nb: *a\n").value
    value["a"]["x"] = 2

    assert value["b"] == {"x": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<<: *a\n  w: 9", {"x": 1, "w": 9}),
        ("w: 9\n  <<: *a", {"x": 1, "w": 2}),  # kubectl merges in the order of the text
        ("<<: [*b, *a]", {"x": 3, "w": 2}),
        ("<<: {z: 1}", {"z": 1}),
        ("'<<': 1", {"<<": 1}),
    ],
)
def test_merge_keys_are_merged_as_kubectl_does(text: str, value: Any) -> None:
    head = "apiVersion: v1\nkind: Pod\na: &a {x: 1, w: 2}\nb: &b {x: 3}\n"

    assert one(f"{head}c:\n  {text}\n").value["c"] == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{yes: 1, 80: 2, 1.5: 3}", {"true": 1, "80": 2, "1.5": 3}),
        ("{a: 'yes', b: \"0777\", c: !!str 5, d: !!int '5', e: !!binary aGk=, f: ! 7}",
         {"a": "yes", "b": "0777", "c": "5", "d": 5, "e": "hi", "f": "7"}),
        ("|\n  yes\n", "yes\n"),
    ],
)  # fmt: skip
def test_keys_and_tagged_scalars_are_what_kubectl_takes_them_for(text: str, value: Any) -> None:
    assert one(f"apiVersion: v1\nkind: Pod\na: {text}\n").value["a"] == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2\n", "f.yaml:2: the key a is given twice, first in line 1; keep one"),
        ("yes: 1\ntrue: 2\n", "f.yaml:2: the key true is given twice, first in line 1; keep one"),
        ("a: *b\n", "f.yaml:1: *b refers to nothing; there is no &b above"),
        ("a: &a\n- *a\n", "f.yaml:2: *a stands inside of what it stands for, so it has no end"),
        ("a: !!python/object:os.system ls\n", "f.yaml:1: the tag tag:yaml.org,2002:python/object:os.system"),
        ("a: !!int x\n", None),
        ("a: .nan\n", "f.yaml:1: .nan is no number that JSON has; quote it, or write another number"),
        ("[" * 200, "f.yaml:1: nested deeper than 100 levels"),
        ("a: b: c\n", "f.yaml:1: this is no YAML: mapping values are not allowed in this context"),
        ("a:\n  <<: 5\n", "f.yaml:2: << merges mappings; wanted an alias of one, or a list of such"),
        ("{{ x }}: 1\n", "f.yaml:1: this is a template and no plain YAML or JSON"),
        (b"a: 1\nb: \xff\n", "f.yaml:2: this is not UTF-8; save it as UTF-8"),
        ("a: \x01\n", "f.yaml: this is no YAML"),
        ('{"a": 1, "a": 2}', "f.yaml:1: the key a is given twice, first in line 1; keep one"),
        ('{"a": 1,\n"b" 2}', 'f.yaml:2: this is no JSON: a `:` is missing after the key'),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_with_file_and_line(text: str | bytes, problem: str | None) -> None:
    found = read(text)

    if problem is None:  # kubectl refuses it; here the text stays, and the rules see it
        assert found.problems == ()
        return
    assert str(found.problems[0]).startswith(problem)
    assert found.manifests == ()


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]

    found = read("\n".join(lines))

    assert "bomb" in str(found.problems[0])


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "SIZE", 10)

    assert str(read("a: 12345678\n").problems[0]) == "f.yaml: too large; at most 10 bytes are read; split it"


def test_a_pipe_in_a_directory_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "pod.yaml").write_text("{apiVersion: v1, kind: Pod, metadata: {name: a}}")
    assert [manifest.file for manifest in objects.read([str(tmp_path)]).manifests] == [str(tmp_path / "pod.yaml")]


@pytest.mark.parametrize(
    ("content", "line"),
    [("{{ if .Values.on }}\na: b\n{{ end }}\n", 1), ("\n{%- for one in all %}\na: {{ one }}\n{% endfor %}\n", 2)],
)
def test_what_begins_as_a_template_is_said_to_be_one_and_not_to_be_bad_json(content: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        list(objects.within("t.yaml", content))

    assert str(caught.value).startswith(f"t.yaml:{line}: this is a template and no plain YAML or JSON; give what it is")
