"""``backups approvals``: a restore and a deletion that wait, and nobody who decides alone."""

from __future__ import annotations

import pytest

from services.cli import approval_commands
from services.postgres.connection import Address, connect
from tests.cli.conftest import Shell


def databases(address: Address) -> set[str]:
    with connect(address) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


def test_a_restore_waits_until_somebody_else_approves_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.variables["BACKUP_TWO_PERSON"] = "delete restore"
    shell.create("--name", "b1")
    target = f"{shell.database.dbname}_restored"
    asked = shell.run("restore", "b1", "--target", target, "--quiet")
    assert asked.exit_code == 1
    assert "This waits for a second person" in asked.stderr
    assert target not in databases(shell.database)
    deleted = shell.run("delete", "b1", "--confirm", "--force", "a test", "--quiet")
    assert deleted.exit_code == 1
    assert [one["rule"] for one in shell.json("approvals", "list")] == ["restore", "delete"]
    for one in shell.json("approvals", "list"):
        assert [each["backup"] for each in one["backups"]] == ["b1"]
        assert one["bytes"] > 0
        assert one["params"]
    plain = shell.run("approvals", "list").stdout
    assert "force reason: a test" in plain
    assert "In all 1 backup, " in plain
    restore, delete = (one["id"] for one in shell.json("approvals", "list"))
    own = shell.run("approvals", "approve", restore, "--quiet")
    assert own.exit_code == 2
    assert "somebody else must approve it" in own.stderr
    with monkeypatch.context() as other:
        other.setattr(approval_commands, "actor", lambda: "cli:mara@elsewhere")
        done = shell.run("approvals", "approve", restore, "--note", "for the audit", "--quiet")
        assert done.exit_code == 0, done.stderr
    try:
        assert target in databases(shell.database)
    finally:
        with connect(shell.database) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{target}"')
    assert shell.run("approvals", "reject", delete).exit_code == 0
    assert "Nothing waits" in shell.run("approvals", "list").stdout
    told = {one["id"]: one["state"] for one in shell.json("approvals", "list", "--all")}
    assert told == {restore: "approved", delete: "rejected"}
    assert [backup["name"] for backup in shell.json("list")] == ["b1"]
