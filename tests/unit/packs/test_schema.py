from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest

import webhook
from webhook.packs.parse import documents
from webhook.packs.schema import params, shape, validate
from webhook.packs.walk import unknown_keywords


@dataclass(frozen=True)
class Fake:
    ID: str
    PARAMS: dict[str, Any]
    DEFAULTS: dict[str, Any] = field(default_factory=dict)


TEXTS = {"type": "array", "items": {"type": "string"}}
LIMITS = {
    "type": "object",
    "properties": {
        "resources": {**TEXTS, "uniqueItems": True},
        "ratio": {
            "anyOf": [{"type": "number", "minimum": 1}, {"type": "object", "additionalProperties": {"type": "number"}}]
        },
        "allow": {"type": "array", "items": {"type": "object", "properties": {"prefix": {"type": "string"}}}},
    },
}
CHECKS = {
    "requests-equal-limits": Fake("requests-equal-limits", LIMITS, {"resources": ["cpu"]}),
    "approved-image": Fake(
        "approved-image",
        {"type": "object", "required": ["repositories", "tags"], "properties": {"repositories": TEXTS, "tags": TEXTS}},
        {"tags": []},
    ),
}

PACK = """\
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  version: "1"
"""
RULE = PACK + "  rules:\n    - name: a\n      action: deny\n"


def mistakes(text: str) -> list[str]:
    (document,) = documents("p.yaml", text)
    return [str(problem) for problem in validate(document, CHECKS)]


def mistake(text: str) -> str:
    (only,) = mistakes(text)
    return only


def in_spec(line: str) -> str:
    return PACK + f"  {line}\n  rules: [{{name: a, action: deny, expression: 'true'}}]\n"


def in_rule(line: str) -> str:
    return RULE + f"      {line}\n"


def with_expression(line: str) -> str:
    return in_rule(f"expression: 'true'\n      {line}")


WHOLE = """\
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata:
  name: acme
  labels: {team: platform}
  uid: 0a1b
  generation: 3
  creationTimestamp: 2026-11-01T10:00:00Z
  managedFields: [{manager: kubectl}]
spec:
  version: "2026.11"
  requires: ">=0.3"
  description: Standards that every containerized service keeps.
  contact: platform team, https://wiki.example/containers
  mode: enforce
  enforceFrom: 2026-12-01
  allowNamespaceMode: [dry-run]
  values:
    registries: [registry.example/]
    nested: {a: 1}
  match:
    operations: [CREATE, UPDATE]
    kinds: [Deployment, apps.kruise.io/CloneSet]
    namespaces: ["*"]
    excludeNamespaces: [kube-system, kube-node-lease]
    namespaceSelector: {}
    objectSelector:
      matchLabels: {app.kubernetes.io/part-of: shop, empty: ""}
      matchExpressions:
        - {key: tier, operator: In, values: [web, api]}
        - {key: example.com/tier, operator: DoesNotExist}
    names: ["web-*"]
    containers: ["*"]
    images: ["*"]
    excludeUsers: []
    excludeGroups: []
    matchConditions: [{name: not-mine, expression: "request.userInfo.username != 'me'"}]
  rules:
    - name: requests-equal-limits
      check: requests-equal-limits
      params: {resources: [cpu, memory], ratio: {cpu: 4}}
      action: deny
      fix: true
      quiet: false
      existing: allow
      onError: deny
      onUnknown: audit
      severity: high
      responsible: application
      description: why
      remediation: what
      docs: https://wiki.example/containers#requests
      enforceFrom: 2028-02-29
      match: {namespaces: [shop]}
    - name: image-by-digest
      variables: [{name: images, expression: "containers.map(c, c.image)"}]
      expression: "variables.images.all(i, i.contains('@sha256:'))"
      message: images are named by digest
      messageExpression: "'by tag only'"
      action: warn
    - name: ndots
      when: "!has(pod.spec.dnsConfig)"
      patch:
        - {op: add, path: /spec/dnsConfig, value: {options: [{name: ndots, value: "2"}]}}
        - {op: add, path: /metadata/labels/team, valueExpression: "namespaceObject.metadata.labels.team"}
        - {op: replace, path: /spec/containers/*/image, value: null}
        - {op: remove, path: /metadata/annotations/a~1b}
      action: warn
    - {name: off, action: disabled, expression: "false", onUnknown: allow, onError: allow, existing: deny}
  exemptions:
    - rules: [ndots]
      match: {namespaces: [monitoring], names: [node-exporter], kinds: [DaemonSet], containers: [a], images: [b]}
      reason: reads /proc and /sys of the node
      owner: observability team
      expires: 2027-03-31
status: {loaded: true}
"""


