"""``backups compress``: shown before it is done, and what is asked for wrongly changes nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from services.installation import open_installation
from tests.cli.conftest import Shell
from tests.support.dumps import plain_dump, store_old


@pytest.fixture
def old(shell: Shell) -> Shell:
    """The shell with two backups of a month ago that are not compressed, and one of today."""
    dump = plain_dump(shell.database)
    inst = open_installation(shell.variables)
    for name, compression in (("plain", "none"), ("zipped", "gzip")):
        at = inst.clock() - timedelta(days=30)
        store_old(inst, dump, name, compression=compression, at=at, snapshot_at=at.replace(microsecond=0))
    inst.close()
    shell.create("--name", "today")
    return shell


def files(shell: Shell) -> set[str]:
    return {path.name for path in (shell.folder / "storage").rglob("*.dump*")}


def test_what_would_be_compressed_is_shown_and_then_done(old: Shell) -> None:
    before = files(old)
    shown = old.json("compress", "--older-than", "7d")
    assert [(each["backup"], each["compression"], each["encrypts"]) for each in shown["backups"]] == [
        ("plain", "none", True),
        ("zipped", "gzip", True),
    ]
    assert shown["bytes"] == sum(each["bytes"] for each in shown["backups"])
    text = old.run("compress", "--older-than", "7d").stdout
    assert "would be compressed with zstd. Nothing was changed; add --apply" in text
    assert max(map(len, text.splitlines())) <= 100
    assert files(old) == before
    done = old.run("compress", "--older-than", "7d", "--apply", "--quiet")
    assert done.exit_code == 0, done.stderr
    assert "Compressed 2 backups" in done.stdout
    assert {name for name in files(old) if not name.startswith("today")} == {
        "plain.dump.zst.age", "zipped.dump.zst.age"}  # fmt: skip
    assert {backup["compression"] for backup in old.json("list")} == {"zstd"}
    assert old.run("verify", "plain", "--level", "archive", "--quiet").exit_code == 0
    assert old.json("compress", "--older-than", "7d")["backups"] == []


def test_what_fails_is_said_with_exit_code_1_and_the_rest_is_done(old: Shell) -> None:
    (plain,) = Path(old.folder / "storage").rglob("plain.dump")
    plain.write_bytes(plain.read_bytes()[:-1] + b"?")
    result = old.run("compress", "--older-than", "7d", "--apply", "--quiet")
    assert result.exit_code == 1
    assert "Failed: plain" in result.stderr
    assert "Compressed 1 backup" in result.stdout
    assert "plain.dump" in files(old)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "older-than"),
        (["--older-than", "7"], "Write a number and a unit"),
        (["--older-than", "soon"], "Write a number and a unit"),
        (["--older-than", "7d", "-d", "la_factoira"], "Did you mean la_factoria"),
    ],
)
def test_what_is_asked_for_wrongly_is_refused(old: Shell, words: list[str], said: str) -> None:
    before = files(old)
    result = old.run("compress", *words, "--apply")
    assert result.exit_code == 2
    assert said in result.stderr
    assert files(old) == before
    assert [run["kind"] for run in old.json("runs")] == ["backup"]
