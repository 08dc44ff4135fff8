"""The user that a local server runs as, and folders that this user can reach.

PostgreSQL refuses to run as root. When we are root, the server runs as ``postgres`` (else ``nobody``), and what
lies where that user cannot go (``/root``, a private home) is kept under ``/var/tmp`` instead.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.errors import BackupsError

# It survives a restart; private_shelter refuses a folder that others made.
SHELTER = Path("/var/tmp")  # nosec B108  # noqa: S108


@dataclass(frozen=True)
class ServerUser:
    """Whom the server runs as."""

    uid: int
    gid: int
    name: str
    switch: bool
    """True when we are root and must become this user."""

    def popen_arguments(self) -> dict[str, Any]:
        """Return what ``subprocess`` needs to run a program as this user."""
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Make the path this user's."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, folder: Path) -> bool:
        """Say whether the user may pass through the folder and all those above it."""
        if not self.switch:
            return True
        return all(self._may(f.stat(), stat.S_IXUSR) for f in (folder, *folder.parents))

    def can_run(self, program: Path) -> bool:
        """Say whether the user may run the program where it is."""
        return self.can_enter(program.parent) and self._may(program.stat(), stat.S_IXUSR | stat.S_IRUSR)

    def _may(self, found: os.stat_result, bits: int) -> bool:
        if found.st_uid == self.uid:
            wanted = bits
        elif found.st_gid == self.gid:
            wanted = bits >> 3
        else:
            wanted = bits >> 6
        return found.st_mode & wanted == wanted


def server_user() -> ServerUser:
    """Return the user that local servers run as. Raise BackupsError when we are root and there is no other."""
    if os.geteuid() != 0:
        return ServerUser(os.geteuid(), os.getegid(), str(os.geteuid()), switch=False)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(entry.pw_uid, entry.pw_gid, name, switch=True)
    raise BackupsError(
        "PostgreSQL does not run as root, and this machine has no user postgres or nobody.",
        hint="Run this program as an ordinary user, or create the user postgres.",
    )


def reachable_data_dir(wanted: Path, user: ServerUser) -> Path:
    """Return ``wanted``, or its stand-in under ``/var/tmp`` where the server's user cannot reach it."""
    wanted = wanted.absolute()
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if user.can_enter(wanted.parent.resolve()):
        return wanted
    return private_shelter(f"data {wanted}", user) / wanted.name


def reachable_bin_dir(bin_dir: Path, user: ServerUser) -> Path:
    """Return ``bin_dir``, or that of a copy of its installation which the server's user can run."""
    bin_dir = bin_dir.resolve()
    program = bin_dir / "postgres"
    if not program.exists():
        raise BackupsError(f"There is no PostgreSQL server in {bin_dir}.", hint="Check the folder's name.")
    if user.can_run(program):
        return bin_dir
    # A newer installation at the same path gets a copy of its own.
    shelter = private_shelter(f"programs {bin_dir} {program.stat().st_mtime_ns}", user)
    root = bin_dir.parent
    copy = shelter / root.parent.name / root.name
    if not copy.exists():
        _copy_installation(root, shelter, copy)
    return copy / bin_dir.name


def private_shelter(purpose: str, user: ServerUser) -> Path:
    """Return the folder under ``/var/tmp`` for this purpose, owned by the server's user and closed to others.

    Raise BackupsError when somebody else made it: its contents would be theirs.
    """
    folder = SHELTER / f"backups-{hashlib.sha256(purpose.encode()).hexdigest()[:16]}"
    try:
        folder.mkdir(mode=0o700)
        user.own(folder)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != user.uid or found.st_mode & 0o077:
            raise BackupsError(
                f"{folder} exists and is not a private folder of user {user.name}.",
                hint="Look who made it, and remove it.",
            ) from None
    return folder


def remove_shelter(folder: Path) -> None:
    """Remove the folder when it is an empty shelter; any other folder stays as it is."""
    if folder.parent == SHELTER and folder.name.startswith("backups-") and not any(folder.iterdir()):
        folder.rmdir()


def _copy_installation(root: Path, shelter: Path, copy: Path) -> None:
    """Copy an installation, whole or not at all (two processes may do so at once)."""
    copy.parent.mkdir(mode=0o755, exist_ok=True)
    # The wheel keeps its shared libraries two levels above its programs, found through a relative RPATH.
    libraries = root.parent.parent / f"{root.parent.name}.libs"
    for source, target in ((libraries, shelter / libraries.name), (root, copy)):
        if not source.is_dir() or target.exists():
            continue
        with tempfile.TemporaryDirectory(prefix="copy-", dir=shelter) as partial:
            shutil.copytree(source, Path(partial, "tree"), symlinks=True)
            try:
                Path(partial, "tree").rename(target)
            except OSError:
                if not target.exists():
                    raise
