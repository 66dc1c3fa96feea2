"""Plain values to YAML that every reader here, and kubectl, reads back as the same values."""

from __future__ import annotations

from typing import Any

import yaml

from webhook.cli import scalars as kubectl
from webhook.packs import scalars as packs


class _Dumper(yaml.SafeDumper):
    """Indents lists, writes no aliases, and quotes what any of the readers would take for something else than text."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    # PyYAML knows YAML 1.1: to it, 12e45 and 0o17 are text, and to others they are numbers
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if _plain(value) else '"')


def _plain(value: str) -> bool:
    try:
        return kubectl.resolve(value) == value and packs.resolve(value) == value
    except ValueError:
        return False


_Dumper.add_representer(str, _text)


def yaml_text(value: Any) -> str:
    """Return JSON values as a YAML text; the keys of mappings stay in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20)
