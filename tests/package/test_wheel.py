"""The wheel: what an installed Plimsoll has with it, in any directory."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built as users' tools build it."""
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", str(out), str(ROOT)], check=True)
    [built] = out.glob("plimsoll_webhook-*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory into which the wheel is installed; what it depends on is that of the tests."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-q", "--no-deps", "--target", str(target), str(wheel)], check=True)
    return target


def plimsoll(site: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, "-c", "import sys; from webhook.main import main; sys.exit(main())"]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [*script, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_wheel_holds_the_packs_the_cases_of_checks_and_the_typing_mark(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"webhook/policies/{path.name}" for path in (ROOT / "policies").glob("*.yaml")} <= names
    assert "webhook/py.typed" in names
    assert "webhook/checks/no-host-path.cases.yaml" in names
    assert not [name for name in names if name.startswith(("tests/", "policies/"))]


def test_an_installed_check_finds_its_packs_in_any_directory(site: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "pod.yaml"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "a", "image": "x"}]},
    }
    manifest.write_text(str(pod))
    result = plimsoll(site, tmp_path, "check", "pod.yaml", "-o", "json")
    assert result.returncode == 1, result.stderr
    assert '"pack": "containerization"' in result.stdout or '"pack":"containerization"' in result.stdout


def test_an_installed_test_runs_the_tests_of_the_shipped_packs(site: Path, tmp_path: Path) -> None:
    result = plimsoll(site, tmp_path, "test")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_version_is_the_packages(site: Path, tmp_path: Path) -> None:
    import webhook

    assert plimsoll(site, tmp_path, "--version").stdout.split() == ["plimsoll", webhook.__version__]


def test_the_wheel_has_a_program_and_one_that_kubectl_finds(wheel: Path, site: Path, tmp_path: Path) -> None:
    [listed] = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("entry_points.txt")]
    programs = {"plimsoll = webhook.main:main", "kubectl-plimsoll = webhook.main:kubectl"}
    assert programs <= set(zipfile.ZipFile(wheel).read(listed).decode().splitlines())
    for program, name in (("plimsoll", "plimsoll"), ("kubectl-plimsoll", "kubectl plimsoll")):
        environment = {**os.environ, "PYTHONPATH": str(site)}
        command = [str(site / "bin" / program), "check", "--help"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"usage: {name} check ")


def test_the_github_action_installs_what_it_then_runs(tmp_path: Path) -> None:
    steps = {step.get("name"): step for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]}
    environment = {**os.environ, "RUNNER_TEMP": str(tmp_path), "PYTHON": sys.executable, "SOURCE": str(ROOT)}
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps["Install Plimsoll"]["run"]]
    done = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    program = [str(tmp_path / "plimsoll" / "bin" / "plimsoll"), "lint"]
    assert subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60).returncode == 0
