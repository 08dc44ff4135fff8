"""How the review writes instants, figures and comparisons, in every form of it."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from services.review.document import Cell, Mark
from services.review.figures import COUNT, DURATION, NOTHING, SHARE, SIZE, Comparison, Figure, Kind, Tone, Unit
from services.review.week import BEFORE

_TONES: dict[Tone, Mark] = {"better": "good", "worse": "bad", "same": "", "changed": "", "nothing": "quiet"}
_KINDS: dict[Unit, Kind] = {"%": SHARE, "s": DURATION, "B": SIZE, "": COUNT}


def instant(at: datetime | None) -> str:
    """Return an instant as the review writes it: ``2026-11-18 02:00 UTC``."""
    return NOTHING if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def day_only(at: datetime) -> str:
    """Return a day: ``Wed 18 Nov``."""
    at = at.astimezone(UTC)
    return f"{at:%a} {at.day} {at:%b}"


def day_time(at: datetime) -> str:
    """Return an instant within the week: ``Wed 18 Nov 02:00``."""
    return f"{day_only(at)} {at.astimezone(UTC):%H:%M}"


def comparison_cell(comparison: Comparison) -> Cell:
    """Return a comparison in words; better and worse are said, not only coloured."""
    tone = comparison.tone
    said = f" · {tone}" if tone in ("better", "worse") else ""
    return Cell(f"{comparison.short}{said}", mark=_TONES[tone])


def sentence(text: str) -> str:
    """Return foreign words as a sentence that another one can follow: with a full stop at its end."""
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?", "…")) or not text else f"{text}."


def run_link(kind: str, database: str | None, run_id: str | None) -> str:
    """Return where the page shows a run, relative to its own address; empty where it has no place of its own."""
    if run_id is None:
        return ""
    if kind == "backup" and database is not None:
        return f"run_backup?database={quote(database)}&run={run_id}"
    return f"verify_and_restore?run={run_id}" if kind in ("verification", "restore_test", "restore") else ""


def write_value(figure: Figure, value: float | None) -> str:
    """Write one of a figure's values with its unit."""
    return NOTHING if value is None else _KINDS[figure.unit].write(value)


def mean_words(figure: Figure) -> str:
    """Write the mean, and of how many weeks it is where there are not four."""
    few = 0 < figure.mean_of < BEFORE
    return f"{figure.mean_text} (of {figure.mean_of})" if few else figure.mean_text
