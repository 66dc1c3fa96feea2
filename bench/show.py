"""A table for the terminal, and a plot as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from bench.results import Change, Figure, Run

WIDTH, ROW, LEFT, SCALE = 900, 22, 330, 4.0
"""Of the plot, in pixels; bars end at `SCALE` times what is aimed at."""


def table(figures: tuple[Figure, ...], changes: list[Change]) -> Iterator[str]:
    """Yield the lines of a table: figures with an aim first, then what stands behind them."""
    by_name = {change.name: change for change in changes}
    yield f"{'figure':24} {'value':>10} {'aim':>10}        before  what"
    for figure in sorted(figures, key=lambda each: each.aim is None):
        change = by_name.get(figure.name)
        kept = "" if figure.aim is None else ("kept" if figure.value <= figure.aim else "NOT")
        aim = "" if figure.aim is None else _number(figure.aim, figure.unit)
        before = "" if change is None else f"{change.share:+.0%}{' !' if change.worse else ''}"
        value = _number(figure.value, figure.unit)
        yield f"{figure.name:24} {value:>10} {aim:>10} {kept:4} {before:>8}  {figure.text}"


def _number(value: float, unit: str) -> str:
    text = f"{value:,.2f}" if abs(value) < 100 and value != int(value) else f"{value:,.0f}"
    return f"{text} {unit}"


def plot(run: Run) -> str:
    """Return an SVG: each figure with an aim as a bar, in parts of its aim, with a line where the aim is."""
    rows = [figure for figure in run.figures if figure.aim]
    height = ROW * (len(rows) + 3)
    step = (WIDTH - LEFT - 90) / SCALE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="8" y="16" font-size="14">In parts of the aim; the line is the aim. Commit {escape(run.commit)}, '
        f"{run.date[:10]}, {run.machine['cores']} cores</text>",
    ]
    for number, figure in enumerate(rows):
        y = ROW * (number + 1) + 10
        share = figure.value / (figure.aim or 1)
        length = max(1.0, min(SCALE, share) * step)
        colour = "#3a7d44" if share <= 1 else "#c2543d"
        value = f"{_number(figure.value, figure.unit)} of {_number(figure.aim or 0, figure.unit)}"
        parts += [
            f'<text x="8" y="{y + 13}">{escape(figure.name)}</text>',
            f'<text x="{LEFT - 150}" y="{y + 13}" fill="#555">{escape(value)}</text>',
            f'<rect x="{LEFT}" y="{y + 3}" width="{length:.1f}" height="{ROW - 8}" fill="{colour}"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 13}" fill="#555">{share:.2f}</text>',
        ]
    parts.append(
        f'<line x1="{LEFT + step:.1f}" x2="{LEFT + step:.1f}" y1="{ROW}" y2="{height - ROW}" '
        'stroke="black" stroke-dasharray="4 3"/></svg>'
    )
    return "\n".join(parts) + "\n"
