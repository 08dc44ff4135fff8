"""Where the files of a run of the tests lie: a folder of its own, in memory where there is enough of it.

The tests make and drop databases and installations all the time: thousands of small files, none of which has to
survive anything. On a disk that is a third of what the suite costs; on ext4 without a journal, for one, each new file
passes by every one that was deleted within the last minutes. ``--basetemp=FOLDER`` keeps a test's ``tmp_path``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

import psutil

MEMORY = Path("/dev/shm")
GIB = 1 << 30
WANTED_FREE = 6 * GIB
WANTED_AVAILABLE = 10 * GIB
_PREFIX = "backups-tests-"


def make_place() -> tuple[Path, IO[str]]:
    """Make the folder of this run, and have everything that asks for a temporary folder use it, children as well.

    Whoever holds the returned file is seen to be at work: places of runs that were killed are removed here.
    The servers' own user may pass through it.
    """
    base = MEMORY if in_memory() else Path(tempfile.gettempdir())
    for left in base.glob(f"{_PREFIX}*"):
        _remove_left(left)
    place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    held = (place / "held.new").open("w")
    fcntl.flock(held, fcntl.LOCK_EX)
    (place / "held.new").rename(place / "held")  # whoever finds it finds it locked
    place.chmod(0o711)
    os.environ["TMPDIR"] = str(place)
    tempfile.tempdir = str(place)
    return place, held


def in_memory() -> bool:
    """Say whether this machine has memory enough to hold the files of a run."""
    try:
        return (
            psutil.virtual_memory().available >= WANTED_AVAILABLE and shutil.disk_usage(MEMORY).free >= WANTED_FREE
        ) and os.access(MEMORY, os.W_OK | os.X_OK)
    except OSError:
        return False


def _remove_left(place: Path) -> None:
    try:
        with (place / "held").open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(place, ignore_errors=True)
    except OSError:
        return  # somebody is at work in it, or it is not ours
