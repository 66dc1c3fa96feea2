"""What is compiled of the tree: when it is out of date, what it takes, and that all places name the same versions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tools import compiled

ROOT = Path(__file__).parents[2]
SUFFIX = ".cpython-311-x86_64-linux-gnu.so"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with two modules, of which one is compiled."""
    room = tmp_path / "webhook" / "model"
    room.mkdir(parents=True)
    for name in ("glob.py", "path.py", f"glob{SUFFIX}"):
        (room / name).write_text("")
        os.utime(room / name, (1_000, 1_000))
    return tmp_path


def age(path: Path, seconds: int) -> None:
    path.touch()
    os.utime(path, (seconds, seconds))


def test_what_was_compiled_of_the_text_as_it_is_may_run(tree: Path) -> None:
    age(tree / "webhook" / "model" / f"glob{SUFFIX}", 1_001)
    assert compiled.stale(tree) == []


def test_a_module_that_was_changed_since_it_was_compiled_is_named_with_what_to_do(tree: Path) -> None:
    age(tree / "webhook" / "model" / "glob.py", 1_001)
    age(tree / "webhook" / "model" / "path.py", 1_001)
    sentence = "webhook/model/glob.py is newer than what was compiled of it: `make compiled` or `make pure`"
    assert compiled.stale(tree) == [sentence]


def test_what_was_compiled_of_a_module_that_is_gone_is_named(tree: Path) -> None:
    (tree / "webhook" / "model" / "glob.py").unlink()
    sentence = "webhook/model/glob.py is gone, and what was compiled of it is not: `make compiled` or `make pure`"
    assert compiled.stale(tree) == [sentence]


def test_what_is_put_beside_the_sources_replaces_all_that_was_there_and_is_of_now(tree: Path, tmp_path: Path) -> None:
    former = tree / f"0123__mypyc{SUFFIX}"
    former.touch()
    age(tree / "webhook" / "model" / "path.py", 1_000_000_000)
    with zipfile.ZipFile(tmp_path / "any.whl", "w") as wheel:
        for name in (f"plimsoll__mypyc{SUFFIX}", f"webhook/model/path{SUFFIX}", "webhook/model/path.py"):
            wheel.writestr(name, "compiled")
    compiled.put(tree, tmp_path / "any.whl")
    found = {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*.so")}
    assert found == {f"plimsoll__mypyc{SUFFIX}": "compiled", f"webhook/model/path{SUFFIX}": "compiled"}
    assert (tree / "webhook" / "model" / "path.py").read_text() == ""
    assert compiled.stale(tree) == []
    compiled.remove(tree)
    assert list(tree.rglob("*.so")) == []


def test_tests_refuse_to_run_what_was_compiled_of_a_former_text(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "tests" / "test_nothing.py").write_text("def test_nothing(): pass")
    (tmp_path / "webhook").mkdir()
    age(tmp_path / "webhook" / f"errors{SUFFIX}", 1_000)
    age(tmp_path / "webhook" / "errors.py", 1_001)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    sentence = "webhook/errors.py is newer than what was compiled of it: `make compiled` or `make pure`"
    assert sentence in done.stdout + done.stderr


def test_a_machine_without_a_compiler_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -pthread")
    wanted = "install gcc (Debian, Ubuntu: apt install gcc libc6-dev), or name another in CC"
    assert compiled.lacking() == f"no C compiler: `no-such-compiler` is not on the PATH; {wanted}"


def test_a_compiler_that_finds_no_headers_is_named_with_what_it_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'Python.h:23:10: fatal error: stdlib.h: No such file' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    said = compiled.lacking()
    assert "fatal error: stdlib.h: No such file; install the headers of the C library" in said


def test_a_python_without_headers_is_told_which_package_has_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", sys.executable)
    said = compiled.lacking(tmp_path)
    assert f"{tmp_path}/Python.h is missing; install them (Debian, Ubuntu: apt install python" in said


def test_the_wheel_is_compiled_by_the_versions_that_are_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hook = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
    pinned = {requirement.lower() for requirement in hook["dependencies"]}
    locks = {}
    for name in ("requirements-build.lock", "requirements-dev.lock"):
        found = re.findall(r"^(\S+==\S+)", (ROOT / name).read_text(), re.MULTILINE)
        locks[name] = {requirement for requirement in found if requirement in pinned}
    assert locks == {"requirements-build.lock": pinned, "requirements-dev.lock": pinned}


def test_every_pattern_of_what_is_compiled_names_a_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hook = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
    patterns = [*hook["include"], *hook["exclude"]]
    empty = [pattern for pattern in patterns if "/" in pattern and not list(ROOT.glob(pattern.removeprefix("/")))]
    assert empty == []
    assert "__init__.py" in hook["exclude"]
