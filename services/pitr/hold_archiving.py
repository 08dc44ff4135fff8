"""A restored copy archives nothing until a person says so.

The base backup holds the source's ``archive_command``: a copy that is started to be looked at would store its log in
production's archive, beside the server that it was made of. What switches that off stands at the end of
``postgresql.auto.conf``, which is read after every other file of the configuration.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from services.postgres.server_user import ServerUser

AUTO_CONF = "postgresql.auto.conf"
_MARK = "# backups: this restored copy archives nothing. In production's place: remove this line and all after it."
_HELD = {"archive_mode": "off", "archive_command": "", "archive_library": ""}
_LIBRARY_SINCE = 15
_LINE = re.compile(r"\s*(?P<name>[A-Za-z_]+)\s*=?\s*'(?P<value>(?:[^'\\]|''|\\.)*)'")
_ESCAPED = re.compile(r"''|\\(.)")


def hold_archiving(folder: Path, major: int, user: ServerUser) -> None:
    """Write into a data folder, whose server does not run, that it archives nothing."""
    path = folder / AUTO_CONF
    lines = [_MARK, *(f"{name} = '{value}'" for name, value in _held(major).items())]
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(lines) + "\n")
    path.chmod(0o600)
    user.own(path)


def release_command(folder: Path) -> str:
    """Return the shell's command that has the copy archive as its source did, before its first start."""
    return f"sed -i '/^# backups: /,$d' {shlex.quote(str(folder / AUTO_CONF))}"


def release_statements(folder: Path, major: int) -> list[str]:
    """Return the statements for a copy that was started already; a restart has to follow.

    What the source had set by ALTER SYSTEM is set again, since RESET would take that away as well.
    """
    before: dict[str, str] = {}
    for line in (folder / AUTO_CONF).read_text(encoding="utf-8", errors="replace").splitlines():
        if line == _MARK:
            break
        found = _LINE.match(line)
        if found is not None and found["name"].lower() in _held(major):
            before[found["name"].lower()] = _ESCAPED.sub(lambda one: one[1] or "'", found["value"])
    return [
        f"ALTER SYSTEM SET {name} = '{before[name].replace(chr(39), chr(39) * 2)}';"
        if name in before
        else f"ALTER SYSTEM RESET {name};"
        for name in _held(major)
    ]


def _held(major: int) -> dict[str, str]:
    return {name: value for name, value in _HELD.items() if name != "archive_library" or major >= _LIBRARY_SINCE}
