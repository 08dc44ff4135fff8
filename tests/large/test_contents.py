"""What a backup holds is told from its beginning, for either format, exactly as pg_restore lists it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.backups.contents import read_contents
from services.jobs.unwatched import Unwatched
from services.postgres.clients import find_clients
from services.postgres.restore import archive_contents
from services.postgres.toc import NotYetRead, read_toc
from services.restores.head import read_head
from tests.large.conftest import NewLab, back_up

NOT_LISTED = ("ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE")
BULK = """
CREATE UNLOGGED TABLE bulk AS
SELECT i, encode(sha512((i * 3)::text::bytea), 'base64') AS noise FROM generate_series(1, 250000) i;
"""


@pytest.mark.parametrize("jobs", [1, 2], ids=["custom", "directory"])
def test_the_contents_are_read_from_the_beginning_alone(new_lab: NewLab, jobs: int) -> None:
    lab = new_lab(BULK + "CREATE VIEW few AS SELECT i FROM bulk; CREATE TABLE empty (); CREATE INDEX one ON bulk (i);")
    backup = back_up(lab, jobs=jobs)
    found = read_contents(lab.installation, backup)
    assert found.known_from == "archive"
    assert 0 < found.read_bytes < backup.stored_bytes
    tables = {table.label: table for table in found.tables}
    assert list(tables) == ["public.bulk", "public.empty"]
    assert (tables["public.bulk"].rows, tables["public.empty"].rows) == (250000, 0)
    assert tables["public.bulk"].has_data
    packed = tables["public.bulk"].packed_bytes
    assert (packed is not None and 10**6 < packed < backup.stored_bytes) is (jobs == 2)
    assert found.objects == {"INDEX": ("public.one",), "VIEW": ("public.few",)}
    assert found.to_json()["tables"][0]["rows"] == 250000


@pytest.mark.parametrize("jobs", [1, 2], ids=["custom", "directory"])
def test_every_entry_is_the_one_that_pg_restore_lists(new_lab: NewLab, jobs: int, tmp_path: Path) -> None:
    lab = new_lab()
    backup = back_up(lab, jobs=jobs)
    head = bytearray()
    toc = read_head(lab.installation, backup, backup.copies[0], Unwatched(), keep=head.extend)
    archive = tmp_path / "toc.dat"
    archive.write_bytes(head)
    for client in find_clients():
        lines = archive_contents(client, archive if jobs == 1 else tmp_path).entries
        listed = [(int(line.partition(";")[0]), line) for line in lines]
        ours = [
            entry for entry in toc.entries if entry.kind not in ("ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE")
        ]
        assert [number for number, _ in listed] == [entry.id for entry in ours]
        for entry, (_, line) in zip(ours, listed, strict=True):
            assert f" {entry.kind} {entry.schema or '-'} {entry.tag} " in f"{line} "


def test_a_table_of_contents_that_is_cut_anywhere_is_never_taken_for_whole(new_lab: NewLab) -> None:
    lab = new_lab("CREATE TABLE one (i int); CREATE VIEW two AS SELECT * FROM one;")
    backup = back_up(lab)
    head = bytearray()
    read_head(lab.installation, backup, backup.copies[0], Unwatched(), keep=head.extend)
    for size in range(len(head)):
        with pytest.raises(NotYetRead):
            read_toc(bytes(head[:size]))


def test_without_the_key_the_manifest_tells_and_says_so(new_lab: NewLab) -> None:
    lab = new_lab("CREATE TABLE one AS SELECT 1 AS i; CREATE INDEX here ON one (i);")
    backup = back_up(lab)
    found = read_contents(lab.with_settings(encryption_key=None).installation, backup)
    assert (found.known_from, found.read_bytes) == ("manifest", 0)
    assert "no secret key" in found.why_not
    assert [(table.label, table.rows) for table in found.tables] == [("public.one", 1)]
    assert found.objects["indexes"] == ("public.here",)
