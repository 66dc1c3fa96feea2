"""`plimsoll import kyverno`: what can be said is a pack that says it, what can't is listed with place and reason."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset

Import = Callable[..., Any]
CONTROLLERS = ["CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"]


@pytest.fixture
def imported(plimsoll: Callable[..., Any]) -> Import:
    """Import a policy with one rule; returns what was run, and the rules of the pack by name."""

    def run(rule: str, spec: str = "", metadata: str = "{name: p}", kind: str = "ClusterPolicy") -> Any:
        head = f"apiVersion: kyverno.io/v1\nkind: {kind}\nmetadata: {metadata}\nspec:\n"
        body = textwrap.indent(textwrap.dedent(spec), "  ") + "  rules:\n    - name: r\n"
        Path("policy.yaml").write_text(head + body + textwrap.indent(textwrap.dedent(rule), "      "))
        ran = plimsoll("import", "kyverno", "policy.yaml")
        packs = [one for one in yaml.safe_load_all(ran.out) if one]
        return ran, {one["name"]: one for pack in packs for one in pack["spec"]["rules"]}

    return run


def compiled(ran: Any) -> Ruleset:
    return ruleset([("pack.yaml", ran.out)])


PODS = "match: {any: [{resources: {kinds: [Pod]}}]}\n"
NO_LATEST = PODS + 'validate: {message: no latest, pattern: {spec: {containers: [{image: "!*:latest"}]}}}\n'


def test_a_rule_on_pods_holds_for_what_makes_pods_too(imported: Import, judge: Any, deployment: Any, pod: Any) -> None:
    ran, rules = imported(NO_LATEST, "validationFailureAction: Enforce\n")
    assert ran.status == 0
    assert rules["p-r"]["match"]["kinds"] == ["Pod", *CONTROLLERS]
    for make in (deployment, pod):
        assert judge(compiled(ran), make(image="a:1")).allowed
        denied = judge(compiled(ran), make(image="a:latest"))
        assert [(finding.rule, denied.allowed) for finding in denied.findings] == [("p-r", False)]


def test_a_pack_that_was_imported_is_linted_without_mistakes(imported: Import, plimsoll: Callable[..., Any]) -> None:
    ran, _ = imported(NO_LATEST)
    Path("pack.yaml").write_text(ran.out)
    assert plimsoll("lint", "pack.yaml").status == 0


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [("none", ["Pod"]), ("Deployment,CronJob", ["Pod", "CronJob", "Deployment"])],
)
def test_autogen_is_what_the_annotation_says(imported: Import, wanted: str, kinds: list[str]) -> None:
    metadata = f'{{name: p, annotations: {{pod-policies.kyverno.io/autogen-controllers: "{wanted}"}}}}'
    assert imported(NO_LATEST, metadata=metadata)[1]["p-r"]["match"]["kinds"] == kinds


def test_a_rule_with_a_selector_is_about_pods_alone(imported: Import) -> None:
    match = "match: {any: [{resources: {kinds: [Pod], selector: {matchLabels: {app: web}}}}]}\n"
    _, rules = imported(NO_LATEST.replace(PODS, match))
    assert rules["p-r"]["match"] == {"kinds": ["Pod"], "objectSelector": {"matchLabels": {"app": "web"}}}


@pytest.mark.parametrize(
    ("spec", "validate", "action"),
    [
        ("", "", "audit"),
        ("validationFailureAction: enforce\n", "", "deny"),
        ("validationFailureAction: Enforce\n", "failureAction: Audit, ", "audit"),
        ("emitWarning: true\n", "", "warn"),
    ],
)
def test_the_action_is_the_policys(imported: Import, spec: str, validate: str, action: str) -> None:
    _, rules = imported(NO_LATEST.replace("{message", "{" + validate + "message"), spec)
    assert rules["p-r"]["action"] == action


def test_match_and_exclude_are_our_scope(imported: Import) -> None:
    rule = """\
        match:
          any:
            - resources: {kinds: [Pod], namespaces: ["shop-*"], operations: [CREATE]}
              subjects: [{kind: User, name: jane}, {kind: Group, name: dev}]
        exclude:
          any:
            - resources: {namespaces: [kube-system]}
            - subjects: [{kind: ServiceAccount, namespace: ci, name: deploy}, {kind: Group, name: "ops:*"}]
        validate: {pattern: {metadata: {labels: {team: "?*"}}}}
        """
    _, rules = imported(rule)
    assert rules["p-r"]["match"] == {
        "kinds": ["Pod", *CONTROLLERS],
        "operations": ["CREATE"],
        "namespaces": ["shop-*"],
        "matchConditions": [
            {
                "name": "asked-by",
                "expression": "(request.userInfo.username == 'jane' || 'dev' in request.userInfo.?groups.orValue([]))",
            }
        ],
        "excludeNamespaces": ["kube-system"],
        "excludeUsers": ["system:serviceaccount:ci:deploy"],
        "excludeGroups": ["ops:*"],
    }


def test_filters_of_which_one_is_enough_are_rules_of_their_own(imported: Import) -> None:
    rule = """\
        match:
          any:
            - resources: {kinds: [Service]}
            - resources: {kinds: [Ingress]}
            - resources: {kinds: [Namespace], namespaces: ["a*"]}
        validate: {pattern: {metadata: {labels: {team: "?*"}}}}
        """
    _, rules = imported(rule)
    assert [one["match"] for one in rules.values()] == [
        {"kinds": ["Service", "Ingress"]},
        {"kinds": ["Namespace"], "namespaces": ["a*"]},
    ]


def test_a_namespaced_policy_holds_in_its_namespace(imported: Import) -> None:
    _, rules = imported(NO_LATEST, metadata="{name: p, namespace: shop}", kind="Policy")
    assert rules["p-r"]["match"]["namespaces"] == ["shop"]


def test_a_rule_on_other_kinds_looks_at_the_object(imported: Import, judge: Any) -> None:
    rule = 'match: {resources: {kinds: [Service]}}\nvalidate: {pattern: {spec: {=(type): "!NodePort"}}}\n'
    ran, _ = imported(rule, "validationFailureAction: Enforce\n")
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "shop"}, "spec": {}}
    allowed = [judge(compiled(ran), {**service, "spec": s}).allowed for s in ({}, {"type": "NodePort"})]
    assert allowed == [True, False]


def test_pod_security_becomes_the_controls_of_our_pack(imported: Import, judge: Any, deployment: Any) -> None:
    rule = PODS + "validate: {podSecurity: {level: baseline, version: latest}}\n"
    ran, rules = imported(rule, "validationFailureAction: Enforce\n")
    decision = judge(compiled(ran), deployment(pod={"hostPID": True}))
    assert [finding.rule for finding in decision.findings] == ["p-host-namespaces"]
    assert len(rules) == 12


def test_expressions_on_pods_are_asked_of_templates(imported: Import, judge: Any, deployment: Any, pod: Any) -> None:
    rule = (
        PODS
        + """\
