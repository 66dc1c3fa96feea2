"""`plimsoll check`: exit codes, output, what is known of the surroundings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from webhook.cli.report.text import WIDTH
from webhook.ports import Rooms

PACK = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  mode: MODE
  match: MATCH
  rules:
    - name: no-host-network
      expression: "!has(pod.spec.hostNetwork) || !pod.spec.hostNetwork"
      message: pods have a network of their own
      action: deny
  exemptions:
    - {rules: [no-host-network], match: {names: [dns]}, reason: serves nodes, owner: net, expires: 2026-12-31}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec: {hostNetwork: yes, containers: [{name: a, image: b}]}
"""


@pytest.fixture
def check(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    def run(*argv: str, pack: str = PACK, mode: str = "enforce", match: str = "{}", text: str = POD) -> Any:
        Path("pack.yaml").write_text(pack.replace("MODE", mode).replace("MATCH", match))
        return plimsoll("check", "--policies", "pack.yaml", *argv, "-", stdin=text.encode())

    return run


def report(ran: Any) -> Any:
    return json.loads(ran.out)


@pytest.mark.parametrize(
    ("argv", "mode", "status"),
    [
        ((), "enforce", 1),
        ((), "dry-run", 0),
        (("--mode", "enforce"), "dry-run", 1),
        (("--mode", "dry-run"), "enforce", 0),
        (("--mode", "enforce"), "disabled", 0),
    ],
)
def test_the_exit_code_says_whether_anything_is_denied(
    check: Callable[..., Any], argv: tuple[str, ...], mode: str, status: int
) -> None:
    assert check(*argv, mode=mode).status == status


def test_the_json_report_has_exactly_the_public_shape(check: Callable[..., Any]) -> None:
    ran = check("-o", "json", "-n", "shop", text=POD + "---\nno: object\n---\nkind: Secret\napiVersion: v1\n")

    assert report(ran) == {
        "version": 1,
        "summary": {
            "objects": 1, "skipped": 2, "denied": 1, "warned": 0, "audited": 0,
            "findings": 1, "exempt": 0, "known": 0, "unknown": 0, "errors": 0,
        },
        "results": [
            {
                "source": "stdin:2", "apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "NAME",
                "allowed": False,
                "findings": [
                    {
                        "pack": "acme", "rule": "no-host-network", "action": "deny", "effective": "deny",
                        "severity": "medium", "pointer": "", "line": 2, "container": None,
                        "reason": "pods have a network of their own", "found": "",
                        "wanted": "pods have a network of their own", "remediation": "", "exempt": None,
                    }
                ],
                "patch": [],
            }
        ],
    }  # fmt: skip


def test_an_object_without_namespace_is_judged_in_the_one_that_is_asked_for(check: Callable[..., Any]) -> None:
    match = "{namespaces: [shop]}"

    assert check("-n", "shop", match=match).status == 1
    assert check(match=match).status == 0


def test_a_cluster_scoped_object_has_no_namespace(check: Callable[..., Any]) -> None:
    expression = "!has(object.metadata.namespace) && request.namespace == ''"
    pack = PACK.replace("!has(pod.spec.hostNetwork) || !pod.spec.hostNetwork", expression)
    text = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: disk, namespace: shop}\n"

    ran = check("-o", "json", pack=pack, match="{kinds: [PersistentVolume]}", text=text)

    assert [(one["namespace"], one["findings"]) for one in report(ran)["results"]] == [("", [])]


@pytest.mark.parametrize(("labels", "status", "unknown"), [("{team: net}", 1, 0), ("{}", 0, 0), (None, 0, 1)])
def test_namespaces_of_the_same_input_give_their_labels_and_others_are_unknown(
    check: Callable[..., Any], labels: str | None, status: int, unknown: int
) -> None:
    space = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: default, labels: {labels}}}\n---" if labels else ""

    ran = check("-o", "json", match="{namespaceSelector: {matchLabels: {team: net}}}", text=space + POD)

    assert (ran.status, report(ran)["summary"]["unknown"]) == (status, unknown)


def test_the_name_label_that_every_namespace_has_is_known(check: Callable[..., Any]) -> None:
    space = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n---"
    match = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}}"

    assert check(match=match, text=space + POD).status == 1


@pytest.mark.parametrize(("day", "status"), [("2026-12-31", 0), ("2027-01-01", 1)])
def test_date_judges_as_on_that_day(check: Callable[..., Any], day: str, status: int) -> None:
    assert check("--date", day, text=POD.replace("NAME", "dns")).status == status


def test_exempt_findings_are_counted_and_shown_with_their_reason_when_asked_for(check: Callable[..., Any]) -> None:
    text = POD.replace("NAME", "dns")

    assert "serves nodes" not in check(text=text).out
    assert "serves nodes (net, until 2026-12-31)" in check("-v", text=text).out
    assert "1 exempt" in check(text=text).out


