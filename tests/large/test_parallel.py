"""A parallel backup: made, read to its end, restored and compared, and found out when anything of it is changed."""

from __future__ import annotations

import tarfile

import pytest

from tests.large.conftest import NewLab, back_up
from tests.restores.lab import leftovers


@pytest.mark.parametrize("encrypt", [True, False], ids=["encrypted", "plain"])
def test_a_parallel_backup_is_proven_by_a_restore_test(new_lab: NewLab, encrypt: bool) -> None:
    lab = new_lab()
    backup = back_up(lab, encrypt=encrypt)
    assert (backup.format, backup.compression) == ("directory", "zstd")
    assert backup.copies[0].key.endswith(".dump.tar.age" if encrypt else ".dump.tar")
    assert leftovers(lab) == []
    for level in ("stored", "checksum", "archive", "restore"):
        verification = lab.verify(backup, level)
        assert verification.outcome == "passed", verification.reason
    assert lab.again(backup).proven_at is not None
    assert leftovers(lab) == []
    if not encrypt:
        with tarfile.open(lab.stored_file(backup)) as archive:
            names = archive.getnames()
        assert names[0] == "toc.dat"
        assert all(name.endswith(".zst") for name in names[1:])
