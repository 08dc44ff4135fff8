"""What a check is, and how most of them are put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.preflight.method import MethodChoice

Severity = Literal["ok", "warning", "blocking"]

SHOWN = 20
"""So many of the things found are shown with a check."""


@dataclass(frozen=True)
class Check:
    """One check. ``detail`` has a line for each thing found."""

    name: str
    severity: Severity
    message: str
    hint: str = ""
    detail: tuple[str, ...] = ()
    may_pass: bool = False
    """Of a blocking one: whether it may be over a little later without anybody mending something."""


@dataclass(frozen=True)
class Preflight:
    """All checks, and what is expected of the backup. Sizes are bytes; None where nobody knows."""

    checks: tuple[Check, ...]
    database_bytes: int | None = None
    expected_bytes: int | None = None
    """As it will be stored."""
    expected_plain_bytes: int | None = None
    """Before compression: what pg_dump will write."""
    expected_seconds: float | None = None
    method: MethodChoice | None = None
    """Which way of dumping is proposed; None where the database could not be asked."""

    @property
    def blocking(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.severity == "blocking")


def ok_unless(
    found: bool | tuple[str, ...], name: str, ok: str, severity: Severity, message: str, hint: str = ""
) -> Check:
    """Return a check that says ``ok`` when nothing is found; otherwise the rest, with the first of what is found."""
    if not found:
        return Check(name, "ok", ok)
    return Check(name, severity, message, hint, found[:SHOWN] if isinstance(found, tuple) else ())


def count(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 table`` or ``2 tables``."""
    return f"1 {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"
