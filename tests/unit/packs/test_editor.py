"""The published schemas: an editor that knows them sees what the loader sees, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, FormatChecker

import webhook.checks
from webhook import sources
from webhook.checks import CHECKS
from webhook.cli import shape
from webhook.packs.editor import pack_schema
from webhook.packs.parse import Document, documents
from webhook.packs.schema import validate
from webhook.packs.values import substitute
from webhook.packs.walk import walk

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "docs" / "schemas"
DAYS = FormatChecker(())
DAYS.checks("date", ValueError)(lambda text: not isinstance(text, str) or bool(date.fromisoformat(text)))
PACKS = [pytest.param(path, id=path.name) for path in sources.shipped()]
TESTS = [
    pytest.param(path, id=path.name)
    for room in ("policies", "docs/examples")
    for path in (ROOT / room).glob("*.test.yaml")
]
LIKE = "apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {name: acme}\nspec:\n"


# what is said of a name or a selector by what stands elsewhere is the loader's alone to judge
LOADERS = ("the pack has no rule", "is there already", "operator In wants at least one value")


def editor(name: str) -> Draft7Validator:
    schema = json.loads((SCHEMAS / name).read_text())
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema, format_checker=DAYS)


PACK, TEST = editor("rulepack.json"), editor("rulepacktest.json")


def seen(schema: Draft7Validator, value: object) -> list[str]:
    """Return what an editor underlines."""
    return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(value)]


def pack(text: str) -> Document:
    [found] = documents("pack.yaml", LIKE + text)
    return found


def refused(document: Document) -> bool:
    return bool(validate(substitute(document)[0], CHECKS))


@pytest.mark.parametrize("path", PACKS)
def test_a_shipped_pack_has_nothing_that_an_editor_underlines(path: Path) -> None:
    for document in documents(path.name, path.read_text()):
        assert seen(PACK, document.value) == []


@pytest.mark.parametrize("path", TESTS)
def test_a_shipped_test_has_nothing_that_an_editor_underlines(path: Path) -> None:
    for document in documents(path.name, path.read_text()):
        assert seen(TEST, document.value) == []


@pytest.mark.parametrize("check", CHECKS)
def test_parameters_that_a_check_takes_are_not_underlined(check: str) -> None:
    cases = yaml.safe_load((Path(webhook.checks.__file__).parent / f"{check}.cases.yaml").read_text())
    given = [case["params"] for case in cases if "params" in case]
    rules = [{"name": f"r{n}", "check": check, "action": "warn", "params": one} for n, one in enumerate(given)]
    head = pack("  rules: []").value
    rules.append({"name": "plain", "check": check, "action": "warn"})
    assert seen(PACK, {**head, "spec": {"rules": rules}}) == []


def changed(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """Return a copy of a value with something else at a path; what has no place yet gets one."""
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    old = copied.get(path[0], {}) if isinstance(copied, dict) else copied[int(path[0])]
    copied[path[0]] = changed(old, path[1:], new)
    return copied


def mappings(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        yield path
        for key, inner in value.items():
            yield from mappings(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from mappings(inner, (*path, index))


WHOLE = """\
  version: "1"
  mode: dry-run
  enforceFrom: "2027-01-01"
  match:
    namespaceSelector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: In, values: [b]}]}
    matchConditions: [{name: a, expression: "true"}]
  rules:
    - name: a
      check: approved-image
      params: {repositories: [registry.example/], mirrors: [{from: a.example/, to: b.example/}]}
      action: deny
      match: {operations: [CREATE], kinds: [Pod]}
    - name: b
      check: resource-shape
      params: {container: {cpu: {min: 1}, gibPerCore: {min: 1}}, maxReplicas: 4}
      action: warn
      quiet: true
    - name: c
      variables: [{name: x, expression: "true"}]
      expression: variables.x
      message: x
      action: audit
    - name: d
      when: "true"
      patch: [{op: add, path: /spec/dnsConfig, value: {}}]
      action: warn
  exemptions:
    - {rules: [a], match: {names: [x]}, reason: r, owner: o, expires: "2027-01-01"}
