"""The impact as one page of HTML to send round: no other file, nothing loaded, every text of an object escaped."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape

from webhook.cli.effect.compare import CATEGORIES, Heard, Impact, Point
from webhook.cli.effect.show import HEADS, SHORT, Title, headline, notes, shown, step, undecided
from webhook.cli.report.text import count, plain

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --denied: #b3261e; --warned: #8a5a00; --good: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --denied: #ff8a80; --warned: #ffc966; --good: #7fd99f; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
h1.denied, .denied { color: var(--denied); } .warned { color: var(--warned); } .good { color: var(--good); }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
th button { all: unset; cursor: pointer; font-weight: bold; } th button:focus-visible { outline: 2px solid; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
details { border-bottom: 1px solid var(--line); padding: .3rem 0; } summary { cursor: pointer; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 .8rem; margin: .2rem 0 .6rem 1.5rem; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; } .small { opacity: .7; font-size: .9em; }
@media print { body { margin: 0; max-width: none; } details { break-inside: avoid; }
  th button::after { content: none; } }
"""
_SCRIPT = """
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.closest("th"), row = head.parentNode, at = [...row.children].indexOf(head);
  const body = head.closest("table").tBodies[0], down = head.getAttribute("aria-sort") !== "descending";
  for (const other of row.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const text = line => line.children[at].textContent;
  const compare = (a, b) => text(a).localeCompare(text(b), undefined, {numeric: true});
  body.append(...[...body.rows].sort((a, b) => down ? compare(b, a) : compare(a, b)));
});
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(part => { part.open = true; }));
"""
_COLOURS = {"denied": "denied", "warned": "warned", "allowed": "good", "relieved": "good"}


class Page:
    """The report."""

    def pieces(self, title: Title, found: Impact) -> Iterator[str]:
        """Yield the whole page."""
        yield from (piece + "\n" for piece in _page(title, found))


def _page(title: Title, found: Impact) -> Iterator[str]:
    answer = _text(headline(title, found))
    # nothing but our own style and script counts, whatever an object's name might smuggle in
    policy = f"default-src 'none'; style-src '{_digest(_STYLE)}'; script-src '{_digest(_SCRIPT)}'"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=True)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{answer}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>"
    yield f'<h1 class="{"denied" if found.count("denied") else "good"}">{answer}</h1>'
    mode = f" in mode {_text(title.mode)}" if title.mode else ""
    yield f"<p><code>{_text(title.old)}</code> on {title.today} compared with <code>{_text(title.new)}</code> on "
    yield f"{title.day}{mode}.</p>"
    yield "<ul>"
    for category in CATEGORIES:
        yield f'<li class="{_COLOURS[category]}">{found.count(category)} {HEADS[category]}</li>'
    yield from (f"<li>{_text(note)}</li>" for note in notes(found))
    yield "</ul>"
    if found.changes:
        owners = [(f"{who.name} ({who.by})", row) for who, row in found.by(lambda change: change.owner)]
        yield from _figures("By owner", "owner", CATEGORIES, owners)
        spaces = found.by(lambda change: change.namespace or "(cluster-scoped)")
        yield from _figures("By namespace", "namespace", CATEGORIES, spaces)
        yield from _figures("By rule", "rule", CATEGORIES[:2], found.rules())
    for category, changes in shown(found):
        yield f'<h2 class="{_COLOURS[category]}">{HEADS[category].capitalize()} ({len(changes)})</h2>'
        for change in changes:
            yield from _change(change)
    rows = [(f"{label}: {why}", number) for label, why, number in undecided(found)]
    yield from _list("Could not be decided", "rule", rows)
    yield from _list("Not judged", "what", found.left.most_common())
    yield f"</main>\n<script>{_SCRIPT}</script>\n</body>\n</html>"


def _figures(head: str, name: str, columns: Sequence[str], rows: Sequence[tuple[str, Counter[str]]]) -> Iterator[str]:
    yield f"<h2>{head}</h2>\n<table>\n<thead><tr><th><button>{name}</button></th>"
    yield "".join(f'<th class="n"><button>{SHORT[key]}</button></th>' for key in columns) + "</tr></thead>\n<tbody>"
    for label, row in rows:
        cells = "".join(f'<td class="n">{row[key]}</td>' for key in columns)
        yield f"<tr><td>{_text(label)}</td>{cells}</tr>"
    yield "</tbody>\n</table>"


def _list(head: str, name: str, rows: Sequence[tuple[str, int]]) -> Iterator[str]:
    if not rows:
        return
    yield f'<h2>{head}</h2>\n<table>\n<thead><tr><th><button>{name}</button></th><th class="n"><button>objects'
    yield "</button></th></tr></thead>\n<tbody>"
    yield from (f'<tr><td>{_text(text)}</td><td class="n">{number}</td></tr>' for text, number in rows)
    yield "</tbody>\n</table>"


def _change(change: Heard) -> Iterator[str]:
    more = f", and {count(change.followers, 'object')} that it controls" if change.followers else ""
    yield f"<details><summary><strong>{_text(change.title)}</strong>: {_text(step(change) + more)}"
    yield f' <span class="small">{_text(f"{change.owner.name} ({change.owner.by}), {change.source}")}</span></summary>'
    for sign, points in (("new", change.gained), ("gone", change.lost)):
        for point in points:
            yield from _point(sign, point)
    yield "</details>"


def _point(sign: str, point: Point) -> Iterator[str]:
    where = f" ({point.container})" if point.container else ""
    said = {
        sign: f"{point.effective}: {point.pack}/{point.rule}: {point.reason}{where}",
        "at": point.pointer,
        "found": point.found,
        "wanted": point.wanted,
        "do": point.remediation if sign == "new" else "",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{_text(text)}</dd>" for name, text in said.items() if text)
    yield f"<dl>{rows}</dl>"


def _text(text: str) -> str:
    return escape(plain(text), quote=True)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
