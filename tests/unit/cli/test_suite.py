"""`plimsoll test`: what cases can ask, and what counts as kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import xmlschema

PACK = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  rules:
    - name: not-by-jane
      expression: "request.userInfo.username != 'jane' && !('ops' in request.userInfo.groups)"
      message: jane makes no pods
      action: deny
      existing: deny
    - name: team
      match: {namespaceSelector: {matchLabels: {strict: "true"}}}
      expression: "has(object.metadata.labels)"
      message: pods have labels
      action: warn
    - name: web
      match: {names: [web-*]}
      expression: "false"
      message: never
      action: audit
    - name: ndots
      when: "!has(pod.spec.dnsConfig)"
      patch: [{op: add, path: /spec/dnsConfig, value: {options: [{name: ndots, value: "2"}]}}]
      action: warn
"""
CASES = """
apiVersion: plimsoll.dev/v1
kind: RulePackTest
metadata: {name: acme}
spec:
  packs: [pack.yaml]
  base:
    pod:
      apiVersion: v1
      kind: Pod
      metadata: {name: a, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, controller: true}]}
      spec: {dnsConfig: {}, containers: [{name: a, image: b}]}
    bare:
      apiVersion: v1
      kind: Pod
      metadata: {name: a}
      spec: {containers: [{name: a, image: b}]}
  cases:
    - {name: one, CASE}
"""


@pytest.fixture
def case(plimsoll: Callable[..., Any]) -> Callable[[str], Any]:
    def run(text: str) -> Any:
        Path("pack.yaml").write_text(PACK)
        Path("pack.test.yaml").write_text(CASES.replace("CASE", text))
        return plimsoll("test", "pack.test.yaml")

    return run


@pytest.mark.parametrize(
    "text",
    [
        "base: pod, user: jane, expect: {action: deny}",
        "base: pod, groups: [ops], expect: {action: deny}",
        "base: pod, operation: DELETE, user: jane, expect: {action: allow, findings: []}",
        "base: pod, subResource: status, user: jane, expect: {action: allow, findings: []}",
        "base: pod, operation: UPDATE, oldObject: pod, user: jane, expect: {action: deny}",
        "base: bare, namespaceLabels: {strict: 'true'}, endpoint: validate, "
        "expect: {action: warn, warnings: [pods have labels], findings: "
        "[{rule: team, pointer: ''}, {rule: ndots, pointer: ''}]}",
        "base: bare, namespaceLabels: {}, endpoint: advise, expect: {action: allow, findings: []}",
        "base: bare, namespaceLabels: {}, endpoint: mutate, expect: {action: allow, warnings: [corrected], "
        "annotations: {patched: ndots}, patched: {spec: {dnsConfig: {options: [{value: '2'}]}}}}",
        "base: bare, namespaceLabels: {}, expect: {action: warn, annotations: {violations: ndots, patched: ndots}}",
        "base: bare, expect: {annotations: {unknown: 'the test gives no namespaceLabels'}}",
        "base: pod, expect: {annotations: {unknown: 'the test gives no facts.owners'}}",
        "base: pod, facts: {owners: [{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1}}]}, "
        "namespaceLabels: {}, expect: {action: audit, findings: [{rule: acme/web, pointer: '', effective: audit}]}",
        "base: bare, facts: {owners: [], namespace: {apiVersion: v1, kind: Namespace, metadata: {labels: "
        "{strict: 'true'}}}}, expect: {action: warn}",
        "base: bare, namespace: shop, namespaceLabels: {}, changes: {metadata: {labels: {a: b}, name: null}}, "
        "expect: {patched: {metadata: {namespace: shop, labels: {a: b}, name: null}}}",
    ],
)
def test_a_case_that_is_kept_passes(case: Callable[[str], Any], text: str) -> None:
    ran = case(text)

    assert (ran.status, ran.err) == (0, ""), ran.out


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("base: pod, user: jane, expect: {action: warn}", ["- warn", "+ deny"]),
        ("base: bare, namespaceLabels: {}, expect: {findings: []}", ["+ ndots / warn"]),
        ("base: bare, namespaceLabels: {}, expect: {findings: [{rule: ndots, pointer: /spec}]}", ["- ndots /spec"]),
        ("base: bare, namespaceLabels: {}, expect: {findings: [{rule: ndots, pointer: '', container: a}]}",
         ["- ndots / a"]),
        ("base: bare, namespaceLabels: {}, expect: {findings: [{rule: ndots, pointer: '', effective: deny}]}",
         ["- ndots / deny"]),
        ("base: bare, namespaceLabels: {}, expect: {findings: [{rule: ndots, pointer: ''}, "
         "{rule: ndots, pointer: ''}]}", ["- ndots /"]),
        ("base: bare, namespaceLabels: {}, expect: {warnings: []}", ["+ acme/ndots"]),
        ("base: bare, namespaceLabels: {}, expect: {annotations: {exempt: x}}", ["- x", "+ (none)"]),
        ("base: bare, namespaceLabels: {}, expect: {patched: {spec: {dnsConfig: {options: []}}}}",
         ["- /spec/dnsConfig/options: []"]),
        ("base: bare, namespaceLabels: {}, expect: {patched: {spec: {dnsConfig: null}}}",
         ["- /spec/dnsConfig: (not there)"]),
    ],
)  # fmt: skip
def test_a_case_that_is_not_kept_fails_and_shows_the_difference(
    case: Callable[[str], Any], text: str, lines: list[str]
) -> None:
    ran = case(text)

    assert ran.status == 1
    assert "FAIL pack.test.yaml:19: one" in ran.out
    for line in lines:
        assert any(found.strip().startswith(line) for found in ran.out.splitlines()), ran.out


