"""`plimsoll new`: what it writes says what is missing, and passes its own tests once that is filled in."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from webhook.checks import CHECKS
from webhook.cli.page.markdown import Markdown
from webhook.cli.scaffold import check as checks
from webhook.cli.scaffold.append import append
from webhook.errors import ConfigError

ROOT = Path(__file__).parents[3]
PACK = """\
# the standards of Acme
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}   # ours
spec:
  contact: platform team
  rules:
    # the first one
    - name: one
      expression: "true"
      message: >
        a folded
        message
      action: warn

    - {name: two, expression: "true", action: warn}   # on one line
    # behind the last one, and of no rule

  exemptions: []   # none yet
"""


def fill(file: str, **words: str) -> None:
    """Fill the blanks of a file: each by the word that is a part of what it asks for, or a text."""
    text = Path(file).read_text()
    for asked, word in words.items():
        asked = re.escape(asked.replace("_", " "))
        text = re.sub(rf'"FILL IN: [^"\n]*{asked}[^"\n]*"', word, text)
        text = re.sub(rf"FILL IN: [^\"\n]*{asked}[^\"\n]*", word, text)
    text = re.sub(r'"FILL IN: [^"\n]*"', '"a sentence."', text)
    assert "FILL IN" not in text
    Path(file).write_text(text)


def blanks(*files: str) -> int:
    return sum(Path(file).read_text().count("FILL IN") for file in files)


def test_a_new_pack_names_every_blank_and_passes_when_they_are_filled(plimsoll):
    ran = plimsoll("new", "pack", "acme")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("wrote acme.yaml\nwrote acme.test.yaml\nnext:\n  1. fill in what is marked FILL IN")
    assert Path("acme.yaml").read_text().startswith("# yaml-language-server: $schema=https://")

    for command, file in (("lint", "acme.yaml"), ("test", "acme.test.yaml")):
        left = plimsoll(command, file)
        assert left.status == 2
        lines = left.err.splitlines()
        assert len(lines) == blanks(file) > 0
        assert all(line.startswith(f"{file}:") and ": still to be filled in: " in line for line in lines)

    fill("acme.yaml", is_true_where='"containers.all(c, has(c.readinessProbe))"')
    assert plimsoll("lint", "--strict", "acme.yaml").status == 0
    fill(
        "acme.test.yaml",
        does_not_keep="imagePullPolicy: Always",
        keeps="readinessProbe: {httpGet: {path: /, port: 80}}",
        JSON_pointer="/spec/template",
    )
    tested = plimsoll("test", "acme.test.yaml")
    assert (tested.out, tested.status) == ("2 cases: 2 passed, 0 failed\n", 0)


def test_a_pack_with_blanks_is_no_pack_for_any_command(plimsoll):
    plimsoll("new", "pack", "acme")
    Path("pod.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n")
    assert "still to be filled in" in plimsoll("check", "--policies", "acme.yaml", "pod.yaml").err


# what their defaults ask of nobody, or what only a registry knows: a company has to say what it wants first
ASK_FOR_PARAMS = {"approved-base", "dedicated-nodes", "image-config", "jdk-version"}


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_a_new_rule_by_any_check_passes_when_the_blanks_are_filled(plimsoll, check):
    plimsoll("new", "pack", "acme", "--check", check)
    fill("acme.yaml")
    assert plimsoll("lint", "--strict", "acme.yaml").status == 0
    fill("acme.test.yaml", JSON_pointer="/there")
    ran = plimsoll("test", "-v", "acme.test.yaml")
    if check in ASK_FOR_PARAMS:
        assert ran.status == 1, "found by its defaults now: take it from the list"
        return
    assert "pass acme.test.yaml" in ran.out, ran.out
    # the other case says what is found; who fills it in copies that
    found = re.findall(rf"^ +\+ {check} (\S+)", ran.out, re.MULTILINE)
    lines = "".join(f"          - {{rule: {check}, pointer: {place}}}\n" for place in found)
    text = Path("acme.test.yaml").read_text()
    Path("acme.test.yaml").write_text(re.sub(r" +- \{rule.*\}\n", lines, text))
    assert plimsoll("test", "acme.test.yaml").out == "2 cases: 2 passed, 0 failed\n"


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_the_parameters_of_a_new_rule_are_those_of_the_check_when_the_marks_are_taken_away(plimsoll, check):
    plimsoll("new", "pack", "acme", "--check", check)
    fill("acme.yaml")
    text = Path("acme.yaml").read_text()
    rule = text[text.index("  rules:") :]
    bare = re.sub(r"^( +)# (params:|  (?:# |\w+: ))", r"\1\2", rule, flags=re.MULTILINE)
    (parsed,) = yaml.safe_load(bare)["rules"]
    assert parsed["params"] == CHECKS[check].DEFAULTS


def test_a_new_rule_is_added_to_a_pack_and_its_tests_and_nothing_else_changes(plimsoll):
    Path("acme.yaml").write_text(PACK)
    assert plimsoll("new", "rule", "disks", "--check", "no-host-path", "--pack", "acme.yaml").out.startswith(
        "wrote acme.test.yaml\nadded to acme.yaml\n"
    )
    before, after = PACK.split("    # behind"), Path("acme.yaml").read_text().split("    # behind")
    assert after[1] == before[1]
    assert after[0].startswith(before[0] + "\n    - name: disks\n      check: no-host-path")

    ran = plimsoll("new", "rule", "three", "--pack", "acme.yaml")
    assert ran.out.startswith("added to acme.yaml\nadded to acme.test.yaml\n")
    fill("acme.yaml", is_true_where="containers.size() < 2")
    fill("acme.test.yaml", does_not_keep="imagePullPolicy: Always", keeps="imagePullPolicy: Never", JSON_pointer="/x")
    assert plimsoll("lint", "acme.yaml").status == 0
    ran = plimsoll("test", "acme.test.yaml")
    assert ran.out.count("FAIL") == 2, "one for each pointer that is not there"
    assert "4 cases: 2 passed, 2 failed" in ran.out


def test_without_a_pack_a_new_rule_is_printed(plimsoll):
    ran = plimsoll("new", "rule", "disks", "--check", "no-host-path")
    rules, cases = ran.out.split("# under spec.cases")
    assert [one["name"] for one in yaml.safe_load(rules)] == ["disks"]
    assert len(yaml.safe_load("# " + cases)) == 2
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["pack", "acme"], "acme.yaml: is there already, and nothing is written over it"),
        (["pack", "Acme"], "'Acme' is no name; wanted kebab-case"),
        (["pack", "a", "-d", "gone"], "gone/a.yaml: cannot be written: No such file or directory"),
        (["rule", "one", "--pack", "acme.yaml"], "acme.yaml:9: spec.rules[0].name: one is there already"),
        (["rule", "x", "--check", "no-host-pat"], "there is no check no-host-pat; did you mean no-host-path?"),
        (["rule", "x", "--check", "probes", "--cel"], "not allowed with argument"),
        (["rule", "x", "--pack", "gone.yaml"], "gone.yaml: cannot be read: No such file or directory"),
        (["rule", "x", "--pack", "-"], "the rule is added to a file; name one instead of -"),
        (["check", "some-check"], "works in its source tree only"),
    ],
)
def test_what_cannot_be_begun_is_said_and_nothing_is_written(plimsoll, argv, said):
    Path("acme.yaml").write_text(PACK)
    ran = plimsoll("new", *argv)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert [(path.name, path.read_text()) for path in Path().iterdir()] == [("acme.yaml", PACK)]


def test_of_two_files_of_which_one_is_there_none_is_written(plimsoll):
    Path("acme.test.yaml").write_text("mine\n")
    assert plimsoll("new", "pack", "acme").status == 2
    assert not Path("acme.yaml").exists()


ITEM = "- name: new\n  action: warn\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("kind: RulePack\nspec:\n  rules:\n  - name: a",
         "kind: RulePack\nspec:\n  rules:\n  - name: a\n  - name: new\n    action: warn\n"),
        ("kind: RulePack\r\nspec:\r\n  rules:\r\n    - name: a\r\n",
         "kind: RulePack\r\nspec:\r\n  rules:\r\n    - name: a\r\n    - name: new\r\n      action: warn\r\n"),
        ("kind: RulePack\nspec:\n  rules:\n  - name: a\n    text: |\n      # no comment\n\n      b\n\n  more: 1\n",
         "kind: RulePack\nspec:\n  rules:\n  - name: a\n    text: |\n      # no comment\n\n      b\n"
         "  - name: new\n    action: warn\n\n  more: 1\n"),
        ("kind: Other\n---\nkind: RulePack\nspec:\n  rules:\n  - a: 1\n---\nkind: Last\n",
         "kind: Other\n---\nkind: RulePack\nspec:\n  rules:\n  - a: 1\n  - name: new\n    action: warn\n"
         "---\nkind: Last\n"),
    ],
    ids=["no final newline", "CRLF", "block scalar", "several documents"],
)  # fmt: skip
def test_an_element_is_added_to_the_list_as_it_is_written(text, wanted):
    assert append("p.yaml", text, "RulePack", "rules", ITEM) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: RulePack\nspec: {rules: [{name: a}]}\n", "p.yaml:2: spec.rules is no list with a dash"),
        ("kind: RulePack\nspec:\n  rules: []\n", "p.yaml:3: spec.rules is no list with a dash"),
        ("kind: RulePack\nspec: {extends: other}\n", "spec.rules is no list with a dash"),
        ("kind: RulePack\nspec:\n  rules:\n  - a\n---\nkind: RulePack\n", "holds 2 documents with kind: RulePack"),
        ("kind: Other\n", "holds 0 documents with kind: RulePack"),
        ('kind: RulePack\nspec:\n  rules:\n  - "a\n\nb"\n', "in a way in which nothing can be added"),
    ],
)
def test_where_nothing_can_be_added_safely_that_is_said(text, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as raised:
        append("p.yaml", text, "RulePack", "rules", ITEM)
    assert "run this without --pack, and put in what it prints" in str(raised.value)


@pytest.fixture
def source(tmp_path):
    """A source tree of Plimsoll, with what its checks are held to."""
    for part in ("webhook", "tests/unit/checks"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "tests/conftest.py", "tests/unit/conftest.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def contract(tree: Path, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    tests = ["tests/unit/checks/test_contract.py", "-k", f"{name} or registered or schema_of_packs"]
    return subprocess.run([*command, *tests], cwd=tree, capture_output=True, text=True, check=False)


def test_a_new_check_is_registered_and_passes_the_contract_when_the_blanks_are_filled(plimsoll, source):
    ran = plimsoll("new", "check", "message-policy")
    assert (ran.status, ran.err) == (0, "")
    code, cases = "webhook/checks/message_policy.py", "webhook/checks/message-policy.cases.yaml"
    assert [line.partition(f"{source}/")[2] for line in ran.out.splitlines()[:3]] == [
        code, cases, "webhook/checks/__init__.py",
    ]  # fmt: skip
    left = contract(source, "message-policy")
    assert "test_no_blank_of_a_scaffold_is_left[message-policy]" in left.stdout

    refused, allowed, other = "File", "FallbackToLogsOnError", "Else"
    reason = '"message policy not allowed"'
    for file in (code, cases):
        text = Path(file).read_text()
        for blank, word in (
            ("a value that is refused", refused), ("a value that is not allowed by default", other),
            ("a value that is allowed", allowed), ("what is wrong, in a few fixed words", reason.strip('"')),
        ):  # fmt: skip
            text = text.replace(f"FILL IN: {blank}", word)
        Path(file).write_text(re.sub(r"FILL IN: ", "", text))
    ran = contract(source, "message-policy")
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"(\d+) passed", ran.stdout), ran.stdout
    assert int(re.search(r"(\d+) passed", ran.stdout)[1]) >= 12


def test_a_check_that_is_there_is_not_begun_again(plimsoll, source):
    before = (source / "webhook/checks/probes.py").read_text()
    ran = plimsoll("new", "check", "probes")
    assert ran.status == 2
    assert "there is a check probes already" in ran.err
    assert (source / "webhook/checks/probes.py").read_text() == before


def test_a_new_check_stands_in_its_place_in_the_list():
    listed = ROOT / "webhook/checks/__init__.py"
    text = listed.read_text()
    after = checks.registered("x", text, "kernel_settings")
    assert after.count("kernel_settings,\n") == 2
    assert "    jvm_flags,\n    kernel_settings,\n    log_format,\n" in after
    assert "            jvm_flags,\n            kernel_settings,\n            log_format,\n" in after
    assert [line for line in after.split("\n") if "kernel_settings" not in line] == text.split("\n")


def test_a_list_of_checks_that_is_not_where_it_was_is_said():
    with pytest.raises(ConfigError, match="add the check to CHECKS by hand"):
        checks.registered("x", "nothing here\n", "a")


def test_the_page_of_a_new_check_can_be_rendered():
    page = checks.module("some-check", "workingDir").split('"""')[1]
    assert list(Markdown(80, False).lines(page))
