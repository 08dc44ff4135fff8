"""What a backup would leave out: what patterns match now, asked of the database before anything starts."""

from __future__ import annotations

from services.postgres.connection import Address, connect
from services.postgres.exclusions import Excluded, Exclusions, look_up
from services.settings.model import DatabaseSettings


def preview_excluded(database: DatabaseSettings, exclusions: Exclusions) -> Excluded:
    """Return the tables that the patterns match, with their sizes.

    Raise NothingMatches for a pattern without a match and when nothing would be left, ConnectionFailed.
    """
    address = Address.parse(database.url.get_secret_value())
    with connect(address, application_name="backups-preview") as connection:
        return look_up(connection, exclusions)
