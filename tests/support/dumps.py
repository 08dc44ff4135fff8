"""Backups of a real dump as older programs left them: not compressed, or with gzip, encrypted or not."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
from typing import Any

import pyrage

from services.backups.naming import object_key
from services.catalog.model import Backup
from services.installation import Installation
from services.postgres.clients import choose_client, find_clients
from services.postgres.connection import Address, connect, passfile
from tests.support.stored import store_backup


def plain_dump(source: Address) -> bytes:
    """Return what ``pg_dump -Fc -Z0`` makes of a database."""
    with connect(source) as connection:
        major = connection.info.server_version // 10000
    client = choose_client(find_clients(), major)
    with passfile(source) as file:
        environment = source.child_environment(file)
        done = subprocess.run(
            [client.program("pg_dump"), "-Fc", "-Z0"], env=environment, capture_output=True, check=True
        )
    return done.stdout


def store_old(
    inst: Installation,
    dump: bytes,
    name: str = "old",
    *,
    compression: str = "none",
    encrypted: bool = False,
    **more: Any,
) -> Backup:
    """Store a backup of that dump as an older program would have."""
    content = gzip.compress(dump, mtime=0) if compression == "gzip" else dump
    recipients = inst.settings.recipients if encrypted else ()
    if encrypted:
        packed = io.BytesIO()
        pyrage.encrypt_io(io.BytesIO(content), packed, [pyrage.x25519.Recipient.from_str(r) for r in recipients])
        content = packed.getvalue()
    return store_backup(
        inst, name, content=content, compression=compression, compression_level=None,
        encryption="age" if encrypted else "none", recipients=recipients, plain_bytes=len(dump),
        plain_sha256=hashlib.sha256(dump).hexdigest(), client_version="18.1",
        key=object_key("la_factoria", name, compression=compression, encrypted=encrypted), **more,
    )  # fmt: skip
