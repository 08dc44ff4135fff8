"""Files that ``openssl enc -aes-256-cbc`` made, as the runbook did before. They are read, never written.

The format (openssl-enc(1)): ``Salted__``, 8 bytes of salt, AES-256 in CBC mode with PKCS#7 padding. It does not say how
key and IV were derived from the passphrase, so this is found out from what comes first: EVP_BytesToKey with SHA-256
(OpenSSL 1.1 and newer) or MD5 (older), or PBKDF2 with HMAC-SHA-256 (``-pbkdf2``). Nothing in the format notices changed
bytes: what was decrypted is worth only what a later look at the dump finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO, Literal

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from services.errors import CorruptBackup, InputError, KeyMismatch

MAGIC = b"Salted__"
PBKDF2_ITERATIONS = 10_000
"""What ``-pbkdf2`` means without ``-iter``."""
KNOWN_BEGINNINGS = (b"PGDMP", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"--\n-- PostgreSQL", b"BZh", b"\xfd7zXZ\x00")
"""Of pg_dump's custom format, gzip, zstd, plain SQL, bzip2 and xz."""

Derivation = Literal["sha256", "md5", "pbkdf2"]
_CHUNK = 1 << 20
_KEY, _IV, _BLOCK = 32, 16, 16


def decrypt_openssl(
    source: BinaryIO,
    sink: Callable[[bytes], object],
    passphrase: str,
    *,
    derivation: Derivation | None = None,
    iterations: int = PBKDF2_ITERATIONS,
) -> Derivation:
    """Decrypt a file from its beginning into ``sink``; return how its key was derived.

    Without ``derivation`` it is the one under which the content begins like a dump. Raise InputError when it is no such
    file, KeyMismatch when no derivation fits, CorruptBackup when the end is cut or damaged.
    """
    head = source.read(len(MAGIC) + 8)
    if not head.startswith(MAGIC) or len(head) != len(MAGIC) + 8:
        raise InputError("This is no file of `openssl enc`.", hint="Such a file begins with Salted__.")
    salt = head[len(MAGIC) :]
    data = source.read(_CHUNK)
    if len(data) < _BLOCK:
        raise CorruptBackup("The file ends before its content begins.", hint="Use another copy of it.")
    if derivation is None:
        derivation = _find_derivation(data[:_BLOCK], passphrase, salt, iterations)
    decryptor = _cipher(passphrase, salt, derivation, iterations).decryptor()
    unpadder = PKCS7(_BLOCK * 8).unpadder()
    while data:
        sink(unpadder.update(decryptor.update(data)))
        data = source.read(_CHUNK)
    try:
        decryptor.finalize()
        sink(unpadder.finalize())
    except ValueError as error:
        raise CorruptBackup(
            "The end of the file is cut or damaged, or the passphrase does not fit.", hint="Use another copy of it."
        ) from error
    return derivation


def _find_derivation(block: bytes, passphrase: str, salt: bytes, iterations: int) -> Derivation:
    candidates: tuple[Derivation, ...] = ("sha256", "pbkdf2", "md5")
    for derivation in candidates:
        start = _cipher(passphrase, salt, derivation, iterations).decryptor().update(block)
        if start.startswith(tuple(known[:_BLOCK] for known in KNOWN_BEGINNINGS)):
            return derivation
    raise KeyMismatch(
        "Under this passphrase the content begins like no dump: the passphrase does not fit, or it is something else.",
        hint="If the passphrase is right, name its derivation with --derivation (and --iterations).",
    )


def _cipher(passphrase: str, salt: bytes, derivation: Derivation, iterations: int) -> Cipher[modes.CBC]:
    secret = passphrase.encode()
    if derivation == "pbkdf2":
        material = hashlib.pbkdf2_hmac("sha256", secret, salt, iterations, _KEY + _IV)
    else:
        material = _bytes_to_key(secret, salt, derivation)
    return Cipher(algorithms.AES(material[:_KEY]), modes.CBC(material[_KEY:]))


def _bytes_to_key(secret: bytes, salt: bytes, digest: str) -> bytes:
    """EVP_BytesToKey(3) with one round, for a key of 32 and an IV of 16 bytes."""
    material = block = b""
    while len(material) < _KEY + _IV:
        block = hashlib.new(digest, block + secret + salt, usedforsecurity=False).digest()
        material += block
    return material[: _KEY + _IV]
