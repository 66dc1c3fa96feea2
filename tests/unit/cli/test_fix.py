"""`plimsoll fix`: what is written, what is left alone, exit codes. Its edits are in test_splice and golden files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from webhook.cli.edit import store
from webhook.errors import ConfigError
from webhook.ports import Rooms

SAMPLES = Path(__file__).parents[3] / "samples"
PACK = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  mode: enforce
  rules:
    - name: ndots
      when: "!has(pod.spec.dnsConfig)"
      patch: [{op: add, path: /spec/dnsConfig, value: {options: [{name: ndots, value: "2"}]}}]
      action: deny
    - name: two-labels
      when: "!has(pod.metadata.labels) || !('a' in pod.metadata.labels)"
      patch:
        - {op: add, path: /metadata/labels/a, value: x}
        - {op: add, path: /metadata/annotations/b, value: x}
      action: warn
    - name: no-host-network
      expression: "!has(pod.spec.hostNetwork)"
      message: pods have a network of their own
      action: deny
"""
POD = "apiVersion: v1\nkind: Pod  # ours\nmetadata: {name: web}\nspec:\n  containers: [{name: a, image: b}]\n"
FIXED = POD.replace("web}", "web, labels: {a: x}, annotations: {b: x}}") + (
    '  dnsConfig:\n    options:\n      - name: ndots\n        value: "2"\n'
)
DENIED = POD + "  hostNetwork: true\n"
SUMMARY = "1 object: 0 denied, 0 warned of, 0 audited; 0 findings\n"


