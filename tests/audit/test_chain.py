"""Rows are only ever added, in one order, whoever writes; and any other change of the table is found."""

from __future__ import annotations

import multiprocessing
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.audit.head import known_head
from services.audit.model import SEAL, Entry, row_hash, seal_of
from services.audit.record import NotRecorded, record
from services.audit.stored import stored_rows, to_row
from services.audit.verify import look_quickly, verify
from services.catalog.schema import audit_log
from services.installation import Installation, open_configured
from services.own_key import key_id, own_key
from services.settings.model import Settings
from tests.audit.conftest import behind_the_back, fill

DOCS = Path(__file__).parents[2] / "docs" / "audit.md"
TAMPERINGS: dict[str, tuple[Callable[[sa.Connection], None], str]] = {}


def tampering(kind: str, finds: str) -> Callable[[Callable[[sa.Connection], None]], Callable[[sa.Connection], None]]:
    def add(work: Callable[[sa.Connection], None]) -> Callable[[sa.Connection], None]:
        TAMPERINGS[kind] = (work, finds)
        return work

    return add


for _column, _value in {
    "actor": "eve", "origin": "elsewhere", "action": "sign_in", "target_kind": "x", "target": "x", "reason": "x",
    "outcome": "failed", "detail": "{}", "previous": "1" * 64, "hash": "2" * 64, "seal": "00000000:" + "3" * 64,
    "at": sa.text("'2001-01-01T00:00:00.000000Z'"),
}.items():  # fmt: skip
    TAMPERINGS[f"{_column} changed"] = (
        lambda c, column=_column, value=_value: c.execute(  # type: ignore[misc]
            sa.text(f"UPDATE audit_log SET {column} = {value.text if isinstance(value, sa.TextClause) else ':v'} "
                    "WHERE number = 3").bindparams(**({} if isinstance(value, sa.TextClause) else {"v": value}))
        ),
        "[Rr]ow 3",
    )  # fmt: skip

for _name, (_sqlite, _postgresql) in {
    "an instant that is none": ("at = 'garbage'", "at = 'infinity'"),
    "an instant before Christ": ("at = '2026'", "at = (at::timestamp::text || ' BC')::timestamptz"),
    "an instant written otherwise": ("at = replace(at, 'Z', '+00:00')", "at = at + interval '1 microsecond'"),
    "bytes for text": ("detail = x'ff'", "detail = ''"),
    "the same as bytes": ("detail = CAST(detail AS BLOB)", "detail = detail || ' '"),
    "text that is no UTF-8": ("actor = CAST(x'ff61' AS TEXT)", "actor = U&'\\FFFD'"),
    "a number that is none": ("number = 'x'", "number = -3"),
    "a hash that is none": ("hash = x'00'", "hash = ''"),
}.items():  # fmt: skip
    TAMPERINGS[_name] = (
        lambda c, lite=_sqlite, big=_postgresql: c.exec_driver_sql(  # type: ignore[misc]
            f"UPDATE audit_log SET {lite if c.dialect.name == 'sqlite' else big} WHERE number = 3"
        ),
        "[Rr]ow (was|3)",
    )


@tampering("first removed", "Row 1 was removed")
def _(connection: sa.Connection) -> None:
    connection.execute(audit_log.delete().where(audit_log.c.number == 1))


@tampering("middle removed", "Row 3 was removed")
def _(connection: sa.Connection) -> None:
    connection.execute(audit_log.delete().where(audit_log.c.number == 3))


@tampering("newest removed", "newest rows were removed")
def _(connection: sa.Connection) -> None:
    connection.execute(audit_log.delete().where(audit_log.c.number == 6))


@tampering("all removed", "newest rows were removed")
def _(connection: sa.Connection) -> None:
    connection.execute(audit_log.delete())


@tampering("two swapped", "Row 2 was changed, or moved here")
def _(connection: sa.Connection) -> None:
    for old, new in ((2, 99), (4, 2), (99, 4)):
        connection.execute(audit_log.update().where(audit_log.c.number == old).values(number=new))