def test_objects_that_keep_every_rule_are_named_only_when_asked_for(check: Callable[..., Any]) -> None:
    text = POD.replace("hostNetwork: yes, ", "")

    assert check(text=text).out == "1 object: 0 denied, 0 warned of, 0 audited; 0 findings\n"
    assert "stdin:2: Pod default/NAME: let in" in check("-v", text=text).out


def test_a_bad_file_is_said_and_the_others_are_judged_all_the_same(check: Callable[..., Any]) -> None:
    Path("bad.yaml").write_text("a: [\n")

    ran = check("bad.yaml")

    assert ran.status == 2
    assert "Pod default/NAME: denied" in ran.out
    assert ran.err.startswith("bad.yaml:2: this is no YAML")


def test_bad_packs_are_said_and_nothing_is_judged(check: Callable[..., Any]) -> None:
    ran = check(mode="enforced")

    assert (ran.status, ran.out) == (2, "")
    assert "pack.yaml:6: spec.mode: 'enforced' is not allowed; did you mean enforce?" in ran.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("-o", "xml"), "(choose from 'text', 'json', 'sarif', 'junit', 'github')"),
        (("--date", "2026-02-30"), "'2026-02-30' is no day of the calendar"),
        (("--mode", "disabled"), "(choose from 'enforce', 'dry-run')"),
    ],
)
def test_wrong_use_says_what_there_is(check: Callable[..., Any], argv: tuple[str, ...], said: str) -> None:
    ran = check(*argv)

    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_stdin_cannot_hold_both_packs_and_manifests(plimsoll: Callable[..., Any]) -> None:
    ran = plimsoll("check", "--policies", "-", "-", stdin=b"")

    assert (ran.status, ran.err) == (2, "-: stdin holds either packs or manifests; name a file for the others\n")


@pytest.mark.parametrize(("terminal", "plain", "coloured"), [(1, 0, True), (1, 1, False), (0, 0, False)])
def test_colour_is_only_for_terminals_and_where_nobody_minds(
    tmp_path: Path, rooms: Rooms, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    terminal: int, plain: int, coloured: bool,
) -> None:  # fmt: skip
    import argparse

    from webhook.cli import check

    (tmp_path / "pack.yaml").write_text(PACK.replace("MODE", "enforce").replace("MATCH", "{}"))
    (tmp_path / "pod.yaml").write_text(POD)
    parser = argparse.ArgumentParser()
    check.configure(parser)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: bool(terminal))

    check.run(
        parser.parse_args(["--policies", str(tmp_path / "pack.yaml"), str(tmp_path / "pod.yaml")]),
        replace(rooms, plain=bool(plain)),
    )

    assert ("\033[" in capsys.readouterr().out) is coloured


FAILING = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  contact: platform team, https://wiki.example
  rules:
    - {name: fails, expression: "pod.spec.none.there > 1", action: ACTION}
"""


@pytest.mark.parametrize("output", ["text", "junit", "github"])
def test_whoever_is_refused_by_a_rule_that_failed_learns_whom_to_ask(check: Callable[..., Any], output: str) -> None:
    contact = "Contact for pack acme: platform team, https://wiki.example"

    denied = check("-o", output, pack=FAILING.replace("ACTION", "deny")).out

    assert "the rule failed" in denied
    assert denied.count(contact) == 1
    assert contact not in check("-o", output, pack=FAILING.replace("ACTION", "audit")).out


@pytest.mark.parametrize("output", ["text", "junit", "github"])
@pytest.mark.parametrize("action", ["deny", "warn", "audit"])
def test_whoever_has_a_finding_learns_whom_to_ask(check: Callable[..., Any], output: str, action: str) -> None:
    pack = FAILING.replace("ACTION", action).replace("pod.spec.none.there > 1", "false")
    found = check("-o", output, pack=pack).out
    assert found.count("Contact for pack acme: platform team, https://wiki.example") == 1


@pytest.mark.parametrize("output", ["text", "junit", "github", "sarif"])
def test_an_author_whose_rule_met_no_field_learns_what_to_write(check: Callable[..., Any], output: str) -> None:
    said = " ".join(check("-o", output, pack=FAILING.replace("ACTION", "deny")).out.split())

    assert "no such key: none; a field that may be absent wants has(...) before it, or .?field.orValue(...)" in said
    assert "orValue" not in check("-o", output, pack=FAILING.replace("none.there > 1", "hostNetwork.size() > 1")).out


def test_a_fix_that_is_not_made_says_what_it_waits_for(check: Callable[..., Any]) -> None:
    patch = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  mode: MODE
  rules:
    - name: ndots
      when: "!has(pod.spec.dnsConfig)"
      patch: [{op: add, path: /spec/dnsConfig, value: {options: [{name: ndots, value: "2"}]}}]
      action: warn
"""

    assert "/mutate corrects it before it is judged" in check(pack=patch).out
    assert "/mutate would correct it, if the rule warned or denied" in check(pack=patch, mode="dry-run").out


