"""What our processes write about themselves: a line for people, or one of JSON for a collector of logs.

``BACKUPS_LOG_FORMAT=json`` chooses the latter: ``at``, ``level``, ``logger``, ``message``, ``process``; ``run`` where a
run is worked on or named, ``incident`` where a page has shown that id, ``error`` with the traceback. In both no secret
of the settings is written, and nothing that a person or a server has named can begin a line or command a terminal.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from services.clock import isoformat
from services.errors import InputError, SettingsError
from services.printable import printable, visible_lines
from services.settings.load import load_settings
from services.settings.model import Settings
from services.settings.secret_texts import secrets_of

FORMATS = ("text", "json")
VARIABLE = "BACKUPS_LOG_FORMAT"
_CHATTY = ("botocore", "boto3", "urllib3", "alembic", "dbos", "requests")
_RUN = re.compile(r"\brun ([0-9a-hjkmnp-tv-z]{20})\b")
_run: ContextVar[str | None] = ContextVar("run", default=None)
_secrets: list[str] = []
"""The longest first: one may hold another."""


@contextmanager
def logged_as(run_id: str) -> Iterator[None]:
    """While the block runs, have this thread's lines say to which run they belong."""
    token = _run.set(run_id)
    try:
        yield
    finally:
        _run.reset(token)


def hide(settings: Settings) -> None:
    """Have the secrets of these settings masked in every line from now on."""
    _secrets[:] = sorted({*_secrets, *secrets_of(settings)}, key=len, reverse=True)


def configure_logging(environ: Mapping[str, str] = os.environ, *, stream: TextIO | None = None) -> None:
    """Have this process write its log to ``stream`` (standard error) as the environment says. Raise InputError."""
    root = logging.getLogger()
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter(environ))
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        settings = load_settings(environ, thorough=False)
    except SettingsError:
        return  # whoever opens the installation says so
    if settings is not None:
        hide(settings)


def formatter(environ: Mapping[str, str] = os.environ) -> logging.Formatter:
    """Return what makes lines of records, as the environment says. Raise InputError for a format that is not known."""
    wanted = environ.get(VARIABLE) or "text"
    if wanted not in FORMATS:
        raise InputError(f"{VARIABLE} is {wanted!r}, and there is no such format.", hint="Set it to text or json.")
    return JsonLines() if wanted == "json" else TextLines("%(asctime)s %(levelname)s %(message)s")


class TextLines(logging.Formatter):
    """A line of text; a traceback below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        record.message = printable(record.getMessage())
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return _masked(super().format(record))

    def formatException(self, ei: object) -> str:  # noqa: N802
        return visible_lines(super().formatException(ei))  # type: ignore[arg-type]


class JsonLines(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        line: dict[str, object] = {
            "at": isoformat(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _masked(message),
            "process": record.process,
        }
        run = _run.get() or _named_run(message)
        if run is not None:
            line["run"] = run
        if incident := getattr(record, "incident", None):
            line["incident"] = incident
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = _masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=True)


def _named_run(message: str) -> str | None:
    found = _RUN.search(message)
    return found[1] if found else None


def _masked(text: str) -> str:
    for secret in _secrets:
        text = text.replace(secret, "***")
    return text


def reformat(loggers: Iterable[str], environ: Mapping[str, str] = os.environ) -> None:
    """Have loggers that bring handlers of their own (Streamlit's, uvicorn's) write as ours do."""
    lines = formatter(environ)
    for name in loggers:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(lines)
