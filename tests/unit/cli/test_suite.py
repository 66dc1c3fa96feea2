"""`plimsoll test`: what cases can ask, and what counts as kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


def test_the_tests_of_the_packs_that_come_with_plimsoll_pass(plimsoll: Callable[..., Any]) -> None:
    ran = plimsoll("test")

    assert (ran.status, ran.err) == (0, "")
    assert ran.out.endswith("passed, 0 failed\n")


def test_mistakes_of_tests_and_of_their_packs_exit_with_two(case: Callable[[str], Any]) -> None:
    assert case("base: pod, expect: {}").status == 2
    ran = case("base: pod, expect: {action: allow}")
    Path("pack.yaml").write_text("kind: RulePack\n")

    assert ran.status == 1
    assert case("base: nobody, expect: {action: allow}").err.startswith("pack.test.yaml:19: spec.cases[0].base: ")
