"""Cold storage on the command line: shown before it is done, refused where there is none, thawed and restored from."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.installation import open_installation
from tests.cli.conftest import Shell
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, moto_server, plain_client


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


def configure(shell: Shell, storage: str) -> Shell:
    config = shell.folder / "backups.toml"
    config.write_text(
        f'recipients = ["{shell.variables["BACKUP_RECIPIENTS"]}"]\n[[storages]]\nname = "cloud"\n{storage}\n'
        f'[[databases]]\nname = "la_factoria"\nurl = "{shell.variables["DATABASE_URL"]}"\n'
    )
    shell.variables = {k: v for k, v in shell.variables.items() if k not in ("DATABASE_URL", "BACKUP_STORAGE")}
    shell.variables["BACKUPS_CONFIG"] = str(config)
    return shell


@pytest.fixture
def cloud(shell: Shell, moto: str) -> Shell:
    """The shell with its storage in a bucket whose server has all classes."""
    bucket = f"bucket-{secrets.token_hex(6)}"
    plain_client(moto).create_bucket(Bucket=bucket)
    shell.secrets.append(SECRET_KEY)
    return configure(
        shell,
        f'url = "s3://{bucket}/prod"\nendpoint_url = "{moto}"\naccess_key_id = "{ACCESS_KEY}"\n'
        f'secret_access_key = "{SECRET_KEY}"\nstorage_classes = ["STANDARD_IA", "GLACIER", "DEEP_ARCHIVE"]',
    )


def aged(shell: Shell, name: str) -> dict[str, Any]:
    """Take a backup, and have the catalogue say that it is two months old."""
    backup = shell.create("--name", name)
    inst = open_installation(shell.variables)
    old = inst.catalog.backups.get(backup["id"])
    inst.catalog.backups.add(replace(old, finished_at=old.finished_at - timedelta(days=60)))
    inst.close()
    return backup


def classes(shell: Shell) -> dict[str, str]:
    return {backup["name"]: backup["copies"][0]["storage_class"] for backup in shell.json("list")}


def test_an_archive_is_shown_then_done_then_thawed_and_restored_from(cloud: Shell) -> None:
    old = aged(cloud, "old")
    aged(cloud, "last")
    shown = cloud.json("archive", "--older-than", "30d")
    assert [move["backup"] for move in shown["moves"]] == ["old"]
    assert (shown["apply"], shown["bytes"]) == (False, old["stored_bytes"])
    assert shown["skipped"] == [{"what": "last", "storage": "cloud", "reason": "the newest good backup"}]
    text = cloud.run("archive", "--older-than", "30d")
    assert "Nothing was changed; add --apply" in text.stdout
    assert classes(cloud) == {"old": "STANDARD", "last": "STANDARD"}
    done = cloud.run("archive", "--older-than", "30d", "--apply", "--quiet")
    assert done.exit_code == 0, done.stderr
    assert "Moved 1 copy" in done.stdout
    assert classes(cloud) == {"old": "GLACIER", "last": "STANDARD"}
    refused = cloud.run("restore", "old", "--target", "from_cold", "--quiet")
    assert refused.exit_code == 1
    assert "backups thaw old" in refused.stderr
    assert cloud.run("verify", "old", "--quiet").exit_code == 3, "unknown, and never failed"
    thawed = cloud.run("thaw", "old", "--days", "2", "--tier", "Expedited", "--quiet")
    assert thawed.exit_code == 0, thawed.stderr
    assert "it can be read until" in thawed.stdout
    (listed,) = [backup for backup in cloud.json("list") if backup["name"] == "old"]
    assert listed["copies"][0]["thaw"]["tier"] == "Expedited"
    restored = cloud.run("restore", "old", "--target", "from_cold", "--quiet")
    assert restored.exit_code == 0, restored.stderr


def test_waiting_for_the_thaw_does_it_all_in_one_go(cloud: Shell) -> None:
    aged(cloud, "old")
    cloud.create("--name", "new")
    cloud.run("archive", "--older-than", "30d", "--class", "DEEP_ARCHIVE", "--apply", "--quiet")
    assert classes(cloud)["old"] == "DEEP_ARCHIVE"
    result = cloud.run("restore-test", "old", "--wait-for-thaw", "--quiet")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["archive"], "older-than"),
        (["archive", "--older-than", "30"], "Write a number and a unit"),
        (["archive", "--older-than", "-1d"], "Write a number and a unit"),
        (["archive", "--older-than", "0d"], "everything"),
        (["archive", "--older-than", "30d", "--class", "GLACIR"], "Did you mean GLACIER"),
        (["archive", "--older-than", "30d", "--class", "GLACIER_IR"], "has no class GLACIER_IR"),
        (["archive", "--older-than", "30d", "--storage", "clod"], "Did you mean cloud"),
        (["archive", "--older-than", "30d", "-d", "factoria"], "la_factoria"),
        (["thaw", "nosuch"], "nosuch"),
        (["thaw", "old", "--days", "0"], "days"),
        (["thaw", "old", "--tier", "Quick"], "tier"),
        (["thaw", "old"], "can be read from cloud as it is"),
    ],
)
def test_what_is_asked_for_wrongly_is_refused_with_what_is_right_and_nothing_is_changed(
    cloud: Shell, words: list[str], said: str
) -> None:
    cloud.create("--name", "old")
    before = cloud.json("runs")
    result = cloud.run(*words, *(["--apply"] if words[0] == "archive" else []))
    assert result.exit_code == 2, result.stderr
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert cloud.json("runs") == before
    assert classes(cloud) == {"old": "STANDARD"}


@pytest.mark.parametrize("apply", [[], ["--apply"]], ids=["shown", "applied"])
@pytest.mark.parametrize(
    "storage",
    ['url = "file://{folder}/storage"', 'url = "s3://bucket/x"\nendpoint_url = "https://minio.example"'],
    ids=["folder", "unknown server"],
)
def test_where_there_is_no_cold_storage_that_is_said_and_nothing_is_asked(
    shell: Shell, storage: str, apply: list[str]
) -> None:
    configure(shell, storage.format(folder=shell.folder))
    for class_ in ([], ["--class", "GLACIER"]):
        result = shell.run("archive", "--older-than", "30d", *class_, *apply)
        assert result.exit_code == 2, result.stderr
        assert "Nothing was changed" in result.stderr
    assert json.loads(shell.run("runs", "--json").stdout) == []
    assert not Path(shell.folder / "storage").exists()
