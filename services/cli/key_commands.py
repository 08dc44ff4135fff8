"""Keys and files: keygen, encrypt, decrypt. None of them takes a secret on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from services.cli.app import app
from services.cli.output import note, say
from services.cli.session import actor, opened
from services.clock import isoformat, utc_now
from services.commands.gate import entered
from services.errors import InputError
from services.settings.load import load_settings
from services.stream.encryption import generate_key
from services.stream.files import decrypt_file, encrypt_file
from services.stream.openssl import MAGIC, PBKDF2_ROUNDS, Derivation, decrypt_openssl
from services.stream.partial import existing_file, first_line, new_file

_OPENSSL_VARIABLE = "BACKUP_OPENSSL_PASSPHRASE"
_AGE_MAGIC = b"age-encryption.org/v1"

Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="A file that does not exist yet.")]


@app.command()
def keygen(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the secret key goes.")] = Path(
        "backup-key.txt"
    ),
) -> None:
    """Make an age key pair: the secret key into a file of mode 0600, the public key to standard output."""
    secret, public = generate_key()
    with new_file(output) as file:
        file.write(f"# created: {isoformat(utc_now())}\n# public key: {public}\n{secret}\n".encode())
    say(public)
    note(f"The secret key is in {output}. Keep a copy where this machine and its database cannot take it along:")
    note("without it no encrypted backup can be restored, by anybody.")


@app.command()
def encrypt(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    output: Output = None,
    recipient: Annotated[
        list[str] | None,
        typer.Option("--recipient", "-r", metavar="AGE1…", help="Default: those of the settings; may be repeated."),
    ] = None,
) -> None:
    """Encrypt a file in the age format."""
    texts = recipient or _recipients_of_settings()
    if not texts:
        raise InputError("There is no recipient.", hint="Set BACKUP_RECIPIENTS, or give --recipient age1….")
    target = output or file.with_name(f"{file.name}.age")
    encrypt_file(file, target, texts)
    say(str(target))


@app.command()
def decrypt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An age file, or one of `openssl enc -aes-256-cbc`.")],
    output: Output = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", "-i", metavar="FILE", help="age secret key. Default: BACKUP_ENCRYPTION_KEY."),
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Of an openssl file. Default: {_OPENSSL_VARIABLE}.")
    ] = None,
    derivation: Annotated[
        Derivation | None, typer.Option(help="Of an openssl file's key. Default: found out.", show_default=False)
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Of pbkdf2, where openssl was given -iter.")] = PBKDF2_ROUNDS,
) -> None:
    """Decrypt a file. Nothing is left behind when the key does not fit or the file is damaged."""
    with _permitted_to_decrypt(file):
        target = _decrypt(file, output, key_file, passphrase_file, derivation, iterations)
    say(str(target))


def _decrypt(
    file: Path,
    output: Path | None,
    key_file: Path | None,
    passphrase_file: Path | None,
    derivation: Derivation | None,
    iterations: int,
) -> Path:
    with existing_file(file) as source:
        head = source.read(len(_AGE_MAGIC))
    if head.startswith(MAGIC):
        passphrase = _passphrase(passphrase_file)
        target = output or _without_suffix(file, ".enc")
        found = decrypt_openssl(file, target, passphrase, derivation=derivation, iterations=iterations)
        note(f"Key derivation: {found}. This format does not notice changed bytes: check what came out.")
    elif head == _AGE_MAGIC:
        secret = first_line(key_file) if key_file is not None else _key_of_settings()
        target = output or _without_suffix(file, ".age")
        decrypt_file(file, target, [secret] if secret else [])
    else:
        raise InputError(
            f"{file} is neither an age file nor one of `openssl enc`.",
            hint="The former begins with age-encryption.org/v1, the latter with Salted__.",
        )
    return target


@contextmanager
def _permitted_to_decrypt(file: Path) -> Iterator[None]:
    """Pass the gate where the settings say who may. Where nobody signs in, files are handled without any catalogue."""
    settings = load_settings(os.environ) if _is_configured() else None
    if settings is None or settings.access.mode == "none":
        yield
        return
    with (
        opened(quiet=True) as installation,
        entered(installation, "backup.decrypt", actor=actor(), arguments={"file": str(file)}),
    ):
        yield


def _passphrase(path: Path | None) -> str:
    if path is not None:
        return first_line(path)
    if os.environ.get(_OPENSSL_VARIABLE):
        return os.environ[_OPENSSL_VARIABLE]
    raise InputError(
        "The file was encrypted with a passphrase by openssl.",
        hint=f"Set {_OPENSSL_VARIABLE}, or give --passphrase-file.",
    )


def _recipients_of_settings() -> list[str]:
    """Return the recipients without opening the installation: files are handled where no database can be reached."""
    settings = load_settings(os.environ) if _is_configured() else None
    if settings is not None:
        return list(settings.recipients)
    return os.environ.get("BACKUP_RECIPIENTS", "").replace(",", " ").split()


def _key_of_settings() -> str:
    if os.environ.get("BACKUP_ENCRYPTION_KEY"):
        return os.environ["BACKUP_ENCRYPTION_KEY"]
    settings = load_settings(os.environ) if _is_configured() else None
    return settings.encryption_key.get_secret_value() if settings and settings.encryption_key else ""


def _is_configured() -> bool:
    return bool(os.environ.get("BACKUPS_CONFIG") or os.environ.get("DATABASE_URL"))


def _without_suffix(file: Path, suffix: str) -> Path:
    if file.suffix != suffix:
        raise InputError(f"The name of {file.name} does not end with {suffix}.", hint="Say where to write: --output.")
    return file.with_suffix("")
