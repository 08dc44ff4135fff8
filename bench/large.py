"""Large databases: a parallel dump and restore against one stream, and one object against one object per file."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import perf_counter

import pyrage

from bench import by_hand, product
from bench.rounds import Goal, show_goal, show_times, take_turns
from bench.site import COUNTED, Site, database_bytes
from services.catalog.model import Backup
from services.installation import Installation, open_installation
from services.jobs.unwatched import Unwatched
from services.restores.directory import FolderSink, fetch_directory
from services.stream.read import read_stream
from services.stream.tar_write import TOC, ZSTD
from services.units import format_bytes

JOBS = 2
STREAM = "create --jobs 1: the run itself"
PARALLEL = f"create --jobs {JOBS}: the run itself"
ONE_SESSION = "one stream by hand: age -d | zstd -d | pg_restore"
RESTORE_STREAM = "restore test of the stream: fetch and restore, -j2"
RESTORE_PARALLEL = "restore test of the parallel one: fetch and restore, -j2"
ONE_OBJECT = "fetch and unpack: one object"
MANY_OBJECTS = "fetch and unpack: one object per file, two at once"

GOALS = (
    Goal("parallel dump against one stream", PARALLEL, STREAM, 1.0),
    Goal("parallel restore against one stream", RESTORE_PARALLEL, ONE_SESSION, 1.0),
    Goal("one object against one per file, fetched and unpacked", ONE_OBJECT, MANY_OBJECTS, 1.25),
)


def measure_large(site: Site, rounds: int) -> list[str]:
    """Run the contestants in turns and return the report. Fingerprints count only, in each of them."""
    number = itertools.count()
    newest: dict[int, str] = {}

    def create(jobs: int) -> float:
        newest[jobs] = f"jobs_{jobs}_{next(number)}"
        outcome = product.run(site, "create", COUNTED, "--quiet", "--jobs", str(jobs), "--name", newest[jobs])
        return float(outcome.answer["run"]["duration_seconds"])

    def restore(jobs: int) -> float:
        answer = product.run(site, "restore-test", newest[jobs], "--quiet").answer
        detail = answer[0]["verification"]["detail"]
        return float(detail["download_seconds"] + detail["restore_seconds"])

    contestants: dict[str, Callable[[], float]] = {
        STREAM: lambda: create(1),
        PARALLEL: lambda: create(JOBS),
        RESTORE_STREAM: lambda: restore(1),
        RESTORE_PARALLEL: lambda: restore(JOBS),
        ONE_OBJECT: lambda: _with(site, newest[JOBS], _fetch_one),
        MANY_OBJECTS: lambda: _with(site, newest[JOBS], _fetch_many),
    }
    if shutil.which("age") and shutil.which("zstd"):
        contestants[ONE_SESSION] = lambda: by_hand.restore_stream(site, _object(site, newest[1]))
    times = take_turns(contestants, rounds)
    size = format_bytes(database_bytes(site.source))
    return [f"database {size}", "", *show_times(times), "", *(show_goal(goal, times) for goal in GOALS)]


def _object(site: Site, name: str) -> Path:
    return site.folder / "storage" / COUNTED / f"{name}.dump.zst.age"


def _with(site: Site, name: str, fetch: Callable[[Installation, Backup, Path], float]) -> float:
    installation = open_installation(site.product_environment())
    try:
        with tempfile.TemporaryDirectory(dir=site.folder) as folder:
            return fetch(installation, installation.catalog.backups.find(name), Path(folder))
    finally:
        installation.close()


def _fetch_one(installation: Installation, backup: Backup, folder: Path) -> float:
    begun = perf_counter()
    with FolderSink(folder / "dump") as sink:
        fetch_directory(installation, backup, backup.copies[0], sink, Unwatched())
    return perf_counter() - begun


def _fetch_many(installation: Installation, backup: Backup, folder: Path) -> float:
    """Lay each file out as an object of its own (not timed), then fetch and unpack them, two at once."""
    key = installation.settings.encryption_key
    assert key is not None
    identities = [key.get_secret_value()]
    recipients = [pyrage.x25519.Identity.from_str(identities[0]).to_public()]
    packed, objects, target = (folder / name for name in ("packed", "objects", "dump"))
    for each in (packed, objects, target):
        each.mkdir()
    with closing(installation.storage(backup.copies[0].storage).reader(backup.copies[0].key)) as reader:
        archive = packed / "archive.tar"
        with archive.open("wb") as file:
            read_stream(
                reader, file.write, compression="none", encryption="age", identities=identities, run=Unwatched()
            )
    shutil.unpack_archive(archive, packed, filter="data")
    archive.unlink()
    for path in packed.iterdir():
        pyrage.encrypt_file(str(path), str(objects / path.name), recipients)

    def fetch(path: Path) -> None:
        compression = "none" if path.name == TOC else "zstd"
        with path.open("rb") as source, (target / path.name.removesuffix(ZSTD)).open("wb") as file:
            read_stream(
                source, file.write, compression=compression, encryption="age", identities=identities, run=Unwatched()
            )

    begun = perf_counter()
    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(fetch, sorted(objects.iterdir(), key=lambda path: -path.stat().st_size)))
    return perf_counter() - begun
