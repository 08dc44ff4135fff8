"""A worker for tests of what happens when it is killed: ``python -m tests.support.worker PHASE FLAG [COMMAND…]``.

At the named phase it creates the file FLAG and stands still, until somebody kills it or removes the file; of several
workers with one FLAG the first to come there. ``never`` is an ordinary worker. SILENT_AFTER, in seconds, is how long it
waits before it takes another one, which lives, for dead.
It is configured by the environment, like any other. With a command it does what ``backups COMMAND…`` does instead.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

import services.backups.compress_object as compress_object
import services.backups.copy_backup as copying
import services.backups.create as create
import services.backups.parallel as parallel
import services.backups.replace_object as compressing
import services.postgres.restore as restore
from services.cli.main import app
from services.installation import open_installation
from services.jobs import identity
from services.jobs.worker import run_worker

COPY_PHASES = (
    "copying in the middle",
    "during the upload of a copy",
    "before the manifest of a copy",
    "before the row of a copy",
)
COMPRESS_PHASES = (
    "compressing",
    "before the new object is verified",
    "before the new object is copied",
    "before the new manifests",
    "between the new manifests",
    "before the row of what was compressed",
    "before the old objects go",
)
PHASES = ("before the dump", "in the middle", "during the upload", "before the manifest", "before the catalogue row")


def pause(flag: Path) -> None:
    try:
        flag.touch(exist_ok=False)
    except FileExistsError:
        return  # another worker stands still there already
    while flag.exists():
        time.sleep(0.05)


def late(flag: Path) -> Path:
    """Return the file that is made when a worker has gone on after it stood still, and done what it was about to do."""
    return flag.with_name(f"{flag.name}.late")


def before(function: Callable[..., Any], flag: Path) -> Callable[..., Any]:
    def stand_still(*args: Any, **kwargs: Any) -> Any:
        pause(flag)
        result = function(*args, **kwargs)
        late(flag).touch()
        return result

    return stand_still


def after(function: Callable[..., Any], flag: Path) -> Callable[..., Any]:
    def stand_still(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        pause(flag)
        return result

    return stand_still


class PausingWriter:
    """Passes on to a real writer, and stands still at one point."""

    def __init__(self, writer: Any, point: str, flag: Path) -> None:
        self._writer = writer
        self._point = point
        self._flag = flag
        self._bytes = 0

    def write(self, data: bytes) -> None:
        self._writer.write(data)
        self._bytes += len(data)
        if self._point == "write" and self._bytes > 9_000_000:
            pause(self._flag)

    def commit(self) -> Any:
        if self._point == "commit":
            pause(self._flag)
        return self._writer.commit()

    def abort(self) -> None:
        self._writer.abort()


def workers_of(pid: int) -> list[psutil.Process]:
    """Return the workers of a parallel pg_dump, once it has started them."""
    for _ in range(3000):
        found = psutil.Process(pid).children()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("pg_dump has started no workers")


def patches(phase: str, flag: Path) -> list[Any]:
    if phase == "never":
        return []
    if phase == "before the dump":
        return [mock.patch.object(create, "exported_snapshot", before(create.exported_snapshot, flag))]
    if phase in ("in the middle", "during the upload"):
        point = "write" if phase == "in the middle" else "commit"
        plan = create.plan_backup

        def planned(*args: Any, **kwargs: Any) -> Any:
            made = plan(*args, **kwargs)
            writer = made.storage.writer
            made.storage.writer = lambda *a, **k: PausingWriter(writer(*a, **k), point, flag)
            return made

        return [mock.patch.object(create, "plan_backup", planned)]
    if phase == "dumping in parallel":
        watch = parallel._watch

        def stopped(dump: Any, *args: Any) -> None:
            for process in workers_of(dump.pid):
                process.suspend()
            pause(flag)
            watch(dump, *args)

        return [mock.patch.object(parallel, "_watch", stopped)]
    if phase == "before the manifest":
        return [mock.patch.object(create, "write_manifest", before(create.write_manifest, flag))]
    if phase == "before the catalogue row":
        return [mock.patch.object(create, "write_manifest", after(create.write_manifest, flag))]
    if phase == "verifying":
        return [mock.patch.object(create, "verify_backup", before(create.verify_backup, flag))]
    if phase in ("copying in the middle", "during the upload of a copy"):
        point = "write" if phase == "copying in the middle" else "commit"
        look = copying.look_at_place

        def looked(*args: Any, **kwargs: Any) -> Any:
            place = look(*args, **kwargs)
            writer = place.storage.writer
            place.storage.writer = lambda *a, **k: PausingWriter(writer(*a, **k), point, flag)
            return place

        return [mock.patch.object(copying, "look_at_place", looked)]
    if phase == "compressing":
        return [
            mock.patch.object(compress_object, "compare_with_record", before(compress_object.compare_with_record, flag))
        ]
    if phase in COMPRESS_PHASES:
        function, when = {
            "before the new object is verified": ("check_archive", before),
            "before the new object is copied": ("store_new_copy", before),
            "before the new manifests": ("store_document", before),
            "between the new manifests": ("store_document", after),
            "before the row of what was compressed": ("_record", before),
            "before the old objects go": ("remove_objects", before),
        }[phase]
        return [mock.patch.object(compressing, function, when(getattr(compressing, function), flag))]
    if phase == "before the manifest of a copy":
        return [mock.patch.object(copying, "store_document", before(copying.store_document, flag))]
    if phase == "before the row of a copy":
        return [mock.patch.object(copying, "store_document", after(copying.store_document, flag))]
    if phase == "during a restore":
        run_child = restore.run_child

        @contextmanager
        def paused(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with run_child(*args, **kwargs) as child:
                pause(flag)
                yield child

        return [mock.patch.object(restore, "run_child", paused)]
    raise ValueError(phase)


def main() -> None:
    phase, flag, *command = sys.argv[1:]
    if seconds := os.environ.get("SILENT_AFTER"):
        identity.SILENT_AFTER = timedelta(seconds=float(seconds))
    for patch in patches(phase, Path(flag)):
        patch.start()
    if command:
        app(command)
    run_worker(open_installation())


if __name__ == "__main__":
    main()
