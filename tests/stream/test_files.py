"""Encrypting and decrypting files, against the real ``age`` and ``openssl``."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from services.errors import AlreadyExists, CorruptBackup, InputError, KeyMismatch, StorageFull
from services.stream import check_recipient, generate_key, public_key
from services.stream.files import decrypt_file, encrypt_file
from services.stream.openssl import decrypt_openssl

PASSPHRASE = "planted pass phrase"
needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="the program age is not installed")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the program openssl is not installed")
Key = tuple[str, str]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def openssl(src: Path, dst: Path, *options: str, passphrase: str = PASSPHRASE) -> None:
    """Encrypt as the runbook does; the passphrase goes by the environment."""
    command = ["openssl", "enc", "-aes-256-cbc", "-salt", *options, "-pass", "env:PASSPHRASE", "-in", src, "-out", dst]
    environment = {"PATH": os.environ["PATH"], "PASSPHRASE": passphrase}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=30)


def test_a_new_key_is_a_pair_that_age_knows(key: Key) -> None:
    secret, public = key
    assert secret.startswith("AGE-SECRET-KEY-1")
    assert public.startswith("age1")
    assert public_key(secret) == public
    assert public_key(f" {secret}\n") == public
    assert generate_key() != key
    check_recipient(public)


@pytest.mark.parametrize("text", ["", "age1", "age1qqqq", "ssh-ed25519 AAAA", "x" * 500])
def test_what_is_no_public_key_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="not an age public key") as caught:
        check_recipient(text)
    assert "age1" in caught.value.hint
    assert len(str(caught.value)) < 400


def test_a_secret_key_is_never_shown(key: Key) -> None:
    secret, _ = key
    for call in (lambda: check_recipient(secret), lambda: public_key(secret[:-1]), lambda: public_key(secret + "Q")):
        with pytest.raises(InputError) as caught:
            call()
        assert secret[20:40] not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_file_comes_back_as_it_was(tmp_path: Path, key: Key) -> None:
    secret, public = key
    plain = tmp_path / "plain"
    for size in (0, 1, 65536, 1_000_003):
        plain.write_bytes(os.urandom(size))
        encrypt_file(plain, tmp_path / "locked", [public])
        decrypt_file(tmp_path / "locked", tmp_path / "opened", [secret])
        assert (tmp_path / "opened").read_bytes() == plain.read_bytes()
        assert (tmp_path / "opened").stat().st_mode & 0o777 == 0o600
        (tmp_path / "locked").unlink()
        (tmp_path / "opened").unlink()


@needs_age
def test_age_opens_ours_and_we_open_age_s(tmp_path: Path, key: Key) -> None:
    secret, public = key
    (tmp_path / "key").write_text(secret)
    (tmp_path / "plain").write_bytes(os.urandom(300_000))
    encrypt_file(tmp_path / "plain", tmp_path / "ours", [public])
    opened = subprocess.run(["age", "-d", "-i", tmp_path / "key", tmp_path / "ours"], capture_output=True, check=True)
    assert opened.stdout == (tmp_path / "plain").read_bytes()
    subprocess.run(["age", "-r", public, "-o", tmp_path / "theirs", tmp_path / "plain"], check=True)
    decrypt_file(tmp_path / "theirs", tmp_path / "opened", [secret])
    assert (tmp_path / "opened").read_bytes() == (tmp_path / "plain").read_bytes()


def test_another_key_is_named_and_nothing_is_written(tmp_path: Path, key: Key) -> None:
    (tmp_path / "plain").write_bytes(b"content")
    encrypt_file(tmp_path / "plain", tmp_path / "locked", [key[1]])
    other_secret, other_public = generate_key()
    with pytest.raises(KeyMismatch, match=f"is encrypted to other keys; this key is {other_public}"):
        decrypt_file(tmp_path / "locked", tmp_path / "opened", [other_secret])
    with pytest.raises(KeyMismatch, match="no secret key"):
        decrypt_file(tmp_path / "locked", tmp_path / "opened", [])
    assert names(tmp_path) == {"plain", "locked"}


def test_a_damaged_file_leaves_nothing(tmp_path: Path, key: Key) -> None:
    secret, public = key
    (tmp_path / "plain").write_bytes(os.urandom(300_000))
    encrypt_file(tmp_path / "plain", tmp_path / "locked", [public])
    whole = (tmp_path / "locked").read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (b"", whole[:30], whole[:100], whole[:-1], whole[:-65_000], whole + b"\0", flipped, b"PGDMP" * 99):
        (tmp_path / "locked").write_bytes(damaged)
        with pytest.raises(CorruptBackup):
            decrypt_file(tmp_path / "locked", tmp_path / "opened", [secret])
    assert names(tmp_path) == {"plain", "locked"}


def test_nothing_is_overwritten_and_no_half_file_stays(tmp_path: Path, key: Key) -> None:
    secret, public = key
    (tmp_path / "plain").write_bytes(b"content")
    (tmp_path / "kept").write_bytes(b"kept")
    with pytest.raises(AlreadyExists):
        encrypt_file(tmp_path / "plain", tmp_path / "kept", [public])
    with pytest.raises(InputError, match="public key"):
        encrypt_file(tmp_path / "plain", tmp_path / "new", [])
    with pytest.raises(InputError, match="cannot be read"):
        encrypt_file(tmp_path / "missing", tmp_path / "new", [public])
    with pytest.raises(InputError, match="cannot be read"):
        decrypt_file(tmp_path, tmp_path / "new", [secret])
    with pytest.raises(InputError, match="cannot be written"):
        encrypt_file(tmp_path / "plain", tmp_path / "no folder" / "new", [public])
    assert names(tmp_path) == {"plain", "kept"}
    assert (tmp_path / "kept").read_bytes() == b"kept"


def test_a_disk_that_is_full_is_said_and_no_half_file_stays(tmp_path: Path, key: Key) -> None:
    secret, public = key
    (tmp_path / "plain").write_bytes(bytes(3_000_000))
    encrypt_file(tmp_path / "plain", tmp_path / "locked", [public])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # writing past it fails as on a full disk
    try:
        with pytest.raises(StorageFull):
            encrypt_file(tmp_path / "plain", tmp_path / "new", [public])
        with pytest.raises(StorageFull):
            decrypt_file(tmp_path / "locked", tmp_path / "new", [secret])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == {"plain", "locked"}


@needs_openssl
@pytest.mark.parametrize(
    ("options", "name"),
    [((), "sha256"), (("-pbkdf2",), "pbkdf2"), (("-md", "md5"), "md5")],
    ids=["default", "pbkdf2", "md5"],
)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"fifteen bytes..",
        b"sixteen bytes...",
        b"-- PostgreSQL database dump\n" * 100_000,
        "Größe\n".encode() * 7,
        b"PGDMP\x01\x0e\x00" + bytes(range(256)) * 5000,
        b"\x1f\x8b\x08\x00" + bytes(2 * (1 << 20) - 4),
        b"dump/toc.dat" + bytes(500),
    ],
    ids=["empty", "1", "15", "16", "sql", "utf8", "custom", "gzip-2MB", "tar"],
)
def test_every_old_openssl_file_opens(tmp_path: Path, content: bytes, options: tuple[str, ...], name: str) -> None:
    (tmp_path / "plain").write_bytes(content)
    openssl(tmp_path / "plain", tmp_path / "old.enc", *options)
    assert decrypt_openssl(tmp_path / "old.enc", tmp_path / "opened", PASSPHRASE) == name
    assert (tmp_path / "opened").read_bytes() == content


@needs_openssl
def test_a_wrong_passphrase_never_makes_a_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"PGDMP" + os.urandom(1000))
    openssl(tmp_path / "plain", tmp_path / "old.enc")
    for number in range(150):  # with three derivations each, one or two have correct padding by chance
        with pytest.raises(KeyMismatch):
            decrypt_openssl(tmp_path / "old.enc", tmp_path / "opened", f"wrong {number}")
    assert names(tmp_path) == {"plain", "old.enc"}


@needs_openssl
def test_what_openssl_did_not_write_whole_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"PGDMP" + b"\xff" * 1000)  # never looks like padding
    openssl(tmp_path / "plain", tmp_path / "old.enc")
    whole = (tmp_path / "old.enc").read_bytes()
    for content, kind in (
        (whole[:-1], CorruptBackup),
        (whole[:12], CorruptBackup),
        (whole[:16], CorruptBackup),
        (whole[:-16], KeyMismatch),
        (b"", InputError),
        (b"age-encryption.org/v1\n", InputError),
    ):
        (tmp_path / "old.enc").write_bytes(content)
        with pytest.raises(kind):
            decrypt_openssl(tmp_path / "old.enc", tmp_path / "opened", PASSPHRASE)
    assert names(tmp_path) == {"plain", "old.enc"}