def test_the_help_says_how_a_shipped_pack_is_named(plimsoll: Callable[..., Any]) -> None:
    for command in ("check", "lint", "impact"):
        assert "shipped:NAME" in " ".join(plimsoll(command, "--help").out.split()), command


def test_names_in_manifests_cannot_drive_a_terminal(check: Callable[..., Any]) -> None:
    ran = check(text=POD.replace("NAME", '"a\\e[31m\\nb"'))

    assert "\033" not in ran.out
    assert "Pod default/a�[31m b: denied" in ran.out


def test_the_text_report_fits_a_hundred_columns(plimsoll: Callable[..., Any]) -> None:
    samples = Path(__file__).parents[3] / "samples"
    for path in samples.glob("*.yaml"):
        Path(path.name).write_text(path.read_text())

    lines = plimsoll("check", "-v", ".").out.splitlines()

    long = [line for line in lines if len(line) > WIDTH and line.startswith("      ") and " " in line[14:].strip()]
    assert len(lines) > 20
    assert long == []


def test_what_was_found_cannot_drive_a_terminal_either(check: Callable[..., Any]) -> None:
    pack = PACK.replace("action: deny", "action: deny\n      messageExpression: \"'image ' + containers[0].image\"")

    ran = check(pack=pack, text=POD.replace("image: b", 'image: "b\\e[2J"'))

    assert "\033" not in ran.out
    assert "found:  image b�[2J" in ran.out


def test_a_pack_may_extend_one_that_comes_with_plimsoll(check: Callable[..., Any]) -> None:
    pack = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec: {extends: containerization, values: {registries: [registry.acme/]}}
"""
    (result,) = report(check("-o", "json", pack=pack))["results"]

    assert {finding["pack"] for finding in result["findings"]} == {"acme"}


@pytest.mark.parametrize("output", [("-v",), ("-o", "json")])
def test_one_process_and_several_print_the_same_bytes(plimsoll: Callable[..., Any], output: tuple[str, ...]) -> None:
    samples = Path(__file__).parents[3] / "samples"
    Path("bad.yaml").write_text("a: [")
    paths = [str(samples), "bad.yaml", str(samples / "custom" / ".." / "list.yaml")]

    one, several = (plimsoll("check", *output, "--jobs", jobs, *paths) for jobs in ("1", "3"))

    assert one == several
    assert (one.status, one.err[:9]) == (2, "bad.yaml:")
    assert one.out.count("Deployment") > 5


def test_a_budget_is_seen_whatever_the_order_of_the_files_and_whoever_judges(plimsoll: Callable[..., Any]) -> None:
    head = "{apiVersion: %s, kind: %s, metadata: {name: %s, namespace: shop, labels: {app: a}}, spec: %s}"
    pod = "{metadata: {labels: {app: web%s}}, spec: {containers: [{name: a, image: b}]}}"
    spec = "{replicas: 3, selector: {matchLabels: {app: web%s}}, template: %s}"
    for number in range(40):
        workload = head % ("apps/v1", "Deployment", f"web{number}", spec % (number, pod % number))
        budget = head % ("policy/v1", "PodDisruptionBudget", f"web{number}", "{maxUnavailable: 1, selector: %s}")
        Path(f"a{number}.yaml").write_text(workload)
        Path(f"{'z' if number % 2 else '0'}{number}.yaml").write_text(budget % f"{{matchLabels: {{app: web{number}}}}}")

    results = report(plimsoll("check", "-o", "json", "--jobs", "2", "."))["results"]

    judged = [one for one in results if one["kind"] == "Deployment"]
    rules = {finding["rule"] for one in judged for finding in one["findings"]}
    assert len(judged) == 40
    assert rules
    assert "disruption-budget" not in rules
    assert [
        fault["message"] for one in judged for fault in one.get("unknown", ()) if "Budget" in fault["message"]
    ] == []


def test_nothing_at_all_is_a_report_too(check: Callable[..., Any]) -> None:
    ran = check("-o", "json", text="")

    assert report(ran)["results"] == []
    assert ran.out.endswith('  "results": []\n}\n')


@pytest.mark.parametrize("jobs", ["0", "-1", "x", "1000"])
def test_a_number_of_processes_that_cannot_be_is_wrong_use(check: Callable[..., Any], jobs: str) -> None:
    ran = check("--jobs", jobs)

    assert (ran.status, ran.out) == (2, "")
    assert "wanted 1 to 256" in ran.err


def test_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    for number in range(400):
        (tmp_path / f"{number}.yaml").write_text(POD)
    # tests that a shell has in the background ignore Ctrl-C, and so would what they start
    code = "import sys, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code += "; from webhook.main import main; sys.exit(main())"
    run = [sys.executable, "-c", code, "check", "--jobs", "2", str(tmp_path)]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        while not Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)

    assert (process.returncode, said) == (130, b"")
