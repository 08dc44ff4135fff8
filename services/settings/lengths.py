"""Lengths of time and sizes as settings and people write them: ``30min``, ``500MB``."""

from __future__ import annotations

import re
from datetime import timedelta

_LENGTH = re.compile(r"(\d+)\s*(s|min|h|d|w)\Z")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)\Z")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_duration(text: object) -> object:
    """Given ``24h``, ``30min`` or ``35d``, return the timedelta; anything else goes on to pydantic."""
    if isinstance(text, str):
        found = _LENGTH.match(text.strip())
        if not found:
            raise ValueError("write a number and a unit: 30min, 24h, 35d")
        try:
            return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
        except OverflowError:
            raise ValueError("is longer than the calendar; write 30min, 24h or 35d") from None
    return text


def parse_size(text: object) -> object:
    """Given ``500MB`` or ``2 TB`` (decimal units), return bytes; a plain number is bytes already."""
    if isinstance(text, str):
        if text.strip().isdigit():
            return int(text)
        found = _SIZE.match(text.strip())
        if not found:
            raise ValueError("write a number and a unit: 500MB, 2TB")
        return int(float(found[1]) * _BYTES[found[2]])
    return text
