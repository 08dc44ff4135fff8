"""Dump, restore and compare, from every version of PostgreSQL into 18 (and 15 into 15)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from services.postgres.clients import choose_client, find_clients
from services.postgres.connection import Address
from services.postgres.dump import dump_stream
from services.postgres.fingerprint import take_fingerprint
from services.postgres.fingerprint_model import Fingerprint
from services.postgres.restore import archive_contents, archive_reader, restore_archive, restore_stream
from services.postgres.server import LocalServer
from services.postgres.snapshot import exported_snapshot
from tests.support.run_context import RecordingRun
from tests.support.servers import VERSIONS, NewDatabase

HASH_LIMIT = 10**9
RICH = (Path(__file__).parents[1] / "support" / "rich_schema.sql").read_text(encoding="utf-8")


def dump_to_file(address: Address, archive: Path, run: RecordingRun) -> Fingerprint:
    """Dump into a file and take the fingerprint, in one snapshot."""
    with exported_snapshot(address) as snapshot:
        client = choose_client(find_clients(), snapshot.server_major)
        with (
            archive.open("wb") as file,
            dump_stream(client, address, snapshot_id=snapshot.id, lock_timeout=timedelta(seconds=5), run=run) as dump,
        ):
            shutil.copyfileobj(dump.stdout, file)
            dump.finish()
        return take_fingerprint(address, snapshot_id=snapshot.id, hash_limit=HASH_LIMIT, run=run)


def assert_equal(expected: Fingerprint, actual: Fingerprint) -> None:
    strip = [(t.schema, t.name, t.kind, t.rows, t.hash, t.method) for t in expected.tables]
    assert strip == [(t.schema, t.name, t.kind, t.rows, t.hash, t.method) for t in actual.tables]
    assert expected.sequences == actual.sequences
    assert expected.objects.keys() == actual.objects.keys()
    for kind in expected.objects:
        assert expected.objects[kind] == actual.objects[kind], kind


@pytest.mark.parametrize(("source", "target"), [*((v, 18) for v in VERSIONS), (15, 15)])
def test_a_restored_database_has_the_fingerprint_of_its_source(
    server: Callable[[int], LocalServer], database: NewDatabase, tmp_path: Path, source: int, target: int
) -> None:
    origin = database(server(source), RICH)
    run = RecordingRun()
    expected = dump_to_file(origin, tmp_path / "dump", run)
    assert {t.method for t in expected.tables} == {"text" if source == 13 else "record", "count"}
    assert expected.rows > 1700

    client = choose_client(find_clients(), target, program="pg_restore")
    header = archive_contents(client, tmp_path / "dump")
    assert (header.dbname, int(header.source_version.split(".")[0])) == (origin.dbname, source)
    with archive_reader(client, run=run) as reader:
        reader.write((tmp_path / "dump").read_bytes())
        reader.finish()

    parallel = database(server(target), name=f"odd = 'name' {source} {target}")
    restore_archive(client, parallel, tmp_path / "dump", jobs=2, run=run)
    assert_equal(expected, take_fingerprint(parallel, snapshot_id=None, hash_limit=0, like=expected))

    streamed = database(server(target))
    with restore_stream(client, streamed, run=run) as sink:
        sink.write((tmp_path / "dump").read_bytes())
        sink.finish()
    assert_equal(expected, take_fingerprint(streamed, snapshot_id=None, hash_limit=0, like=expected))
    assert not run.leftovers
    assert [line for line in run.lines if line[0] != "info"] == []
