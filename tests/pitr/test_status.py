"""The status: every setting with what mends it, on facts made up for each case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.pitr.our_command import OurCommand, our_command
from services.pitr.remedies import alter_system, hba_line
from services.pitr.server_checks import check_server
from services.pitr.server_facts import Archiver, ServerFacts, Slot
from services.pitr.setup import apply_setup, script
from services.pitr.status import PitrStatus, load_status
from services.pitr.status_check import StatusCheck
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer
from services.settings.model import DatabaseSettings, PitrSettings
from tests.support.installations import make_installation

OURS = OurCommand("env BACKUPS_CONFIG=/s.toml /opt/backups pitr wal-push %p", "")
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
    return {check.name: check for check in check_server(database, address, facts, refused=refused, command=OURS)}


def having(**settings: str) -> ServerFacts:
    return replace(FACTS, settings=WELL | settings)


@pytest.mark.parametrize("method", ["archive_command", "receiver"])
def test_a_server_that_is_set_up_is_well(method: str) -> None:
    assert {check.severity for check in found(FACTS, method=method).values()} == {"ok"}


@pytest.mark.parametrize(
    "facts, method, name, severity, mends",
    [
        (having(wal_level="minimal"), "receiver", "wal_level", "blocking",
         "ALTER SYSTEM SET wal_level = 'replica'; -- then restart the server"),
        (having(archive_mode="off"), "archive_command", "archive_mode", "blocking",
         "ALTER SYSTEM SET archive_mode = 'on'; -- then restart the server"),
        (having(archive_command=""), "archive_command", "archive_command", "blocking",
         f"ALTER SYSTEM SET archive_command = '{OURS.text}'; SELECT pg_reload_conf();"),
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


def test_pg_hba_is_not_blamed_for_a_right_that_is_wanting() -> None:
    powerless = replace(FACTS, may_replicate=False)
    check = found(powerless, refused="permission denied to start WAL sender")["pg_hba.conf"]
    assert (check.severity, "backup has no replication right" in check.message) == ("warning", True)
    assert found(powerless, refused="pg_hba.conf has no line for it")["pg_hba.conf"].severity == "blocking"


def status_of(facts: ServerFacts, *, refused: str | None = None) -> PitrStatus:
    return PitrStatus("la_factoria", "archive_command", True, tuple(found(facts, refused=refused).values()), facts)


def test_the_setup_is_a_script_in_the_order_in_which_it_works() -> None:
    bare = having(archive_mode="off", archive_command="", archive_timeout="0")
    lines = script(status_of(replace(bare, archiver=Archiver(0, None, None, 0, None, None))))
    assert [line for line in lines if not line.startswith("--") or "Restart" in line] == [
        f"ALTER SYSTEM SET archive_command = '{OURS.text}';", "ALTER SYSTEM SET archive_timeout = '60s';",
        "SELECT pg_reload_conf();", "ALTER SYSTEM SET archive_mode = 'on';",
        "-- Restart the server now: archive_mode counts from then on.", "SELECT pg_switch_wal();",
    ]  # fmt: skip
    refused = script(status_of(FACTS, refused="pg_hba.conf has no line for it"))
    assert [line.startswith("-- By hand, on its host: Add the line") for line in refused] == [False, True, False]
    assert refused[-1] == "SELECT pg_reload_conf();"
    assert script(status_of(FACTS)) == []


def test_the_command_to_copy_works_as_it_stands_or_says_what_to_replace(tmp_path: Path) -> None:
    inst = make_installation(tmp_path)
    database, here = inst.settings.databases[0], replace(ADDRESS, host="127.0.0.1")
    ours = our_command(inst.settings, database, here, {"BACKUPS_CONFIG": "/etc/my 50%.toml"})
    program = ours.text.split()[-4]
    assert ours.text == f"env 'BACKUPS_CONFIG=/etc/my 50%%.toml' {program} pitr wal-push %p"
    assert (Path(program).is_file(), ours.to_replace) == (True, "")
    assert "environment variables here" in our_command(inst.settings, database, here, {}).to_replace
    away = our_command(inst.settings, database, ADDRESS, {"BACKUPS_CONFIG": "/etc/backups.toml"})
    assert away.to_replace.count("on the server's host") == 2
    inst.close()


def test_a_statement_that_is_refused_names_the_right_and_who_grants_it(server18: LocalServer) -> None:
    with connect(server18.address) as session:
        session.execute("CREATE ROLE setter LOGIN PASSWORD 'x'")
    role = Address.parse(f"postgresql://setter:x@127.0.0.1:{server18.address.port}/postgres?sslmode=disable")
    facts = replace(having(archive_timeout="0"), may_replicate=False, user="setter")
    try:
        refused = {step.check: step for step in apply_setup(role, status_of(facts))}
        said = refused["archive_timeout"].said
        assert said.endswith('let one grant it: GRANT ALTER SYSTEM ON PARAMETER archive_timeout TO "setter";')
        assert "Only a superuser may: run it as one" in refused["replication right"].said
        with connect(server18.address) as session:
            session.execute(said.split("grant it: ")[1].encode())
        again = {step.statement: step for step in apply_setup(role, status_of(facts))}
        assert again["ALTER SYSTEM SET archive_timeout = '60s';"].outcome == "done"
        assert "EXECUTE ON FUNCTION pg_reload_conf()" in again["SELECT pg_reload_conf();"].said
    finally:
        with connect(server18.address) as session:
            session.execute("ALTER SYSTEM RESET archive_timeout")
            session.execute("DROP OWNED BY setter")
            session.execute("DROP ROLE setter")


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
