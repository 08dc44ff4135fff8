"""The two charts of the exports, drawn as SVG: the slots of the week, and five weeks of a few figures.

Pure functions. The silhouettes are those of the dashboard's strip, so that colour is not needed to read them. Widths
are in the SVG's own units; whoever embeds it gives it its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from services.printable import visible
from services.review.figures import Figure
from services.review.model import DatabaseWeek, DayOfSlots
from services.review.week import BEFORE, Week
from services.review.wording import write_value

WIDTH = 720
_LABEL = 150
_HEAD, _ROW = 22, 26
_BAR = 18
_PANEL = 104
_CHARACTERS = 22
"""As many of a database's name as fit beside its strip."""


@dataclass(frozen=True)
class Ink:
    """The colours of paper; the same as the dashboard's in its light theme."""

    ok: str = "#00785A"
    warning: str = "#8A6100"
    failure: str = "#B23A00"
    running: str = "#0064A4"
    idle: str = "#5F6673"
    text: str = "#14171B"
    faint: str = "#D9DCE0"


INK = Ink()


def slots_svg(databases: Sequence[DatabaseWeek], week: Week, *, font: str, words: str, ink: Ink = INK) -> str:
    """Draw a row a database and a column a day. ``words`` say what is to be seen."""
    height = _HEAD + _ROW * len(databases) + 4
    step = (WIDTH - _LABEL) / len(week.days)
    parts: list[str] = []
    for n, day in enumerate(week.days):
        x = _LABEL + n * step
        parts.append(_text(f"{day:%a} {day.day}", x + step / 2, 14, ink.idle, anchor="middle"))
        if n:
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD}" y2="{height - 4}" stroke="{ink.faint}"/>')
    for row, each in enumerate(databases):
        y = _HEAD + row * _ROW
        parts.append(_text(_cut(each.database), 0, y + 17, ink.text))
        parts += [_mark(day, _LABEL + (n + 0.5) * step, y + 4, ink) for n, day in enumerate(each.days)]
    return _svg(height, words, font, parts)


def weeks_svg(figures: Sequence[Figure], week: Week, *, font: str, words: str, ink: Ink = INK) -> str:
    """Draw five bars a figure, this week's last; bars begin at nothing, so that their heights are to scale."""
    gap = 20
    width = (WIDTH - gap * (len(figures) - 1)) / len(figures)
    parts: list[str] = []
    for n, figure in enumerate(figures):
        parts += _panel(figure, week, n * (width + gap), width, ink)
    return _svg(_PANEL, words, font, parts)


def _panel(figure: Figure, week: Week, x: float, width: float, ink: Ink) -> Iterable[str]:
    yield _text(figure.label.split(",")[0], x, 11, ink.idle, size=10)
    yield _text(figure.text, x, 28, ink.text, size=14, weight="bold")
    top, bottom = 38.0, 86.0
    largest = max((value for value in figure.values if value is not None), default=0.0) or 1.0
    step = width / len(figure.values)
    yield f'<line x1="{x:.1f}" x2="{x + width:.1f}" y1="{bottom}" y2="{bottom}" stroke="{ink.faint}"/>'
    for n, value in enumerate(figure.values):
        middle = x + (n + 0.5) * step
        label = f"W{week.shifted(n - BEFORE).number:02d}"
        yield _text(label, middle, 98, ink.idle, size=8, anchor="middle")
        if value is None:
            yield _text("–", middle, bottom - 4, ink.idle, anchor="middle")
            continue
        tall = max((bottom - top) * value / largest, 1.0)
        colour, solid = (ink.running, 1) if n == len(figure.values) - 1 else (ink.idle, 0.55)
        title = f"<title>{escape(f'{label}: {write_value(figure, value)}')}</title>"
        yield (
            f'<rect x="{middle - step * 0.34:.1f}" y="{bottom - tall:.1f}" width="{step * 0.68:.1f}" '
            f'height="{tall:.1f}" rx="1.5" fill="{colour}" fill-opacity="{solid}">{title}</rect>'
        )


def _mark(day: DayOfSlots, x: float, y: float, ink: Ink) -> str:
    """Draw a day's mark, centred at ``x`` below ``y``; with several slots, how many of them were satisfied."""
    half = _BAR / 2
    bottom, middle = y + _BAR, y + half
    drawn = {
        "satisfied": f'<rect x="{x - half}" y="{y}" width="{_BAR}" height="{_BAR}" rx="2" fill="{ink.ok}"/>',
        "late": f'<rect x="{x - half}" y="{middle}" width="{_BAR}" height="{half}" rx="2" fill="{ink.warning}"/>',
        "missed": (
            f'<path d="M{x - 7} {middle - 7}L{x + 7} {middle + 7}M{x - 7} {middle + 7}L{x + 7} {middle - 7}" '
            f'stroke="{ink.failure}" stroke-width="4.5"/>'
        ),
        "open": f'<circle cx="{x}" cy="{middle}" r="6.5" fill="none" stroke="{ink.running}" stroke-width="2"/>',
        "backup": f'<rect x="{x - 4}" y="{middle - 4}" width="8" height="8" fill="{ink.ok}"/>',
        "nothing": f'<path d="M{x - 8} {bottom - 1}H{x + 8}" stroke="{ink.idle}" stroke-width="2.5"/>',
    }[day.state]
    title = f"<title>{escape(visible(f'{day.day:%a %d %b}: {day.words}'))}</title>"
    count = _text(f"{day.satisfied}/{day.slots}", x + half + 4, y + 13, ink.idle, size=9) if day.slots > 1 else ""
    return f"<g>{title}{drawn}{count}</g>"


def _text(
    text: str, x: float, y: float, colour: str, *, size: int = 12, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(visible(text))}</text>'
    )


def _cut(name: str) -> str:
    return name if len(name) <= _CHARACTERS else name[: _CHARACTERS - 1] + "…"


def _svg(height: float, words: str, font: str, parts: Iterable[str]) -> str:
    label = escape(visible(words), quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{label}" '
        f'font-family="{escape(font, quote=True)}">{"".join(parts)}</svg>'
    )
