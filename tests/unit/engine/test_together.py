"""Rules in CEL that are asked together answer as each by itself."""

from __future__ import annotations

from zlib import crc32

import pytest
import yaml

from webhook.packs.compile import joined

TEXTS = (
    "pod.spec.containers.all(c, c.name != 'bad')",
    "pod.spec.hostNetwork == false",
    "pod.spec.?replicas.orValue(true)",
    "containers.exists(c, c.name == 'web')",
    "object.metadata.name == 'web'",
    "!has(object.spec.paused)",
    "values.limit > 2",
)
PODS = (
    {},
    {"hostNetwork": False},
    {"hostNetwork": "yes", "replicas": 3},
    {"replicas": False, "hostNetwork": True},
    {"containers": [{"name": "bad"}], "hostNetwork": False},
    {"containers": 3},
)


def said(decision):
    findings = {(finding.about.rule, finding.violation, finding.effective) for finding in decision.findings}
    return findings, {(fault.rule, fault.message, fault.effective) for fault in decision.errors}


def pack(texts):
    rules = "".join(
        f'  - {{name: rule-{crc32(text.encode())}, expression: "{text}", action: deny}}\n' for text in texts
    )
    return f"values: {{limit: 3}}\nrules:\n{rules}"


@pytest.mark.parametrize("spec", PODS)
def test_what_holds_what_does_not_and_what_fails_is_told_rule_by_rule(load, judge, deployment, spec):
    obj = deployment()
    obj["spec"]["template"]["spec"].update(spec)
    obj["spec"]["paused"] = True
    together = load(pack(TEXTS))
    assert any(together.choruses.values())
    findings, errors = said(judge(pack(TEXTS), obj))
    for text in TEXTS:
        alone = said(judge(pack([text]), obj))
        assert alone[0] <= findings
        assert alone[1] <= errors
        findings, errors = findings - alone[0], errors - alone[1]
    assert not findings
    assert not errors


LEAVING = (
    ("object.metadata.labels.all(key, key == '')", {}),
    ("object.metadata.labels.exists(key, key != '')", {}),
    ("containers.all(c, ['x', 'y'].all(one, one == c.name))", {}),
    ("variables.names.exists(name, name == 'web')", {"names": "containers.map(c, c.name)"}),
    (
        "!variables.names.exists(name, name == 'web') || variables.few",
        {"names": "containers.map(c, c.name)", "few": "1 > 2"},
    ),
    ("variables.three.size() == 3", {"three": "[7, 7, 7]"}),
    ("variables.three.size() != 3", {"three": "[7, 7, 7]"}),
    ("optional.of([1, 2, 3]).optMap(all, all.size() == 3).orValue(false)", {}),
    ("optional.of([1, 2, 3]).optMap(all, all.size() != 3).orValue(true)", {}),
    ("[3, 1, 2].sortBy(one, one) == [1, 2, 3]", {}),
    ("cel.bind(three, [7, 7, 7], three.size() == 3)", {}),
    ("containers.filter(c, c.name == 'web').size() == 0", {}),
)


@pytest.mark.parametrize("first", LEAVING)
def test_what_a_loop_that_ends_early_leaves_behind_is_nobodys_variable(judge, deployment, first):
    def rules(some):
        return yaml.safe_dump(
            {
                "rules": [
                    {
                        "name": f"rule-{crc32(text.encode())}",
                        "expression": text,
                        "variables": [{"name": name, "expression": body} for name, body in variables.items()],
                        "action": "deny",
                    }
                    for text, variables in some
                ]
            }
        )

    obj = deployment()
    obj["metadata"]["labels"] = {"a": "1", "b": "2", "c": "3"}
    obj["spec"]["template"]["spec"]["containers"] = [{"name": name, "image": "x"} for name in ("web", "log", "net")]
    for second in LEAVING:
        if second != first:
            findings, errors = said(judge(rules([first, second]), obj))
            alone = [said(judge(rules([one]), obj)) for one in (first, second)]
            assert findings == alone[0][0] | alone[1][0], second
            assert errors == alone[0][1] | alone[1][1] == set()


def test_rules_with_values_of_their_own_pack_keep_them(load, judge, deployment):
    text = """
        values: {{limit: {limit}}}
        rules:
          - {{name: first, expression: "values.limit == {limit}", action: deny}}
          - {{name: second, expression: "values.limit + 1 == {limit} + 1", action: deny}}
    """
    packs = load(text.format(limit=3), text.format(limit=4))
    assert judge(packs, deployment()).findings == ()


def test_rules_whose_scope_is_their_own_are_asked_by_themselves(load):
    rules = load("""
        rules:
          - {name: first, match: {names: [web]}, expression: "1 == 1", action: deny}
          - {name: second, match: {namespaces: [shop]}, expression: "2 == 2", action: deny}
          - {name: third, match: {containers: [web]}, expression: "containers.size() < 3", action: deny}
          - {name: fourth, expression: "pod.spec.size() > 0", action: deny}
    """)
    assert not any(rules.choruses.values())


def test_texts_that_are_too_much_for_one_are_asked_in_parts(load, judge, deployment):
    deep = "".join("[" for _ in range(24)) + "1" + "".join("]" for _ in range(24)) + ".size() == 1"
    long = [f"'{letter * 30_000}' != '{number}'" for number, letter in enumerate("abcdef")]
    found = load(pack([deep, *long, *TEXTS]))
    [parts] = {len(some) for some in found.choruses.values()}
    assert parts > 2
    obj = deployment()
    obj["spec"]["template"]["spec"]["hostNetwork"] = False
    assert judge(pack([deep, *long, *TEXTS]), obj).allowed


@pytest.mark.parametrize("spec", PODS)
def test_rules_for_few_objects_are_not_joined_and_say_the_same(load, judge, deployment, spec):
    obj = deployment()
    obj["spec"]["template"]["spec"].update(spec)
    few, many = load(pack(TEXTS), few=True), load(pack(TEXTS))
    assert not few.choruses
    assert joined(few).choruses.keys() == many.choruses.keys()
    assert said(judge(few, obj)) == said(judge(joined(few), obj)) == said(judge(many, obj))
