"""Recognising a PostgreSQL of Railway, whose image archives by itself and lets no replication in from outside.

What is known of it, and from where, is in docs/point-in-time.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.pitr.server_facts import ServerFacts
from services.pitr.status_check import StatusCheck
from services.postgres.connection import Address

_HOSTS = (".rlwy.net", ".railway.internal", ".railway.app")
_ARCHIVERS = ("pgbackrest-archive-push-wrapper", "pgbackrest --stanza=main")
"""How the image's ``archive_command`` begins, in its versions of 2026."""


def is_railway(address: Address, facts: ServerFacts) -> bool:
    """Say whether the server is one of Railway's: by its host, or by what its image archives with."""
    return address.host.endswith(_HOSTS) or is_railways_archiver(facts.settings.get("archive_command", ""))


def is_railways_archiver(command: str) -> bool:
    """Say whether this is the ``archive_command`` of Railway's image."""
    return any(sign in command for sign in _ARCHIVERS)


def check_railway(address: Address, facts: ServerFacts, *, refused: bool) -> Iterator[StatusCheck]:
    """Say what Railway's own point in time does here, and what ours needs. Nothing on another server."""
    if not is_railway(address, facts):
        return
    on = facts.settings.get("archive_mode") != "off" and is_railways_archiver(facts.settings.get("archive_command", ""))
    if on:
        message = (
            "Railway's own point-in-time recovery is on: its image archives with pgBackRest into Railway's bucket."
        )
        hint = (
            "When its bucket fails it drops log and tells the server that it was archived, so the archiver's "
            "statistics show no gap: look at the Backups tab. That archive is not checked from here."
        )
    else:
        message = "Railway's own point-in-time recovery is off (no pgBackRest in archive_command)."
        hint = "Switch it on in the service's Backups tab; it does not go off Railway, a second archive of ours does."
    yield StatusCheck("railway", "ok", message, hint)
    if refused:
        yield StatusCheck(
            "railway replication", "warning",
            "Railway's image lets replication connections in from its own container only.",
            "Open a shell there (`railway ssh`), add the line above to pg_hba.conf in the data folder, and reload; it "
            "stays, since the data folder is on the volume.",
        )  # fmt: skip
