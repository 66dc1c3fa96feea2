"""The wheels, plain and compiled: what an installed Plimsoll has with it, in any directory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

from tools import compiled

ROOT = Path(__file__).parents[2]


def built(sources: Path, out: Path) -> Path:
    """The plain wheel, built as users' tools build it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HATCH_")}
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", str(out), str(sources)], env=environment, check=True)
    [wheel] = out.glob("plimsoll_webhook-*.whl")
    return wheel


def installed(wheel: Path, target: Path) -> Path:
    """A directory into which a wheel is installed; what it depends on is that of the tests."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-q", "--no-deps", "--target", str(target), str(wheel)], check=True)
    return target


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The project's wheels; the compiled one is that of `make compiled`."""
    return {"plain": built(ROOT, tmp_path_factory.mktemp("wheel")), "compiled": compiled.wheel(ROOT)}


@pytest.fixture(scope="module")
def sites(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: installed(wheel, tmp_path_factory.mktemp(kind)) for kind, wheel in wheels.items()}


@pytest.fixture(params=["plain", "compiled"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def wheel(wheels: dict[str, Path], kind: str) -> Path:
    return wheels[kind]


@pytest.fixture
def site(sites: dict[str, Path], kind: str) -> Path:
    return sites[kind]


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


def binaries(wheel: Path) -> list[str]:
    return [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]


def test_the_plain_wheel_is_for_any_machine_even_where_the_tree_is_compiled(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for part in compiled.SOURCES:  # without .gitignore, as an image's build has them
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, tree / part)
    for name in ("plimsoll__mypyc", "webhook/engine/evaluate"):
        (tree / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}").touch()
    wheel = built(tree, tmp_path)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert binaries(wheel) == []


def test_the_compiled_wheel_is_for_this_python_on_this_platform_with_the_sources(wheels: dict[str, Path]) -> None:
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheels["compiled"].name.endswith(f"-{python}-{python}-{platform}.whl")
    names = {kind: set(zipfile.ZipFile(wheel).namelist()) for kind, wheel in wheels.items()}
    assert names["compiled"] - names["plain"] == set(binaries(wheels["compiled"]))
    assert names["plain"] <= names["compiled"]


def test_an_installed_compiled_wheel_runs_compiled_and_needs_nothing_of_the_compiler(
    sites: dict[str, Path], tmp_path: Path
) -> None:
    program = """
import json, sys
import webhook.engine.evaluate, webhook.main
compilers = {"librt", "mypy", "mypy_extensions", "mypyc"} & {name.partition(".")[0] for name in sys.modules}
print(json.dumps([webhook.engine.evaluate.__file__, sorted(compilers)]))
"""
    said = {}
    for kind, site in sites.items():
        environment = {**os.environ, "PYTHONPATH": str(site)}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        said[kind] = json.loads(done.stdout)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    room = {kind: site / "webhook" / "engine" for kind, site in sites.items()}
    assert said["plain"] == [str(room["plain"] / "evaluate.py"), []]
    assert said["compiled"] == [str(room["compiled"] / f"evaluate{suffix}"), []]


def test_compiled_or_plain_the_verdicts_are_the_same(sites: dict[str, Path], tmp_path: Path) -> None:
    samples = str(ROOT / "samples")
    said = [plimsoll(site, tmp_path, "check", samples, "-o", "json") for site in sites.values()]
    assert [result.returncode for result in said] == [1, 1], said[0].stderr + said[1].stderr
    assert said[0].stdout == said[1].stdout


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
