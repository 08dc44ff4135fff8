"""Reading what ``openssl enc -aes-256-cbc`` wrote, as the old runbook did.

The format (openssl-enc(1)): ``Salted__``, 8 bytes of salt, then AES-256-CBC with PKCS#7 padding. Key and first vector
come from the passphrase and the salt, by a derivation that the file does not name: EVP_BytesToKey with one round of
sha256 (OpenSSL 1.1 and later) or md5 (before), or with ``-pbkdf2`` PBKDF2-HMAC-sha256 of 10,000 rounds, unless
``-iter`` said otherwise. There is no integrity check, so a changed file decrypts to changed bytes: this is for reading
old files, never for writing new ones.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from services.errors import CorruptBackup, InputError, KeyMismatch
from services.stream.partial import existing_file, new_file

CHUNK = 1 << 20
PBKDF2_ROUNDS = 10_000
"""What ``-pbkdf2`` means without ``-iter``."""
MAGIC = b"Salted__"
_HEADER = 16
_BLOCK = 16
_KEY = 32
_BEGINNINGS = (b"PGDMP", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ", b"PK\x03\x04", b"\x04\x22\x4d\x18")
"""pg_dump's custom format, gzip, zstd, bzip2, xz, zip, lz4."""

Derivation = Literal["sha256", "pbkdf2", "md5"]
_Derive = Callable[[bytes, bytes, int], bytes]


def decrypt_openssl(
    src: Path,
    dst: Path,
    passphrase: str,
    *,
    derivation: Derivation | None = None,
    iterations: int = PBKDF2_ROUNDS,
) -> Derivation:
    """Given a file of ``openssl enc -aes-256-cbc``, write its content to ``dst`` and return the key derivation's name.

    Without ``derivation`` it is found by trying: the last block must have correct padding, and the first one must begin
    like a dump, a compressed file, a tar archive or text, since one of 256 wrong keys has correct padding by chance.
    With it, the padding alone is checked. ``iterations`` are those of pbkdf2.

    Raise KeyMismatch when no derivation fits, CorruptBackup for a cut file, InputError for another format or an
    unreadable ``src``, AlreadyExists, StorageError. Nothing half-written stays.
    """
    with existing_file(src) as source:
        salt = _read_salt(source, src)
        name, key = _find_key(source, src, passphrase.encode(), salt, derivation, iterations)
        with new_file(dst) as target:
            _decrypt(source, target, key)
    return name


def _read_salt(source: BinaryIO, src: Path) -> bytes:
    header = source.read(_HEADER)
    if not header.startswith(MAGIC):
        raise InputError(
            f"{src} is not a file of `openssl enc` with a salt: it does not begin with 'Salted__'.",
            hint="Files that begin with 'age-encryption.org' want a secret key instead of a passphrase.",
        )
    body = source.seek(0, os.SEEK_END) - _HEADER
    if len(header) < _HEADER or body < _BLOCK or body % _BLOCK:
        raise CorruptBackup(f"{src} is cut: it does not end with a whole block.", hint="Use another copy.")
    return header[len(MAGIC) :]


def _find_key(
    source: BinaryIO, src: Path, passphrase: bytes, salt: bytes, wanted: Derivation | None, iterations: int
) -> tuple[Derivation, bytes]:
    """Return name and result (key and first vector) of the derivation that fits the file."""
    source.seek(_HEADER)
    first = source.read(_BLOCK)
    size = source.seek(0, os.SEEK_END)
    source.seek(size - 2 * _BLOCK)  # of a single block this begins with the header, whose place the vector takes
    before_last, last = source.read(_BLOCK), source.read(_BLOCK)
    single = size == _HEADER + _BLOCK
    for name, derive in _DERIVATIONS.items():
        if wanted not in (None, name):
            continue
        key = derive(passphrase, salt, iterations)
        vector = key[_KEY:]
        ending = _decrypt_block(key, vector if single else before_last, last)
        padding = ending[-1]
        if not 1 <= padding <= _BLOCK or ending[-padding:] != bytes([padding]) * padding:
            continue
        beginning = ending[:-padding] if single else _decrypt_block(key, vector, first)
        if wanted is not None or _looks_meant(beginning):
            return name, key
    how = f"the key derivation {wanted}" if wanted else "any key derivation of `openssl enc -aes-256-cbc`"
    raise KeyMismatch(
        f"The passphrase does not open {src} with {how}, or its end was cut or changed.",
        hint="Check the passphrase, also for a space or line end too many, and whether openssl was given -iter.",
    )


def _decrypt(source: BinaryIO, target: BinaryIO, key: bytes) -> None:
    decryptor = Cipher(AES256(key[:_KEY]), CBC(key[_KEY:])).decryptor()
    source.seek(_HEADER)
    held = b""
    while data := source.read(CHUNK):
        target.write(held)
        held = decryptor.update(data)
    target.write(held[: -held[-1]])  # the padding, whose last byte is its length, was checked before


def _decrypt_block(key: bytes, vector: bytes, block: bytes) -> bytes:
    return Cipher(AES256(key[:_KEY]), CBC(vector)).decryptor().update(block)


def _looks_meant(beginning: bytes) -> bool:
    """Say whether 16 bytes begin a dump, a compressed file, a tar archive or text, as random bytes hardly ever do."""
    if beginning.startswith(_BEGINNINGS):
        return True
    text = beginning.rstrip(b"\0")  # a tar archive begins with a file's name, filled up with zeros
    return all(byte >= 0x20 or byte in b"\t\n\r\f" for byte in text) and _is_utf8_so_far(text)


def _is_utf8_so_far(text: bytes) -> bool:
    """Say whether the bytes are UTF-8, where the last character may be cut."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.start > len(text) - 4 and error.reason == "unexpected end of data"
    return True


def _bytes_to_key(digest: str) -> _Derive:
    """Return EVP_BytesToKey(3) with one round of a digest, for 32 bytes of key and 16 of vector."""

    def derive(passphrase: bytes, salt: bytes, _iterations: int) -> bytes:
        derived = block = b""
        while len(derived) < _KEY + _BLOCK:
            block = hashlib.new(digest, block + passphrase + salt, usedforsecurity=False).digest()
            derived += block
        return derived[: _KEY + _BLOCK]

    return derive


def _pbkdf2(passphrase: bytes, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase, salt, iterations, _KEY + _BLOCK)


_DERIVATIONS: dict[Derivation, _Derive] = {
    "sha256": _bytes_to_key("sha256"),
    "pbkdf2": _pbkdf2,
    "md5": _bytes_to_key("md5"),
}
