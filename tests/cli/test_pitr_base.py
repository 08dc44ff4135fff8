"""Base backups and restores to a point in time on the command line."""

from __future__ import annotations

import json
import shutil

from services.pitr.wal_commands import main as wal_command
from services.pitr.wal_names import SegmentName, parse_lsn, segment_of
from services.postgres.connection import connect
from services.postgres.server import LocalServer
from services.postgres.server_user import reachable_data_dir, server_user
from tests.cli.conftest import Shell

SEGMENT = 16 << 20


def push(shell: Shell, server: LocalServer, physical: dict[str, str | int]) -> None:
    """Store the segments that a base backup needs, as the server's archive_command would."""
    with connect(shell.database) as connection:
        connection.execute("SELECT pg_switch_wal()")
    first, last = (segment_of(parse_lsn(str(physical[name])), SEGMENT) for name in ("start_lsn", "stop_lsn"))
    for number in range(first, last + 1):
        path = server.data_dir / "pg_wal" / SegmentName(1, number).name(SEGMENT)
        assert wal_command(["wal-push", str(path)], shell.variables) == 0


def test_from_a_base_backup_to_a_proven_restore_and_a_folder_that_is_ready(shell: Shell, server15: LocalServer) -> None:
    assert "No base backup" in shell.run("pitr", "list").stdout
    refused = shell.run("pitr", "restore-test", "--to", "latest", "--quiet")
    assert (refused.exit_code, "base-backup la_factoria" in refused.stderr) == (2, True)
    taken = shell.json("pitr", "base-backup", "--quiet", "--note", "first")["backup"]
    assert (taken["type"], taken["good"], taken["physical"]["server_major"]) == ("base", False, 15)
    assert taken["name"] in shell.run("pitr", "list").stdout
    missing = shell.run("pitr", "restore-test", "--to", "immediate", "--quiet")
    assert missing.exit_code == 1
    assert "is missing in the archive" in missing.stderr
    push(shell, server15, taken["physical"])
    tested = shell.run("pitr", "restore-test", "--to", "latest", "--quiet")
    assert tested.exit_code == 0, tested.stderr
    assert "2,500 rows counted" in tested.stdout
    assert shell.json("pitr", "list")[0]["proven_at"] is not None
    for point in ("2026-01-01 12:00", "next week", "0/Z", "2020-01-01T00:00:00Z"):
        assert shell.run("pitr", "restore-test", "--to", point, "--quiet").exit_code == 2, point
    place = reachable_data_dir(shell.folder / "restored", server_user())
    into = ("pitr", "restore", "--to", "latest", "--into", str(place), "--quiet")
    restored = json.loads(shell.run(*into, "--json").stdout)
    assert restored["run"]["state"] == "finished", restored
    assert (place / "PG_VERSION").read_text().strip() == "15"
    again = shell.run(*into)
    assert (again.exit_code, "is not empty" in again.stderr) == (2, True)
    assert shell.run("pitr", "restore", "--to", "latest", "--into", "here", "--quiet").exit_code == 2
    shutil.rmtree(place)
