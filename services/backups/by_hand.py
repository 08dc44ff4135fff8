"""How to restore a backup without this product: the exact commands, for ``age``, ``zstd`` and ``pg_restore`` alone."""

from __future__ import annotations

import shlex

from services.catalog.model import Backup, Copy


def restore_commands(backup: Backup, copy: Copy, *, endpoint_url: str | None = None) -> str:
    """Given a backup and one of its copies, return a shell script that restores it into a new, empty database.

    The secret key is read from the file ``key.txt``; the database server from the usual ``PG*`` variables.
    ``endpoint_url``: of an S3 storage that is not AWS.
    """
    file = copy.key.rsplit("/", 1)[-1]
    lines = [f"# {backup.name}, PostgreSQL {backup.server_version}, sha256 {backup.sha256}"]
    if copy.location.startswith("s3://"):
        endpoint = f" --endpoint-url {shlex.quote(endpoint_url)}" if endpoint_url else ""
        lines.append(f"aws s3 cp{endpoint} {shlex.quote(copy.location)} {shlex.quote(file)}")
    else:
        lines.append(f"cp {shlex.quote(copy.location.removeprefix('file://'))} {shlex.quote(file)}")
    lines.append(f"echo {shlex.quote(f'{backup.sha256}  {file}')} | sha256sum --check")
    target = f"{backup.database}_restored"
    lines.append(f"createdb {shlex.quote(target)}")
    if backup.format == "directory":
        return "\n".join([*lines, *_of_directory(backup, file, target)])
    pipe = []
    if backup.encryption == "age":
        pipe.append(f"age --decrypt --identity key.txt {shlex.quote(file)}")
    if backup.compression == "zstd":
        pipe.append("zstd --decompress --stdout" + ("" if pipe else f" {shlex.quote(file)}"))
    elif backup.compression == "gzip":
        pipe.append("gzip --decompress --stdout" + ("" if pipe else f" {shlex.quote(file)}"))
    source = "" if pipe else f" {shlex.quote(file)}"
    pipe.append(f"pg_restore --no-owner --no-acl --exit-on-error --dbname {shlex.quote(target)}{source}")
    return "\n".join([*lines, "set -o pipefail", " \\\n  | ".join(pipe)])


def _of_directory(backup: Backup, file: str, target: str) -> list[str]:
    """Unpack the folder, decompress its files, restore in parallel; one table needs but its own file of them."""
    folder = shlex.quote(f"{backup.name}.folder")
    unpack = f"tar --extract --directory {folder}"
    if backup.encryption == "age":
        unpack = f"age --decrypt --identity key.txt {shlex.quote(file)} | {unpack}"
    else:
        unpack += f" --file {shlex.quote(file)}"
    return [
        "set -e -o pipefail",
        f"mkdir {folder}",
        unpack,
        f"find {folder} -name '*.zst' -exec zstd --decompress --rm --quiet {{}} +",
        f"pg_restore --no-owner --no-acl --exit-on-error --jobs 4 --dbname {shlex.quote(target)} {folder}",
    ]
