"""The same work done by hand with the standard programs, in pipelines without a shell. Times are wall seconds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from bench.site import Site, drop_and_create
from services.postgres.connection import Address, passfile

Command = Sequence[str]


class ContestantFailed(Exception):
    """A program ended with an error, so that its time means nothing."""


def best_pipeline(site: Site) -> float:
    """``pg_dump -Fc -Z0 | zstd -3 -T0 | age -r KEY > file``."""
    return _timed_chain(
        [
            [_program(site, "pg_dump"), "-Fc", "-Z0", site.source.dbname],
            ["zstd", "-3", "-T0", "-c", "-q"],
            ["age", "-r", site.recipient],
        ],
        site.source,
        output=_encrypted(site),
    )


def runbook_steps(site: Site) -> float:
    """The runbook's own steps: dump to a file, encrypt to another, copy to the storage. Nothing is checked."""
    dump, sealed, stored = (site.by_hand / name for name in ("runbook.dump", "runbook.dump.enc", "stored.dump.enc"))
    options = ["--format=custom", "--no-owner", "--no-acl", "--clean", "--if-exists"]
    seconds = _timed_chain([[_program(site, "pg_dump"), *options, site.source.dbname]], site.source, output=dump)
    openssl = ["openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-in", str(dump), "-out", str(sealed)]
    seconds += _timed_chain([[*openssl, "-pass", f"file:{site.key_file}"]], site.source)
    seconds += _timed_chain([["cp", str(sealed), str(stored)]], site.source)
    for path in (dump, sealed, stored):
        path.unlink()
    return seconds


def read_to_the_end(site: Site) -> float:
    """``age -d | zstd -d | pg_restore -f /dev/null`` of what ``best_pipeline`` wrote."""
    return _timed_chain(
        [
            ["age", "-d", "-i", str(site.key_file), str(_encrypted(site))],
            ["zstd", "-d", "-c", "-q"],
            [_program(site, "pg_restore"), "-f", "/dev/null"],
        ],
        site.source,
    )


def write_plain_dump(site: Site) -> Path:
    """Write the plain local file that ``restore_plain_dump`` reads."""
    path = site.by_hand / "plain.dump"
    _timed_chain([[_program(site, "pg_dump"), "-Fc", "-Z0", site.source.dbname]], site.source, output=path)
    return path


def restore_plain_dump(site: Site) -> float:
    """``pg_restore -j2`` from a plain local file into an empty database (making it is not timed)."""
    target = drop_and_create(site.scratch, "by_hand")
    command = [_program(site, "pg_restore"), "-j2", "--no-owner", "--no-acl", "--exit-on-error", "-d", "by_hand"]
    return _timed_chain([[*command, str(site.by_hand / "plain.dump")]], target)


def restore_stream(site: Site, stored: Path) -> float:
    """``age -d | zstd -d | pg_restore`` of a stored stream into an empty database (making it is not timed)."""
    target = drop_and_create(site.scratch, "by_hand")
    options = ["--no-owner", "--no-acl", "--exit-on-error", "-d", "by_hand"]
    return _timed_chain(
        [
            ["age", "-d", "-i", str(site.key_file), str(stored)],
            ["zstd", "-d", "-c", "-q"],
            [_program(site, "pg_restore"), *options],
        ],
        target,
    )


def _encrypted(site: Site) -> Path:
    return site.by_hand / "best.dump.zst.age"


def _program(site: Site, name: str) -> str:
    return str(site.client.program(name))


def _timed_chain(commands: Sequence[Command], address: Address, *, output: Path | None = None) -> float:
    """Run the commands as one pipeline; return seconds from the start of the first to the end of the last.

    Raise ContestantFailed when any of them ends with an error.
    """
    with passfile(address) as password_file:
        environment = {**address.child_environment(password_file), "PATH": os.environ["PATH"]}
        target = output.open("wb") if output else None
        children: list[subprocess.Popen[bytes]] = []
        begun = perf_counter()
        try:
            for place, command in enumerate(commands):
                last = place == len(commands) - 1
                children.append(
                    subprocess.Popen(
                        command,
                        stdin=children[-1].stdout if children else subprocess.DEVNULL,
                        stdout=(target or subprocess.DEVNULL) if last else subprocess.PIPE,
                        env=environment,
                    )
                )
            for child in children[:-1]:
                assert child.stdout is not None
                child.stdout.close()  # ours; the next program has its own, and must see the end
            codes = [child.wait() for child in children]
            seconds = perf_counter() - begun
        finally:
            for child in children:
                if child.poll() is None:  # we are being ended
                    child.kill()
                    child.wait()
            if target:
                target.close()
    if any(codes):
        raise ContestantFailed(f"{' | '.join(command[0] for command in commands)} ended with {codes}")
    return seconds
