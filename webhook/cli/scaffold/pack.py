"""A pack, a rule and their tests, with blanks where only their author knows what to write."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import orjson
import yaml

from webhook.checks import Module
from webhook.packs import manual
from webhook.packs.blanks import BLANK

SCHEMAS = "https://raw.githubusercontent.com/plimsoll-dev/plimsoll/main/docs/schemas"
"""Where editors find the schemas of packs and tests."""
_OBJECT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
        - name: web
          image: registry.example/shop/web:1.4.2
          {blank}
"""


def pack(name: str, version: str, first: str) -> str:
    """Return a pack with one rule, as `rule` makes it."""
    return f"""\
# yaml-language-server: $schema={SCHEMAS}/rulepack.json
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata:
  name: {name}
spec:
  version: "{version}"
  description: "{BLANK}what these standards are for, in a sentence"
  contact: "{BLANK}whom to ask, a team and a page"

  # What only your company knows goes here, and into rules by ${{values.name}}, or values.name in CEL.
  # values:
  #   registries: [registry.example/]

  match:
    excludeNamespaces: [kube-system, kube-node-lease]

  rules:
{textwrap.indent(first, "    ")}"""


def tests(name: str, pack_file: str, first: str) -> str:
    """Return the tests of a pack, with cases as `cases` makes them."""
    return f"""\
# yaml-language-server: $schema={SCHEMAS}/rulepacktest.json
apiVersion: plimsoll.dev/v1
kind: RulePackTest
metadata:
  name: {name}
spec:
  packs: [{orjson.dumps(pack_file).decode()}]
  cases:
{textwrap.indent(first, "    ")}"""


def rule(name: str, check: Module | None) -> str:
    """Return a rule as an element of a list: by a check, or else by CEL."""
    lines = [f"- name: {name}", *(_in_cel() if check is None else _by_check(check))]
    lines += [
        "  action: warn    # deny refuses what does not keep it; audit only notes it",
        "  severity: medium    # low, medium, high, critical",
        "  responsible: application    # who has to act: application, platform",
        f'  description: "{BLANK}why the standard is there, what goes wrong without it"',
        f'  remediation: "{BLANK}what to write instead"',
    ]
    return "\n".join(lines) + "\n"


def _in_cel() -> Iterator[str]:
    example = "containers.all(c, has(c.readinessProbe))"
    yield f'  expression: "{BLANK}CEL that is true where the standard is kept, such as {example}"'
    yield f'  message: "{BLANK}what is wanted, in a few words"'


def _by_check(check: Module) -> Iterator[str]:
    yield f"  check: {check.ID}    # plimsoll explain {check.ID}"
    if not check.DEFAULTS:
        return
    yield "  # Its parameters with their defaults; take the # away from those that you change, and from params."
    yield "  # params:"
    for key, default in check.DEFAULTS.items():
        meaning = " ".join(check.PARAMS["properties"][key].get("description", "").split())
        yield from textwrap.wrap(meaning, 110, initial_indent="  #   # ", subsequent_indent="  #   # ")
        yield f"  #   {key}: {orjson.dumps(default).decode()}"


def cases(rule_name: str, check: Module | None) -> str:
    """Return two cases as elements of a list: what keeps a rule, and what does not."""
    kept, broken = _objects(check)
    where = "/spec/containers/0" if check is not None else "/spec/template for one on pods"
    return f"""\
- name: what keeps {rule_name} is let in
{textwrap.indent(kept, "  ")}\
  expect: {{action: allow, findings: []}}
- name: what does not keep {rule_name} is found
{textwrap.indent(broken, "  ")}\
  expect:
    action: warn
    findings:
      - {{rule: {rule_name}, pointer: "{BLANK}the JSON pointer of what is found, such as {where}"}}
"""


def _objects(check: Module | None) -> tuple[str, str]:
    """Return the objects of both cases, with what stands beside them: a check's are those of its page."""
    if check is None:
        blanks = (f"{BLANK}what in it {does} the standard" for does in ("keeps", "does not keep"))
        kept, broken = (f"object:\n{textwrap.indent(_OBJECT.format(blank=blank), '  ')}" for blank in blanks)
        return kept, broken
    kept, broken = (_example(check, title) for title in ("Use instead", "Example"))
    return kept, broken


def _example(check: Module, title: str) -> str:
    section = re.search(rf"^## {title}\n(.*?)^## ", manual.page(check), re.MULTILINE | re.DOTALL)
    block = re.search(r"^```yaml\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL) if section else None
    first, *others = re.split(r"^---\n", block[1], flags=re.MULTILINE) if block else ("",)
    text = f"object:\n{textwrap.indent(first.strip(), '  ')}\n"
    if not others and not check.build(check.DEFAULTS).asks:
        return text
    beside = "\n".join(f"- {orjson.dumps(yaml.safe_load(other)).decode()}" for other in others)
    given = f"\n{textwrap.indent(beside, '    ')}" if others else " []    # nothing stands beside it"
    return f"{text}facts:\n  neighbours:{given}\n"


def beside(pack_file: str) -> str:
    """Return the name of the file with a pack's tests: `acme.test.yaml` beside `acme.yaml`."""
    path = Path(pack_file)
    return str(path.with_name(f"{path.stem}.test.yaml"))
