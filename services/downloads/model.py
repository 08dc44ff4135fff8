"""Which bytes of a backup are handed out, and how the file is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from urllib.parse import quote

from services.catalog.model import Backup, Copy
from services.errors import InputError, UntrustedManifest
from services.installation import Installation
from services.jobs.unwatched import Unwatched
from services.restores.thawed import ensure_readable

Form = Literal["stored", "plain"]
"""``stored``: as it lies in the storage, encrypted; ``plain``: decrypted and decompressed, for pg_restore as it is."""


class Pieces(Protocol):
    """The bytes of a download, in order; checked against the record before the last of them is given."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """Stop reading; safe to call twice, and from another thread."""


@dataclass(frozen=True)
class Ticket:
    """A way to a download."""

    id: str
    url: str
    """Of the storage itself, or a path of the dashboard (``/download/…``)."""
    file_name: str
    bytes: int | None
    """None where it is not known before it is read."""
    expires_at: datetime
    presigned: bool
    """Whether the browser fetches it from the storage itself."""


def is_secret_free(backup: Backup, form: Form) -> bool:
    """Say whether what is handed out can be read by nobody without the key."""
    return form == "stored" and backup.encryption != "none"


def file_name(backup: Backup, copy: Copy, form: Form) -> str:
    """Return how the file is called: ``NAME.dump.zst.age`` as it is stored, ``NAME.dump`` when it is plain."""
    if form == "stored":
        return copy.key.rsplit("/", 1)[-1]
    if backup.type == "base":
        return f"{backup.name}.base.tar"
    return f"{backup.name}.dump{'.tar' if backup.format == 'directory' else ''}"


def disposition(file_name: str) -> str:
    """Return the Content-Disposition of a file to be saved (RFC 6266), whatever its name holds."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in file_name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


def choose_copy(installation: Installation, backup: Backup, storage: str | None) -> Copy:
    """Return a copy that can be read now: that of ``storage``, else the first. Raise InputError, NotThawed, …"""
    if backup.sample:
        raise InputError(f"{backup.name} is simulated history; nothing is stored of it.", hint="Choose a real backup.")
    if backup.state != "finished":
        raise InputError(f"{backup.name} is {backup.state}; nothing of it can be downloaded.", hint="Choose another.")
    if backup.trust == "untrusted":
        raise UntrustedManifest(
            f"The manifest of {backup.name} is not signed by a key that this installation trusts.",
            hint="What lies in its place may be anything. Add the writer's key to trusted_signers if you know it.",
        )
    stored = [copy for copy in backup.copies if copy.state == "stored" and storage in (None, copy.storage)]
    if not stored:
        where = f" in {storage}" if storage is not None else ""
        known = ", ".join(copy.storage for copy in backup.copies if copy.state == "stored") or "none"
        raise InputError(f"{backup.name} has no stored copy{where}.", hint=f"Copies are in: {known}.")
    now = installation.clock()
    copy = next((copy for copy in stored if copy.is_readable(now)), stored[0])
    return ensure_readable(installation, backup, copy, Unwatched())