@tampering("removed and the rest renumbered", "Row 3 was changed, or moved here")
def _(connection: sa.Connection) -> None:
    connection.execute(audit_log.delete().where(audit_log.c.number == 3))
    for number in (4, 5, 6):
        connection.execute(audit_log.update().where(audit_log.c.number == number).values(number=number - 1))


def _forged(connection: sa.Connection, seal: str) -> None:
    """Add a row as the documented form asks for, with everything right but the seal."""
    last = to_row(connection.execute(stored_rows().order_by(audit_log.c.number.desc()).limit(1)).one())
    row = replace(last, number=last.number + 1, actor="eve", previous=last.hash, hash="")
    digest = row_hash(row)
    connection.execute(audit_log.insert().values(vars(replace(row, hash=digest, seal=seal))))


@tampering("added without a seal", "Row 7 was added behind")
def _(connection: sa.Connection) -> None:
    _forged(connection, "")


@tampering("added with another's seal", "Row 7 was changed or added behind")
def _(connection: sa.Connection) -> None:
    _forged(connection, connection.scalar(sa.select(audit_log.c.seal).limit(1)) or "")


@tampering("added with a seal of another key", "row 7, sealed with a key that is not here")
def _(connection: sa.Connection) -> None:
    _forged(connection, f"deadbeef:{'0' * 64}")


@tampering("one changed and all after it hashed anew", "Row 2 was changed or added")
def _(connection: sa.Connection) -> None:
    previous = ""
    for found in connection.execute(stored_rows().order_by(audit_log.c.number)).all():
        row = to_row(found)
        if row.number == 2:
            row = replace(row, actor="eve")
        if previous:
            row = replace(row, previous=previous)
        previous = row_hash(row)
        values = {"actor": row.actor, "previous": row.previous, "hash": previous}
        connection.execute(audit_log.update().where(audit_log.c.number == row.number).values(values))


def test_every_change_behind_the_products_back_is_found(inst: Installation) -> None:
    fill(inst, 6)
    assert verify(inst).severity == "ok"
    with inst.catalog.engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.execute(sa.select(audit_log))]

    def restore(connection: sa.Connection) -> None:
        connection.execute(audit_log.delete())
        connection.execute(audit_log.insert(), rows)

    for name, (work, finds) in TAMPERINGS.items():
        behind_the_back(inst, work)
        for verdict in (verify(inst), look_quickly(inst)):
            assert verdict.severity in ("failure", "warning"), name
            sentences = " ".join(finding.sentence for finding in verdict.findings)
            assert re.search(finds, sentences), (name, sentences)
        behind_the_back(inst, restore)
        assert verify(inst).severity == "ok", name


def test_the_database_itself_refuses_to_change_remove_or_insert_out_of_order(inst: Installation) -> None:
    fill(inst, 3)
    same = "at, actor, origin, action, target_kind, target, reason, outcome, detail"
    statements = [
        "UPDATE audit_log SET actor = 'eve'",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE number = 3",
        f"INSERT INTO audit_log SELECT number + 7, {same}, hash, hash, seal FROM audit_log WHERE number = 3",
        f"INSERT INTO audit_log SELECT number + 1, {same}, previous, hash, seal FROM audit_log WHERE number = 3",
    ]
    if inst.catalog.engine.dialect.name == "postgresql":
        statements += [
            "TRUNCATE audit_log",
            "INSERT INTO audit_log SELECT * FROM audit_log ON CONFLICT (number) DO UPDATE SET actor = 'eve'",
        ]
    else:
        statements += [
            "INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log WHERE number = 2",
            "REPLACE INTO audit_log SELECT * FROM audit_log WHERE number = 3",
        ]
    for statement in statements:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), inst.catalog.engine.begin() as connection:
            connection.execute(sa.text(statement))
    assert (verify(inst).severity, verify(inst).rows) == ("ok", 3)


