"""The main job on the command line: create, list, verify, restore-test, restore, compare, log, rebuild, janitor."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from services.postgres.clients import choose_client, find_clients
from services.postgres.connection import Address, connect, passfile
from services.postgres.server import LocalServer
from services.stream.encryption import generate_key
from tests.cli.conftest import Shell

LIST_KEYS = {
    "id", "name", "database", "type", "state", "started_at", "finished_at", "duration_seconds", "database_bytes",
    "stored_bytes", "sha256", "format", "compression", "encryption", "server_version", "copies", "tiers",
    "keep_reasons", "expires_at", "pinned", "verification", "proven_at", "note",
}  # fmt: skip


def test_a_backup_is_created_listed_proven_and_restored(
    shell: Shell, server15: LocalServer, database: Callable[..., Address]
) -> None:
    backup = shell.create("--note", "before the deploy", "--pin")
    assert backup["verification"]["level"] == "checksum"
    assert shell.object(backup).stat().st_size == backup["stored_bytes"]

    (listed,) = shell.json("list")
    assert listed == backup
    assert set(listed) >= LIST_KEYS
    assert set(listed["copies"][0]) >= {"storage", "location", "storage_class", "state"}
    assert set(listed["verification"]) == {"level", "at", "passed"}
    assert listed["note"] == "before the deploy"
    assert listed["pinned"] is True
    assert listed["tiers"] == ["daily", "weekly", "monthly", "yearly"]
    assert listed["keep_reasons"] == [*listed["tiers"], "pinned", "minimum", "recent on-demand"]
    assert listed["expires_at"] is None, "as long as it is pinned"
    assert listed["finished_at"].endswith("Z")

    (tested,) = shell.json("restore-test", "--quiet")
    assert tested["verification"]["outcome"] == "passed"
    assert shell.json("list")[0]["proven_at"] == tested["verification"]["finished_at"]

    target = database(server15).dbname + "_restored"
    restored = shell.run("restore", backup["name"], "--target", target)
    assert restored.exit_code == 0, restored.stderr
    url = shell.database.with_database(target).url().get_secret_value()
    assert shell.run("compare", backup["name"], "env:RESTORED_URL", RESTORED_URL=url).exit_code == 0
    assert shell.run("compare", "la_factoria", "env:RESTORED_URL", RESTORED_URL=url).exit_code == 0
    with connect(shell.database.with_database(target)) as connection:
        connection.execute("UPDATE users SET email = 'changed' WHERE id = 7")
    different = shell.run("compare", backup["name"], "env:RESTORED_URL", RESTORED_URL=url)
    assert different.exit_code == 2
    assert "1 difference." in different.stdout

    again = shell.run("restore", backup["name"], "--target", target)
    assert again.exit_code == 2
    assert "exists" in again.stderr
    with connect(shell.database.with_database(target)) as connection:
        row = connection.execute("SELECT email FROM users WHERE id = 7").fetchone()
    assert row == ("changed",)
    with connect(shell.database.with_database("postgres")) as connection:
        connection.execute(f'DROP DATABASE "{target}"')


@pytest.mark.parametrize("level", ["stored", "checksum", "archive"])
def test_verify_passes_with_0_and_fails_with_2(shell: Shell, level: str) -> None:
    backup = shell.create()
    passed = shell.run("verify", "--level", level)
    assert (passed.exit_code, passed.stdout.split()[0]) == (0, "PASSED")
    stored = shell.object(backup)
    data = bytearray(stored.read_bytes())
    stored.write_bytes(data[:-1] if level == "stored" else bytes([*data[:-1], data[-1] ^ 1]))
    failed = shell.run("verify", backup["id"], "--level", level)
    assert (failed.exit_code, failed.stdout.split()[0]) == (2, "FAILED")


def test_verify_ends_with_3_when_it_cannot_find_out(shell: Shell) -> None:
    shell.create()
    unknown = shell.run("verify", "--level", "archive", BACKUP_ENCRYPTION_KEY=generate_key()[0])
    assert unknown.exit_code == 3, unknown.stdout
    assert "this key is age1" in unknown.stderr
    shutil.rmtree(shell.folder / "storage")
    (shell.folder / "storage").write_text("not a folder")
    away = shell.run("verify", "--level", "checksum")
    assert away.exit_code == 3
    assert away.stdout == ""


def test_list_selects_by_age_number_type_and_state(shell: Shell) -> None:
    first, second = shell.create("--name", "first"), shell.create("--name", "second")
    assert [b["name"] for b in shell.json("list")] == ["second", "first"]
    assert [b["name"] for b in shell.json("list", "--last", "1")] == ["second"]
    assert shell.json("list", "--older-than", "1d") == []
    assert len(shell.json("list", "--older-than", "0s")) == 2
    assert len(shell.json("list", "--type", "on-demand", "--database", "la_factoria")) == 2
    assert shell.json("list", "--type", "emergency") == []
    assert shell.json("list", "--state", "expired") == []
    assert {b["id"] for b in shell.json("list", "--state", "all")} == {first["id"], second["id"]}
    assert "first" in shell.run("list").stdout


def test_the_log_comes_as_the_runbooks_template_as_csv_and_as_json(shell: Shell) -> None:
    shell.create("--name", "first", "--note", "=cmd()\x1b[31m")
    template = shell.run("log").stdout
    assert [line.split(":")[0] for line in template.strip().splitlines()] == [
        "Date", "Type", "Size", "Duration", "Location", "Verified", "Notes",
    ]  # fmt: skip
    assert "\x1b" not in template
    (row,) = csv.DictReader(io.StringIO(shell.run("log", "--format", "csv").stdout))
    assert row["Backup"] == "first"
    assert row["Notes"].startswith("'=cmd()")
    assert json.loads(shell.run("log", "--format", "json").stdout)[0]["name"] == "first"


def test_the_catalogue_is_rebuilt_from_the_storage_alone(shell: Shell) -> None:
    backup = shell.create()
    shell.json("restore-test", "--quiet")
    before = shell.json("list")
    shutil.rmtree(shell.folder / "home")
    assert shell.json("list") == []
    report = shell.json("rebuild")
    assert (report["backups"], report["unreadable"], report["untrusted"]) == (1, [], [])
    (after,) = shell.json("list")
    assert after["id"] == backup["id"]
    assert after["proven_at"] == before[0]["proven_at"]
    assert shell.run("verify", "--level", "checksum").exit_code == 0


def test_a_rebuild_from_a_disk_that_is_not_mounted_says_so_and_fails(shell: Shell) -> None:
    backup = shell.create()
    (shell.folder / "storage").rename(shell.folder / "away")
    found = shell.run("rebuild")
    assert found.exit_code == 1
    assert "Is its disk mounted" in found.stderr
    assert shell.json("list")[0]["id"] == backup["id"], "what is known stays"
    shutil.rmtree(shell.folder / "home")
    found = shell.run("rebuild")
    assert (found.exit_code, found.stdout) == (1, "0 backups and 0 verifications were read from the storages.\n")
    assert "No manifest is in storage" in found.stderr


def test_a_manifest_with_a_wrong_signature_is_listed_untrusted_and_never_restored(shell: Shell) -> None:
    backup = shell.create()
    (manifest,) = (shell.folder / "storage").rglob("*.manifest.json")
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(document | {"note": "changed"}))
    rebuilt = shell.run("rebuild")
    assert rebuilt.exit_code == 1
    assert "ntrusted" in rebuilt.stderr
    assert shell.json("list")[0]["trust"] == "untrusted"
    assert "untrusted" in shell.run("list").stdout
    refused = shell.run("restore", backup["id"], "--target", "never_made")
    assert refused.exit_code != 0
    assert "not signed" in refused.stderr
    assert shell.run("restore-test", backup["id"]).exit_code != 0


def test_janitor_finds_an_object_without_a_manifest_and_leaves_it_without_apply(shell: Shell) -> None:
    backup = shell.create()
    orphan = shell.object(backup).with_name("orphan.dump.zst.age")
    orphan.write_bytes(b"x")
    found = shell.json("janitor", "--quiet")
    assert [Path(where).name for where in found["orphans"]] == [orphan.name]
    assert found["removed"] == []
    assert orphan.exists()


def test_storage_status_runs_and_preflight_say_what_there_is(shell: Shell) -> None:
    never = shell.run("status", "--json")
    assert never.exit_code == 2
    assert json.loads(never.stdout)[0]["state"] == "NEVER BACKED UP"
    assert shell.run("status", "--date", "today").exit_code == 2
    backup = shell.create()
    at_risk = shell.run("status", "--json")
    assert (at_risk.exit_code, json.loads(at_risk.stdout)[0]["state"]) == (1, "AT RISK")
    shell.json("restore-test", "--quiet")
    assert shell.json("status")[0]["state"] == "PROTECTED"
    assert shell.json("status", "--date", "today")[0]["backups"][0]["id"] == backup["id"]
    assert shell.run("status", "--date", "2001-01-01").exit_code == 2
    (room,) = shell.json("storage")
    assert (room["backups"], room["used_bytes"], room["problem"]) == (1, backup["stored_bytes"], None)
    assert room["free_bytes"] > 0
    kinds = [run["kind"] for run in shell.json("runs")]
    assert kinds == ["restore_test", "backup"]
    shown = shell.json("runs", shell.json("runs")[1]["id"])
    assert any("Dumping" in line["message"] for line in shown["log"])
    checks = shell.run("preflight", "--json")
    assert checks.exit_code in (0, 1)
    severities = {check["severity"] for check in json.loads(checks.stdout)["checks"]}
    assert "blocking" not in severities
    assert checks.exit_code == (1 if "warning" in severities else 0)


def test_every_table_for_people_keeps_to_a_hundred_columns(shell: Shell) -> None:
    shell.create("--note", "n" * 300)
    for words in (
        ["list"],
        ["status"],
        ["storage"],
        ["runs"],
        ["preflight"],
        ["compare", "la_factoria", "la_factoria"],
    ):
        lines = shell.run(*words).stdout.splitlines()
        assert lines
        if words != ["status"]:  # its first line is a sentence
            assert max(map(len, lines)) <= 100, words


def test_an_old_file_of_openssl_is_decrypted_adopted_and_verified(shell: Shell) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    client = choose_client(find_clients(), 15)
    with passfile(shell.database) as file:
        environment = shell.database.child_environment(file)
        dump = subprocess.run(
            [client.program("pg_dump"), "-Fc"], env=environment, capture_output=True, check=True
        ).stdout
    old = shell.folder / "backup.dump.enc"
    words = [openssl, "enc", "-aes-256-cbc", "-pass", "env:P", "-out", str(old)]
    subprocess.run(words, input=dump, env={"P": "old passphrase"}, check=True, capture_output=True)
    assert shell.run("adopt", str(old)).exit_code != 0
    assert shell.run("decrypt", str(old), BACKUP_OPENSSL_PASSPHRASE="old passphrase").exit_code == 0
    adopted = shell.json("adopt", "--quiet", str(old.with_suffix("")), "--note", "from the old procedure")["backup"]
    assert (adopted["note"], adopted["proven_at"]) == ("from the old procedure", None)
    assert shell.run("verify", adopted["id"], "--level", "archive").exit_code == 0
    compared = shell.run("compare", adopted["id"], "la_factoria")
    assert compared.exit_code == 2
    assert "no fingerprint" in compared.stderr
