"""No change of the stored bytes goes unseen: 1,000 flips, cuts, additions and swaps."""

from __future__ import annotations

import io
import random
from collections import Counter

import pytest

from services.errors import CorruptBackup, KeyMismatch
from services.stream import read_stream, write_stream
from tests.stream.conftest import FakeRun, MemoryReader, MemoryWriter

TRIALS = 1000
FORMS = [("zstd", "age"), ("zstd", "none"), ("none", "none")]


def tamper(stored: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Change the bytes in one way; the result is never what was given."""
    at = chance.randrange(len(stored))
    match chance.choice(["flip", "cut", "append", "swap", "drop"]):
        case "flip":
            return "flip", stored[:at] + bytes([stored[at] ^ 1 << chance.randrange(8)]) + stored[at + 1 :]
        case "cut":
            return "cut", stored[:at]
        case "append":
            return "append", stored + chance.choice([b"\0", b"x", stored, chance.randbytes(40)])
        case "swap":
            size = chance.choice([1, 16, 1000, 65_552])
            first, second = sorted(chance.sample(range(len(stored) + 1), 2))
            size = min(size, second - first, len(stored) - second)
            swapped = bytearray(stored)
            swapped[first : first + size] = stored[second : second + size]
            swapped[second : second + size] = stored[first : first + size]
            return ("swap", bytes(swapped)) if swapped != stored else ("append", stored + b"\0")
        case _:
            size = chance.choice([1, 16, 1000, 65_552])
            return "drop", stored[:at] + stored[at + size :]


def payload(chance: random.Random) -> bytes:
    """Return something like a dump: noise, text and zeros, from nothing to some chunks of age (64 kB)."""
    size = chance.choice([0, 1, 100, 5000, 70_000, 200_000])
    return chance.randbytes(size // 2) + b"INSERT INTO users VALUES (1);\n" * (size // 60) + bytes(size // 4)


@pytest.mark.parametrize(("compression", "encryption"), FORMS)
def test_no_tampered_backup_passes(key: tuple[str, str], compression: str, encryption: str) -> None:
    chance = random.Random(f"{compression} {encryption}")
    seen: Counter[str] = Counter()
    passed: list[str] = []
    while seen.total() < TRIALS // len(FORMS) + 1:
        data = payload(chance)
        if compression == "none":
            stored, sent_plain = data + b"end", None
        else:
            writer = MemoryWriter()
            recipients = (key[1],) if encryption == "age" else ()
            sent = write_stream(io.BytesIO(data), writer, level=3, recipients=recipients, run=FakeRun())
            stored, sent_plain = writer.bytes, sent.plain_sha256
        original = read(stored, key[0], compression, encryption)
        assert sent_plain in (None, original[0])
        for _ in range(12):
            way, tampered = tamper(stored, chance)
            assert tampered != stored
            seen[way] += 1
            try:
                plain, stored_hash = read(tampered, key[0], compression, encryption)
            except (CorruptBackup, KeyMismatch):
                continue
            if encryption == "age" or stored_hash == original[1]:
                passed.append(way)
            # of zstd alone, only what its header does not use (the window, a spare bit) may change, and only the bytes
            # as stored: the dump is still the same, and the stored hash tells
            if compression == "zstd" and (way != "flip" or plain != original[0]):
                passed.append(way)
    assert passed == []
    assert min(seen.values()) > 30, seen


def read(stored: bytes, secret: str, compression: str, encryption: str) -> tuple[str, str]:
    result = read_stream(
        MemoryReader(stored),
        lambda piece: None,
        compression=compression,
        encryption=encryption,
        identities=(secret,),
        run=FakeRun(),
    )
    return result.plain_sha256, result.stored_sha256
