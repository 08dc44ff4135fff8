"""The sample's own secrets: an age key pair and the backup role's password, generated once, in private files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from services.stream import generate_key, public_key


@dataclass(frozen=True)
class SampleKeys:
    """What the sample's settings need beside addresses."""

    encryption_key: SecretStr
    """``AGE-SECRET-KEY-1…``, also in ``keys/encryption.key``."""
    recipient: str
    """``age1…``, also in ``keys/recipients.txt``."""
    role_password: SecretStr


def ensure_keys(folder: Path) -> SampleKeys:
    """Return the keys in the folder (made 0700), generating those that are not there yet. Files are 0600."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = _read_or_write(folder / "encryption.key", lambda: generate_key()[0])
    recipient = _read_or_write(folder / "recipients.txt", lambda: public_key(secret))
    password = _read_or_write(folder / "role.password", lambda: secrets.token_urlsafe(24))
    return SampleKeys(SecretStr(secret), recipient, SecretStr(password))


def _read_or_write(path: Path, generate: Callable[[], str]) -> str:
    """Return the file's text; write it first, whole or not at all, where there is none."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(generate() + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    return path.read_text().strip()
