"""A real database whose own names are hostile: backed up, proven, looked at, restored in part, and shown as text."""

from __future__ import annotations

from pathlib import Path

from psycopg import sql
from pydantic import SecretStr

from services import commands
from services.backups.contents import read_contents
from services.catalog.model import Run
from services.installation import Installation
from services.jobs.execute import execute_run
from services.postgres.connection import connect
from services.postgres.server import LocalServer
from tests.pages.conftest import OpenPage, open_page
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase

__all__ = ["open_page"]
NAMES = (
    "'; DROP TABLE x; --", 'a"b""c', "$(touch owned)`id`", "../../etc/passwd", "<img src=x onerror=alert(1)>",
    "=1+1|calc", "[a](javascript:x) **b** :red[c] $x$", "\u202etxt.exe", "\x1b[2Jred", "a\nb\tc",
    "%s %(x)s {0}", "-rf --help", "名前 é\u0301", "x.y", "*", " ", "a\\", "UPPER lower", "pg_", ":name ?",
)  # fmt: skip


def named(text: str, number: int) -> str:
    """Return the name as PostgreSQL keeps it: at most 63 bytes, and not two of the same."""
    return f"{text} {number}"[:40]


def work(inst: Installation, run_id: str) -> Run:
    return execute_run(inst, run_id, worker="test:1:1")


def test_names_of_the_database_are_nothing_but_names(
    tmp_path: Path, server15: LocalServer, server18: LocalServer, database: NewDatabase, open_page: OpenPage
) -> None:
    made = [named(text, number) for number, text in enumerate(NAMES)]
    address = database(server15, name='it\'s "a" <b>db</b> $(x) é')
    with connect(address) as connection:
        for number, name in enumerate(made):
            schema = made[number // 7 * 7]
            parts = {
                "s": sql.Identifier(schema),
                "t": sql.Identifier(name),
                "c": sql.Identifier(name[::-1].strip() or "c"),
            }
            if number % 7 == 0:
                connection.execute(sql.SQL("CREATE SCHEMA {s}").format(**parts))
            connection.execute(sql.SQL("CREATE TABLE {s}.{t} ({c} text PRIMARY KEY)").format(**parts))
            connection.execute(sql.SQL("INSERT INTO {s}.{t} VALUES ({v})").format(v=sql.Literal(name), **parts))
    inst = make_installation(
        tmp_path,
        url=address.url().get_secret_value(),
        restore_test_url=SecretStr(server18.address.url().get_secret_value()),
    )
    run = work(inst, commands.submit_backup(inst, commands.BackupRequest("la_factoria"), actor="a", queue=False))
    assert run.state == "finished", run.error
    assert run.backup_id is not None
    test = work(inst, commands.submit_verification(inst, run.backup_id, "restore", actor="a", queue=False))
    assert (test.state, test.result["outcome"]) == ("finished", "passed"), test.error
    backup = inst.catalog.backups.get(run.backup_id)
    held = read_contents(inst, backup)
    assert {table.name for table in held.tables} == set(made)

    target = "restored_part"
    for table in held.tables[:3]:
        wanted = f'"{table.schema.replace(chr(34), chr(34) * 2)}"."{table.name.replace(chr(34), chr(34) * 2)}"'
        asked = commands.submit_restore(
            inst, backup.id, target, server="restore-test", tables=[wanted], actor="a", queue=False
        )
        restored = work(inst, asked)
        assert restored.state == "finished", (wanted, restored.error)
        with connect(server18.address.with_database(target)) as connection:
            rows = connection.execute(
                sql.SQL("SELECT * FROM {}.{}").format(sql.Identifier(table.schema), sql.Identifier(table.name))
            ).fetchall()
        with connect(server18.address) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(target)))
        assert rows == [(table.name,)]

    for page, more in (
        ("inventory", {"backup": backup.id}),
        ("verify_and_restore", {"backup": backup.id}),
        ("overview", {}),
    ):
        app = open_page(inst, page, **more)
        assert not app.exception, page
        assert not any(getattr(block, "allow_html", False) for block in app.markdown)
    inst.close()
