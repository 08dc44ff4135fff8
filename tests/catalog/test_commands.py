"""What is asked for is checked before anything is written, on both engines alike."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from services import commands
from services.backups.request import BackupRequest
from services.errors import InputError
from tests.support.installations import make_installation


def test_a_key_of_any_length_starts_nothing_twice(catalog_url: str, tmp_path: Path) -> None:
    inst = make_installation(tmp_path / "home", catalog_url=SecretStr(catalog_url))
    try:
        long = "k" * 500
        for number in (0, 1):
            request = BackupRequest(database="la_factoria", name="once")
            first, again, other, short = (
                commands.submit_backup(inst, request, actor="ada", idempotency_key=key, queue=False)
                for key in (long, long, long + "x", "k" * 80)
            )
            assert first == again
            assert len({first, other, short}) == 3, number
        assert len(inst.catalog.runs.list()) == 3
    finally:
        inst.close()


def test_an_adoption_is_refused_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inst = make_installation(tmp_path / "home")
    try:
        file = tmp_path / "x.dump"
        file.write_bytes(b"PGDMP")
        with pytest.raises(InputError, match="2,001 characters"):
            commands.submit_adopt(inst, file, "la_factoria", note="n" * 2001, actor="ada")
        with monkeypatch.context() as patched:  # tests may run as root, who may read everything
            patched.setattr(os, "access", lambda path, mode: not (path == file and mode == os.R_OK))
            with pytest.raises(InputError, match="may not be read") as caught:
                commands.submit_adopt(inst, file, "la_factoria", actor="ada")
            assert "chmod" in caught.value.hint
        assert inst.catalog.runs.list() == []
        assert commands.submit_adopt(inst, file, "la_factoria", note="n" * 2000, actor="ada")
    finally:
        inst.close()
