"""The installation's own secret: what its audit log is sealed and its download links are signed with.

32 random bytes in ``installation.key`` in its home, made when first needed; or BACKUPS_INSTALLATION_KEY, which several
machines share, and one whose home does not last. Each purpose has a key of its own, derived with HKDF-SHA256.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.errors import SettingsError
from services.settings.model import Settings

FILE = "installation.key"
_BYTES = 32


def own_key(settings: Settings, purpose: str) -> bytes:
    """Return the 32 bytes for a purpose (``audit seal v1``). Raise SettingsError when there is no secret to have."""
    given = settings.installation_key
    if given is not None:
        return _derived(given.get_secret_value().strip(), purpose)
    return _derived(_from_file(settings.home / FILE), purpose)


def key_id(key: bytes) -> str:
    """Return what tells a key from others and gives nothing of it away: 8 hexadecimal digits."""
    return hashlib.sha256(b"proven-backups key id\0" + key).hexdigest()[:8]


@lru_cache(maxsize=64)
def _derived(secret: str, purpose: str) -> bytes:
    info = f"proven-backups {purpose}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=_BYTES, salt=None, info=info).derive(secret.encode())


def _from_file(path: Path) -> str:
    try:
        if not path.exists():
            _make(path)
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The installation's own key {path} cannot be read or made: {type(error).__name__}.",
            hint="Let this user read and write BACKUPS_HOME, or set BACKUPS_INSTALLATION_KEY.",
        ) from error
    if len(text) < _BYTES:
        raise SettingsError(
            f"The installation's own key {path} is cut or empty.",
            hint="Restore the file from a backup of BACKUPS_HOME; without it the audit log's seals cannot be checked.",
        )
    return text


def _make(path: Path) -> None:
    """Write a new key; of several processes that do so at once, one's key becomes the file."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)
