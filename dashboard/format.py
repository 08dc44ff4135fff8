"""How numbers, instants and foreign text look on a page. The only place of people's formats outside ``services``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pandas as pd

from services.printable import visible
from services.status import age
from services.units import format_bytes, format_duration, format_part

__all__ = [
    "advice", "ago", "counted", "day", "duration", "escape", "instant", "left", "naive", "number", "percent", "rate",
    "short", "size",
]  # fmt: skip

NOTHING = "–"
"""Shown where there is no value; never 0, which is one."""

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# Streamlit makes arrows, dashes, its logo and links of these even where each character is escaped.
_TYPOGRAPHY = re.compile(
    r"(?<=[<>~-])(?=[-=>])|(?<=:)(?=streamlit:|//|\\|mailto|xmpp)|(?<=www)(?=\.)|(?<=[\w.+-])(?=@)", re.IGNORECASE
)
_WORD_JOINER = "\u2060"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_]*[A-Za-z0-9])?")
_COMMAND = re.compile(r"`([A-Za-z][A-Za-z0-9_ ./:=,+-]{0,79})`")  # nothing in it can end a code span or a colour


def escape(text: object) -> str:
    """Given foreign text (a note, a table's name, an error), return Markdown that shows exactly that, on one line.

    Every ASCII punctuation mark is escaped, which CommonMark allows, so nothing in it is markup, HTML, a link, an
    icon, a colour or a formula. Characters that turn the direction of writing, or have no width, are shown as escapes.
    """
    return _escaped(visible(str(text)))


def _escaped(line: str) -> str:
    return _PUNCTUATION.sub(r"\\\1", _TYPOGRAPHY.sub(_WORD_JOINER, line))


def to_confirm(name: str) -> str:
    """Return the label of a field into which a name is typed. Labels are read aloud as they are written.

    So a name in which nothing can be markup stands in it as it is, with its underscores; any other one is escaped.
    """
    return f"Type {name if _PLAIN_NAME.fullmatch(name) else escape(name)} to confirm"


def advice(text: object) -> str:
    """Given foreign text, return it as ``escape`` does, but a command in backquotes (`` `backups slo` ``) as code."""
    line = visible(str(text))
    parts = _COMMAND.split(line)  # every second one is a command
    return "".join(f"`{part}`" if n % 2 else _kept_apart(part) for n, part in enumerate(parts))


def _kept_apart(part: str) -> str:
    """Escape a part of a line, with the spaces at its ends."""
    inner = escape(part)
    if not inner:
        return " " if part else ""
    return f"{' ' if part[0] == ' ' else ''}{inner}{' ' if part[-1] == ' ' else ''}"


def short(text: str, length: int = 60) -> str:
    """Cut text to at most ``length`` characters, with an ellipsis where something is missing."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def instant(at: datetime | None) -> str:
    """Given an instant, return it exactly: ``2026-11-22 02:00:05 UTC``."""
    return NOTHING if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def day(at: datetime | None) -> str:
    """Given an instant, return its UTC minute as a person reads it: ``22 Nov 02:00 UTC``."""
    return NOTHING if at is None else f"{at.astimezone(UTC):%d %b %H:%M} UTC".lstrip("0")


def ago(at: datetime | None, now: datetime) -> str:
    """Given an instant, return how long ago it was: ``26 h ago``, or ``in 3 min`` for one that lies ahead."""
    if at is None:
        return NOTHING
    return f"in {age(at - now)}" if at > now + timedelta(seconds=1) else f"{age(now - at)} ago"


def left(used: timedelta, limit: timedelta) -> str:
    """Given what is used of a limit, return what is left, or by how much it is exceeded: ``22 d over``."""
    rest = limit - used
    return f"{age(rest)} left" if rest >= timedelta(0) else f"{age(-rest)} over"


def size(count: int | None) -> str:
    """Given bytes, return them in decimal units: ``1.25 GB``."""
    return NOTHING if count is None else format_bytes(count)


def duration(length: timedelta | float | None) -> str:
    """Given a duration or seconds, return its two largest units: ``1 min 04 s``; never 0, which nothing takes."""
    if length is None:
        return NOTHING
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    return "under 0.1 s" if 0 <= seconds < 0.05 else format_duration(length)


def rate(count: int, seconds: float) -> str:
    """Given bytes and the seconds they took, return the rate: ``42.1 MB/s``; a dash where there is none yet."""
    return f"{format_bytes(count / seconds)}/s" if seconds > 0 and count > 0 else NOTHING


def percent(part: float, whole: float) -> str:
    """Return a share without false precision: ``under 1 %`` rather than 0, and never 100 before it is all."""
    return NOTHING if whole <= 0 else format_part(part, whole)


def number(count: int | None) -> str:
    """Given a count, return it with commas between thousands, as the tables do: ``1,234,567``."""
    return NOTHING if count is None else f"{count:,}"


def counted(count: int, noun: str) -> str:
    """Given a count and what is counted, return both: ``1 backup``, ``1,234 backups``."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def naive(at: object) -> pd.Timestamp:
    """Given an aware instant, return it in UTC and without a zone, as Streamlit's tables show it unchanged."""
    return pd.Timestamp(at).tz_convert("UTC").tz_localize(None)  # type: ignore[arg-type]
