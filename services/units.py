"""Sizes and durations as people write them: in messages, logs and on the command line."""

from __future__ import annotations

from datetime import timedelta

_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def format_bytes(size: int | float) -> str:
    """Given a size in bytes, return it in decimal units with three digits, as storage is billed: ``1.25 GB``."""
    value = float(size)
    for unit in _SIZE_UNITS:
        if abs(value) < 999.5 or unit == _SIZE_UNITS[-1]:
            break
        value /= 1000
    if unit == "B":
        return f"{value:.0f} B"
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def format_limit(length: timedelta) -> str:
    """Given a limit that somebody set, return it as people write it: ``30 min`` where a duration is ``30 min 00 s``."""
    return format_duration(length).removesuffix(" 00 s").removesuffix(" 00 min")


def format_duration(length: timedelta | float) -> str:
    """Given a duration (or seconds), return its two largest units: ``2 h 05 min``, ``1 min 04 s``, ``3.2 s``."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    sign = "-" if seconds < 0 else ""
    seconds = abs(seconds)
    if seconds < 9.95:
        return f"{sign}{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{sign}{whole} s"
    if whole < 3600:
        return f"{sign}{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{sign}{whole // 3600} h {whole % 3600 // 60:02d} min"
    days, rest = divmod(whole, 86400)
    return f"{sign}{days} d {rest // 3600:02d} h"


def format_share(part: int, whole: int) -> str:
    """Return a share in percent, never rounded up: ``99.86 %``, and ``100 %`` only for all of it; a dash of nothing."""
    if not whole:
        return "–"
    hundredths = 10_000 * part // whole
    return f"{hundredths / 100:.2f}".rstrip("0").rstrip(".") + " %"


def format_part(part: float, whole: float) -> str:
    """Given a part of something, return it without false precision: ``under 1 %``, not 0; 100 % only where it is all.

    ``whole`` is above 0.
    """
    share = 100 * part / whole
    if 0 < share < 1:
        return "under 1 %"
    if part < whole and share > 99:
        return "over 99 %"
    return f"{share:.0f} %"