validate:
  cel:
    variables: [{name: names, expression: "object.spec.containers.map(c, c.name)"}]
    expressions:
      - {expression: "!('object.kind' in variables.names) && !('bad' in variables.names)", message: bad name}
"""
    )
    ran, rules = imported(rule, "validationFailureAction: Enforce\n")
    assert rules["p-r"]["variables"][0]["expression"] == "pod.spec.containers.map(c, c.name)"
    assert "'object.kind'" in rules["p-r"]["expression"]
    bad = [{"name": "bad", "image": "a"}]
    assert judge(compiled(ran), deployment()).allowed
    assert not judge(compiled(ran), deployment(pod={"containers": bad})).allowed
    assert not judge(compiled(ran), pod(spec={"containers": bad})).allowed


def test_capabilities_that_no_list_has_are_denied(imported: Import, judge: Any, pod: Any) -> None:
    every = "[ephemeralContainers, initContainers, containers][]"
    key = f"{{{{ request.object.spec.{every}.securityContext.capabilities.add[] }}}}"
    rule = (
        PODS
        + f"""\
preconditions: {{all: [{{key: "{{{{ request.operation || 'BACKGROUND' }}}}", operator: NotEquals, value: DELETE}}]}}
validate: {{deny: {{conditions: {{all: [{{key: "{key}", operator: AnyNotIn, value: [CHOWN, KILL]}}]}}}}}}
"""
    )
    ran, _ = imported(rule, "validationFailureAction: Enforce\n")
    assert ran.status == 0, ran.err

    def adding(*names: str) -> Any:
        container = {"name": "a", "securityContext": {"capabilities": {"add": list(names)}}}
        return pod(spec={"initContainers": [container]})

    assert [judge(compiled(ran), adding(*names)).allowed for names in ((), ("KILL",), ("KILL", "SYS_ADMIN"))] == [
        True,
        True,
        False,
    ]


REFUSED = [
    (PODS + "mutate: {}\n", "", 8, "mutate: a mutation is not imported"),
    (PODS + "validate: {foreach: []}\n", "", 8, "foreach: this part is not imported"),
    (PODS + "context: []\n", "", 8, "context: this part is not imported"),
    (
        NO_LATEST,
        "validationFailureActionOverrides: [{action: Audit}]\n",
        5,
        "validationFailureActionOverrides: this part",
    ),
    ('match: {resources: {kinds: ["*"]}}\nvalidate: {pattern: {a: b}}\n', "", 6, "kinds are literal"),
    ("match: {resources: {kinds: [ReplicaSet]}}\nvalidate: {pattern: {a: b}}\n", "", 6, "a controller made"),
    ("match: {resources: {kinds: [Pod], names: [a]}}\nvalidate: {pattern: {a: b}}\n", "", 7, "names: this part"),
    (
        "match: {resources: {kinds: [PersistentVolume], namespaces: [a]}}\nvalidate: {pattern: {a: b}}\n",
        "",
        6,
        "which is in none",
    ),
    (NO_LATEST.replace("!*:latest", "{{ x }}"), "", 8, "has a variable in it"),
    (
        NO_LATEST + 'preconditions: {all: [{key: "{{ x }}", operator: Equals, value: a}]}\n',
        "",
        9,
        "JMESPath",
    ),
    (PODS + "validate: {podSecurity: {level: baseline, version: v1.24}}\n", "", 8, "as of v1.24 are not here"),
    (PODS + "validate: {podSecurity: {level: baseline, exclude: []}}\n", "", 8, "exclude: this part"),
    (
        PODS + "validate: {cel: {expressions: [{expression: \"object.kind == 'a'\"}]}}\n",
        "",
        8,
        "not the same in workloads",
    ),
    (
        "match: {resources: {kinds: [Service]}}\n" + 'validate: {cel: {expressions: [{expression: "authorizer.x"}]}}\n',
        "",
        6,
        "no rule of Plimsoll can say this",
    ),
    (
        "match: {any: [{resources: {kinds: [Pod]}}, {resources: {kinds: [Service]}}]}\n"
        + "exclude: {any: [{resources: {kinds: [Pod], namespaces: [a]}}]}\nvalidate: {pattern: {a: b}}\n",
        "",
        8,
        "one clause cannot say",
    ),
    (PODS.replace("any", "all").replace("]}\n", ", {resources: {kinds: [Pod]}}]}\n") + "validate: {}\n", "", 7, "all"),
]


@pytest.mark.parametrize(("rule", "spec", "line", "reason"), REFUSED)
def test_what_cannot_be_said_is_listed_and_not_imported(
    imported: Import, rule: str, spec: str, line: int, reason: str
) -> None:
    ran, rules = imported(rule, spec)
    assert (ran.status, rules) == (1, {})
    first = ran.err.splitlines()[0]
    assert reason in first
    assert first.startswith(f"policy.yaml:{line}: p-r: "), first


def test_what_is_not_imported_stands_in_the_pack_too(imported: Import, plimsoll: Callable[..., Any]) -> None:
    imported(NO_LATEST)
    sound = Path("policy.yaml").read_text()
    Path("policy.yaml").write_text(sound + "    - {name: m, match: {resources: {kinds: [Pod]}}, mutate: {}}\n")
    ran = plimsoll("import", "kyverno", "policy.yaml", "-o", "pack.yaml", "--name", "old")
    written = Path("pack.yaml").read_text()
    assert (ran.status, ran.out) == (1, "")
    assert "# Not imported:\n#   policy.yaml:9: p-m: mutate: a mutation is not imported\n" in written
    assert "name: old\n" in written
    assert ran.err.endswith("1 read: 1 pack with 1 rule, 1 not imported\n")


def test_bad_input_is_2(plimsoll: Callable[..., Any]) -> None:
    Path("other.yaml").write_text("{apiVersion: v1, kind: Pod}")
    ran = plimsoll("import", "kyverno", "other.yaml")
    assert (ran.status, ran.out) == (2, "")
    assert "nothing to read there; wanted ClusterPolicy" in ran.err
    assert plimsoll("import", "kyverno", "missing.yaml").status == 2


VALIDATING = """\
apiVersion: policies.kyverno.io/v1alpha1
kind: ValidatingPolicy
metadata: {name: probes}
spec:
  validationActions: [Deny]
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods]}
  matchConditions:
    - {name: not-tests, expression: "object.metadata.?labels.?app.orValue('') != 'test'"}
  variables:
    - {name: bare, expression: "object.spec.containers.filter(c, !has(c.livenessProbe)).map(c, c.name)"}
  validations:
    - expression: variables.bare.size() == 0
      message: containers have liveness probes
      messageExpression: "'without: ' + variables.bare.join(', ')"
