"""The registry's program is found or fetched, and where it can be neither, the text says what to do."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry import install

SCRIPT = Path(install.__file__)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository of Debian packages in a directory, with a docker-registry that says its name."""
    place = tmp_path / "repository"
    program = place / "package" / "usr" / "bin" / "docker-registry"
    control = place / "package" / "DEBIAN" / "control"
    fields = "Package: docker-registry\nVersion: 1\nArchitecture: all\nMaintainer: crew <crew@shop.example>\n"
    for file, text in ((program, "#!/bin/sh\necho registry of the test\n"), (control, fields + "Description: test\n")):
        file.parent.mkdir(parents=True)
        file.write_text(text)
    program.chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", "package", "registry.deb"], cwd=place, check=True, capture_output=True)
    content = (place / "registry.deb").read_bytes()
    listed = f"Filename: ./registry.deb\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
    (place / "Packages").write_text(fields + listed)
    return place


def run(directory: Path, sources: str = "", path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Install into a cache below the directory, by apt with these sources and no lists."""
    (directory / "lists").mkdir()
    (directory / "sources.list").write_text(sources)
    options = {"State::lists": directory / "lists", "Etc::sourcelist": directory / "sources.list"}
    options["Etc::sourceparts"] = Path("/dev/null")
    configuration = directory / "apt.conf"
    configuration.write_text("".join(f'Dir::{name} "{value}";\n' for name, value in options.items()))
    environment = {**os.environ, "APT_CONFIG": str(configuration), "PLIMSOLL_CACHE": str(directory / "cache")}
    environment["PATH"] = path if path is not None else without(install.PROGRAM, directory)
    return subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)


def without(program: str, directory: Path) -> str:
    """Return a PATH that has all programs of this one's, but not that program."""
    links = directory / "bin"
    links.mkdir()
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for found in Path(place).glob("*"):
            if found.name != program:
                (links / found.name).unlink(missing_ok=True)
                (links / found.name).symlink_to(found)
    return str(links)


def test_the_package_is_fetched_with_lists_of_its_own_where_the_machine_has_none(
    tmp_path: Path, repository: Path
) -> None:
    done = run(tmp_path, f"deb [trusted=yes] file:{repository} ./\n")
    assert done.returncode == 0, done.stderr
    program = Path(done.stdout.strip().partition("\t")[2])
    assert program.is_relative_to(tmp_path / "cache")
    answer = subprocess.run([program], capture_output=True, text=True, check=True)
    assert answer.stdout == "registry of the test\n"
    assert sorted(each.name for each in program.parent.iterdir()) == ["docker-registry", "lock"]
    assert not any((tmp_path / "lists").iterdir())


def test_a_package_that_no_source_has_is_told_with_what_apt_said(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert "E: Unable to locate package docker-registry" in done.stderr
    assert f"apt-get could not fetch docker-registry, see above: {install.OTHERWISE}" in done.stderr
    assert done.stdout == ""


def test_a_machine_without_apt_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run(tmp_path, path=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert done.stderr == (
        f"registry: docker-registry is not on PATH, and there is no apt-get to fetch it: {install.OTHERWISE}\n"
    )


def test_one_on_the_path_is_used_as_it_is(tmp_path: Path) -> None:
    program = tmp_path / "here" / "docker-registry"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = run(tmp_path, path=str(program.parent))
    assert done.stdout == f"docker-registry\t{program}\n"
    assert not (tmp_path / "cache").exists()
