"""What others hang into their own pipelines: the hooks of pre-commit, the GitHub Action, the job of GitLab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xmlschema
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PACK = """\
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  contact: us
  rules:
    - {name: no-host-path, check: no-host-path, action: deny, remediation: use another volume}
"""
TEST = """\
apiVersion: plimsoll.dev/v1
kind: RulePackTest
metadata: {name: acme}
spec:
  packs: [acme.yaml]
  cases:
    - {name: a pod on the node is refused, file: ../deploy/bad pod.yaml, expect: {action: deny}}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  containers: [{name: a, image: registry.example/a:1}]
"""
FIXING = PACK.replace("no-host-path, check: no-host-path", "equal, check: requests-equal-limits, fix: true")
UNEQUAL = POD.replace("NAME", "bad").replace(
    "image: registry.example/a:1}]",
    "image: registry.example/a:1,\n"
    "    resources: {limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 1, memory: 1Gi}}}]  # how much it takes",
)
BAD = POD.replace("NAME", "bad") + "  volumes: [{name: node, hostPath: {path: /etc}}]\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of somebody, with manifests, a pack and its test."""
    files = {
        "policies/acme.yaml": PACK,
        "policies/acme.test.yaml": TEST,
        "deploy/good.yaml": POD.replace("NAME", "good"),
        "deploy/bad pod.yaml": BAD,
    }
    for name, text in files.items():
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "repository"


def run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    whole = {**os.environ, "PATH": path, **environment}
    return subprocess.run(command, cwd=cwd, env=whole, capture_output=True, text=True, timeout=120, check=False)


# -- pre-commit -----------------------------------------------------------------------------------------------------