"""


@pytest.mark.parametrize("at", [path for path in mappings(pack(WHOLE).value) if "value" not in path])
def test_a_key_that_the_loader_does_not_know_is_underlined(at: tuple[str | int, ...]) -> None:
    document = pack(WHOLE)
    value = changed(document.value, (*at, "unheardOf"), [1])
    assert refused(Document(value, document.places, document.starts))
    assert seen(PACK, value)


@pytest.mark.parametrize("wrong", [None, True, 7, "", [], {}, {"x": None}], ids=str)
def test_a_value_is_underlined_where_the_loader_refuses_it_and_nowhere_else(wrong: object) -> None:
    document = pack(WHOLE)
    unlike = []
    for path in document.starts:
        if path[:1] != ("spec",) or "value" in path:
            continue
        value = changed(document.value, path, wrong)
        problems = validate(substitute(Document(value, document.places, document.starts))[0], CHECKS)
        ours = [one for one in problems if not any(words in one.text for words in LOADERS)]
        if bool(ours) is not bool(seen(PACK, value)):
            unlike.append((path, [str(one) for one in ours], seen(PACK, value)))
    assert unlike == []


@pytest.mark.parametrize(
    "rules",
    [
        "[{name: a, check: approved-imag, action: deny}]",
        "[{name: a, check: approved-image, params: {repositorys: []}, action: deny}]",
        "[{name: a, check: approved-image, params: {mirrors: [{from: a/, too: b/}]}, action: deny}]",
        "[{name: a, check: approved-image, params: {repositories: 1}, action: deny}]",
        "[{name: a, check: approved-image, action: dny}]",
        "[{name: a, check: approved-image}]",
        "[{check: approved-image, action: deny}]",
        "[{name: a, action: deny}]",
        '[{name: a, check: approved-image, expression: "true", action: deny}]',
        '[{name: a, expression: "true", params: {}, action: deny}]',
        '[{name: a, expression: "true", fix: true, action: deny}]',
        '[{name: a, expression: "true", quiet: true, action: deny}]',
        "[{name: a, patch: [{op: add, path: /spec/a, value: 1}], action: warn}]",
        '[{name: a, check: approved-image, action: deny, enforceFrom: "2026-13-01"}]',
        "[]",
    ],
)
def test_a_rule_that_does_not_load_is_underlined(rules: str) -> None:
    document = pack(f"  rules: {rules}\n")
    assert refused(document)
    assert seen(PACK, document.value)


def test_a_pack_without_rules_is_underlined_unless_it_may_inherit_them() -> None:
    assert seen(PACK, pack("  contact: we\n").value)
    assert seen(PACK, pack("  extends: base\n").value) == []


def test_what_a_rule_may_inherit_is_not_missed() -> None:
    assert seen(PACK, pack("  extends: base\n  rules: [{name: a, action: warn}]\n").value) == []
    assert seen(PACK, pack("  extends: base\n  rules: [{name: a, params: {x: 1}}]\n").value) == []
    assert seen(PACK, pack("  extends: base\n  rules: [{name: a, actoin: warn}]\n").value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("params", "{repositories: '${values.x}'}"),
        ("params", "{repositories: ['${values.x}']}"),
        ("params", "'${values.x}'"),
        ("action", "'${values.x.y}'"),
        ("match", "{namespaces: '${values.x}'}"),
        ("match", "{namespaces: ['${values.x}'], operations: ['${values.x}']}"),
        ("fix", "'${values.x}'"),
        ("enforceFrom", "'${values.x}'"),
    ],
)
def test_a_value_may_stand_wherever_a_whole_scalar_may(key: str, text: str) -> None:
    rule = {"name": "a", "check": "approved-image", "action": "warn", key: yaml.safe_load(text)}
    head = pack("  rules: []").value
    assert seen(PACK, {**head, "spec": {"rules": [rule]}}) == []
    spoilt = json.loads(json.dumps(rule).replace("${values.", "${value."))
    assert bool(seen(PACK, {**head, "spec": {"rules": [spoilt]}})) is (text != "{repositories: ['${values.x}']}")


CASES = """\
apiVersion: plimsoll.dev/v1
kind: RulePackTest
metadata: {name: acme}
spec:
  packs: [pack.yaml]
  cases:
    - {CASE}