WEAKER = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  rules:
    - {name: few, expression: "containers.size() < 1", message: few containers, action: deny}
"""
UPDATE = "operation: UPDATE, oldObject: pod, base: pod, changes: {spec: {containers: [{name: a, image: c}]}}"


@pytest.mark.parametrize("expect", ["{action: deny}", "{findings: []}"])
def test_a_finding_that_counts_for_less_than_its_rule_says_why(plimsoll: Callable[..., Any], expect: str) -> None:
    Path("pack.yaml").write_text(WEAKER)
    Path("pack.test.yaml").write_text(CASES.replace("CASE", f"UPDATE, expect: {expect}").replace("UPDATE", UPDATE))

    out = plimsoll("test", "pack.test.yaml").out

    assert "few / warn (few containers); the object had this before, so it is only warned of\n" in out


def test_the_tests_of_the_packs_that_come_with_plimsoll_pass(plimsoll: Callable[..., Any]) -> None:
    ran = plimsoll("test")

    assert (ran.status, ran.err) == (0, "")
    assert ran.out.endswith("passed, 0 failed\n")


# -- coverage -------------------------------------------------------------------------------------------------------

COVERED = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  mode: dry-run
  rules:
    - {name: team, expression: "has(object.metadata.labels)", message: m, action: deny, match: {kinds: [Pod]}}
    - {name: services, expression: "object.metadata.name == 'x'", message: m, action: deny, match: {kinds: [Service]}}
    - {name: off, expression: "false", message: m, action: disabled}
    - name: ndots
      when: "!has(pod.spec.dnsConfig)"
      patch: [{op: add, path: /spec/dnsConfig, value: {}}]
      action: warn
    - {name: exempt, expression: "false", message: m, action: deny, match: {kinds: [Pod]}}
    - name: unknown
      match: {namespaceSelector: {matchLabels: {a: b}}}
      expression: "true"
      message: m
      action: audit
  exemptions:
    - {rules: [exempt], match: {names: ["*"]}, reason: r, owner: o, expires: 2027-11-23}
"""
BROKEN = "name: one, object: {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: []}}, "
KEPT = "name: two, object: {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {a: b}}, spec: {dnsConfig: {}}}, "