def test_pre_commit_takes_the_file_of_hooks(tmp_path: Path) -> None:
    done = run(
        ["pre-commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")], ROOT, PRE_COMMIT_HOME=str(tmp_path)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def committing(repository: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run one of our hooks by pre-commit over all files of the repository; it is not installed anew for that."""

    def go(hook: str, **changes: Any) -> Any:
        hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
        [ours] = [{**one, "language": "system", **changes} for one in hooks if one["id"] == hook]
        config = {"repos": [{"repo": "local", "hooks": [ours]}]}
        (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
        for command in (["git", "init", "-q"], ["git", "add", "-A"]):
            assert run(command, repository).returncode == 0
        return run(
            ["pre-commit", "run", "--all-files", "--color=never"], repository, PRE_COMMIT_HOME=str(tmp_path / "home")
        )

    return go


def test_the_hook_check_fails_for_what_is_denied_and_names_its_line(committing: Callable[..., Any]) -> None:
    done = committing("plimsoll-check", args=["--policies", "policies/acme.yaml"], files="^deploy/")
    assert done.returncode == 1, done.stderr
    assert "bad pod.yaml:6" in done.stdout


def test_the_hook_check_passes_over_what_is_no_object_of_kubernetes(
    committing: Callable[..., Any], repository: Path
) -> None:
    (repository / "deploy" / "bad pod.yaml").unlink()
    done = committing("plimsoll-check", args=["--policies", "policies/acme.yaml"])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_hook_fix_mends_files_and_then_has_nothing_to_do(committing: Callable[..., Any], repository: Path) -> None:
    (repository / "policies" / "acme.yaml").write_text(FIXING)
    pod = repository / "deploy" / "bad pod.yaml"
    pod.write_text(UNEQUAL)
    done = committing("plimsoll-fix", args=["--policies", "policies/acme.yaml"], files="^deploy/")
    assert "files were modified by this hook" in done.stdout
    assert "# how much it takes" in pod.read_text()
    assert committing("plimsoll-fix", args=["--policies", "policies/acme.yaml"], files="^deploy/").returncode == 0


def test_the_hook_lint_reads_packs_and_no_tests_of_them(committing: Callable[..., Any], repository: Path) -> None:
    assert committing("plimsoll-lint", verbose=True).stdout.count("1 pack with 1 rule: no mistakes") == 1
    (repository / "policies" / "acme.yaml").write_text(PACK.replace("deny", "dny"))
    done = committing("plimsoll-lint")
    assert done.returncode == 1
    assert "did you mean deny?" in done.stdout


def test_the_hook_test_runs_tests_where_only_a_pack_is_named(committing: Callable[..., Any], repository: Path) -> None:
    assert "1 case: 1 passed" in committing("plimsoll-test", verbose=True).stdout
    (repository / "policies" / "acme.yaml").write_text(PACK.replace("deny", "warn"))
    done = committing("plimsoll-test")
    assert done.returncode == 1
    assert "+ warn" in done.stdout


# -- GitHub ---------------------------------------------------------------------------------------------------------

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step.get("name", step.get("id")): step for step in ACTION["runs"]["steps"]}


def given(step: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a step as the runner gives it, for inputs."""
    defaults = {name: one.get("default", "") for name, one in ACTION["inputs"].items()}
    assert set(inputs) <= set(defaults)
    values = {f"${{{{ inputs.{name} }}}}": text for name, text in {**defaults, **inputs}.items()}
    return {name: values[text] for name, text in step["env"].items()}


@pytest.fixture
def action(repository: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run the step that judges, as a runner does, with a Plimsoll that is installed already."""

    def go(**inputs: str) -> Any:
        step = STEPS["Judge manifests"]
        script = tmp_path / "step.sh"
        script.write_text(step["run"])
        program = tmp_path / "plimsoll" / "bin" / "plimsoll"
        program.parent.mkdir(parents=True, exist_ok=True)
        if not program.exists():
            program.symlink_to(BIN / "plimsoll")
        environment = {"RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": str(tmp_path / "output"), **given(step, inputs)}
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]  # what `shell: bash` is
        return run(shell, repository, **environment)

    return go


def test_every_input_of_the_action_is_said_what_for_and_used() -> None:
    used = {text for step in STEPS.values() for text in step.get("env", {}).values()}
    for name, one in ACTION["inputs"].items():
        assert one["description"]
        assert f"${{{{ inputs.{name} }}}}" in used


def test_no_input_is_written_into_a_script_where_it_would_be_run() -> None:
    assert [name for name, step in STEPS.items() if "${{" in step.get("run", "")] == []
    assert all(step["shell"] == "bash" for step in STEPS.values() if "run" in step)


def test_the_action_annotates_the_lines_that_are_denied(action: Callable[..., Any]) -> None:
    done = action(paths="deploy", policies="policies/acme.yaml")
    assert done.returncode == 1, done.stderr
    assert "::error file=deploy/bad pod.yaml,line=6" in done.stdout


def test_the_action_passes_where_nothing_is_denied(action: Callable[..., Any]) -> None:
    done = action(paths="deploy/good.yaml\n  deploy/g*.yaml\n", policies="policies/acme.yaml")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_action_writes_sarif_and_says_where_and_fails_all_the_same(
    action: Callable[..., Any], repository: Path, tmp_path: Path
) -> None:
    done = action(paths="deploy", policies="policies/acme.yaml", format="sarif", output="found.sarif")
    assert done.returncode == 1, done.stderr
    found = json.loads((repository / "found.sarif").read_text())
    jsonschema.validate(found, json.loads((ROOT / "tests" / "schemas" / "sarif-2.1.0.json").read_text()))
    assert [result["ruleId"] for result in found["runs"][0]["results"]] == ["acme/no-host-path"]
    assert (tmp_path / "output").read_text() == "sarif=found.sarif\n"


def test_the_action_runs_nothing_that_an_input_holds(action: Callable[..., Any], repository: Path) -> None:
    for name in ("paths", "policies", "format", "output", "namespace", "baseline"):
        action(**{"paths": "deploy", name: "x; touch spoilt $(touch spoilt) `touch spoilt`"})
    assert not (repository / "spoilt").exists()


def test_the_action_refuses_a_format_that_it_does_not_have(action: Callable[..., Any]) -> None:
    done = action(paths="deploy", format="text")
    assert (done.returncode, done.stderr) == (2, "plimsoll: format is github or sarif, not 'text'\n")


# -- GitLab ---------------------------------------------------------------------------------------------------------


def test_the_job_of_gitlab_leaves_the_report_that_it_names_whether_it_fails_or_not(repository: Path) -> None:
    [job] = yaml.safe_load((ROOT / "docs" / "examples" / "gitlab-ci.yml").read_text()).values()
    (repository / ".plimsoll" / "bin").mkdir(parents=True)
    (repository / ".plimsoll" / "bin" / "plimsoll").symlink_to(BIN / "plimsoll")
    script = "set -eo pipefail\n" + "\n".join(job["script"])
    done = run(["bash", "-c", script], repository, **job["variables"])
    assert done.returncode == 1, done.stderr
    assert job["artifacts"]["when"] == "always"
    report = repository / job["artifacts"]["reports"]["junit"]
    xmlschema.XMLSchema(str(ROOT / "tests" / "schemas" / "junit-10.xsd")).validate(str(report))
    assert "hostPath" in report.read_text()
