"""The drill of a key: somebody brings it, and it must open a sealed text and the beginning of a stored backup.

The secret key is used in memory alone: it is neither stored nor logged, and no error shows it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import pyrage

from services.catalog.key_drills import KeyDrill
from services.catalog.model import Backup, Copy
from services.errors import CorruptBackup, InputError, KeyMismatch
from services.ids import new_id
from services.installation import Installation
from services.jobs.unwatched import Unwatched
from services.keys.holders import load_keys
from services.stream.encryption import parse_identities, parse_recipients, public_key
from services.stream.partial import existing_file
from services.stream.read import read_stream
from services.units import format_bytes

ENOUGH = 1 << 16
"""Plain bytes of a backup's beginning that are decrypted: the first that age vouches for."""
LARGEST_KEY_FILE = 1 << 16
_TAR = (257, b"ustar")


class _Enough(Exception):
    """Ends the reading: the beginning is all that is wanted."""


def read_identities(path: Path) -> tuple[str, ...]:
    """Return the age secret keys of an identity file, as ``age-keygen`` writes it. Raise InputError."""
    with existing_file(path) as file:
        text = file.read(LARGEST_KEY_FILE).decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()]
    found = tuple(line for line in lines if line and not line.startswith("#"))
    if not found:
        raise InputError(f"{path} holds no key.", hint="It is a file as `backups keygen` writes it.")
    parse_identities(found)
    return found


def hold_drill(
    installation: Installation, identities: Sequence[str], *, backup: Backup | None = None, actor: str
) -> KeyDrill:
    """Prove that one of the secret keys is a recipient's and opens a backup; record and return the drill.

    ``backup``: None is the newest stored one that is encrypted to it. A drill that fails is recorded, too; its reason
    is in what is returned. Raise InputError for what is no key, or a backup that is not there to be read.
    """
    known = {holder.public_key for holder in load_keys(installation).holders}
    keys = {public_key(secret): secret for secret in identities}
    fitting = next((key for key in keys if key in known), next(iter(keys)))
    chosen = (backup, _readable(installation, backup)) if backup else _newest(installation, fitting)
    passed = fitting in known
    reason = f"The key that was brought is {fitting}, to which nothing is encrypted."
    if passed:
        try:
            reason = _prove(installation, keys[fitting], chosen)
        except (KeyMismatch, CorruptBackup) as error:
            passed, reason = False, error.message
    name, storage, backup_id = (chosen[0].name, chosen[1].storage, chosen[0].id) if chosen else ("", "", None)
    drill = KeyDrill(
        id=new_id(installation.clock()),
        at=installation.clock(),
        actor=actor,
        public_key=fitting,
        backup_id=backup_id,
        backup_name=name,
        storage=storage,
        passed=passed,
        reason=reason,
    )
    installation.catalog.key_drills.add(drill)
    return drill


def _prove(installation: Installation, secret: str, chosen: tuple[Backup, Copy] | None) -> str:
    """Open what is there to be opened, and say what was. Raise KeyMismatch, CorruptBackup, StorageError."""
    _open_sealed(secret)
    said = "It opened a text that was sealed to it"
    if chosen is None:
        return f"{said}; there is no stored backup yet that is encrypted to it."
    backup, copy = chosen
    read = _open_beginning(installation, backup, copy, secret)
    return f"{said}, and the first {format_bytes(read)} of {backup.name} in {copy.storage}."


def _newest(installation: Installation, key: str) -> tuple[Backup, Copy] | None:
    """Return the newest backup that is encrypted to a key and can be read where it lies, and a copy of it."""
    for database in installation.settings.databases:
        for backup in installation.catalog.backups.list(database=database.name, state="finished", limit=200):
            if key in backup.recipients and not backup.sample:
                with suppress(InputError):
                    return backup, _readable(installation, backup)
    return None


def _readable(installation: Installation, backup: Backup) -> Copy:
    now = installation.clock()
    known = {storage.name for storage in installation.settings.storages}
    for copy in backup.copies:
        if copy.state == "stored" and copy.is_readable(now) and copy.storage in known:
            return copy
    raise InputError(f"{backup.name} has no copy that can be read now.", hint="Choose another backup, or thaw it.")


def _open_sealed(secret: str) -> None:
    text = secrets.token_bytes(32)
    sealed = pyrage.encrypt(text, parse_recipients([public_key(secret)]))
    try:
        opened = pyrage.decrypt(sealed, parse_identities([secret]))
    except pyrage.DecryptError:
        opened = b""
    if opened != text:
        raise KeyMismatch("The key does not open what is sealed to its own public key.")


def _open_beginning(installation: Installation, backup: Backup, copy: Copy, secret: str) -> int:
    """Decrypt the beginning of a backup, see that it is that of a dump, and return how much of it was seen."""
    head = bytearray()

    def feed(piece: bytes) -> None:
        head.extend(piece)
        if len(head) >= ENOUGH:
            raise _Enough

    if backup.encryption != "age":
        raise InputError(f"{backup.name} is not encrypted: it proves no key.", hint="Choose another backup.")
    with suppress(_Enough), closing(installation.storage(copy.storage).reader(copy.key)) as reader:
        read_stream(
            reader,
            feed,
            compression="none" if backup.format == "directory" else backup.compression,
            encryption="age",
            identities=[secret],
            run=Unwatched(),
        )
    if not _is_a_backups(head):
        raise CorruptBackup(f"{backup.name} was decrypted, and does not begin as a dump or an archive of files does.")
    return len(head)


def _is_a_backups(head: bytes | bytearray) -> bool:
    at, magic = _TAR
    return head.startswith(b"PGDMP") or head[at : at + len(magic)] == magic
