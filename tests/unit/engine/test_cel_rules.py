"""Rules in CEL: what they see, what they say, and what becomes of their errors."""

from __future__ import annotations

import pytest

from webhook.engine.facts import Facts
from webhook.errors import ConfigError

DIGEST = """
version: "2026.11"
values: {algorithm: sha256}
rules:
  - name: image-by-digest
    variables:
      - {name: images, expression: "containers.map(c, c.image)"}
      - {name: bad, expression: "variables.images.filter(i, !i.contains('@' + values.algorithm + ':'))"}
    expression: "variables.bad.size() == 0"
    message: images are named by digest
    messageExpression: "'by tag only: ' + variables.bad.join(', ')"
    action: deny
"""


def test_variables_values_and_the_message_expression_work_together(judge, deployment):
    [finding] = judge(DIGEST, deployment(image="nginx")).findings
    assert finding.violation.reason == "images are named by digest"
    assert finding.violation.found == "by tag only: nginx"
    assert finding.violation.pointer == "/spec/template"
    assert judge(DIGEST, deployment(image="nginx@sha256:1")).findings == ()


@pytest.mark.parametrize(
    "expression",
    [
        "object.metadata.name == 'web'",
        "oldObject == null",
        "request.userInfo.username == 'jane' && request.operation == 'CREATE'",
        "namespaceObject.metadata.labels.env == 'prod'",
        "values.limit == 3",
        "pod.metadata.labels.app == 'web'",
        "pod.spec.containers[0].name == containers[0].name",
        "quantity('1Gi').isGreaterThan(quantity('512Mi'))",
        "ip('10.0.0.1').family() == 4",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3')",
        "url('https://a.example:8443/x').getPort() == '8443'",
        "'web-12'.find('[0-9]+') == '12'",
        "[1, 2, 3].sum() == 6",
        "sets.contains(['a', 'b'], ['a'])",
        "'%s-%d'.format(['a', 3]) == 'a-3'",
        "semver('1.2.3').isLessThan(semver('1.10.0'))",
    ],
)
def test_an_expression_sees_what_the_design_names(judge, deployment, expression):
    text = f'values: {{limit: 3}}\nrules:\n  - {{name: sees, expression: "{expression}", action: deny}}\n'
    facts = Facts(namespace={"metadata": {"name": "shop", "labels": {"env": "prod"}}})
    decision = judge(text, deployment(), facts=facts)
    assert decision.allowed, (decision.findings, decision.errors)


def test_the_old_object_is_seen_on_an_update(judge, deployment):
    text = """
    rules:
      - {name: sees, expression: "oldObject.metadata.labels.a == 'b'", action: deny, existing: deny}
    """
    assert judge(text, deployment(image="x"), old=deployment(metadata={"labels": {"a": "b"}})).allowed


def test_each_pack_sees_its_own_values_and_each_rule_its_own_containers(judge, load, deployment):
    text = """
    values: {mine: %s}
    rules:
      - name: mine
        expression: "values.mine == '%s' && containers.size() == 1"
        action: deny
        match: {containers: [%s]}
    """
    containers = [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]
    packs = load(text % ("one", "one", "a"), text % ("two", "two", "b"))
    assert judge(packs, deployment(pod={"containers": containers})).allowed


def test_an_error_denies_where_the_rule_denies_and_is_named(judge, deployment):
    text = 'rules:\n  - {name: fails, expression: "object.spec.nope.x == 1", action: %s%s}\n'
    decision = judge(text % ("deny", ""), deployment())
    assert not decision.allowed
    assert [(f.rule, f.kind, f.effective) for f in decision.errors] == [("fails", "error", "deny")]
    assert "nope" in decision.errors[0].message
    assert judge(text % ("warn", ""), deployment()).allowed
    assert judge(text % ("deny", ", onError: warn"), deployment()).errors[0].effective == "warn"
    assert not judge(text % ("warn", ", onError: deny"), deployment()).allowed


def test_an_error_in_dry_run_denies_nothing(judge, deployment):
    text = 'mode: dry-run\nrules:\n  - {name: fails, expression: "object.spec.nope.x == 1", action: deny}\n'
    assert judge(text, deployment()).allowed


def test_one_rules_error_never_takes_another_rule_down(judge, deployment):
    text = """
    rules:
      - {name: fails, expression: "object.spec.nope.x == 1", action: warn}
      - {name: finds, expression: "false", action: deny}
    """
    decision = judge(text, deployment())
    assert [f.rule for f in decision.findings] == ["finds"]
    assert [f.rule for f in decision.errors] == ["fails"]


def test_a_message_expression_that_fails_leaves_the_fixed_message(judge, deployment):
    text = """
    rules:
      - name: says
        expression: "false"
        message: this is wanted
        messageExpression: "object.spec.nope.x"
        action: deny
    """
    decision = judge(text, deployment())
    assert [(f.violation.reason, f.violation.found) for f in decision.findings] == [("this is wanted", "")]
    assert decision.errors == ()


def test_a_costly_expression_ends_as_an_error(judge, deployment):
    env = [{"name": f"E{n}", "value": "x"} for n in range(200)]
    loop = (
        "containers[0].env.all(a, containers[0].env.all(b, containers[0].env.all(c, a.name + b.name + c.name != '')))"
    )
    text = f'rules:\n  - {{name: slow, expression: "{loop}", action: deny}}\n'
    decision = judge(text, deployment(pod={"containers": [{"name": "a", "image": "x", "env": env}]}))
    assert [f.rule for f in decision.errors] == ["slow"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("objct.metadata.name == 'a'", "object"),
        ("1 + 1", "true or false"),
        ("authorizer.check('get')", "authorizer"),
        ("object.metadata.name ==", "column"),
        ("item.name == 'a'", "item"),
    ],
)
def test_a_wrong_expression_is_an_error_at_load_with_its_place(load, text, sentence):
    with pytest.raises(ConfigError) as caught:
        load(f'rules:\n  - {{name: wrong, expression: "{text}", action: deny}}\n')
    [problem] = caught.value.problems
    assert problem.source == "pack0.yaml"
    assert problem.line == 6
    assert problem.path == "spec.rules[0].expression"
    assert sentence in problem.text


def test_a_wrong_variable_is_an_error_at_its_own_place(load):
    text = """
    rules:
      - name: wrong
        variables:
          - {name: good, expression: "1"}
          - {name: bad, expression: "nope + 1"}
        expression: "variables.bad == variables.good"
        action: deny
    """
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert [problem.path for problem in caught.value.problems] == ["spec.rules[0].variables[1].expression"]


def test_a_nul_in_a_string_is_not_where_a_string_ends(judge, deployment):
    text = "rules:\n  - {name: exact, expression: \"containers.all(c, c.image == 'ok')\", action: deny}\n"
    assert judge(text, deployment(image="ok")).allowed
    assert not judge(text, deployment(image="ok\0evil")).allowed


def test_null_members_are_absent_as_in_the_api_server(judge, deployment):
    text = 'rules:\n  - {name: labels, expression: "!has(object.metadata.labels)", action: deny}\n'
    decision = judge(text, deployment(metadata={"labels": None}))
    assert decision.allowed
    assert decision.errors == ()