@pytest.fixture
def fix(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    def run(*argv: str, stdin: str = "", pack: str = PACK) -> Any:
        Path("pack.yaml").write_text(pack)
        return plimsoll("fix", "--policies", "pack.yaml", *argv, stdin=stdin.encode())

    return run


def test_a_file_is_mended_in_its_place_and_what_was_done_is_said(fix: Callable[..., Any]) -> None:
    Path("pod.yaml").write_text(POD)

    ran = fix("pod.yaml")

    assert Path("pod.yaml").read_text() == FIXED
    assert ran.out == (
        "pod.yaml:4: fixed: ndots: 1 change from /spec/dnsConfig\n"
        "pod.yaml:3: fixed: two-labels: 2 changes from /metadata/labels\n"
        f"\n{SUMMARY}1 file changed, 2 fixes; 0 findings left\n"
    )
    assert (ran.status, ran.err) == (0, "")


@pytest.mark.parametrize(
    ("text", "argv", "status"),
    [
        (POD, (), 0),
        (DENIED, (), 1),
        (FIXED, (), 0),
        (POD, ("--diff",), 1),
        (DENIED, ("--diff",), 1),
        (FIXED, ("--diff",), 0),
        (DENIED, ("--mode", "dry-run"), 0),
        ("{{ x }}", (), 2),
        ("{{ x }}", ("--diff",), 2),
    ],
)
def test_the_exit_code_says_what_is_left(
    fix: Callable[..., Any], text: str, argv: tuple[str, ...], status: int
) -> None:
    Path("pod.yaml").write_text(text)

    assert fix(*argv, "pod.yaml").status == status


def test_what_is_only_audited_is_not_mended(fix: Callable[..., Any]) -> None:
    Path("pod.yaml").write_text(POD)

    ran = fix("--mode", "dry-run", "pod.yaml")

    assert Path("pod.yaml").read_text() == POD
    assert "0 files changed, 0 fixes; 2 findings left" in ran.out


def test_findings_that_no_fix_mends_are_shown_as_by_check(
    fix: Callable[..., Any], plimsoll: Callable[..., Any]
) -> None:
    Path("pod.yaml").write_text(DENIED)

    out = fix("pod.yaml").out

    shown = plimsoll("check", "--policies", "pack.yaml", "pod.yaml").out
    assert "deny: no-host-network: pods have a network of their own" in shown
    assert out.endswith(f"\n\n{shown}1 file changed, 2 fixes; 1 finding left\n")


def test_diff_writes_nothing_and_is_taken_by_git_apply(fix: Callable[..., Any]) -> None:
    texts = {"a.yaml": POD, "b.yaml": POD.replace("\n", "\r\n").rstrip(), "c.yaml": FIXED}
    for name, text in texts.items():
        Path(name).write_bytes(text.encode())

    ran = fix("--diff", "a.yaml", "b.yaml", "c.yaml")

    assert {name: Path(name).read_bytes().decode() for name in texts} == texts
    assert "would be fixed: ndots" in ran.err
    assert "2 files would be changed, 4 fixes" in ran.err
    subprocess.run(["git", "apply", "-p0", "--whitespace=nowarn", "-"], input=ran.out.encode(), check=True)
    assert Path("a.yaml").read_text() == FIXED
    assert Path("b.yaml").read_bytes().decode() == FIXED.replace("\n", "\r\n").rstrip()
    assert fix("--diff", "a.yaml", "b.yaml", "c.yaml").out == ""


def test_of_stdin_the_mended_text_goes_to_stdout_and_the_report_to_stderr(fix: Callable[..., Any]) -> None:
    ran = fix("-", stdin="\ufeff" + POD)

    assert (ran.status, ran.out) == (0, "\ufeff" + FIXED)
    assert "stdin:4: fixed: ndots" in ran.err


def test_stdin_that_needs_no_fix_is_passed_on_and_what_is_no_manifest_is_not(fix: Callable[..., Any]) -> None:
    assert fix("-", stdin=FIXED).out == FIXED
    assert fix("-", stdin="a: {{ b }}").out == ""


def test_a_bad_file_is_left_as_it_is_and_the_others_are_mended(fix: Callable[..., Any]) -> None:
    bad = {
        "helm.yaml": "a: {{ .b }}\n",
        "jinja.yaml": "a: 1\n{% if b %}\n",
        "twice.yaml": "a: 1\na: 2\n",
        "bytes.yaml": "a: \xe9\n",
    }
    for name, text in bad.items():
        Path(name).write_text(text, encoding="latin-1")
    Path("pod.yaml").write_text(POD)

    ran = fix(".")

    assert {name: Path(name).read_text(encoding="latin-1") for name in bad} == bad
    assert Path("pod.yaml").read_text() == FIXED
    template = "this is a template and no plain YAML, so it is left as it is; mend its values, or what it is made into"
    assert ran.err.splitlines() == [
        "bytes.yaml:1: this is not UTF-8; save it as UTF-8",
        f"helm.yaml:1: {template}",
        f"jinja.yaml:2: {template}",
        "twice.yaml:2: the key a is given twice, first in line 1; keep one",
    ]


def test_a_template_in_a_chart_is_refused_though_it_is_yaml(fix: Callable[..., Any]) -> None:
    Path("chart/templates/sub").mkdir(parents=True)
    Path("chart/Chart.yaml").write_text("name: x\n")
    text = POD.replace("image: b", "image: '{{ .Values.image }}'")
    file = Path("chart/templates/sub/pod.yaml")
    file.write_text(text)

    ran = fix("chart")

    assert (ran.status, file.read_text()) == (2, text)
    assert ran.err.startswith(f"{file}:5: this is a template")


def test_a_fix_is_made_whole_or_not_at_all(fix: Callable[..., Any]) -> None:
    text = POD.replace("metadata: {name: web}", "metadata: {name: web, labels: &l {b: c}, annotations: {x: *l}}")
    text = text.replace("{x: *l}", "*l")
    Path("pod.yaml").write_text(text)

    ran = fix("pod.yaml")

    assert Path("pod.yaml").read_text() == text + FIXED.removeprefix(FIXED[: FIXED.index("  dnsConfig")])
    assert (
        "pod.yaml:3: not fixed: two-labels: 2 changes from /metadata/labels/a: /metadata/labels is shared by the "
        "anchor &l with other places, which would change with it; change it by hand\n"
    ) in ran.out
    assert ran.out.endswith("1 file changed, 1 fix; 1 finding left\n")


def test_mode_and_symlink_of_a_file_are_kept_and_nothing_else_is_left(fix: Callable[..., Any]) -> None:
    Path("real").mkdir()
    Path("real/pod.txt").write_text(POD)
    Path("real/pod.txt").chmod(0o640)
    Path("pod.yaml").symlink_to("real/pod.txt")

    fix("pod.yaml")

    assert Path("pod.yaml").is_symlink()
    assert Path("real/pod.txt").read_text() == FIXED
    assert Path("real/pod.txt").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in Path("real").iterdir()] == ["pod.txt"]


def test_a_file_that_needs_no_fix_is_not_touched(fix: Callable[..., Any]) -> None:
    Path("pod.yaml").write_text(FIXED)
    before = Path("pod.yaml").stat()

    fix("pod.yaml")

    after = Path("pod.yaml").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_that_somebody_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text("theirs")

    with pytest.raises(ConfigError, match="somebody changed it meanwhile"):
        store.replace(str(file), b"read", b"mended")

    assert (file.read_text(), list(tmp_path.iterdir())) == ("theirs", [file])


def test_what_is_no_file_is_not_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ConfigError, match="no regular file"):
        store.replace(str(tmp_path / "pipe"), b"", b"mended")


def test_a_file_that_cannot_be_written_is_said_and_not_counted(
    fix: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.yaml").write_text(POD)
    Path("b.yaml").write_text(POD)
    ours = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("a.yaml") and ours(path, mode))

    ran = fix("a.yaml", "b.yaml")

    assert (ran.status, Path("a.yaml").read_text(), Path("b.yaml").read_text()) == (2, POD, FIXED)
    assert ran.err == "a.yaml: cannot be written: it is read-only for you; it is left as it was\n"
    assert "1 file changed, 2 fixes" in ran.out


