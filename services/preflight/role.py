"""The role that backs up: can it read everything, and does it have more rights than it needs?"""

from __future__ import annotations

from services.postgres.facts import DatabaseFacts
from services.preflight.model import Check, count, ok_unless


def check_role(facts: DatabaseFacts) -> list[Check]:
    """Return the checks of the role's rights."""
    return [_rights(facts), _superuser(facts), _row_security(facts)]


def _rights(facts: DatabaseFacts) -> Check:
    return ok_unless(
        facts.unreadable,
        "rights",
        f"{facts.user} can read every table.",
        "blocking",
        f"{facts.user} cannot read {count(len(facts.unreadable), 'table or sequence', 'tables and sequences')}.",
        f"GRANT pg_read_all_data TO {facts.user} (PostgreSQL 14 and newer), or GRANT USAGE ON SCHEMA and SELECT.",
    )


def _superuser(facts: DatabaseFacts) -> Check:
    return ok_unless(
        facts.is_superuser,
        "role",
        f"{facts.user} is no superuser.",
        "warning",
        f"{facts.user} is a superuser, which a backup does not need.",
        "Use a role with LOGIN, BYPASSRLS and pg_read_all_data.",
    )


def _row_security(facts: DatabaseFacts) -> Check:
    return ok_unless(
        facts.row_security,
        "row security",
        f"No row is hidden from {facts.user} by row-level security.",
        "blocking",
        f"Row-level security would hide rows of {count(len(facts.row_security), 'table')} from {facts.user}.",
        f"ALTER ROLE {facts.user} BYPASSRLS.",
    )