def _write(settings: Settings, name: str, rows: int) -> None:
    own = open_configured(settings)
    for n in range(rows):
        record(own, Entry(name, "backup.create", detail={"n": n}))
    own.close()


def test_two_processes_that_write_at_once_make_one_chain(inst: Installation) -> None:
    context = multiprocessing.get_context("fork")
    inst.close()
    each = 25
    processes = [context.Process(target=_write, args=(inst.settings, name, each)) for name in ("ada", "bob")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    found = verify(inst)
    assert (found.severity, found.rows, found.newest) == ("ok", 2 * each, 2 * each)


def test_another_program_can_check_the_chain_in_ten_lines(lite: Installation) -> None:
    fill(lite, 4)
    record(lite, Entry("ада \x1b[1m", "export", reason='"quoted"\n\\ and – ü 💾', detail={"ключ": [1, 2.5, None]}))
    program = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)[0]
    assert len(program.splitlines()) <= 12
    path = lite.settings.home / "catalog.db"
    run = partial(subprocess.run, [sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    done = run()
    assert done.stdout.split() == ["5", verify(lite).newest_hash], done.stderr
    behind_the_back(lite, lambda c: c.execute(audit_log.update().where(audit_log.c.number == 2).values(reason="other")))
    assert "AssertionError: 2" in run().stderr


def test_hostile_text_is_recorded_and_secrets_are_not(inst: Installation) -> None:
    secret = inst.settings.encryption_key
    assert secret is not None
    hostile = "=cmd|' /C calc'!A0 \x00 \ud800 \x1b[31m <b>x</b> ' OR 1=1; --"
    record(
        inst,
        Entry(
            "ada" * 200, "backup.create", "database", hostile, f"the key is {secret.get_secret_value()} {hostile}",
            detail={"url": "postgresql://a:planted-Pw0rd@h/d", "s": ["x" * 1900] * 20, "w": "--password planted2"},
        ),
    )  # fmt: skip
    record(inst, Entry("eve", "export", reason="y" * 1_000_000, detail={"token": "?X-Amz-Signature=planted3&a=1"}))
    with inst.catalog.engine.connect() as connection:
        rows = [to_row(row) for row in connection.execute(stored_rows().order_by(audit_log.c.number))]
    everything = repr(rows)
    for planted in (secret.get_secret_value(), "planted-Pw0rd", "planted2", "planted3", "\x00", "\ud800"):
        assert planted not in everything
    assert "left_out" in rows[0].detail
    assert "=cmd|" in rows[0].target
    assert len(rows[1].reason) == 2000
    assert verify(inst).severity == "ok"


def test_what_cannot_be_recorded_is_an_error_and_a_caller_that_fails_leaves_no_row(lite: Installation) -> None:
    fill(lite, 1)
    with lite.catalog.engine.connect() as connection, connection.begin() as transaction:
        record(lite, Entry("ada", "backup.create"), connection)
        transaction.rollback()
    assert verify(lite).rows == 1
    with lite.catalog.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE audit_log RENAME TO away"))
    with pytest.raises(NotRecorded, match="It was not done"):
        record(lite, Entry("ada", "backup.create"))


def test_the_newest_row_is_remembered_outside_of_the_catalogue(lite: Installation) -> None:
    rows = fill(lite, 3)
    head = known_head(lite.settings.home)
    assert head is not None
    assert (head.number, head.hash) == (3, rows[-1].hash)


def test_the_seal_is_of_a_key_that_the_catalogue_does_not_hold(lite: Installation) -> None:
    row = fill(lite, 1)[0]
    key = own_key(lite.settings, SEAL)
    assert row.seal == seal_of(key, key_id(key), row.hash)
    path: Path = lite.settings.home / "installation.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().strip().encode() not in (lite.settings.home / "catalog.db").read_bytes()
