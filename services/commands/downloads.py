"""Asking for a backup's bytes: by a link for a browser, or into a file. Encrypted unless somebody says why not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from services.audit.pending import settle
from services.backups.mounted import mounted_storage
from services.catalog.model import Backup, Copy
from services.catalog.schema import audit_log
from services.commands.gate import permitted
from services.commands.submit import check_note
from services.downloads.links import GOOD_FOR, Link, write_link
from services.downloads.model import Form, Ticket, choose_copy, disposition, file_name, is_secret_free
from services.downloads.pieces import open_pieces
from services.errors import InputError
from services.ids import new_id
from services.installation import Installation
from services.stream.partial import new_file

ROUTE = "/download/"


def _plain(given: Mapping[str, Any]) -> str | None:
    return "backup.decrypt" if given["form"] == "plain" else None


@permitted("backup.download", instead=_plain)
def ask_download(
    installation: Installation,
    backup_id: str,
    *,
    form: Form = "stored",
    storage: str | None = None,
    actor: str,
    reason: str = "",
) -> Ticket:
    """Return a link by which a browser can fetch a backup once, within five minutes.

    From a bucket by a presigned URL, which is good as often as it is used within that time; else by way of the
    dashboard. ``plain`` always by way of the dashboard, and only with a reason. Raise InputError, NotThawed, …
    """
    backup, copy = _chosen(installation, backup_id, form, storage, reason)
    name = file_name(backup, copy, form)
    now = installation.clock()
    expires = (now + GOOD_FOR).replace(microsecond=0)
    download = new_id(now)
    url = None
    settings = installation.settings.storage(copy.storage)
    if form == "stored" and settings.presigned_downloads and not settings.is_local:
        from services.storage.presign import presigned_url

        url = presigned_url(
            installation.storage(copy.storage), copy.key, disposition=disposition(name), good_for=GOOD_FOR
        )
    with installation.catalog.engine.begin() as connection:
        since = connection.scalar(sa.select(sa.func.max(audit_log.c.number))) or 0
        settle(connection, link=download, file=name, presigned=url is not None, storage=copy.storage)
    if url is None:
        link = Link(download, backup.id, copy.storage, form, actor, int(expires.timestamp()), since)
        return Ticket(
            download, f"{ROUTE}{write_link(installation, link)}", name,
            backup.stored_bytes if form == "stored" else None, expires, presigned=False,
        )  # fmt: skip
    return Ticket(download, url, name, backup.stored_bytes, expires, presigned=True)


@permitted("backup.download", instead=_plain)
def download_to_file(
    installation: Installation,
    backup_id: str,
    path: Path,
    *,
    form: Form = "stored",
    storage: str | None = None,
    actor: str,  # noqa: ARG001 - for the gate
    reason: str = "",
) -> tuple[int, str]:
    """Write a backup into a new file, readable by its owner alone; return its bytes and their sha256.

    The file is there when it is whole and what was recorded, and not at all otherwise. Raise InputError, AlreadyExists,
    CorruptBackup, StorageError, …
    """
    backup, copy = _chosen(installation, backup_id, form, storage, reason)
    digest, size = hashlib.sha256(), 0
    with new_file(path) as file, closing(open_pieces(installation, backup, copy, form)) as pieces:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def _chosen(
    installation: Installation, backup_id: str, form: Form, storage: str | None, reason: str
) -> tuple[Backup, Copy]:
    check_note(reason)
    backup = installation.catalog.backups.get(backup_id)
    if form == "plain" and not reason.strip():
        raise InputError("A reason is needed to hand out a decrypted backup.", hint="Say what it is for; it is kept.")
    if not is_secret_free(backup, form) and form == "stored":
        raise InputError(
            f"{backup.name} is not encrypted, so whoever has the file can read it.",
            hint="Ask for it decrypted, as an admin and with a reason: --decrypted --reason.",
        )
    copy = choose_copy(installation, backup, storage)
    mounted_storage(installation, copy.storage)
    return backup, copy