def test_a_pack_with_every_key_is_sound() -> None:
    assert mistakes(WHOLE) == []


def test_each_value_of_each_word_is_accepted() -> None:
    words = {
        "action": ["deny", "warn", "audit", "disabled"],
        "existing": ["allow", "deny"],
        "onError": ["deny", "warn", "allow"],
        "onUnknown": ["warn", "deny", "allow", "audit"],
        "severity": ["low", "medium", "high", "critical"],
        "responsible": ["application", "platform"],
    }
    for key, values in words.items():
        for value in values:
            line = f"{key}: {value}"
            text = with_expression(line) if key != "action" else with_expression("").replace("action: deny", line)
            assert mistakes(text) == []
            assert mistake(text.replace(line, f"{key}: none")).endswith(f"allowed: {', '.join(values)}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Texts where something else was written.
        (
            PACK.replace('"1"', "2026.10") + "  rules: [{name: a, action: deny, expression: 'true'}]",
            'p.yaml:5: spec.version: 2026.10 is a number; wanted text: quote it, "2026.10"',
        ),
        (
            with_expression("docs: true"),
            'p.yaml:10: spec.rules[0].docs: true is a truth value; wanted text: quote it, "true"',
        ),
        (with_expression("message:"), "p.yaml:10: spec.rules[0].message: has no value; wanted text"),
        (with_expression("message: [a]"), "p.yaml:10: spec.rules[0].message: is a list; wanted text"),
        (with_expression("message: ''"), "p.yaml:10: spec.rules[0].message: is empty; wanted text"),
        (
            in_rule("check: requests-equal-limits\n      fix: yes"),
            "p.yaml:10: spec.rules[0].fix: 'yes' is text; wanted true or false",
        ),
        (
            in_spec("match: {objectSelector: {matchLabels: {a: true}}}"),
            'p.yaml:6: spec.match.objectSelector.matchLabels.a: true is a truth value; wanted text: quote it, "true"',
        ),
        # Words.
        (
            in_spec("mode: dryrun"),
            "p.yaml:6: spec.mode: 'dryrun' is not allowed; did you mean dry-run? allowed: enforce, dry-run, disabled",
        ),
        (in_spec("mode: on"), "p.yaml:6: spec.mode: 'on' is not allowed; allowed: enforce, dry-run, disabled"),
        (
            in_spec("allowNamespaceMode: [enforce]"),
            "p.yaml:6: spec.allowNamespaceMode[0]: 'enforce' is not allowed; allowed: dry-run",
        ),
        (
            in_spec("allowNamespaceMode: [disabled]"),
            "p.yaml:6: spec.allowNamespaceMode[0]: 'disabled' is not allowed; allowed: dry-run",
        ),
        (
            in_spec("allowNamespaceMode: [dry-run, dry-run]"),
            "p.yaml:6: spec.allowNamespaceMode[1]: 'dry-run' stands in the list twice; keep one",
        ),
        (
            in_spec("match: {operations: [CREATE, DELETE]}"),
            "p.yaml:6: spec.match.operations[1]: 'DELETE' is not allowed; allowed: CREATE, UPDATE",
        ),
        (
            in_spec("match: {operations: CREATE}"),
            "p.yaml:6: spec.match.operations: 'CREATE' is text; wanted a list of CREATE or UPDATE",
        ),
        (in_spec("match: {operations: []}"), "p.yaml:6: spec.match.operations: has no elements; wanted at least 1"),
        (
            in_rule("check: request-equal-limits"),
            "p.yaml:9: spec.rules[0].check: 'request-equal-limits' is not allowed; did you mean requests-equal-limits? "
            "allowed: approved-image, requests-equal-limits",
        ),
        # Keys.
        (
            PACK + "  ruls: [{name: a, action: deny, expression: 'true'}]",
            "p.yaml:6: spec.ruls: unknown key; did you mean rules? allowed: version, requires, extends, "
            "description, contact, mode, "
            "enforceFrom, allowNamespaceMode, values, match, rules, exemptions",
        ),
        (
            in_spec("match: {exclude_namespaces: [a]}"),
            "p.yaml:6: spec.match.exclude_namespaces: unknown key; did you mean excludeNamespaces? "
            "allowed: operations, kinds, "
            "namespaces, excludeNamespaces, namespaceSelector, objectSelector, names, containers, images, "
            "excludeUsers, "
            "excludeGroups, matchConditions",
        ),
        (
            WHOLE.replace("  uid:", "  namespace: a\n  uid:"),
            "p.yaml:6: metadata.namespace: unknown key; allowed: name, labels, annotations",
        ),
        (
            PACK,
            "p.yaml:4: spec.rules: is missing; wanted a list of a mapping with name, check, params, "
            "variables, expression, message, "
            "messageExpression, when, patch, action, enforceFrom, fix, quiet, existing, onError, onUnknown, severity, "
            "responsible, description, remediation, docs and match",
        ),
        (
            with_expression("").replace("      action: deny\n", ""),
            "p.yaml:7: spec.rules[0].action: is missing; wanted deny, warn, audit or disabled",
        ),
        # Names and days.
        (
            in_spec("").replace("acme", "Acme_1"),
            "p.yaml:3: metadata.name: 'Acme_1' is not allowed; wanted kebab-case: a-z, 0-9 and -, with a "
            "letter or digit at both ends",
        ),
        (in_spec("").replace("acme", "a" * 64), "p.yaml:3: metadata.name: has 64 characters; at most 63 are allowed"),
        (
            in_spec("enforceFrom: 2027-02-29"),
            "p.yaml:6: spec.enforceFrom: '2027-02-29' is no day of the calendar; wanted YYYY-MM-DD, such as 2027-03-31",
        ),
        (
            in_spec("enforceFrom: 20271231"),
            'p.yaml:6: spec.enforceFrom: 20271231 is a number; wanted text: quote it, "20271231"',
        ),
        (
            in_spec("enforceFrom: '20271231'"),
            "p.yaml:6: spec.enforceFrom: '20271231' is no day of the calendar; wanted YYYY-MM-DD, such as 2027-03-31",
        ),
        (
            in_spec("match: {kinds: [apps/v1/Deployment]}"),
            "p.yaml:6: spec.match.kinds[0]: 'apps/v1/Deployment' is not allowed; wanted a Kind of "
            "Kubernetes or group/Kind, such as "
            "Deployment or apps.kruise.io/CloneSet",
        ),
        (
            in_spec("values: {a-b: 1}"),
            "p.yaml:6: spec.values.a-b: 'a-b' is not allowed; wanted an identifier of CEL: letters, "
            "digits and _, not beginning with a digit",
        ),
        (
            with_expression("variables: [{name: in, expression: 'true'}]"),
            "p.yaml:10: spec.rules[0].variables[0].name: 'in' is not allowed; wanted an identifier of "
            "CEL: letters, digits and _, "
            "not beginning with a digit",
        ),
        (
            with_expression("variables: [{name: a, expression: '1'}, {name: a, expression: '2'}]"),
            "p.yaml:10: spec.rules[0].variables[1].name: a variable named a is there already (p.yaml:10); "
            "give this one another name",
        ),
        (
            in_spec("match: {matchConditions: [{name: a, expression: '1'}, {name: a, expression: '2'}]}"),
            "p.yaml:6: spec.match.matchConditions[1].name: a match condition named a is there already "
            "(p.yaml:6); give this one another name",
        ),
        (
            with_expression("") + "    - {name: a, action: warn, expression: 'true'}",
            "p.yaml:11: spec.rules[1].name: a rule named a is there already (p.yaml:7); give this one another name",
        ),
        # Selectors.
        (
            in_spec("match: {namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}"),
            "p.yaml:6: spec.match.namespaceSelector.matchExpressions[0].values: operator In wants at least one value",
        ),
        (
            with_expression("match: {objectSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}"),
            "p.yaml:10: spec.rules[0].match.objectSelector.matchExpressions[0].values: operator Exists "
            "has no values; leave them out",
        ),
        (
            in_spec("match: {namespaceSelector: {matchExpressions: [{key: a, operator: in, values: [b]}]}}"),
            "p.yaml:6: spec.match.namespaceSelector.matchExpressions[0].operator: 'in' is not allowed; "
            "did you mean In? "
            "allowed: In, NotIn, Exists, DoesNotExist",
        ),
        # Kinds of rules.
        (RULE, "p.yaml:7: spec.rules[0]: has no check, expression or patch; a rule has exactly one of them"),
        (
            in_rule("check: requests-equal-limits\n      expression: 'true'"),
            "p.yaml:10: spec.rules[0].expression: a rule has exactly one of check, expression and patch; "
            "this one has check and expression",
        ),
        (
            with_expression("fix: true"),
            "p.yaml:10: spec.rules[0].fix: belongs to rules with check, and would do nothing beside "
            "expression; leave it out",
        ),
        (
            with_expression("when: 'true'"),
            "p.yaml:10: spec.rules[0].when: belongs to rules with patch, and would do nothing beside "
            "expression; leave it out",
        ),
        (
            in_rule("check: requests-equal-limits\n      message: a"),
            "p.yaml:10: spec.rules[0].message: belongs to rules with expression or patch, and would do "
            "nothing beside check; leave it out",
        ),
        # Patches.
        (
            in_rule("when: 'true'\n      patch: [{op: copy, path: /spec/a}]"),
            "p.yaml:10: spec.rules[0].patch[0].op: 'copy' is not allowed; allowed: add, replace, remove",
        ),
        (
            in_rule("when: 'true'\n      patch: [{op: add, path: /spec/a}]"),
            "p.yaml:10: spec.rules[0].patch[0]: op add has one of value and valueExpression; this one has neither",
        ),
        (
            in_rule("when: 'true'\n      patch: [{op: replace, path: /spec/a, value: 1, valueExpression: a}]"),
            "p.yaml:10: spec.rules[0].patch[0]: op replace has one of value and valueExpression; this one has both",
        ),
        (
            in_rule("when: 'true'\n      patch: [{op: remove, path: /spec/a, value: 1}]"),
            "p.yaml:10: spec.rules[0].patch[0].value: does nothing with op remove; leave it out",
        ),
        (
            in_rule("when: 'true'\n      patch: [{op: remove, path: spec/a}]"),
            "p.yaml:10: spec.rules[0].patch[0].path: 'spec/a' is not allowed; wanted a JSON pointer below "
            "/metadata/ or /spec/ of the pod, "
            "such as /spec/dnsConfig",
        ),
        (
            in_rule("when: 'true'\n      patch: [{op: remove, path: /spec/template/spec/a}]"),
            "p.yaml:10: spec.rules[0].patch[0].path: '/spec/template/spec/a' begins at the workload; "
            "paths begin at its pod: /spec/a",
        ),
        # Parameters.
        (
            in_rule("check: requests-equal-limits\n      params: {resource: [cpu]}"),
            "p.yaml:10: spec.rules[0].params.resource: unknown key; did you mean resources? allowed: "
            "resources, ratio, allow",
        ),
        (
            in_rule("check: requests-equal-limits\n      params: {resources: [cpu, 5]}"),
            'p.yaml:10: spec.rules[0].params.resources[1]: 5 is a number; wanted text: quote it, "5"',
        ),
        (
            in_rule("check: requests-equal-limits\n      params: {ratio: 0.5}"),
            "p.yaml:10: spec.rules[0].params.ratio: 0.5 is too small; wanted at least 1",
        ),
        (
            in_rule("check: requests-equal-limits\n      params: {ratio: {cpu: a}}"),
            "p.yaml:10: spec.rules[0].params.ratio.cpu: 'a' is text; wanted a number",
        ),
        (
            in_rule("check: requests-equal-limits\n      params: {ratio: [1]}"),
            "p.yaml:10: spec.rules[0].params.ratio: [1] is not allowed; wanted a number or a mapping",
        ),
        (
            in_rule("check: requests-equal-limits\n      params: {allow: [{prefixes: a}]}"),
            "p.yaml:10: spec.rules[0].params.allow[0].prefixes: unknown key; did you mean prefix? allowed: prefix",
        ),
        (
            in_rule("check: approved-image"),
            "p.yaml:7: spec.rules[0].params.repositories: is missing; wanted a list of text",
        ),
        # The Plimsoll it needs.
        (
            in_spec("requires: '>=99'"),
            f"p.yaml:6: spec.requires: the pack needs Plimsoll >=99, this is {webhook.__version__}; "
            f"install one that fits",
        ),
        (
            in_spec("requires: v1"),
            "p.yaml:6: spec.requires: 'v1' is no range of versions; wanted e.g. >=0.3 or >=0.3,<2",
        ),
        # The frame.
        (
            in_spec("").replace("dev/v1", "dev/v2"),
            "p.yaml:1: apiVersion: 'plimsoll.dev/v2' is not allowed; did you mean plimsoll.dev/v1? "
            "allowed: plimsoll.dev/v1",
        ),
        (
            in_spec("").replace("RulePack", "Rulepack"),
            "p.yaml:2: kind: 'Rulepack' is not allowed; did you mean RulePack? allowed: RulePack",
        ),
    ],
)
def test_one_mistake_gives_one_error(text: str, expected: str) -> None:
    assert mistake(text) == expected


