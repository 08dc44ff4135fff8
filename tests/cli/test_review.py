"""``backups review``: every form of it, its notes and action items, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from typer.testing import CliRunner, Result

import services.cli.session
from services.cli.main import app
from services.installation import Installation, open_configured
from services.review.actions import open_actions
from services.review.notes import notes_of_week
from tests.review.world import HOSTILE, Clock, small_world

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The small world, whose week W46 ended three days ago."""
    inst = small_world(tmp_path_factory.mktemp("world"))
    yield inst
    inst.close()


@pytest.fixture
def run(world: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run ``backups WORDS`` on the small world at its own time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        services.cli.session, "open_installation", lambda _environ: open_configured(world.settings, clock=Clock())
    )

    def command(*words: str) -> Result:
        result = CliRunner().invoke(app, ["review", *words])
        assert "Traceback" not in result.stderr
        return result

    return command


def as_json(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_review_is_written_as_text(run: Run) -> None:
    result = run()
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "Weekly review 2026-W46, 9–15 Nov 2026, UTC"
    assert lines[1].startswith("11 of 14 slots satisfied; 2 misses: billing on Wed 11 Nov and Thu 12 Nov;")
    for heading in ("Slots", "Figures", "Databases at the end of the week", "Restore tests", "Open questions", "Notes"):
        assert heading in lines
    assert "Sample environment" not in result.stdout
    assert run("--week", "2026-W46").stdout == result.stdout


def test_the_review_is_written_as_json_with_stable_keys(run: Run) -> None:
    found = as_json(run("--json"))
    assert found == as_json(run("--format", "json"))
    assert (found["week"], found["start"], found["running"]) == ("2026-W46", "2026-11-09T00:00:00.000Z", False)
    assert found["compared_weeks"] == ["2026-W42", "2026-W43", "2026-W44", "2026-W45", "2026-W46"]
    duration = found["figures"]["duration"]
    assert (duration["value"], duration["unit"], duration["last_week"], duration["mean"]) == (120.0, "seconds", 90, 90)
    assert duration["against_last_week"] == {"words": "33 % longer than last week", "tone": "worse"}
    assert found["figures"]["storage"]["value"] == 308_000_000
    assert [miss["state"] for miss in found["misses"]] == ["missed", "missed", "late"]
    assert [day["state"] for day in found["databases"][1]["days"]][2:4] == ["missed", "missed"]
    assert found["restore_tests"][0]["rto_seconds"] == 20.0
    assert found["deletions"] == [
        {"database": "billing", "backups": 1, "bytes": 2_000_000},
        {"database": "la_factoria", "backups": 2, "bytes": 16_000_000},
    ]


@pytest.mark.parametrize(
    ("form", "begins"),
    [("md", b"# Weekly"), ("html", b"<!DOCTYPE html>"), ("pdf", b"%PDF-"), ("text", b"Weekly review"), ("json", b"{")],
)
def test_each_form_goes_to_standard_output_or_to_a_file(run: Run, form: str, begins: bytes) -> None:
    written = run("--format", form)
    assert written.exit_code == 0, written.stderr
    assert written.stdout_bytes.startswith(begins)
    stored = run("--format", form, "--output", "review.out")
    assert stored.exit_code == 0, stored.stderr
    assert stored.stdout == ""
    assert "Wrote review.out." in stored.stderr
    assert Path("review.out").read_bytes() == written.stdout_bytes
    assert Path("review.out").stat().st_mode & 0o777 == 0o600


def test_a_pdf_is_not_written_to_a_terminal() -> None:
    terminal, end = pty.openpty()
    try:
        program = Path(sys.executable).with_name("backups")
        result = subprocess.run(
            [program, "review", "--format", "pdf"], stdout=end, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(end)
        os.close(terminal)
    assert result.returncode == 2
    assert "A PDF is not for a terminal. Give it a file: --output review.pdf." in result.stderr


def test_a_pdf_of_another_week_is_of_that_week(run: Run) -> None:
    reader = PdfReader(io.BytesIO(run("--week", "2026-W44", "--format", "pdf").stdout_bytes))
    assert "13 of 14 slots satisfied" in reader.pages[0].extract_text()
    assert reader.metadata is not None
    assert reader.metadata.title == "Weekly review 2026-W44"


def test_a_file_that_exists_is_not_overwritten(run: Run) -> None:
    Path("review.pdf").write_text("mine")
    result = run("--format", "pdf", "-o", "review.pdf")
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert Path("review.pdf").read_text() == "mine"


def test_notes_are_written_changed_and_withdrawn(run: Run, world: Installation) -> None:
    note = as_json(run("note", HOSTILE, "--database", "billing", "--json"))
    assert (note["week"], note["database"], note["text"]) == ("2026-W46", "billing", HOSTILE)
    changed = as_json(run("note", "the lock", "--edit", note["id"], "--json"))
    assert [version["text"] for version in changed["versions"]] == [HOSTILE, "the lock"]
    assert changed["versions"][0]["author"].startswith("cli:")
    shown = run().stdout
    assert "  the lock" in shown
    assert "billing · cli:" in shown
    gone = run("note", "--withdraw", note["id"])
    assert "withdrawn" in gone.stdout
    assert notes_of_week(world.catalog.engine, "2026-W46") == []
    run("note", "\x1b[31mred", "--week", "2026-W44")
    assert "\\x1b[31mred" in run("--week", "2026-W44").stdout
    assert "\x1b" not in run("--week", "2026-W44").stdout


def test_action_items_are_added_changed_ticked_off_and_reopened(run: Run, world: Installation) -> None:
    assert run("actions").stdout == "No action item is open.\n"
    item = as_json(run("actions", "add", "order a disk", "--owner", "ines", "--due", "2026-11-20", "--json"))
    assert (item["week"], item["owner"], item["due"]) == ("2026-W46", "ines", "2026-11-20")
    assert "order a disk" in run("actions").stdout
    assert as_json(run("actions", "change", item["id"], "--owner", "jonas", "--json"))["due"] == "2026-11-20"
    done = as_json(run("actions", "done", item["id"], "--note", "2 TB", "--json"))
    assert done["done_at"] == "2026-11-18T12:00:00.000Z"
    assert done["note"] == "2 TB"
    assert as_json(run("actions", "--json")) == []
    assert "done by cli:" in run("--week", "2026-W47").stdout
    assert "open again" in run("actions", "done", item["id"], "--undo").stdout
    assert [found.owner for found in open_actions(world.catalog.engine)] == ["jonas"]
    run("actions", "done", item["id"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--week", "2026-W48"],
            "lies in the future; it begins on 2026-11-23. The newest week to review is the running",
        ),
        (["--week", "2025-W53"], "Its weeks are 2025-W01 to 2025-W52."),
        (["--week", "yesterday"], "Write a week as 2026-W46"),
        (["--week", ""], "Write a week as 2026-W46"),
        (["--format", "docx"], "docx"),
        (["--json", "--format", "pdf"], "exclude each other"),
        (["--output", "/nowhere/x.txt"], "cannot be written"),
        (["--week", "2026-W46", "note", "x"], "Options of `backups review` do not hold for its commands."),
        (["note"], "Give either a text or a note to withdraw."),
        (["note", "x", "--withdraw", "y"], "Give either a text or a note to withdraw."),
        (["note", " "], "The note is empty."),
        (["note", "x", "--week", "2026-W48"], "lies in the future"),
        (["note", "x", "-d", "bilinng"], "Did you mean billing?"),
        (["note", "x", "--edit", "nothing"], "There is no note"),
        (["note", "x", "--edit", "y", "--week", "last"], "stays with its week"),
        (["actions", "add", ""], "The action item is empty."),
        (["actions", "add", "x", "--due", "soon"], "Write it as 2026-11-20."),
        (["actions", "add", "x", "--due", "2026-11-17"], "from 2026-11-18 on"),
        (["actions", "add", "x", "--week", "2027-W01"], "lies in the future"),
        (["actions", "done", "nothing"], "There is no action item"),
        (["actions", "done", "x", "--undo", "--note", "y"], "--undo takes no note"),
        (["actions", "change", "x"], "Nothing is to be changed."),
    ],
)
def test_what_is_asked_for_wrongly_is_refused_in_one_line_and_nothing_changes(
    run: Run, world: Installation, words: list[str], said: str
) -> None:
    before = (notes_of_week(world.catalog.engine, "2026-W46"), open_actions(world.catalog.engine))
    result = run(*words)
    assert result.exit_code == 2, result.stdout
    assert len(result.stderr.strip().splitlines()) == 1
    assert said in result.stderr
    assert result.stdout == ""
    assert (notes_of_week(world.catalog.engine, "2026-W46"), open_actions(world.catalog.engine)) == before
    assert list(Path().iterdir()) == []
