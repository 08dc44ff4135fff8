"""keygen, encrypt, decrypt: against the programs age and openssl, by the command line's own exit codes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.stream.encryption import generate_key

PLAIN = b"PGDMP" + bytes(range(256)) * 9000
PASSPHRASE = "correct horse; battery = staple"


@pytest.fixture
def backups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    for name in list(os.environ):
        if name.startswith(("BACKUP", "DATABASE_URL", "AWS_", "S3_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def _needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def _openssl(target: Path, *options: str, plain: bytes = PLAIN) -> None:
    """Encrypt as the runbook does, except that the passphrase comes from the environment."""
    subprocess.run(
        [_needs("openssl"), "enc", "-aes-256-cbc", "-salt", *options, "-pass", "env:P", "-out", target],
        input=plain,
        env={"PATH": os.environ["PATH"], "P": PASSPHRASE},
        check=True,
        capture_output=True,
    )


def test_a_key_file_is_private_and_never_replaced(backups: CliRunner, tmp_path: Path) -> None:
    made = backups.invoke(app, ["keygen", "-o", "key.txt"])
    assert made.exit_code == 0, made.output
    file = tmp_path / "key.txt"
    assert file.stat().st_mode & 0o777 == 0o600
    assert made.stdout.strip().startswith("age1")
    assert "AGE-SECRET-KEY" not in made.output
    before = file.read_bytes()
    again = backups.invoke(app, ["keygen", "-o", "key.txt"])
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert file.read_bytes() == before


def test_age_reads_what_encrypt_writes_with_the_key_of_keygen(backups: CliRunner, tmp_path: Path) -> None:
    public = backups.invoke(app, ["keygen", "-o", "key.txt"]).stdout.strip()
    (tmp_path / "x.dump").write_bytes(PLAIN)
    done = backups.invoke(app, ["encrypt", "x.dump", "-r", public])
    assert done.exit_code == 0, done.output
    opened = subprocess.run([_needs("age"), "-d", "-i", "key.txt", "x.dump.age"], capture_output=True, check=True)
    assert opened.stdout == PLAIN


def test_decrypt_reads_what_age_writes(backups: CliRunner, tmp_path: Path) -> None:
    public = backups.invoke(app, ["keygen", "-o", "key.txt"]).stdout.strip()
    subprocess.run([_needs("age"), "-r", public, "-o", "x.dump.age"], input=PLAIN, check=True)
    done = backups.invoke(app, ["decrypt", "x.dump.age", "-i", "key.txt"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "x.dump").read_bytes() == PLAIN
    assert (tmp_path / "x.dump").stat().st_mode & 0o777 == 0o600


def test_recipients_and_key_come_from_the_environment(
    backups: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, public = generate_key()
    (tmp_path / "x").write_bytes(PLAIN)
    monkeypatch.setenv("BACKUP_RECIPIENTS", public)
    assert backups.invoke(app, ["encrypt", "x"]).exit_code == 0
    monkeypatch.setenv("BACKUP_ENCRYPTION_KEY", secret)
    assert backups.invoke(app, ["decrypt", "x.age", "-o", "y"]).exit_code == 0
    assert (tmp_path / "y").read_bytes() == PLAIN


def test_a_key_that_does_not_fit_leaves_nothing_behind(backups: CliRunner, tmp_path: Path) -> None:
    backups.invoke(app, ["keygen", "-o", "key.txt"])
    (tmp_path / "x").write_bytes(PLAIN)
    backups.invoke(app, ["encrypt", "x", "-r", generate_key()[1]])
    before = sorted(p.name for p in tmp_path.iterdir())
    done = backups.invoke(app, ["decrypt", "x.age", "-o", "y", "-i", "key.txt"])
    assert done.exit_code == 1
    assert "this key is age1" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize("keep", [len(PLAIN) // 2, -1])
def test_a_cut_age_file_leaves_nothing_behind(backups: CliRunner, tmp_path: Path, keep: int) -> None:
    public = backups.invoke(app, ["keygen", "-o", "key.txt"]).stdout.strip()
    (tmp_path / "x").write_bytes(PLAIN)
    backups.invoke(app, ["encrypt", "x", "-r", public])
    (tmp_path / "x.age").write_bytes((tmp_path / "x.age").read_bytes()[:keep])
    before = sorted(p.name for p in tmp_path.iterdir())
    done = backups.invoke(app, ["decrypt", "x.age", "-o", "y", "-i", "key.txt"])
    assert done.exit_code == 1
    assert "damaged" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "options, found",
    [((), "sha256"), (("-md", "md5"), "md5"), (("-pbkdf2",), "pbkdf2")],
)
@pytest.mark.parametrize("length", [5, 15, 16, 17, 1 << 20, (1 << 20) + 16, len(PLAIN)])
def test_decrypt_reads_what_openssl_wrote(
    backups: CliRunner,
    tmp_path: Path,
    options: tuple[str, ...],
    found: str,
    length: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _openssl(tmp_path / "x.dump.enc", *options, plain=PLAIN[:length])
    monkeypatch.setenv("BACKUP_OPENSSL_PASSPHRASE", PASSPHRASE)
    done = backups.invoke(app, ["decrypt", "x.dump.enc"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "x.dump").read_bytes() == PLAIN[:length]
    assert f"Key derivation: {found}" in done.stderr


def test_the_passphrase_may_come_from_a_file(backups: CliRunner, tmp_path: Path) -> None:
    _openssl(tmp_path / "x.enc")
    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\n")
    done = backups.invoke(app, ["decrypt", "x.enc", "--passphrase-file", "passphrase"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "x").read_bytes() == PLAIN


def test_iterations_that_openssl_was_given_can_be_named(
    backups: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _openssl(tmp_path / "x.enc", "-pbkdf2", "-iter", "777")
    monkeypatch.setenv("BACKUP_OPENSSL_PASSPHRASE", PASSPHRASE)
    assert backups.invoke(app, ["decrypt", "x.enc"]).exit_code == 1
    assert backups.invoke(app, ["decrypt", "x.enc", "--iterations", "777"]).exit_code == 0
    assert (tmp_path / "x").read_bytes() == PLAIN


def test_a_derivation_that_is_named_opens_what_begins_like_nothing_known(
    backups: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = bytes(range(128, 256)) * 40
    _openssl(tmp_path / "x.enc", "-md", "md5", plain=strange)
    monkeypatch.setenv("BACKUP_OPENSSL_PASSPHRASE", PASSPHRASE)
    assert backups.invoke(app, ["decrypt", "x.enc"]).exit_code == 1
    assert not (tmp_path / "x").exists()
    assert backups.invoke(app, ["decrypt", "x.enc", "--derivation", "md5"]).exit_code == 0
    assert (tmp_path / "x").read_bytes() == strange


@pytest.mark.parametrize("given", ["", "wrong"])
def test_a_wrong_or_missing_passphrase_leaves_nothing_behind(
    backups: CliRunner, tmp_path: Path, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _openssl(tmp_path / "x.enc")
    monkeypatch.setenv("BACKUP_OPENSSL_PASSPHRASE", given)
    done = backups.invoke(app, ["decrypt", "x.enc"])
    assert done.exit_code == (1 if given else 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.enc"]


def test_a_cut_openssl_file_leaves_nothing_behind(
    backups: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _openssl(tmp_path / "x.enc")
    (tmp_path / "x.enc").write_bytes((tmp_path / "x.enc").read_bytes()[:-7])
    monkeypatch.setenv("BACKUP_OPENSSL_PASSPHRASE", PASSPHRASE)
    done = backups.invoke(app, ["decrypt", "x.enc"])
    assert done.exit_code == 1
    assert "x.enc is cut" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.enc"]


def test_no_secret_may_be_given_on_the_command_line(backups: CliRunner) -> None:
    text = backups.invoke(app, ["decrypt", "--help"]).output
    assert "--passphrase-file" in text
    for refused in ("--passphrase", "--key", "-k", "--password"):
        assert backups.invoke(app, ["decrypt", "x", refused, "secret"]).exit_code == 2


def test_a_file_that_is_neither_is_refused(backups: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "x.age").write_bytes(b"just text")
    done = backups.invoke(app, ["decrypt", "x.age"])
    assert done.exit_code == 2
    assert "neither an age file nor" in done.stderr
    missing = backups.invoke(app, ["decrypt", "nowhere.age"])
    assert missing.exit_code == 2
    assert "cannot be read" in missing.stderr
