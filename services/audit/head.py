"""How far the log had come when this machine looked last: a file in the home, where a catalogue's changes do not reach.

So the loss of the newest rows is found before the next anchor is set. It is a lower bound: a crash may leave it behind.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)
FILE = "audit-head.json"


@dataclass(frozen=True)
class Head:
    """A row that was there."""

    number: int
    hash: str


def known_head(home: Path) -> Head | None:
    """Return what was remembered; None where nothing was, or it cannot be read."""
    try:
        found = json.loads((home / FILE).read_text("utf-8"))
        return Head(int(found["number"]), str(found["hash"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember_head(home: Path, number: int, digest: str, *, even_if_lower: bool = False) -> None:
    """Remember a row that is committed, unless a later one is known. Never raises: it is a second witness."""
    known = known_head(home)
    if number == 0 or (known is not None and known.number >= number and not even_if_lower):
        return
    partial = home / f".{FILE}.{secrets.token_hex(8)}.partial"
    try:
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"number": number, "hash": digest}, file)
        partial.replace(home / FILE)
    except OSError as error:
        logger.warning("the audit log's head cannot be remembered in %s: %s", home, error)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
