"""What processes write about themselves: text or JSON, whose run it is, no secret, and nothing that forges a line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.errors import InputError
from services.jobs.execute import execute_run
from services.log_output import VARIABLE, configure_logging, logged_as
from tests.jobs.conftest import backup, installation  # noqa: F401 - fixtures
from tests.jobs.test_execute import submit

logger = logging.getLogger("services.test")
ENVIRONMENT = {
    "DATABASE_URL": "postgresql://u:planted-Passw0rd@127.0.0.1:1/la_factoria",
    "BACKUP_STORAGE": "s3://bucket/prod",
    "AWS_SECRET_ACCESS_KEY": "planted-Secret-Key-77",
}


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(kind: str) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(ENVIRONMENT | {VARIABLE: kind}, stream=stream)
    return stream


def say_what_is_hostile() -> None:
    logger.warning("table %s with planted-Passw0rd", "x\n2026-11-25 INFO all is well\x1b[2J\u202e")
    try:
        int("planted-Secret-Key-77\x1b]0;title\x07")
    except ValueError:
        logger.exception("it failed")


def test_a_line_of_text_is_one_line_without_secrets_and_commands_no_terminal() -> None:
    stream = written("text")
    say_what_is_hostile()
    text = stream.getvalue()
    assert text.splitlines()[0].endswith(r"WARNING table x\n2026-11-25 INFO all is well\x1b[2J\u202e with ***")
    assert "ValueError: invalid literal for int() with base 10: '***" in text
    assert "planted" not in text
    assert "\x1b" not in text


def test_json_says_the_same_in_fields() -> None:
    stream = written("json")
    say_what_is_hostile()
    logger.info("run %s starts", "01kaxk8q7w3m4n5p6r7s")
    with logged_as("01kaxk8q7w3m4n5p6rrr"):
        logger.info("working")
    first, second, third, fourth = map(json.loads, stream.getvalue().splitlines())
    assert (first["level"], first["logger"], "run" in first) == ("warning", "services.test", False)
    assert first["message"].endswith("with ***")
    assert second["error"].startswith("Traceback")
    assert "planted" not in stream.getvalue()
    assert (third["run"], fourth["run"]) == ("01kaxk8q7w3m4n5p6r7s", "01kaxk8q7w3m4n5p6rrr")


def test_what_is_logged_while_a_run_is_worked_on_says_which(installation: Any, backup: Any) -> None:  # noqa: F811
    run_id = submit(installation)

    def work(*_: Any) -> None:
        logger.info("a storage is slow")

    backup.work = work
    backup.go.set()
    stream = written("json")
    execute_run(installation, run_id, worker="w:1:1")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["run"] for line in lines if line["message"] == "a storage is slow"] == [run_id]


def test_a_format_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such format"):
        configure_logging({VARIABLE: "yaml"}, stream=io.StringIO())
