"""Large databases on the pages: the form proposes and previews, the drawer tells what a backup holds."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from services import commands
from services.audit.query import AuditQuery, find_rows
from services.backups.manifest import to_document, write_manifest
from services.postgres.fingerprint_model import Fingerprint, TableFingerprint
from services.postgres.server import LocalServer
from tests.pages.conftest import OpenPage, everything
from tests.pages.worlds import NOW, add_backup, installation
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase

LOGS = "CREATE TABLE users (i int); CREATE TABLE audit_logs AS SELECT i, repeat('x', 99) FROM generate_series(1, 999) i"


def plain(app: AppTest) -> str:
    """Return all text of a page without the escapes of Markdown."""
    return everything(app).replace("\\", "")


def test_the_form_previews_what_is_left_out_and_asks_for_as_many_jobs_as_are_wanted(
    open_page: OpenPage, tmp_path: Path, server15: LocalServer, database: NewDatabase
) -> None:
    inst = make_installation(tmp_path, url=database(server15, LOGS).url().get_secret_value())
    app = open_page(inst, "run_backup")
    assert not app.exception
    assert "One stream: no history; parallel: no history" in plain(app)
    app.text_area[1].set_value("audit_*").run()
    text = plain(app)
    assert "Partial backup: 1 table left out" in text
    assert "public.audit_logs (rows only) · " in text
    app.number_input(key="jobs-la_factoria").set_value(3)
    app.button(key="go-la_factoria").click().run()
    assert not app.exception
    [run] = inst.catalog.runs.list()
    commands.request_cancel(inst, run.id, actor="ada")
    assert (run.params["jobs"], run.params["exclude_table_data"]) == (3, ["audit_*"])
    app = open_page(inst, "run_backup")
    for area in app.text_area:
        area.set_value("*")
    assert "every table" in plain(app.run())
    assert not app.number_input
    inst.close()


def test_the_drawer_tells_what_a_backup_holds(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    backup = add_backup(inst, "orders", NOW)
    tables = (
        TableFingerprint("public", "small", 3, "1", "record", 8192),
        TableFingerprint("public", "large_*_one", 1_234_567, None, "count", 5 * 10**9),
    )
    fingerprint = Fingerprint("18.1", tables, objects={"indexes": ("public.one = CREATE INDEX", "public.two")})
    write_manifest(inst.settings, inst.storage(backup.copies[0].storage), to_document(backup, fingerprint))
    app = open_page(inst, "inventory", backup=backup.id)
    app.toggle(key=f"contents-{backup.id}").set_value(True).run()
    assert not app.exception
    frame = app.dataframe[-1].value
    assert list(frame["Table"]) == ["public.large_*_one", "public.small"]
    assert list(frame["Rows"]) == ["1,234,567", "3"]
    text = plain(app)
    assert "2 tables, 1,234,570 rows" in text
    app.toggle(key=f"manifest-{backup.id}").set_value(True).run().run()
    read = [row for row in find_rows(inst, AuditQuery()) if row.action == "backup.read"]
    assert [(row.target, row.detail) for row in read] == [
        (backup.name, '{"part":"manifest"}'), (backup.name, '{"part":"contents"}'),
    ], "each once, however often the page is drawn"  # fmt: skip
    assert "Besides: indexes 2" in text
