"""Storages that are one place: a second copy on the same disk goes with the first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from services.settings.model import StorageSettings

ELSEWHERE = "Put one of them in another place: a bucket, or a disk of another machine."


def on_one_disk(storages: Sequence[StorageSettings]) -> list[tuple[str, ...]]:
    """Return the names of those folders that lie on one disk, a tuple for each disk with several of them."""
    disks: defaultdict[int, list[str]] = defaultdict(list)
    for storage in storages:
        if storage.is_local and (disk := _disk(Path(storage.url.removeprefix("file://")))) is not None:
            disks[disk].append(storage.name)
    return [tuple(names) for names in disks.values() if len(names) > 1]


def one_disk_words(names: Sequence[str]) -> str:
    """Say what it means that these storages lie on one disk."""
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} lie on one disk, which is no second place: when it breaks, all their copies are gone."


def check_second_place(storages: Sequence[StorageSettings]) -> Iterator[tuple[Literal["ok", "warning"], str, str]]:
    """Say for the doctor whether several storages are several places; nothing of a single one."""
    shared = on_one_disk(storages)
    for names in shared:
        yield "warning", one_disk_words(names), ELSEWHERE
    if len(storages) > 1 and not shared:
        yield "ok", f"{len(storages)} storages, no two on one disk.", ""


def _disk(folder: Path) -> int | None:
    """The device of a folder, or of the nearest one above it that is there; None where nobody may look."""
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return folder.stat().st_dev
    except OSError:
        return None
