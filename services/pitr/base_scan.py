"""What is learned of a base backup while it streams past: its backup manifest and its control file."""

from __future__ import annotations

import struct
import tarfile

from services.errors import CorruptBackup
from services.pitr.backup_manifest import NAME, BackupManifest
from services.pitr.tar_stream import Kept, Sink, TarStream

MANIFEST_LIMIT = 1 << 30
CONTROL_FILE = "global/pg_control"
_CONTROL_LIMIT = 1 << 16


class BaseScan:
    """Feed it the tar of ``pg_basebackup``; afterwards ask it what was in it."""

    def __init__(self) -> None:
        self._manifest = Kept(MANIFEST_LIMIT)
        self._control = Kept(_CONTROL_LIMIT)
        self._tar = TarStream(self._entry)

    def feed(self, data: bytes) -> None:
        """Take the next piece. Raise CorruptBackup."""
        self._tar.feed(data)

    def finish(self) -> tuple[BackupManifest, str]:
        """Return the manifest, and the system identifier of the control file. Raise CorruptBackup without either."""
        self._tar.finish()
        if not self._manifest.data:
            raise CorruptBackup("The base backup has no backup manifest.", hint="Take another one.")
        manifest = BackupManifest.parse(bytes(self._manifest.data))
        identifier = read_system_identifier(bytes(self._control.data))
        if manifest.system_identifier not in (None, identifier):
            raise CorruptBackup("The base backup holds files of two servers.", hint="Take another one.")
        return manifest, identifier

    @property
    def manifest_bytes(self) -> bytes:
        """The backup manifest as the server wrote it."""
        return bytes(self._manifest.data)

    def _entry(self, info: tarfile.TarInfo) -> Sink | None:
        return {NAME: self._manifest, CONTROL_FILE: self._control}.get(info.name.removeprefix("./"))


def read_system_identifier(control: bytes) -> str:
    """Given ``pg_control``, return the server's identifier: its first eight bytes, in every version.

    Raise CorruptBackup for a file without it.
    """
    if len(control) < 8 or not any(control[:8]):
        raise CorruptBackup("The base backup has no control file.", hint="Take another one.")
    return str(struct.unpack("=Q", control[:8])[0])
