"""Colours and marks. A state is always carried three times: by a word, an icon of its own silhouette, and a colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.catalog.model import Run
from services.status import Severity, State

Tone = Literal["green", "yellow", "red", "blue", "gray"]
"""Streamlit's names for our five colours; ``.streamlit/config.toml`` gives them their figures."""


@dataclass(frozen=True)
class Palette:
    """Figures for charts, which cannot name the theme's colours. The same as in ``.streamlit/config.toml``."""

    ok: str
    warning: str
    failure: str
    running: str
    idle: str
    text: str
    faint: str
    """For what is there but says nothing: an empty day."""


LIGHT = Palette("#00785A", "#8A6100", "#B23A00", "#0064A4", "#5F6673", "#14171B", "#D9DCE0")
DARK = Palette("#3DC9A0", "#F0C24B", "#FF7A45", "#6CB8F0", "#A9A5A0", "#E8EAED", "#373D44")


def palette(kind: str | None) -> Palette:
    """Given the browser's theme (``light``, ``dark``; None before it has said so), return its colours."""
    return DARK if kind == "dark" else LIGHT


@dataclass(frozen=True)
class Mark:
    """How a state looks: icon and colour, beside its word."""

    icon: str
    tone: Tone

    def badge(self, word: str) -> str:
        """Return Markdown for the word as a badge. ``word`` is ours, never foreign text."""
        return f":{self.tone}-badge[{self.icon} {word}]"

    def inline(self, word: str = "") -> str:
        """Return Markdown for icon and word as coloured text."""
        return f":{self.tone}[{self.icon}{' ' + word if word else ''}]"


STATE_MARKS: dict[State, Mark] = {
    "PROTECTED": Mark(":material/verified_user:", "green"),
    "AT RISK": Mark(":material/warning:", "yellow"),
    "UNPROTECTED": Mark(":material/gpp_bad:", "red"),
    "NEVER BACKED UP": Mark(":material/block:", "red"),
    "UNKNOWN": Mark(":material/help:", "gray"),
    "PAUSED": Mark(":material/pause_circle:", "gray"),
}

SEVERITY_MARKS: dict[Severity, Mark] = {
    "ok": Mark(":material/check_circle:", "green"),
    "warning": Mark(":material/warning:", "yellow"),
    "failure": Mark(":material/cancel:", "red"),
    "unknown": Mark(":material/help:", "gray"),
    "note": Mark(":material/info:", "gray"),
}

CHECK_MARKS: dict[str, Mark] = {
    "ok": SEVERITY_MARKS["ok"],
    "warning": SEVERITY_MARKS["warning"],
    "blocking": Mark(":material/block:", "red"),
}

RUN_MARKS: dict[str, Mark] = {
    "queued": Mark(":material/hourglass_top:", "gray"),
    "running": Mark(":material/sync:", "blue"),
    "finished": Mark(":material/check_circle:", "green"),
    "failed": Mark(":material/cancel:", "red"),
    "cancelled": Mark(":material/do_not_disturb_on:", "gray"),
    "lost": Mark(":material/link_off:", "red"),
}

OUTCOME_MARKS: dict[str, Mark] = {
    "passed": Mark(":material/check_circle:", "green"),
    "failed": Mark(":material/cancel:", "red"),
    "not testable": Mark(":material/help:", "gray"),
    "not compared": Mark(":material/help:", "gray"),
    "warnings": Mark(":material/warning:", "yellow"),
    "unknown": Mark(":material/help:", "gray"),
    "planned": Mark(":material/event_upcoming:", "gray"),
    "deleted": Mark(":material/delete_sweep:", "green"),
    "nothing to delete": Mark(":material/check_circle:", "green"),
    "nothing deleted": Mark(":material/warning:", "yellow"),
    "partly failed": Mark(":material/warning:", "yellow"),
}

UNSIGNED = Mark(":material/signature:", "yellow")
"""Of a backup without a signature: good, but nobody vouches for what its manifest says."""

COPY_MARKS: dict[str | None, Mark] = {
    "stored": SEVERITY_MARKS["ok"],
    "copying": Mark(":material/sync:", "blue"),
    "failed": SEVERITY_MARKS["failure"],
    "missing": Mark(":material/search_off:", "red"),
    "damaged": Mark(":material/gpp_bad:", "red"),
    "unknown": SEVERITY_MARKS["unknown"],
    "deleted": Mark(":material/do_not_disturb_on:", "gray"),
    None: Mark(":material/hourglass_top:", "gray"),
}
"""Of a copy; None: one that was never begun."""


def run_outcome(run: Run) -> tuple[str, Mark]:
    """Return the word for how a run stands, and its mark.

    A check or a restore that ran to its end is finished, whatever it found; its word is what it found, so that a
    backup that failed its test never looks like a success. An outcome that is not known here is never green.
    """
    if run.state != "finished" or "outcome" not in run.result:
        return ("refused", SEVERITY_MARKS["warning"]) if run.was_refused else (run.state, RUN_MARKS[run.state])
    outcome = str(run.result["outcome"])
    return outcome, OUTCOME_MARKS.get(outcome, SEVERITY_MARKS["unknown"])


SLOT_MARKS: dict[str, Mark] = {
    "satisfied": Mark(":material/check_circle:", "green"),
    "late": Mark(":material/running_with_errors:", "yellow"),
    "missed": Mark(":material/cancel:", "red"),
    "open": Mark(":material/hourglass_top:", "blue"),
}

SCHEDULE_MARKS: dict[str, Mark] = {
    "on": Mark(":material/event_available:", "green"),
    "paused": Mark(":material/pause_circle:", "gray"),
    "off": Mark(":material/event_busy:", "gray"),
    "not in force": Mark(":material/help:", "gray"),
}


def slot_mark(state: str) -> Mark:
    """Return the mark of how a slot stands, or of what the run of one came to. What is not known is never green."""
    return SLOT_MARKS.get(state) or OUTCOME_MARKS.get(state) or RUN_MARKS.get(state) or SEVERITY_MARKS["unknown"]
