"""Encoding and locale of the source database, read from the archive itself, and what to do where a server lacks them.

The archive holds the source's ``CREATE DATABASE``; ``pg_restore --create`` with an empty list prints it and little
else. It reads the table of contents only, so the beginning of an archive is enough.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from psycopg import sql

from services.postgres.clients import ClientPrograms

TIMEOUT = 60.0
_STATEMENT = re.compile(r"^CREATE DATABASE .* WITH TEMPLATE = template0(.*);$", re.MULTILINE)
_OPTION = re.compile(r"(\w+) = (?:'((?:[^']|'')*)'|(\w+))")
_QUOTED = ("ENCODING", "LOCALE", "LC_COLLATE", "LC_CTYPE", "ICU_LOCALE", "ICU_RULES", "BUILTIN_LOCALE")
_MOST_TELLING = ("ICU_LOCALE", "BUILTIN_LOCALE", "LC_COLLATE", "LOCALE")
_PROVIDERS = ("libc", "icu", "builtin")


@dataclass(frozen=True)
class DatabaseLocale:
    """What ``CREATE DATABASE`` sets of encoding and locale; empty: unknown, taken as UTF8."""

    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def encoding(self) -> str:
        return self.options.get("ENCODING", "UTF8")

    def choices(self, server_major: int) -> Iterator[tuple[sql.Composed, str]]:
        """Yield options for ``CREATE DATABASE`` to try in turn, each with a note on how it differs from the source."""
        if self.options:
            yield self._as_recorded(), ""
        source = self.options.get("LOCALE_PROVIDER", "libc")
        locale = next((self.options[name] for name in _MOST_TELLING if name in self.options), "unknown")
        for plain in ("C.UTF-8", "C") if self.encoding == "UTF8" else ("C",):
            provider = " LOCALE_PROVIDER libc" if server_major >= 15 else ""
            options = sql.SQL(" ENCODING {} LC_COLLATE {} LC_CTYPE {}" + provider).format(
                sql.Literal(self.encoding), sql.Literal(plain), sql.Literal(plain)
            )
            note = f"The server lacks the source's locale ({source} {locale}): {plain} is used. Texts sort differently."
            yield options, note if self.options else f"The source's locale is unknown: {plain} is used."

    def _as_recorded(self) -> sql.Composed:
        parts = [
            sql.SQL(f" {name} {{}}").format(sql.Literal(self.options[name])) for name in _QUOTED if name in self.options
        ]
        if self.options.get("LOCALE_PROVIDER") in _PROVIDERS:
            parts.append(sql.SQL(f" LOCALE_PROVIDER {self.options['LOCALE_PROVIDER']}").format())
        return sql.Composed(parts)


def read_locale(client: ClientPrograms, archive: Path) -> DatabaseLocale:
    """Given an archive or its beginning, return its database's locale; an unknown one where it does not tell."""
    command = [str(client.program("pg_restore")), "--create", "--use-list=/dev/null", "--file=-", str(archive)]
    try:
        told = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            check=False,
            env={"LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return DatabaseLocale()
    return parse_statement(told.stdout)


def parse_statement(script: str) -> DatabaseLocale:
    """Given a script with pg_dump's ``CREATE DATABASE``, return what it sets."""
    found = _STATEMENT.search(script)
    if found is None:
        return DatabaseLocale()
    options = {}
    for name, quoted, bare in _OPTION.findall(found[1]):
        if name in _QUOTED or name == "LOCALE_PROVIDER":
            options[name] = bare or quoted.replace("''", "'")
    return DatabaseLocale(options)
