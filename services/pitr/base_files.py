"""Every file of a base backup as it streams past, hashed and compared with PostgreSQL's backup manifest at the end.

The rule is that of ``pg_verifybackup``: each listed file is there with its size and checksum, and no other file is,
but for the manifest itself. It needs no room on a disk, however large the backup is.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from services.errors import CorruptBackup
from services.pitr.backup_manifest import NAME, BackupManifest, ListedFile
from services.pitr.base_scan import MANIFEST_LIMIT
from services.pitr.tar_stream import Kept, Sink, TarStream

_NAMED = 3
_AGAIN = "Use another copy or another backup."
Keep = Callable[[tarfile.TarInfo], Sink | None]
"""Where a file's bytes go besides being hashed; None: nowhere."""


@dataclass(frozen=True)
class BaseContents:
    """What was in a base backup whose every file is as listed."""

    manifest: BackupManifest
    files: int
    bytes: int


class _Hashed:
    """A sink that hashes, and hands on to another one."""

    def __init__(self, name: str, found: dict[str, ListedFile], onward: Sink | None) -> None:
        self._name = name
        self._found = found
        self._onward = onward
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: memoryview, /) -> None:
        self._hash.update(data)
        self._size += len(data)
        if self._onward is not None:
            self._onward.write(data)

    def close(self) -> None:
        self._found[self._name] = ListedFile(self._size, self._hash.hexdigest())
        if self._onward is not None:
            self._onward.close()


class BaseFiles:
    """Feed it the tar of ``pg_basebackup``; ``finish`` compares. ``keep`` says where each file's bytes go besides."""

    def __init__(self, keep: Keep = lambda _info: None) -> None:
        self._keep = keep
        self._found: dict[str, ListedFile] = {}
        self._manifest = Kept(MANIFEST_LIMIT)
        self._tar = TarStream(self._entry)

    def feed(self, data: bytes) -> None:
        """Take the next piece. Raise CorruptBackup, and what the sinks raise."""
        self._tar.feed(data)

    def close(self) -> None:
        """Close what is open, when no more will come."""
        self._tar.close()

    def finish(self, expected_sha256: str) -> BaseContents:
        """Compare what passed with the manifest in it, which must have this sha256. Raise CorruptBackup."""
        self._tar.finish()
        manifest = BackupManifest.parse(bytes(self._manifest.data))
        if manifest.sha256 != expected_sha256:
            raise CorruptBackup("The base backup holds another backup manifest than was recorded.", hint=_AGAIN)
        wrong = _compare(manifest.files, self._found)
        if wrong:
            more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            raise CorruptBackup(
                f"The base backup is not what its backup manifest says: {'; '.join(wrong[:_NAMED])}{more}.", hint=_AGAIN
            )
        return BaseContents(manifest, len(self._found), sum(file.size for file in self._found.values()))

    def _entry(self, info: tarfile.TarInfo) -> Sink | None:
        name = info.name.removeprefix("./")
        onward = self._keep(info)
        if not info.isreg():
            return onward
        if name == NAME:
            return _Both(self._manifest, onward) if onward is not None else self._manifest
        return _Hashed(name, self._found, onward)


class _Both:
    def __init__(self, first: Sink, second: Sink) -> None:
        self._sinks = (first, second)

    def write(self, data: memoryview, /) -> None:
        for sink in self._sinks:
            sink.write(data)

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()


def _compare(listed: dict[str, ListedFile], found: dict[str, ListedFile]) -> list[str]:
    wrong = [f"{name} is missing" for name in listed if name not in found]
    wrong += [f"{name} is not listed" for name in found if name not in listed]
    wrong += [
        f"{name} has {found[name].size:,} bytes instead of {file.size:,}"
        for name, file in listed.items()
        if name in found and found[name].size != file.size
    ]
    wrong += [
        f"{name} has other contents"
        for name, file in listed.items()
        if name in found and found[name].size == file.size and found[name].checksum != file.checksum
    ]
    return wrong
