"""Table patterns as pg_dump reads them (``--exclude-table``), so that one without a match is refused beforehand.

The rules are those of ``patternToSQLRegex`` in PostgreSQL's ``fe_utils/string_utils.c``: letters outside double quotes
are folded to lower case, ``*`` is any text, ``?`` any character, a dot parts schema from table; other characters are a
regular expression's, except within quotes. A pattern without a schema means tables on the role's search path.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from services.errors import NothingMatches
from services.postgres.connection import Connection

_SPECIAL = frozenset("|*+?()[]{}.^$\\")
_MATCHING = """
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p')
  AND c.relname OPERATOR(pg_catalog.~) %(table)s COLLATE pg_catalog."default"
  AND CASE WHEN %(schema)s::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
           ELSE n.nspname OPERATOR(pg_catalog.~) %(schema)s COLLATE pg_catalog."default" END
ORDER BY 1, 2
"""


def match_tables(connection: Connection, patterns: Sequence[str]) -> list[tuple[str, str]]:
    """Given pg_dump patterns, return (schema, name) of every relation that one of them matches, sorted.

    Raise NothingMatches naming each pattern without a match.
    """
    found: set[tuple[str, str]] = set()
    empty: list[str] = []
    for pattern in patterns:
        matched = _match(connection, pattern)
        found.update(matched)
        if not matched:
            empty.append(pattern)
    if empty:
        raise NothingMatches(
            f"No table matches {', '.join(repr(p) for p in empty)}.",
            hint='Write patterns as pg_dump takes them: name, schema.name, audit_*, or "Exact Name" in double quotes.',
        )
    return sorted(found)


def pattern_to_regexes(pattern: str) -> list[str]:
    """Given a pattern, return the regular expression of each part between dots: ``[table]`` or ``[schema, table]``."""
    parts = [""]
    quoted = False
    position = 0
    while position < len(pattern):
        char = pattern[position]
        following = pattern[position + 1 : position + 2]
        position += 1
        if char == '"':
            if quoted and following == '"':
                parts[-1] += '"'
                position += 1
            else:
                quoted = not quoted
        elif quoted:
            parts[-1] += f"\\{char}" if char in _SPECIAL else char
        elif char == ".":
            parts.append("")
        elif char == "*":
            parts[-1] += ".*"
        elif char == "?":
            parts[-1] += "."
        elif char == "$" or (char == "[" and following == "]"):
            parts[-1] += f"\\{char}"
        else:
            parts[-1] += char.lower()
    return [f"^({part})$" for part in parts]


def _match(connection: Connection, pattern: str) -> list[tuple[str, str]]:
    parts = pattern_to_regexes(pattern)
    if len(parts) > 2:
        raise NothingMatches(
            f"The pattern {pattern!r} has more than one dot.",
            hint='Write schema.table; put a name that holds a dot in double quotes: public."odd.name".',
        )
    schema = parts[0] if len(parts) == 2 else None
    try:
        rows = connection.execute(_MATCHING, {"table": parts[-1], "schema": schema}).fetchall()
    except psycopg.errors.InvalidRegularExpression as error:
        raise NothingMatches(
            f"The pattern {pattern!r} cannot be read: {str(error).splitlines()[0]}.",
            hint="Put a name with special characters in double quotes.",
        ) from error
    return [(row[0], row[1]) for row in rows]
