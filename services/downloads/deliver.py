"""A link that is used: looked at, its person looked up again, its use recorded, and its bytes handed out."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from services.access.standing import require
from services.audit.model import Entry, Outcome
from services.audit.record import NotRecorded, record
from services.catalog.model import Backup, Copy
from services.downloads.links import DOWNLOAD, Link, LinkRefused, read_link, use_link
from services.downloads.model import Pieces, choose_copy, file_name
from services.downloads.pieces import open_pieces
from services.errors import BackupsError
from services.installation import Installation

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """A download that has begun. Whoever hands it out says how it ended."""

    installation: Installation
    entry: Entry
    file_name: str
    bytes: int | None
    """None where it is not known before it is read."""
    pieces: Pieces

    def ended(self, sent: int, error: str = "") -> None:
        """Record how it ended: whole, or broken off after so many bytes. Never raises; the log says what went wrong."""
        self.pieces.close()
        outcome: Outcome = "failed" if error else "done"
        detail = self.entry.detail | {"bytes": sent} | ({"error": error} if error else {})
        entry = Entry(
            self.entry.actor, DOWNLOAD, self.entry.target_kind, self.entry.target, "", outcome, detail,
            self.entry.origin,
        )  # fmt: skip
        try:
            record(self.installation, entry)
        except NotRecorded:
            logger.exception("the end of the download of %s could not be recorded", self.entry.target)


def begin(installation: Installation, text: str, *, origin: str) -> Delivery:
    """Given the text of a link, begin its download.

    Raise LinkRefused, NotPermitted, NotRecorded, and what keeps the copy from being read. What is refused of a link
    that was made here is recorded; of anything else the server's log says it, or anybody could fill the audit log.
    """
    try:
        link = read_link(installation, text)
    except LinkRefused as error:
        logger.warning("a download was refused to %s: %s", origin, error.message)
        raise
    backup: Backup | None = None
    pieces: Pieces | None = None
    try:
        backup = installation.catalog.backups.get(link.backup_id)
        require(installation, link.actor, "backup.decrypt" if link.form == "plain" else "backup.download")
        copy = choose_copy(installation, backup, link.storage)
        pieces = open_pieces(installation, backup, copy, link.form)
        entry = _entry(link, backup, copy, origin)
        use_link(installation, link, entry)
    except BackupsError as error:
        if pieces is not None:
            pieces.close()
        if not isinstance(error, NotRecorded):
            _note_refused(installation, link, backup, origin, error)
        raise
    size = backup.stored_bytes if link.form == "stored" else None
    return Delivery(installation, entry, file_name(backup, copy, link.form), size, pieces)


def _entry(link: Link, backup: Backup, copy: Copy, origin: str) -> Entry:
    detail = {"link": link.id, "form": link.form, "storage": copy.storage}
    return Entry(link.actor, DOWNLOAD, "backup", backup.name, "", "begun", detail, origin)


def _note_refused(
    installation: Installation, link: Link, backup: Backup | None, origin: str, error: BackupsError
) -> None:
    # Not under "link": only a use of it counts as one.
    detail = {"of": link.id, "form": link.form, "error": error.message}
    target = backup.name if backup is not None else link.backup_id
    try:
        record(installation, Entry(link.actor, DOWNLOAD, "backup", target, "", "refused", detail, origin))
    except NotRecorded:
        logger.exception("that a download of %s was refused could not be recorded", target)
