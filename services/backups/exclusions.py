"""What a backup would leave out: the tables that patterns match now, asked of the database before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

from services.postgres.connection import Address, connect
from services.postgres.patterns import match_tables
from services.settings.model import DatabaseSettings


def preview_excluded(database: DatabaseSettings, patterns: Sequence[str]) -> list[str]:
    """Given pg_dump patterns, return ``schema.table`` of all that they match, sorted.

    Raise NothingMatches for a pattern without a match, ConnectionFailed.
    """
    address = Address.parse(database.url.get_secret_value())
    with connect(address, application_name="backups-preview") as connection:
        return [f"{schema}.{table}" for schema, table in match_tables(connection, patterns)]
