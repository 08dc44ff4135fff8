"""Readings of what is stored that no run carries out: a backup's table of contents, a manifest, the log of a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from services.audit.model import Entry
from services.audit.record import record
from services.errors import BackupsError
from services.installation import Installation


@contextmanager
def reading(installation: Installation, actor: str, kind: str, target: str, **detail: Any) -> Iterator[None]:
    """Record that the block begins to read ``target`` (``backup`` or ``database``, by ``kind``), and how that ended.

    Raise NotRecorded before anything is read: then it must not be.
    """
    entry = Entry(actor, "backup.read", kind, target, outcome="begun", detail=detail)
    record(installation, entry)
    try:
        yield
    except BaseException as error:
        why = error.message if isinstance(error, BackupsError) else type(error).__name__
        record(installation, replace(entry, outcome="failed", detail=detail | {"error": why}))
        raise
    record(installation, replace(entry, outcome="done"))
