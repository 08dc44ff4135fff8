"""From file to file, for the command line: encrypt and decrypt in age's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyrage

from services.errors import BackupsError, InputError
from services.stream.encryption import decryption_failure, no_key, parse_identities, parse_recipients
from services.stream.partial import existing_file, new_file
from services.stream.pipeline import CallbackWriter, as_file


def encrypt_file(src: Path, dst: Path, recipients: Sequence[str]) -> None:
    """Given a file and age public keys, write it encrypted to ``dst``, which any ``age`` can decrypt.

    Raise InputError (no or wrong public keys, ``src`` unreadable), AlreadyExists, StorageError (``StorageFull`` for a
    full disk). Nothing half-written stays.
    """
    keys = parse_recipients(recipients)
    if not keys:
        raise InputError("There is no public key to encrypt to.", hint="Give one with --recipient age1….")
    with existing_file(src) as source, new_file(dst) as target:
        writer = CallbackWriter(target.write)
        try:
            pyrage.encrypt_io(source, as_file(writer), keys)
        except pyrage.EncryptError as error:
            raise writer.failure or BackupsError(f"{src} could not be encrypted ({error}).") from error


def decrypt_file(src: Path, dst: Path, identities: Sequence[str]) -> None:
    """Given an age file and secret keys, write its content to ``dst``, once all of it was found authentic.

    Raise KeyMismatch, CorruptBackup, InputError, AlreadyExists, StorageError. Nothing half-written stays.
    """
    keys = parse_identities(identities)
    if not keys:
        raise no_key(str(src))
    with existing_file(src) as source, new_file(dst) as target:
        writer = CallbackWriter(target.write)
        try:
            pyrage.decrypt_io(source, as_file(writer), keys)
        except (pyrage.DecryptError, OSError) as error:
            raise writer.failure or decryption_failure(error, keys, str(src)) from error