@pytest.fixture
def covered(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    def run(*cases: str, argv: tuple[str, ...] = ("--coverage",)) -> Any:
        Path("pack.yaml").write_text(COVERED)
        listed = "".join(f"    - {{{case}}}\n" for case in cases)
        Path("pack.test.yaml").write_text(CASES.replace("    - {name: one, CASE}\n", listed))
        return plimsoll("test", *argv, "pack.test.yaml")

    return run


def test_coverage_names_each_rule_that_no_case_breaks_or_keeps(covered: Callable[..., Any]) -> None:
    ran = covered(BROKEN + "expect: {action: audit}", KEPT + "expect: {action: audit}")
    assert ran.out.splitlines() == [
        "GAP  acme/exempt: no case breaks it, and none keeps it",
        "GAP  acme/services: no case breaks it, and none keeps it",
        "GAP  acme/unknown: no case breaks it, and none keeps it",
        "5 rules: 2 with a case that breaks and one that keeps it",
        "2 cases: 2 passed, 0 failed",
    ]
    assert ran.status == 1


def test_a_rule_that_is_only_broken_or_only_kept_has_a_gap(covered: Callable[..., Any]) -> None:
    assert "acme/team: no case keeps it" in covered(BROKEN + "expect: {action: audit}").out
    assert "acme/team: no case breaks it" in covered(KEPT + "expect: {action: audit}").out


def test_without_coverage_a_gap_is_nothing(covered: Callable[..., Any]) -> None:
    assert covered(KEPT + "expect: {action: audit}", argv=()) == (0, "1 case: 1 passed, 0 failed\n", "")


def test_coverage_without_a_gap_exits_with_zero(plimsoll: Callable[..., Any]) -> None:
    folder = Path(__file__).parents[3] / "policies"
    assert plimsoll("test", "--coverage", str(folder / "release.test.yaml")).status == 0


def test_of_the_shipped_rules_only_those_that_judge_nothing_as_shipped_have_a_gap(plimsoll: Callable[..., Any]) -> None:
    gaps = [line for line in plimsoll("test", "--coverage").out.splitlines() if line.startswith("GAP")]
    assert gaps == [
        "GAP  best-practices/image-digest: no case breaks it",
        "GAP  containerization/approved-base: no case breaks it",
    ]


def test_what_mutate_mends_is_broken_for_coverage(covered: Callable[..., Any]) -> None:
    ran = covered(BROKEN + "endpoint: mutate, expect: {action: allow}")
    assert "acme/ndots: no case keeps it" in ran.out


def test_a_case_in_enforce_sees_what_a_pack_on_trial_will_do(covered: Callable[..., Any]) -> None:
    mended = "expect: {patched: {spec: {dnsConfig: {}}}}"
    enforced = covered(
        BROKEN + "mode: enforce, expect: {action: deny}",
        BROKEN.replace("one", "three") + "mode: enforce, " + mended,
        BROKEN.replace("one", "two") + "expect: {action: audit, patched: {spec: {dnsConfig: null}}}",
        argv=(),
    )
    assert (enforced.status, enforced.err) == (0, ""), enforced.out
    assert covered(BROKEN + mended, argv=()).status == 1


# -- for programs ---------------------------------------------------------------------------------------------------


def test_json_has_every_case_and_how_it_differs(covered: Callable[..., Any]) -> None:
    ran = covered(
        BROKEN + "expect: {action: deny}", KEPT + "expect: {action: audit}", argv=("-o", "json", "--coverage")
    )
    found = json.loads(ran.out)
    assert (ran.status, found["version"]) == (1, 1)
    assert found["summary"] == {"cases": 2, "passed": 1, "failed": 1}
    failed, passed = found["cases"]
    assert failed["differences"][:3] == ["action:", "  - deny", "  + audit"]
    assert passed == {
        "file": "pack.test.yaml",
        "line": 20,
        "test": "acme",
        "name": "two",
        "passed": True,
        "differences": [],
    }
    assert {"pack": "acme", "rule": "team", "broken": True, "kept": True} in found["coverage"]


def test_junit_is_valid_whatever_a_case_is_called_and_counts_what_failed(covered: Callable[..., Any]) -> None:
    odd = r'"<a> & ]]> \"b\""'
    ran = covered(
        BROKEN.replace("name: one", f"name: {odd}") + "expect: {action: deny}",
        KEPT + "expect: {action: audit}",
        argv=("-o", "junit", "--coverage"),
    )
    schema = xmlschema.XMLSchema(str(Path(__file__).parents[2] / "schemas" / "junit-10.xsd"))
    schema.validate(BytesIO(ran.out.encode()))
    [suite] = ElementTree.fromstring(ran.out)
    assert (suite.get("tests"), suite.get("failures")) == ("7", "4")
    failures = {case.get("name"): case.find("failure") for case in suite}
    assert sum(one is not None for one in failures.values()) == 4
    [failed] = [one for name, one in failures.items() if name and name.startswith("<a> &")]
    assert failed is not None
    assert "+ audit" in (failed.text or "")


def test_mistakes_of_tests_and_of_their_packs_exit_with_two(case: Callable[[str], Any]) -> None:
    assert case("base: pod, expect: {}").status == 2
    ran = case("base: pod, expect: {action: allow}")
    Path("pack.yaml").write_text("kind: RulePack\n")

    assert ran.status == 1
    assert case("base: nobody, expect: {action: allow}").err.startswith("pack.test.yaml:19: spec.cases[0].base: ")
