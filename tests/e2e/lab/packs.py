"""Rule packs of the tests: small ones, of core checks and CEL, that each show one thing."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

EQUAL_RESOURCES: Object = {
    "name": "requests-equal-limits",
    "check": "requests-equal-limits",
    "params": {"resources": ["cpu", "memory"]},
    "action": "deny",
}
OUR_IMAGES: Object = {
    "name": "approved-image",
    "check": "approved-image",
    "params": {"repositories": ["registry.example/"]},
    "action": "deny",
}


def pack(name: str, *rules: Object, **spec: Any) -> Object:
    """Return a pack of these rules; `spec` takes the place of what stands here."""
    return {
        "apiVersion": "plimsoll.dev/v1",
        "kind": "RulePack",
        "metadata": {"name": name},
        "spec": {
            "version": "1",
            "description": "Standards of the end-to-end tests.",
            "contact": "platform team, https://wiki.example/containers",
            **spec,
            "rules": list(rules),
        },
    }


STRICT = pack("strict", EQUAL_RESOURCES, OUR_IMAGES)
"""Refuses unequal resources and foreign images, and corrects nothing."""

WATCHING = pack("watching", EQUAL_RESOURCES, OUR_IMAGES, mode="dry-run")
"""The same rules, on trial: they only leave audit annotations."""

WARNING = pack("warning", {**EQUAL_RESOURCES, "action": "warn"}, {**OUR_IMAGES, "action": "warn"})
"""The same rules, that only warn."""

CORRECTING = pack("correcting", {**EQUAL_RESOURCES, "fix": True})
"""Refuses unequal resources, and corrects them before it comes to that."""