EXEMPTION = in_spec(
    "exemptions:\n    - rules: [a]\n      match: {names: [a]}\n      reason: b\n      owner: c\n      "
    "expires: 2027-01-01"
)


def test_an_exemption_says_all_of_rules_match_reason_owner_and_day() -> None:
    assert mistakes(EXEMPTION) == []
    bare = re.sub(r"    - rules: .*expires: 2027-01-01", "    - {}", EXEMPTION, flags=re.DOTALL)
    paths = [text.split(": ")[1] for text in mistakes(bare)]
    assert paths == [f"spec.exemptions[0].{key}" for key in ("expires", "match", "owner", "reason", "rules")]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("{}", "is empty; wanted at least one of kinds, namespaces, names, containers and images"),
        ("{operations: [CREATE]}", "unknown key; allowed: kinds, namespaces, names, containers, images"),
        ("{objectSelector: {}}", "unknown key; allowed: kinds, namespaces, names, containers, images"),
    ],
)
def test_an_exemption_goes_by_names_and_never_by_labels(match: str, expected: str) -> None:
    assert mistake(EXEMPTION.replace("{names: [a]}", match)).endswith(expected)


def test_an_exemption_names_rules_of_its_pack() -> None:
    found = mistake(EXEMPTION.replace("rules: [a]", "rules: [aa]").replace("name: a,", "name: aab,"))
    assert found == "p.yaml:7: spec.exemptions[0].rules[0]: the pack has no rule 'aa'; did you mean aab? its rules: aab"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "kind: RulePackTest\nspec: 1",
            "p.yaml:1: kind: a RulePackTest is no pack; it is the test of one: name its file *.test.yaml",
        ),
        ("apiVersion: v1\nkind: ConfigMap\ndata: {}", "p.yaml:2: kind: a ConfigMap is no pack"),
        ("apiVersion: apps/v1\nkind: Deployment", "p.yaml:2: kind: 'Deployment' is no pack; wanted RulePack"),
        ("apiVersion: v1", "p.yaml:1: kind: is missing; wanted RulePack"),
        ("kind: 5", "p.yaml:1: kind: 5 is no pack; wanted RulePack"),
    ],
)
def test_a_document_of_another_kind_gives_one_error(text: str, words: str) -> None:
    assert mistake(text).startswith(words)