def test_a_list_of_one_kind_keeps_its_form(fix: Callable[..., Any]) -> None:
    item = "  - metadata: {name: a, labels: {a: x}}\n    spec: {containers: [], dnsConfig: {}}\n"
    more = item.replace(", dnsConfig: {}", "")
    Path("list.yaml").write_text(f"kind: PodList\napiVersion: v1\nitems:\n{item}{more}")

    fix("list.yaml")

    mended = more.replace("[]}", '[], dnsConfig: {options: [{name: ndots, value: "2"}]}}')
    assert Path("list.yaml").read_text() == f"kind: PodList\napiVersion: v1\nitems:\n{item}{mended}"


def test_a_fix_that_another_makes_needed_beside_it_is_made_too(fix: Callable[..., Any]) -> None:
    pack = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  rules:
    - name: whose
      check: required-labels
      params: {labels: [{name: team, places: [namespace], default: shop}]}
      action: warn
      fix: true
    - name: ndots
      match: {namespaceSelector: {matchLabels: {team: shop}}}
      when: "!has(pod.spec.dnsConfig)"
      patch: [{op: add, path: /spec/dnsConfig, value: {}}]
      action: deny
"""
    Path("a.yaml").write_text(POD)
    Path("b.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: default # ours\n")

    ran = fix("a.yaml", "b.yaml", pack=pack)

    assert Path("a.yaml").read_text() == POD + "  dnsConfig: {}\n"
    assert Path("b.yaml").read_text().endswith("  name: default # ours\n  labels:\n    team: shop\n")
    assert ran.out.endswith("2 files changed, 2 fixes; 0 findings left\n")


def test_what_comes_through_a_pipe_is_refused_by_its_name(fix: Callable[..., Any]) -> None:
    read, write = os.pipe()
    os.write(write, POD.encode())
    os.close(write)

    ran = fix(f"/dev/fd/{read}")
    os.close(read)

    assert ran.err == (
        f"/dev/fd/{read}: it is no regular file, so it cannot be written; pipe it in, and give - for it\n"
    )


@pytest.mark.parametrize("mode", [(), ("--mode", "enforce")])
def test_every_fix_of_the_samples_is_made_and_a_second_time_changes_nothing(
    plimsoll: Callable[..., Any], mode: tuple[str, ...]
) -> None:
    shutil.copytree(SAMPLES, "samples")

    first = plimsoll("fix", *mode, "samples").out
    texts = {path: path.read_bytes() for path in Path("samples").rglob("*.yaml")}
    second = plimsoll("fix", *mode, "samples").out

    assert ": fixed: " in first
    assert "not fixed" not in first
    assert second.splitlines()[-1].startswith("0 files changed, 0 fixes; ")
    assert {path: path.read_bytes() for path in texts} == texts
    assert "/mutate corrects it" not in plimsoll("check", *mode, "samples").out


def test_one_process_and_several_do_the_same(plimsoll: Callable[..., Any]) -> None:
    found = []
    for jobs in ("1", "3"):
        shutil.copytree(SAMPLES, "samples", dirs_exist_ok=True)
        ran = plimsoll("fix", "--mode", "enforce", "--jobs", jobs, "samples")
        found.append((ran, {path: path.read_bytes() for path in Path("samples").rglob("*.yaml")}))

    assert found[0] == found[1]


def test_stdin_cannot_hold_both_packs_and_manifests(plimsoll: Callable[..., Any]) -> None:
    ran = plimsoll("fix", "--policies", "-", "-", stdin=b"")

    assert (ran.status, ran.err) == (2, "-: stdin holds either packs or manifests; name a file for the others\n")


@pytest.mark.parametrize(("terminal", "plain", "coloured"), [(1, 0, True), (1, 1, False), (0, 0, False)])
def test_a_diff_has_colours_only_on_a_terminal(
    tmp_path: Path, rooms: Rooms, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    terminal: int, plain: int, coloured: bool,
) -> None:  # fmt: skip
    import argparse

    from webhook.cli import fix

    (tmp_path / "pack.yaml").write_text(PACK)
    (tmp_path / "pod.yaml").write_text(POD)
    parser = argparse.ArgumentParser()
    fix.configure(parser)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: bool(terminal))

    args = ["--diff", "--policies", str(tmp_path / "pack.yaml"), str(tmp_path / "pod.yaml")]
    fix.run(parser.parse_args(args), replace(rooms, plain=bool(plain)))

    assert ("\033[32m+  dnsConfig:\033[0m\n" in capsys.readouterr().out) is coloured
