"""Packs as a cluster holds them: RulePack objects, and ConfigMaps whose keys are texts of packs.

An object becomes the very document that somebody applied: what the API server adds (uid, managedFields, status) is
left away, so that a change of those is no change of the pack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from webhook.packs.parse import DEPTH, OBJECT
from webhook.packs.schema import API_VERSION, KIND

Text = tuple[str, str]
"""A source: its name as problems show it (`RulePack/acme`, `ConfigMap/packs/acme.yaml`), and its text."""

GROUP, VERSION = API_VERSION.split("/")
RESOURCE = "rulepacks"
LABEL = "plimsoll.dev/rule-packs"
"""On a ConfigMap of our own namespace, with the value `true`."""
_ENDINGS = (".yaml", ".yml")
_TESTS = (".test.yaml", ".test.yml")
_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Characters of JSON that end a line in YAML."""
LAST_GOOD = "lastGood"
"""The key of a RulePack's status for the text that is in force in place of what is written."""
_NOT_WRITTEN = ("metadata", "status")


def rulepack(obj: Mapping[str, Any]) -> Text:
    """Return a RulePack object as a source."""
    name = str(_mapping(obj.get("metadata")).get("name") or "")
    written = {key: value for key, value in obj.items() if key not in _NOT_WRITTEN and value is not None}
    document = {"apiVersion": API_VERSION, "kind": KIND, **written, "metadata": {"name": name}}
    try:
        text = orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:  # nested deeper than orjson writes, which is deeper than a pack may be
        text = "[" * (2 * DEPTH)
    return f"{OBJECT}{name}", _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def last_good(obj: Mapping[str, Any]) -> Text | None:
    """Return the text that the status of a RulePack keeps as its last good one, None where it keeps none.

    It is read as an object of this name, whatever it says itself: nobody brings in a pack by the status of another.
    """
    try:
        kept = orjson.loads(_mapping(obj.get("status")).get(LAST_GOOD) or "")
    except orjson.JSONDecodeError:
        return None
    return rulepack({**kept, "metadata": obj.get("metadata")}) if isinstance(kept, dict) else None


def configmap(obj: Mapping[str, Any]) -> list[Text]:
    """Return a ConfigMap as sources, one for each key that ends in .yaml or .yml, sorted; none without the label."""
    if not labelled(obj):
        return []
    prefix = configmap_name(str(_mapping(obj.get("metadata")).get("name") or ""))
    return [
        (f"{prefix}{key}", str(text))
        for key, text in sorted(_mapping(obj.get("data")).items())
        if key.endswith(_ENDINGS) and not key.endswith(_TESTS)
    ]


def configmap_name(name: str) -> str:
    """Return what the names of all sources in a ConfigMap begin with."""
    return f"ConfigMap/{name}/"


def labelled(obj: Mapping[str, Any]) -> bool:
    """Say whether a ConfigMap's label says that it holds packs."""
    return _mapping(_mapping(obj.get("metadata")).get("labels")).get(LABEL) == "true"


def dump(sources: Iterable[Text]) -> bytes:
    """Return sources as one value, as the processes of a pod hand them on."""
    return orjson.dumps([list(source) for source in sources])


def restore(data: bytes | None) -> list[Text]:
    """Return what was dumped; nothing where nothing was."""
    return [(str(name), str(text)) for name, text in orjson.loads(data)] if data else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
