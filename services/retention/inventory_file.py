"""Reading the inventory that ``backups simulate`` plans for: a JSON list, checked member by member.

Each member is an object ``{id, finished_at, state, type, pinned, proven_at, verification_passed}``; ``finished_at`` may
be null for what is queued or running. Also understood, and not needed: ``database`` (each is planned by itself),
``partial`` or a list ``excluded``, ``adopted``, ``trust``. Whatever else a member holds is passed over, so that the
output of ``backups list --json`` can be planned as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, get_args

from services.catalog.model import BackupType
from services.clock import parse_instant
from services.errors import InputError
from services.retention.planner import Candidate, State

EXAMPLE = (
    '[{"id": "b1", "finished_at": "2026-11-22T02:10:00Z", "state": "finished", "type": "scheduled", "pinned": false, '
    '"proven_at": null, "verification_passed": true}]'
)
_HINT = f"Write a JSON list, for example {EXAMPLE}"
STATES: tuple[State, ...] = get_args(State)
TYPES: tuple[BackupType, ...] = get_args(BackupType)


def parse_inventory(text: str | bytes) -> list[Candidate]:
    """Given the file's content, return its candidates in order. Raise InputError that names the member and field."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"The inventory is not JSON{where}.", hint=_HINT) from error
    if not isinstance(found, list):
        raise InputError("The inventory is not a list.", hint=_HINT)
    candidates = [_candidate(number, member) for number, member in enumerate(found, 1)]
    seen: set[tuple[str, str]] = set()
    for number, candidate in enumerate(candidates, 1):
        if (candidate.database, candidate.id) in seen:
            raise InputError(f"Member {number} of the inventory has the id of an earlier one.", hint="Ids are unique.")
        seen.add((candidate.database, candidate.id))
    return candidates


def _candidate(number: int, member: object) -> Candidate:
    if not isinstance(member, dict):
        raise InputError(f"Member {number} of the inventory is not an object.", hint=_HINT)
    read = _Reader(number, member)
    state = read.word("state", STATES)
    return Candidate(
        id=read.text("id"),
        finished_at=read.instant("finished_at", empty=state in ("queued", "running")),
        state=state,  # type: ignore[arg-type]
        type=read.word("type", TYPES),
        pinned=read.truth("pinned") or False,
        proven_at=read.instant("proven_at", empty=True),
        verification_passed=read.passed(),
        database=read.text("database", default=""),
        partial=bool(read.truth("partial")) or bool(member.get("excluded")),
        adopted=bool(read.truth("adopted")),
        untrusted=member.get("trust") == "untrusted",
    )


class _Reader:
    """Takes values out of one member, or says what is wrong with it."""

    def __init__(self, number: int, member: Mapping[str, Any]) -> None:
        self._number = number
        self._member = member

    def text(self, name: str, *, default: str | None = None) -> str:
        value = self._member.get(name, default)
        if not isinstance(value, str) or not (value or default is not None):
            raise self._wrong(name, "a text", '"b1"')
        return value

    def word(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self._member.get(name)
        if value not in allowed:
            raise self._wrong(name, f"one of {', '.join(allowed)}")
        return str(value)

    def truth(self, name: str) -> bool | None:
        value = self._member.get(name)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(name, "true, false or null")
        return value

    def passed(self) -> bool | None:
        """Return whether the latest verification passed, also as ``backups list --json`` has it."""
        verification = self._member.get("verification")
        if "verification_passed" not in self._member and isinstance(verification, dict):
            return _Reader(self._number, verification).truth("passed")
        return self.truth("verification_passed")

    def instant(self, name: str, *, empty: bool) -> datetime | None:
        value = self._member.get(name)
        if value is None and empty:
            return None
        if isinstance(value, str):
            with suppress(ValueError, OverflowError):
                return parse_instant(value)
        allowed = "a time with its zone" + (" or null" if empty else "")
        raise self._wrong(name, allowed, '"2026-11-22T02:10:00Z"')

    def _wrong(self, name: str, allowed: str, example: str = "") -> InputError:
        what = "has no" if name not in self._member else "has a wrong"
        shown = f", for example {example}" if example else ""
        return InputError(f"Member {self._number} of the inventory {what} {name}.", hint=f"Write {allowed}{shown}.")
