"""What the catalogue keeps of a backup when its manifest is read again.

The manifest knows what was stored, the marks beside it whether the backup was pinned since, or its deletion begun. The
catalogue alone knows what else happened: that a check found a copy damaged, that the backup has expired. A rebuild must
not forget that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from services.backups.marks import Mark
from services.backups.naming import MarkKind
from services.catalog.model import Backup, BackupState, Copy, CopyState, Verification
from services.storage.protocol import StoredObject

Listing = Mapping[tuple[str, str], StoredObject]
"""What the storages hold, by storage and key."""
_OF_THE_CATALOGUE = ("thaw_requested_at", "thaw_tier", "thawed_at", "thawed_until")
Look = tuple[datetime, CopyState]
"""When a check last learned something of a copy, and what."""


def reconcile(
    found: Backup,
    known: Backup | None,
    checks: Iterable[Verification],
    marks: Mapping[MarkKind, Mark],
    listing: Listing,
) -> Backup:
    """Return the row for a backup whose manifest was found, given its present row, its checks and its marks.

    A new row is what manifest and marks say. Of one that is there only the trust and the copies change, unless it came
    from a manifest that was not believed and now there is one to believe, or the backup was compressed anew meanwhile
    and the catalogue was not told. A deletion that was begun stays begun.
    """
    looks = _looks(checks)
    begun = "deletion" in marks and marks["deletion"].set
    if known is None:
        return replace(
            found,
            state="deleting" if begun else found.state,
            pinned=marks["pin"].set if "pin" in marks else found.pinned,
            copies=tuple(_as_checked(c, looks.get(c.storage), listing) for c in found.copies),
        )
    base = replace(known, trust=found.trust)
    replaced = found.sha256 != known.sha256
    if found.trust != "untrusted" and (known.trust == "untrusted" or replaced):
        kept = {name: getattr(known, name) for name in ("state", "expired_at", "pinned", "run_id", "sample")}
        base = replace(found, **kept)
    is_there = any(copy.state == "stored" for copy in found.copies)
    if known.state == "expired" and not is_there:
        return replace(base, copies=known.copies)
    copies = {copy.storage: _replaced(copy, found) if replaced else copy for copy in known.copies}
    for copy in found.copies:
        # A storage that was given another name: what lies there is one copy, whatever it was called.
        for name in [name for name, c in copies.items() if c.state == "unknown" and c.location == copy.location]:
            del copies[name]
        before = copies.get(copy.storage)
        look = looks.get(copy.storage)
        if before is not None and before.key == copy.key:
            kept = {name: getattr(before, name) for name in _OF_THE_CATALOGUE}
            copy = replace(copy, etag=before.etag or copy.etag, **kept)
            if before.checked_at is not None and (look is None or before.checked_at > look[0]):
                look = (before.checked_at, before.state)
        copies[copy.storage] = _as_checked(copy, look, listing)
    state: BackupState = "deleting" if begun or known.state == "deleting" else "finished"
    return replace(base, state=state, expired_at=None, copies=tuple(copies[storage] for storage in sorted(copies)))


def _replaced(copy: Copy, found: Backup) -> Copy:
    """Return the row of a copy of what was replaced: what is wanted there now is another object."""
    if copy.state == "deleted" or found.trust == "untrusted":
        return copy
    return replace(copy, key=found.copies[0].key, bytes=found.stored_bytes, etag="", state="missing", checked_at=None)


def _looks(checks: Iterable[Verification]) -> dict[str, Look]:
    """Return by storage what the latest check learned of the copy there."""
    looks: dict[str, Look] = {}
    for check in sorted(checks, key=lambda check: check.finished_at):
        state = check.detail.get("copy_state")
        if state in ("stored", "missing", "damaged"):
            looks[check.storage] = (check.finished_at, state)
    return looks


def _as_checked(copy: Copy, look: Look | None, listing: Listing) -> Copy:
    """Return a copy as the listing has it, except that damage that a check saw inside it is still there.

    An object that was stored after the check is another one, of which the check knows nothing.
    """
    if look is None:
        return copy
    at, state = look
    stored = listing.get((copy.storage, copy.key))
    if copy.state == "stored" and state == "damaged" and stored is not None and stored.modified_at <= at:
        copy = replace(copy, state="damaged")
    return replace(copy, checked_at=at)
