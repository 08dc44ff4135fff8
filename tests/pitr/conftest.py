"""What the tests of point in time share: segments made by hand, and real servers that archive."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.pitr.archive import WalArchive
from services.pitr.wal_names import SegmentName
from services.storage.local import LocalStorage
from services.stream.encryption import generate_key
from tests.pitr.servers import ArchivingServer, make_archiving_server

SYSTEM = "7436158027694216193"
SEGMENT = 1 << 20

MakeSegment = Callable[..., Path]


@pytest.fixture
def make_segment(tmp_path: Path) -> MakeSegment:
    """Return a function that makes the file of a segment of 1 MB, with a header as PostgreSQL 15 writes it."""

    def make(number: int, *, timeline: int = 1, system: str = SYSTEM, fill: bytes = b"x", suffix: str = "") -> Path:
        folder = tmp_path / "pg_wal"
        folder.mkdir(exist_ok=True)
        header = struct.pack("<HHIQIIQII", 0xD110, 2, timeline, number * SEGMENT, 0, 0, int(system), SEGMENT, 8192)
        path = folder / (SegmentName(timeline, number).name(SEGMENT) + suffix)
        path.write_bytes(header + fill * (SEGMENT - len(header)))
        return path

    return make


@pytest.fixture
def archive(tmp_path: Path) -> WalArchive:
    """An archive of encrypted segments of 1 MB in a local folder."""
    secret, public = generate_key()
    storage = LocalStorage("primary", tmp_path / "storage")
    return WalArchive(storage, "la_factoria", SYSTEM, (public,), (secret,), segment_bytes=SEGMENT)


@pytest.fixture(scope="session")
def archiving_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], ArchivingServer]]:
    """Return the archiving server of a major version; each is made once."""
    made: dict[int, ArchivingServer] = {}

    def get(version: int) -> ArchivingServer:
        if version not in made:
            made[version] = make_archiving_server(version, tmp_path_factory.mktemp("archiving"))
        return made[version]

    yield get
    for one in made.values():
        one.destroy()


@pytest.fixture
def archiving(request: pytest.FixtureRequest, archiving_servers: Callable[[int], ArchivingServer]) -> ArchivingServer:
    """The archiving server of the version that the test is parametrised with."""
    return archiving_servers(request.param)
