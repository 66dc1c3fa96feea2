"""A check in code: its module, its cases, and its line in the list of checks."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from webhook.errors import ConfigError, Problem
from webhook.packs.blanks import BLANK

PROJECT = "plimsoll-webhook"
_IMPORTS = re.compile(r"^from webhook\.checks import \(\n((?:    \w+,\n)+)\)$", re.MULTILINE)
_LISTED = re.compile(r"^        for module in \(\n((?:            \w+,\n)+)        \)$", re.MULTILINE)

_MODULE = '''\
"""{blank}the standard in one sentence, such as: Containers do this.

## What it does
{blank}what is judged and what is not, where it is a question of taste

## Why
{blank}what goes wrong where it is not kept

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      {field}: {blank}a value that is refused
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      {field}: {blank}a value that is allowed
```

## Parameters
- `allowed` (default: see below): {blank}what these values mean

```yaml
params:
  allowed: ["{blank}a value that is allowed"]
```

## Fix
None. {blank}why nobody but the owner can mend it; or write a fix, as dns_config.py does
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks.check import Check, one_of
from webhook.model.decision import Violation
from webhook.model.pods import Pod

ID = "{name}"
PARAMS: dict[str, Any] = {{
    "type": "object",
    "additionalProperties": False,
    "properties": {{
        "allowed": {{
            "type": "array",
            "description": "{blank}what these values mean.",
            "items": {{"type": "string"}},
            "minItems": 1,
        }}
    }},
}}
DEFAULTS: dict[str, Any] = {{"allowed": ["{blank}a value that is allowed"]}}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)

FIELD = "{field}"
REASON = "{blank}what is wrong, in a few fixed words"


def build(params: Mapping[str, Any]) -> Check:
    """Return the check."""
    return Check(pod=partial(_pod, tuple(params["allowed"])))


def _pod(allowed: tuple[str, ...], pod: Pod) -> Iterator[Violation]:
    for container in pod.containers:
        found = container.spec.get(FIELD)
        if found is not None and found not in allowed:
            yield Violation(
                pointer=f"{{container.pointer}}/{{FIELD}}",
                reason=REASON,
                found=f"{{FIELD}} {{found}}",
                wanted=one_of(allowed),
                container=container.name,
            )
'''

_CASES = """\
# cases of {name}
- name: a container that says nothing passes
  pod:
    spec:
      containers: [{{name: web, image: "registry.example/shop/web:1.4.2"}}]
  findings: []

- name: an allowed value passes
  pod:
    spec:
      containers:
        - name: web
          image: registry.example/shop/web:1.4.2
          {field}: "{blank}a value that is allowed"
  findings: []

- name: a value passes that the pack allows
  params: {{allowed: ["{blank}a value that is not allowed by default"]}}
  pod:
    spec:
      containers:
        - name: web
          image: registry.example/shop/web:1.4.2
          {field}: "{blank}a value that is not allowed by default"
  findings: []
{found}"""

_FOUND = """
- name: another value is found in {where}
  pod:
    spec:
{containers}
  findings:
    - pointer: /spec/{list}/0/{field}
      reason: "{blank}what is wrong, in a few fixed words"
      found: "{field} {blank}a value that is refused"
      container: {container}
"""
_PLACES = (
    ("containers", "web", "a container"),
    ("initContainers", "setup", "an init container"),
    ("initContainers", "proxy", "a sidecar"),
)


def tree(start: Path) -> Path:
    """Return the root of the source tree of Plimsoll around a directory. Raises ConfigError where there is none."""
    for place in (start, *start.parents):
        project = place / "pyproject.toml"
        there = project.is_file() and (place / "webhook/checks/__init__.py").is_file()
        if there and f'name = "{PROJECT}"' in project.read_text(encoding="utf-8"):
            return place
    text = "a check is code of Plimsoll's own, so this works in its source tree only; a rule in CEL needs none of it"
    raise ConfigError([Problem(str(start), 0, "", f"{text}: plimsoll new rule NAME")])


def module(name: str, field: str) -> str:
    """Return the module of a check on one field of containers."""
    return _MODULE.format(name=name, blank=BLANK, field=field)


def cases(name: str, field: str) -> str:
    """Return three cases that pass, and three that fail."""
    found = "".join(
        _FOUND.format(
            where=where, list=listed, containers=_containers(listed, container, where, field), container=container,
            field=field, blank=BLANK,
        )
        for listed, container, where in _PLACES
    )  # fmt: skip
    return _CASES.format(name=name, blank=BLANK, field=field, found=found)


def _containers(listed: str, container: str, where: str, field: str) -> str:
    spec = f"- name: {container}\n  image: registry.example/shop/web:1.4.2\n"
    spec += "  restartPolicy: Always\n" if where == "a sidecar" else ""
    spec += f'  {field}: "{BLANK}a value that is refused"\n'
    text = f"{listed}:\n{textwrap.indent(spec, '  ')}"
    if listed != "containers":
        text += 'containers: [{name: web, image: "registry.example/shop/web:1.4.2"}]\n'
    return textwrap.indent(text, "      ").rstrip("\n")


def registered(source: str, text: str, name: str) -> str:
    """Return webhook/checks/__init__.py with one more check, sorted. Raises ConfigError where its lists are gone."""
    for pattern, indent in ((_IMPORTS, 4), (_LISTED, 12)):
        found = pattern.search(text)
        if found is None:
            problem = "its lists of checks are not where they were; add the check to CHECKS by hand"
            raise ConfigError([Problem(source, 0, "", problem)])
        names = sorted({*found[1].replace(",", "").split(), name})
        lines = "".join(f"{' ' * indent}{one},\n" for one in names)
        text = text[: found.start(1)] + lines + text[found.end(1) :]
    return text
