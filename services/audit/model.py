"""One row of the audit log, and the form over which its hash is taken (docs/audit.md has it for other programs)."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Outcome = Literal["begun", "done", "refused", "failed"]
OUTCOMES: tuple[Outcome, ...] = ("begun", "done", "refused", "failed")

FIRST_PREVIOUS = "0" * 64
"""What row 1 names as the hash before it."""
SEAL = "audit seal v1"
"""The purpose of the key that rows are sealed with (``services.own_key``)."""

MAX_REASON = 2000
MAX_NAME = 300
MAX_DETAIL = 20_000
HASHED = ("action", "actor", "at", "detail", "number", "origin", "outcome", "previous", "reason", "target",
          "target_kind")  # fmt: skip
"""The members of the canonical form, in its order."""


@dataclass(frozen=True)
class Entry:
    """What is to be recorded."""

    actor: str
    action: str
    """One of ``services.audit.actions.ACTIONS``."""
    target_kind: str = ""
    """``backup``, ``database``, ``run``, ``storage``, ``person``, …; empty for the installation itself."""
    target: str = ""
    reason: str = ""
    outcome: Outcome = "done"
    detail: dict[str, Any] = field(default_factory=dict)
    """Plain JSON values; never a secret."""
    origin: str | None = None
    """From where; None: what ``services.audit.origin`` knows."""


@dataclass(frozen=True)
class AuditRow:
    """One row as the catalogue holds it."""

    number: int
    at: datetime
    actor: str
    origin: str
    action: str
    target_kind: str
    target: str
    reason: str
    outcome: Outcome
    detail: str
    """JSON, as text: what was hashed."""
    previous: str
    hash: str
    seal: str

    @property
    def values(self) -> dict[str, Any]:
        """What the detail says; empty where somebody made it unreadable."""
        try:
            found = json.loads(self.detail)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def canonical(row: AuditRow) -> bytes:
    """Return the bytes that are hashed: the members of HASHED as JSON, keys sorted, without spaces, in UTF-8."""
    values = {name: getattr(row, name) for name in HASHED} | {"at": instant_text(row.at)}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def row_hash(row: AuditRow) -> str:
    """Return a row's hash, as it should be: SHA-256 over its canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(row)).hexdigest()


def seal_of(key: bytes, key_id: str, digest: str) -> str:
    """Return a hash's seal: the key's id, a colon, and HMAC-SHA256 over the hash's hexadecimal text."""
    return f"{key_id}:{hmac.new(key, digest.encode('ascii', 'replace'), hashlib.sha256).hexdigest()}"


def instant_text(at: datetime) -> str:
    """Return an instant as the hash takes it: UTC, microseconds, ``2026-11-22T02:00:05.000000Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
