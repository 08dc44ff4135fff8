"""What is checked of the audit log: that it is what was written, and that storages outside of the catalogue vouch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.audit.model import AuditRow
from services.audit.stored import moment, read_moment, stored_rows, to_row
from services.audit.verify import look_quickly
from services.audit.walk import ANCHOR
from services.audit.watch import ANCHOR_OVERDUE, VERIFY
from services.catalog.schema import audit_log, copies
from services.errors import BackupsError
from services.health.facts import Facts
from services.health.model import INSTALLATION, HealthCheck, Severity, Subject
from services.units import format_duration, format_limit

_HINT = "`backups audit verify` says which rows; docs/audit.md what to do then."
_ABOUT_DAILY = timedelta(days=3)


def log(facts: Facts) -> Iterator[HealthCheck]:
    """Are the newest rows what was written, and was the whole log, when it was last verified from end to end?"""
    try:
        quick = look_quickly(facts.installation)
    except BackupsError as error:  # the key is out of reach
        yield HealthCheck("audit_log", INSTALLATION, "failure", error.message, error.hint)
        return
    except sa.exc.SQLAlchemyError as error:  # the catalogue answers, as the other facts show: the table is the matter
        words = f"The audit log cannot be read ({type(error).__name__})."
        yield HealthCheck("audit_log", INSTALLATION, "failure", words, _HINT)
        return
    if quick.severity != "ok":
        severity: Severity = "warning" if quick.severity == "warning" else "failure"
        yield HealthCheck("audit_log", INSTALLATION, severity, quick.sentence, _HINT, count=len(quick.findings))
        return
    whole = _last_verification(facts)
    if whole is not None and whole.outcome == "failed":
        said = whole.values.get("findings")
        said = said if isinstance(said, list) and said else ["It was found broken."]
        yield HealthCheck("audit_log", INSTALLATION, "failure", str(said[0]), _HINT, whole.at, count=len(said))
        return
    rows = f"{quick.newest:,} {'row' if quick.newest == 1 else 'rows'}"
    if whole is None:
        yield HealthCheck("audit_log", INSTALLATION, "ok", f"{rows}, not verified from end to end yet · daily")
        return
    age = facts.now - whole.at
    sentence = f"{rows}, verified from end to end {format_duration(age)} ago · daily"
    hint = "A worker does it; `backups audit verify` does it now." if age > _ABOUT_DAILY else ""
    yield HealthCheck("audit_log", INSTALLATION, "warning" if hint else "ok", sentence, hint, whole.at)


def anchors(facts: Facts) -> Iterator[HealthCheck]:
    """Was the log anchored in each storage within about two days? In one that holds nothing yet there is no need."""
    limit = format_limit(ANCHOR_OVERDUE)
    begun, used, last = _what_there_is(facts)
    for settings in facts.installation.settings.storages:
        at = last.get(settings.name)
        since = at or begun
        name = Subject("storage", settings.name)
        if since is None or (at is None and settings.name not in used):
            yield HealthCheck(
                "audit_anchor", name, "ok", f"Nothing to anchor, or to anchor beside, yet · limit {limit}"
            )
            continue
        age = facts.now - since
        words = f"Anchored {format_duration(age)} ago" if at else "Not anchored yet"
        is_late = age > ANCHOR_OVERDUE
        hint = "A worker does it daily; `backups audit anchor` does it now, and says what stands in the way."
        yield HealthCheck(
            "audit_anchor", name, "warning" if is_late else "ok", f"{words} · limit {limit}", hint if is_late else "",
            since + ANCHOR_OVERDUE if is_late else at,
        )  # fmt: skip


def _last_verification(facts: Facts) -> AuditRow | None:
    query = stored_rows().where(audit_log.c.action == VERIFY).order_by(audit_log.c.number.desc()).limit(1)
    with facts.installation.catalog.engine.connect() as connection:
        found = connection.execute(query).one_or_none()
    return None if found is None else to_row(found)


def _what_there_is(facts: Facts) -> tuple[datetime | None, set[str], dict[str, datetime]]:
    """Return when the log began, the storages that hold copies, and when each was last anchored. One query."""
    names = [settings.name for settings in facts.installation.settings.storages]
    rows = audit_log.c
    begun = sa.select(moment(rows.at)).where(rows.number == 1).scalar_subquery()
    used = [sa.exists().where(copies.c.storage == name) for name in names]
    anchored = [
        sa.select(moment(rows.at))
        .where(rows.action == ANCHOR, rows.outcome == "done", rows.target == name)
        .order_by(rows.number.desc())
        .limit(1)
        .scalar_subquery()
        for name in names
    ]
    with facts.installation.catalog.engine.connect() as connection:
        at, *found = connection.execute(sa.select(begun, *used, *anchored)).one()
    is_used, last = found[: len(names)], map(read_moment, found[len(names) :])
    there = {name for name, yes in zip(names, is_used, strict=True) if yes}
    return read_moment(at), there, {name: when for name, when in zip(names, last, strict=True) if when is not None}