"""


@pytest.mark.parametrize(
    "case",
    [
        "name: a, base: b, expect: {}",
        "name: a, base: b, expect: {acton: deny}",
        "name: a, base: b, expect: {action: dny}",
        "name: a, base: b, expect: {findings: [{rule: a}]}",
        "name: a, base: b",
        "base: b, expect: {action: deny}",
        "name: a, expect: {action: deny}",
        "name: a, base: b, file: c, expect: {action: deny}",
        "name: a, file: c, changes: {}, expect: {action: deny}",
        "name: a, base: b, operation: UPDATE, expect: {action: deny}",
        "name: a, base: b, oldObject: b, expect: {action: deny}",
        "name: a, object: {kind: Pod}, expect: {action: deny}",
        "name: a, base: b, date: 1.5, expect: {action: deny}",
        "name: a, base: b, changes: [{op: put, path: /a}], expect: {action: deny}",
        "name: a, base: b, facts: {images: {a: {builds: [{}]}}}, expect: {action: deny}",
    ],
)
def test_a_case_that_does_not_load_is_underlined(case: str) -> None:
    [document] = documents("a.test.yaml", CASES.replace("CASE", case))
    assert seen(TEST, document.value)


def test_an_editor_asks_of_a_case_all_that_the_loader_walks() -> None:
    [document] = documents("a.test.yaml", CASES.replace("CASE", "name: a, base: b, expect: {action: deny}"))
    assert seen(TEST, document.value) == []
    for path in document.starts:
        for wrong in (None, 7, {}, []):
            value = changed(document.value, path, wrong)
            if list(walk(document, (), value, shape.SCHEMA)):
                assert seen(TEST, value), path


def named(schema: Any, at: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every key that a schema names, with what it says of it."""
    if isinstance(schema, list):
        for one in schema:
            yield from named(one, at)
    if isinstance(schema, dict):
        for key, inner in schema.get("properties", {}).items():
            yield f"{at}.{key}", inner
            yield from named(inner, f"{at}.{key}")
        for word in ("items", "additionalProperties", "anyOf", "oneOf", "allOf", "then"):
            yield from named(schema.get(word), at)


@pytest.mark.parametrize("schema", [PACK.schema, TEST.schema], ids=["pack", "test"])
def test_an_editor_has_something_to_say_of_every_key(schema: dict[str, Any]) -> None:
    assert [at for at, inner in named(schema) if not inner.get("description")] == []


def test_a_check_is_completed_with_its_sentence_and_its_parameters_with_their_defaults() -> None:
    rule = PACK.schema["properties"]["spec"]["properties"]["rules"]["items"]
    words = rule["properties"]["check"]["anyOf"][0]
    assert words["enum"] == sorted(CHECKS)
    assert dict(zip(words["enum"], words["enumDescriptions"], strict=True))["no-host-path"] == (
        "Pods and PersistentVolumes stay out of the file system of the node."
    )
    branches = {branch["if"]["properties"]["check"]["const"]: branch["then"]["properties"] for branch in rule["allOf"]}
    for name, module in CHECKS.items():
        given = branches[name]["params"]["anyOf"][0]["properties"]
        assert {key: inner.get("default") for key, inner in given.items()} == {
            key: module.DEFAULTS.get(key) for key in module.PARAMS["properties"]
        }
        assert branches[name]["check"]["markdownDescription"].startswith(f"**{name}**: ")


@pytest.mark.parametrize("path", [*PACKS, *TESTS])
def test_a_shipped_file_leads_an_editor_to_its_schema(path: Path) -> None:
    led = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text())
    assert led
    wanted = "rulepacktest.json" if path.name.endswith(".test.yaml") else "rulepack.json"
    assert (path.parent / led[1]).resolve() == (SCHEMAS / wanted).resolve()


@dataclass(frozen=True)
class Fake:
    ID: str
    PARAMS: dict[str, Any]
    DEFAULTS: dict[str, Any] = field(default_factory=dict)


def test_a_check_with_a_keyword_that_would_go_unchecked_is_refused() -> None:
    odd = {"type": "object", "properties": {"a": {"items": {"contentEncoding": "x"}, "format": "email"}}}
    with pytest.raises(ValueError, match="check odd: PARAMS use contentEncoding, format: email"):
        pack_schema({"odd": Fake("odd", odd)})
