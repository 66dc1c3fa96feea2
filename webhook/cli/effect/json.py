"""The impact as JSON: a public shape, version 1, to which later versions only add (docs/schemas/impact.json)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson

from webhook.cli.effect.compare import CATEGORIES, Heard, Impact, Point
from webhook.cli.effect.show import Title, undecided

VERSION = 1


class Json:
    """The report as JSON text."""

    def pieces(self, title: Title, found: Impact) -> Iterator[str]:
        """Yield the whole report."""
        yield orjson.dumps(document(title, found), option=orjson.OPT_INDENT_2).decode() + "\n"


def document(title: Title, found: Impact) -> dict[str, Any]:
    """Return the report as plain values."""
    denied = found.of("denied")
    summary = {
        "objects": found.total,
        "owners": len(found.objects),
        **{category: found.count(category) for category in CATEGORIES},
        "stoppedOwners": len({change.owner for change in denied}),
        "updatable": sum(change.updatable for change in denied),
        "corrected": found.corrected,
        "altered": found.altered,
        "controlled": found.controlled,
    }
    return {
        "version": VERSION,
        "old": {"packs": title.old, "date": title.today.isoformat()},
        "new": {"packs": title.new, "date": title.day.isoformat(), "mode": title.mode},
        "summary": summary,
        "owners": [
            {"name": owner.name, "by": owner.by, "objects": found.objects[owner], **_figures(figures)}
            for owner, figures in found.by(lambda change: change.owner)
        ],
        "namespaces": [
            {"name": name, **_figures(figures)} for name, figures in found.by(lambda change: change.namespace)
        ],
        "rules": [
            {"rule": rule, "denied": figures["denied"], "warned": figures["warned"]} for rule, figures in found.rules()
        ],
        "changes": [_change(change) for change in found.changes],
        "undecided": [{"rule": rule, "reason": why, "objects": number} for rule, why, number in undecided(found)],
        "left": [{"what": what, "count": number} for what, number in found.left.most_common()],
    }


def _figures(figures: Counter[str]) -> dict[str, int]:
    return {category: figures[category] for category in CATEGORIES}


def _change(change: Heard) -> dict[str, Any]:
    return {
        "change": change.category,
        "from": change.before,
        "to": change.after,
        "source": change.source,
        "apiVersion": change.api_version,
        "kind": change.kind,
        "namespace": change.namespace,
        "name": change.name,
        "subresource": change.subresource,
        "owner": {"name": change.owner.name, "by": change.owner.by},
        "updatable": change.updatable,
        "followers": change.followers,
        "gained": [_point(point) for point in change.gained],
        "lost": [_point(point) for point in change.lost],
    }


def _point(point: Point) -> dict[str, Any]:
    return {**point._asdict(), "container": point.container or None}