def test_a_patch_has_when_and_may_have_variables_and_a_message() -> None:
    lines = "message: a\n      variables: [{name: v, expression: '1'}]\n      patch: [{op: remove, path: /spec/a}]"
    assert mistakes(in_rule("when: 'true'\n      " + lines)) == []
    [mistake] = mistakes(in_rule(lines))
    assert "has no `when` beside it" in mistake


def test_a_misspelt_kind_of_rule_is_one_error() -> None:
    assert "did you mean expression?" in mistake(in_rule("expresion: 'true'\n      message: a"))


def test_a_rule_that_meant_to_inherit_is_told_the_name() -> None:
    text = with_expression("") + "    - {name: aa, action: warn}\n"
    assert "has no check, expression or patch; did you mean a? " in mistake(
        text.replace("name: a\n", "name: aab\n")
    ).replace("aab", "a")


def test_a_pack_that_waits_for_its_base_is_not_asked_for_what_it_may_inherit() -> None:
    waiting = PACK + "  extends: base\n  rules: [{name: a, params: {}}]\n  exemptions: []\n"
    assert mistakes(waiting) == []
    assert "did you mean action?" in mistake(waiting.replace("params: {}", "actoin: warn"))


def test_a_range_with_a_prerelease_is_judged_by_the_version_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "__version__", "0.4.0rc1")
    assert mistakes(in_spec("requires: '>=0.3,<1'")) == []
    assert "this is 0.4.0rc1" in mistake(in_spec("requires: '>=0.4'"))


