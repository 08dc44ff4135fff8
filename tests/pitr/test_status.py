"""The status: every setting with what mends it, on facts made up for each case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.pitr.remedies import alter_system, hba_line
from services.pitr.server_checks import check_server
from services.pitr.server_facts import Archiver, ServerFacts, Slot
from services.pitr.status import load_status
from services.pitr.status_check import StatusCheck
from services.postgres.connection import Address
from services.settings.model import DatabaseSettings, PitrSettings
from tests.support.installations import make_installation

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ADDRESS = Address("db.example.com", 5432, "backup", None, "la_factoria")
WELL = {
    "wal_level": "replica", "archive_mode": "on", "archive_command": "backups pitr wal-push %p", "archive_library": "",
    "archive_timeout": "1min", "max_wal_senders": "10", "max_replication_slots": "10",
    "max_slot_wal_keep_size": "10GB", "wal_segment_size": "16MB", "summarize_wal": "on",
    "idle_replication_slot_timeout": "0", "hba_file": "/data/pg_hba.conf",
}  # fmt: skip
SLOT = Slot("backups_wal", "physical", False, 0x3000000, "reserved", 20 << 20)
FACTS = ServerFacts(
    user="backup", is_superuser=False, may_replicate=True, in_recovery=False, at=NOW, major=18,
    system_identifier="1", current_lsn=0x5000000, settings=WELL, pending_restart=frozenset(), slots=(SLOT,),
    archiver=Archiver(5, "000000010000000000000004", NOW, 0, None, None), segment_bytes=16 << 20, timeline=1,
)  # fmt: skip


def found(facts: ServerFacts, *, method: str = "archive_command", refused: str | None = None,
          address: Address = ADDRESS) -> dict[str, StatusCheck]:  # fmt: skip
    pitr = PitrSettings.model_validate({"enabled": True, "method": method})
    database = DatabaseSettings(name="la_factoria", url=SecretStr("postgresql://b@db.example.com/x"), pitr=pitr)
    return {check.name: check for check in check_server(database, address, facts, refused=refused)}


def having(**settings: str) -> ServerFacts:
    return replace(FACTS, settings=WELL | settings)


@pytest.mark.parametrize("method", ["archive_command", "receiver"])
def test_a_server_that_is_set_up_is_well(method: str) -> None:
    assert {check.severity for check in found(FACTS, method=method).values()} == {"ok"}


@pytest.mark.parametrize(
    "facts, method, name, severity, mends",
    [
        (having(wal_level="minimal"), "receiver", "wal_level", "blocking",
         "ALTER SYSTEM SET wal_level = 'replica'; then restart the server"),
        (having(archive_mode="off"), "archive_command", "archive_mode", "blocking",
         "ALTER SYSTEM SET archive_mode = 'on'; then restart the server"),
        (having(archive_command=""), "archive_command", "archive_command", "blocking",
         "ALTER SYSTEM SET archive_command = 'backups pitr wal-push %p'; SELECT pg_reload_conf();"),
        (having(archive_command="pgbackrest --stanza=x archive-push %p"), "archive_command", "archive_command",
         "blocking", "archive_command"),
        (having(archive_library="basic_archive"), "archive_command", "archive_command", "blocking",
         "ALTER SYSTEM SET archive_library = ''; SELECT pg_reload_conf();"),
        (having(archive_timeout="0"), "receiver", "archive_timeout", "warning",
         "ALTER SYSTEM SET archive_timeout = '60s'; SELECT pg_reload_conf();"),
        (having(archive_timeout="1h"), "archive_command", "archive_timeout", "warning", "60s"),
        (having(max_wal_senders="0"), "archive_command", "max_wal_senders", "blocking", "then restart"),
        (having(max_replication_slots="0"), "receiver", "slot", "blocking", "then restart"),
        (having(max_slot_wal_keep_size="-1"), "receiver", "max_slot_wal_keep_size", "warning",
         "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();"),
        (having(idle_replication_slot_timeout="1d"), "receiver", "idle_replication_slot_timeout", "warning",
         "idle_replication_slot_timeout = '0'"),
        (replace(FACTS, may_replicate=False), "archive_command", "replication right", "blocking",
         'ALTER ROLE "backup" REPLICATION;'),
        (replace(FACTS, slots=()), "receiver", "slot", "blocking",
         "SELECT pg_create_physical_replication_slot('backups_wal', true);"),
        (replace(FACTS, slots=(replace(SLOT, wal_status="lost"),)), "receiver", "slot", "blocking",
         "drop_replication_slot('backups_wal'); SELECT pg_create_physical_replication_slot('backups_wal', true);"),
        (replace(FACTS, slots=(replace(SLOT, name="old", lag_bytes=6 * 10**9),)), "archive_command", "other slots",
         "warning", "SELECT pg_drop_replication_slot('old');"),
        (replace(FACTS, in_recovery=True), "archive_command", "standby", "warning", "archive_mode = 'always'"),
        (replace(FACTS, archiver=Archiver(0, None, None, 0, None, None)), "archive_command", "archiver", "warning",
         "SELECT pg_switch_wal();"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_mends_it(
    facts: ServerFacts, method: str, name: str, severity: str, mends: str
) -> None:
    check = found(facts, method=method)[name]
    assert check.severity == severity
    assert check.remedy is not None
    assert mends in check.remedy.text()


def test_archiving_that_fails_is_blocking_and_a_slot_that_lags_warns() -> None:
    failing = Archiver(5, None, NOW.replace(hour=10), 9, "000000010000000000000005", NOW)
    check = found(replace(FACTS, archiver=failing))["archiver"]
    assert (check.severity, "000000010000000000000005" in check.message) == ("blocking", True)
    lagging = replace(FACTS, slots=(replace(SLOT, lag_bytes=6 * 10**9),))
    assert found(lagging, method="receiver")["slot"].severity == "warning"


def test_a_refused_replication_connection_names_the_line_of_pg_hba() -> None:
    check = found(FACTS, refused="pg_hba.conf has no line for it")["pg_hba.conf"]
    assert check.severity == "blocking"
    assert check.remedy is not None
    assert 'host  replication  "backup"  all  scram-sha-256' in check.remedy.text()
    assert "/data/pg_hba.conf" in check.remedy.text()
    other = found(FACTS, refused="the server did not answer in time")["pg_hba.conf"]
    assert (other.severity, other.remedy) == ("blocking", None)
    assert hba_line(replace(ADDRESS, host="/run/postgresql"), "backup").startswith("local  replication")


def test_railway_is_recognised_by_its_host_or_by_what_its_image_archives_with() -> None:
    proxy = replace(ADDRESS, host="monorail.proxy.rlwy.net")
    off = found(having(archive_mode="off"), method="receiver", address=proxy, refused="pg_hba.conf has no line")
    assert "is off" in off["railway"].message
    assert "railway ssh" in off["railway replication"].hint
    on = having(archive_command="/usr/local/bin/pgbackrest-archive-push-wrapper.sh %p")
    assert "is on" in found(on, method="receiver")["railway"].message
    assert found(on)["archive_command"].severity == "blocking"  # a server has one archive_command
    assert "railway" not in found(FACTS)


def test_what_is_put_into_sql_is_quoted() -> None:
    text = alter_system("archive_command", "backups -d 'it''s' pitr wal-push %p; rm -rf /").text()
    assert text.startswith("ALTER SYSTEM SET archive_command = 'backups -d ''it''''s'' pitr wal-push %p; rm -rf /';")


def test_a_new_folder_is_named_with_the_file_that_says_that_it_is_the_right_one(tmp_path: Path) -> None:
    inst = make_installation(tmp_path, database={"pitr": PitrSettings(enabled=True)})
    folder = tmp_path / "storage"
    (folder / "la_factoria").rmdir()
    [check] = [one for one in load_status(inst, inst.settings.databases[0]).checks if one.name == "archive"]
    assert check.remedy is not None
    assert (check.severity, check.remedy.text()) == ("warning", f"mkdir -p {folder} && touch {folder}/.mounted")
    (folder / ".mounted").touch()
    [check] = [one for one in load_status(inst, inst.settings.databases[0]).checks if one.name == "archive"]
    assert (check.severity, check.remedy) == ("warning", None)
    inst.close()
