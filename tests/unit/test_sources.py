from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from webhook import sources
from webhook.errors import ConfigError
from webhook.sources import Source, read, shipped


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.yaml", "a.yml", "a.test.yaml", "c.test.yml", ".hidden.yaml", "notes.txt", "sub/d.yaml"):
        path = tmp_path / "packs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"name: {name}\n")
    return tmp_path


def names(*paths: str) -> list[str]:
    return [source.name for source in read(paths)]


def mistakes(*paths: str, **options: int) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(paths, **options)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_is_read_by_the_name_it_was_given(here: Path) -> None:
    assert read(["packs/b.yaml"]) == [Source("packs/b.yaml", "name: b.yaml\n")]
    assert names("packs/a.test.yaml", "packs/notes.txt") == ["packs/a.test.yaml", "packs/notes.txt"]


def test_a_directory_gives_its_packs_sorted_without_tests_hidden_files_and_subdirectories(here: Path) -> None:
    assert names("packs") == ["packs/a.yml", "packs/b.yaml"]
    assert names(str(here / "packs")) == [f"{here}/packs/a.yml", f"{here}/packs/b.yaml"]


def test_a_mounted_config_map_is_read_once(here: Path) -> None:
    mount = here / "mount"
    (mount / "..2026").mkdir(parents=True)
    (mount / "..2026" / "a.yaml").write_text("a: 1")
    (mount / "..data").symlink_to("..2026")
    (mount / "a.yaml").symlink_to("..data/a.yaml")
    assert read(["mount"]) == [Source("mount/a.yaml", "a: 1")]


def test_a_glob_gives_what_it_matches_without_tests(here: Path) -> None:
    assert names("packs/*.y*ml") == ["packs/a.yml", "packs/b.yaml"]
    assert names("packs/**/*.yaml") == ["packs/b.yaml", "packs/sub/d.yaml"]
    assert names("pa*") == ["packs/a.yml", "packs/b.yaml"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(here: Path) -> None:
    (here / "x[1].yaml").write_text("a: 1")
    assert names("x[1].yaml") == ["x[1].yaml"]


def test_a_file_that_is_named_twice_is_read_once(here: Path) -> None:
    assert names("packs/b.yaml", "packs", "./packs/b.yaml") == ["packs/b.yaml", "packs/a.yml"]


def test_a_shipped_pack_is_read_by_its_name() -> None:
    (one,) = [path for path in shipped() if path.name == "cost.yaml"]
    assert read(["shipped:cost", str(one)]) == [Source(str(one), one.read_text())]


def test_of_a_name_that_no_shipped_pack_has_all_names_are_told() -> None:
    (said,) = mistakes("shipped:costs")
    assert said.startswith("shipped:costs: Plimsoll comes with no such pack; there are: best-practices, cluster-use, ")


def test_a_dash_is_standard_input(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\ufeffa: ü".encode())))
    assert read(["-", "packs/b.yaml", "-"]) == [Source("stdin", "a: ü"), Source("packs/b.yaml", "name: b.yaml\n")]


def test_a_pipe_can_be_read(here: Path) -> None:
    out, into = os.pipe()
    os.write(into, b"a: 1")
    os.close(into)
    assert read([f"/dev/fd/{out}"])[0].text == "a: 1"
    os.close(out)


def test_everything_that_cannot_be_read_is_told_at_once(here: Path) -> None:
    (here / "empty").mkdir()
    (here / "latin.yaml").write_bytes(b"a: 1\nb: \xe4\n")
    (here / "large.yaml").write_text("a" * 101)
    (here / "loop.yaml").symlink_to("loop.yaml")
    found = mistakes("gone.yaml", "no*.yaml", "empty", "latin.yaml", "large.yaml", "loop.yaml", "nul\0.yaml", limit=100)
    assert found == [
        "empty: this directory holds no *.yaml or *.yml file",
        "gone.yaml: cannot be read: No such file or directory",
        "large.yaml: too large; at most 100 bytes are read; split it",
        "latin.yaml:2: not UTF-8: byte 0xe4 in column 4; save it as UTF-8",
        "loop.yaml: cannot be read: Too many levels of symbolic links",
        "no*.yaml: no file matches; wanted a file, a directory, a glob, or - for stdin",
        "nul\0.yaml: cannot be read: embedded null byte",
    ]


def test_an_endless_file_is_not_read_to_its_end() -> None:
    assert mistakes("/dev/zero", limit=1000) == ["/dev/zero: too large; at most 1000 bytes are read; split it"]


def test_a_text_of_the_largest_size_is_read(here: Path) -> None:
    (here / "fits.yaml").write_text("a" * 100)
    assert len(read(["fits.yaml"], limit=100)[0].text) == 100


def packaged(root: Path, monkeypatch: pytest.MonkeyPatch, *files: str) -> None:
    monkeypatch.setattr(sources, "__file__", str(root / "webhook" / "sources.py"))
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a: 1")


def test_the_packs_in_the_package_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged(tmp_path, monkeypatch, "webhook/policies/b.yaml", "webhook/policies/a.yaml", "policies/other.yaml")
    (tmp_path / "webhook/policies/a.test.yaml").write_text("a: 1")
    assert [path.relative_to(tmp_path).as_posix() for path in shipped()] == [
        "webhook/policies/a.yaml",
        "webhook/policies/b.yaml",
    ]


def test_in_the_source_tree_the_packs_stand_beside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged(tmp_path, monkeypatch, "policies/a.yaml")
    assert [path.name for path in shipped()] == ["a.yaml"]


def test_an_installation_without_packs_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged(tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match="has no packs of its own; name some by --policies"):
        shipped()