"""


def test_a_validating_policy_on_pods_is_asked_of_templates(
    plimsoll: Callable[..., Any], judge: Any, deployment: Any, pod: Any
) -> None:
    Path("policy.yaml").write_text(VALIDATING)
    ran = plimsoll("import", "kyverno", "policy.yaml")
    assert ran.status == 0, ran.err
    probed = {"containers": [{"name": "a", "livenessProbe": {}}]}
    test = {"labels": {"app": "test"}}
    assert judge(compiled(ran), deployment(pod=probed)).allowed
    assert judge(compiled(ran), deployment(template={"metadata": test, "labels": {"app": "test"}})).allowed
    assert judge(compiled(ran), pod(metadata=test)).allowed
    denied = judge(compiled(ran), deployment())
    assert [finding.violation.found for finding in denied.findings] == ["without: web"]
    assert not denied.allowed


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("resources: [pods]", 'resources: ["*"]', "is not known here"),
        ("operations: [CREATE, UPDATE]", 'operations: ["*"]', "CREATE and UPDATE are judged"),
        ("object.spec.containers.filter(c", "resource.List('v1').filter(c", "no rule of Plimsoll can say this"),
        ("  validations:", "  auditOnly: true\n  validations:", "auditOnly: this part"),
    ],
)
def test_what_a_validating_policy_has_beyond_ours_is_refused(
    plimsoll: Callable[..., Any], old: str, new: str, reason: str
) -> None:
    Path("policy.yaml").write_text(VALIDATING.replace(old, new))
    ran = plimsoll("import", "kyverno", "policy.yaml")
    assert (ran.status, ran.out) == (1, "")
    assert reason in ran.err


def test_kinds_of_kyverno_that_do_not_validate_are_listed(plimsoll: Callable[..., Any]) -> None:
    Path("policy.yaml").write_text("apiVersion: kyverno.io/v2\nkind: CleanupPolicy\nmetadata: {name: a}\n")
    ran = plimsoll("import", "kyverno", "policy.yaml")
    assert ran.status == 1
    assert "policy.yaml:2: CleanupPolicy: no rules that validate; this kind is not read" in ran.err