def test_params_with_defaults_are_not_required() -> None:
    assert params(CHECKS["approved-image"])["required"] == ["repositories"]
    assert params(CHECKS["approved-image"])["properties"]["tags"]["default"] == []
    assert params(CHECKS["requests-equal-limits"])["additionalProperties"] is False


def test_the_schema_that_validates_has_no_keyword_that_goes_unchecked() -> None:
    assert unknown_keywords(shape(CHECKS, waiting=False)) == set()


SCALARS: list[Any] = [None, True, 0, 1.5, "x", "", [], {}, [None], [[]], {"x": None}, ["x", "x"]]


def test_no_value_at_any_place_brings_the_validation_down() -> None:
    from webhook.packs.parse import Document

    (document,) = documents("p.yaml", WHOLE)

    def planted(value: Any, path: tuple[Any, ...], new: Any) -> Any:
        if not path:
            return new
        children = dict(value) if isinstance(value, dict) else list(value)
        children[path[0]] = planted(value[path[0]], path[1:], new)
        return children

    for path in document.places:
        for new in SCALARS:
            changed = planted(document.value, path, new)
            if isinstance(changed, dict):
                for problem in validate(Document(changed, document.places), CHECKS):
                    assert problem.line >= 1
                    assert problem.path.startswith(tuple(document.value)) or not path
