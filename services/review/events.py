"""What happened in the week, and what is due, as parts of the document: a section a subject."""

from __future__ import annotations

from services.alerts.rules import rule_of
from services.catalog.model import RUN_WORDS
from services.review.document import Cell, Items, Mark, Paragraph, Section, Table
from services.review.figures import NOTHING, Figure
from services.review.model import Due, Review
from services.review.wording import comparison_cell, day_only, day_time, instant, mean_words, run_link
from services.status import age
from services.units import format_bytes, format_duration

_LEVELS = {"restore": "restore test"}


def restore_tests_section(review: Review) -> Section:
    """Return the restore tests with their proofs."""
    if not review.restore_tests:
        return Section("restore_tests", "Restore tests", (Paragraph("No restore test was held in this week."),))
    marks: dict[str, Mark] = {"passed": "good", "failed": "bad", "not testable": "warning"}
    rows = []
    for test in review.restore_tests:
        over = test.seconds is not None and test.rto_seconds is not None and test.seconds > test.rto_seconds
        limit = f"RTO {format_duration(test.rto_seconds)}" if test.rto_seconds is not None else ""
        rows.append((
            Cell(day_time(test.finished_at)),
            Cell(test.database),
            Cell(test.backup_name, link=f"inventory?backup={test.backup_id}"),
            Cell(test.outcome, mark=marks[test.outcome]),
            Cell(NOTHING if test.seconds is None else format_duration(test.seconds),
                 f"over the {limit}" if over else limit, "bad" if over else ""),
            Cell(test.proof),
        ))  # fmt: skip
    columns = ("Ended (UTC)", "Database", "Backup", "Outcome", "Measured RTO", "Proof")
    table = Table(columns, tuple(rows), right=("Measured RTO",), wide=("Proof",))
    return Section("restore_tests", "Restore tests", (table,))


def checks_section(review: Review) -> Section:
    """Return the verifications by level and outcome."""
    if not review.checks:
        text = "No backup was verified in these five weeks."
        return Section("checks", "Verifications", (Paragraph(text),))
    rows = tuple(
        (
            Cell(_LEVELS.get(level.level, level.level), link="verify_and_restore"),
            Cell(f"{level.passed:,}"),
            Cell(f"{level.failed:,}", mark="bad" if level.failed else ""),
            Cell(f"{level.not_testable:,}", mark="warning" if level.not_testable else ""),
            Cell(level.total.last_text),
            Cell(mean_words(level.total)),
        )
        for level in review.checks
    )
    columns = ("Level", "Passed", "Failed", "Not testable", "All, last week", "All, 4-week mean")
    return Section("checks", "Verifications", (Table(columns, rows, right=columns[1:]),))


def failures_section(review: Review) -> Section:
    """Return the runs that failed or were lost, with their causes."""
    if not review.failures:
        return Section("failures", "Failures", (Paragraph("No run failed in this week."),))
    rows = tuple(
        (
            Cell(day_time(run.at)),
            Cell(run.database or "installation"),
            Cell(RUN_WORDS[run.kind]),
            Cell(run.state, mark="bad", link=run_link(run.kind, run.database, run.id)),
            Cell(run.error or "No reason was given.", run.hint),
        )
        for run in review.failures
    )
    table = Table(("Ended (UTC)", "Of", "Run", "State", "Cause"), rows, wide=("Cause",))
    return Section("failures", "Failures", (table, *_cut(review, "failures", len(rows))))


def alerts_section(review: Review) -> Section:
    """Return the alerts that were opened, resolved, or are open."""
    counts = [review.figure(key) for key in ("alerts_opened", "alerts_resolved", "alerts_open")]
    opened, resolved, still = (figure.text for figure in counts)
    head = Paragraph(f"{opened} opened, {resolved} resolved, {still} open at the end.")
    if not review.alerts:
        return Section("alerts", "Alerts", (head,))
    marks: dict[str, Mark] = {"failure": "bad", "warning": "warning"}
    rows = []
    for alert in review.alerts:
        ended = alert.resolved_at is not None and alert.resolved_at < review.until
        lasted = age((alert.resolved_at if ended and alert.resolved_at else review.until) - alert.opened_at)
        seen = f"{alert.acknowledged_by}: {alert.note}" if alert.is_acknowledged else "not acknowledged"
        rows.append((
            Cell(f"resolved after {lasted}" if ended else f"open for {lasted}", f"since {instant(alert.opened_at)}",
                 "" if ended else marks.get(alert.severity, "quiet")),
            Cell(alert.subject.name or alert.subject.kind),
            Cell(rule_of(alert.check).title, f"{alert.severity}: {alert.sentence}", link=f"health?alert={alert.id}"),
            Cell(seen if alert.is_acknowledged or not ended else NOTHING),
        ))  # fmt: skip
    columns = ("State", "About", "What", "Acknowledged")
    table = Table(columns, tuple(rows), wide=("What", "Acknowledged"))
    return Section("alerts", "Alerts", (head, table))


def _deleted(backups: Figure, sizes: Figure) -> str:
    if not backups.value:
        return f"No backup was deleted whole; copies of some were ({sizes.text})"
    return f"{backups.text} {'backup' if backups.value == 1 else 'backups'} deleted ({sizes.text})"


def storage_section(review: Review) -> Section:
    """Return what the storages hold, and what was deleted."""
    columns = ("Storage", "Used at the end", "Last week", "4-week mean", "Against last week", "Full in about")
    rows = tuple(
        (
            Cell(storage.name, link="storage"),
            Cell(storage.used.text, "" if storage.limit_bytes is None else f"of {format_bytes(storage.limit_bytes)}"),
            Cell(storage.used.last_text),
            Cell(mean_words(storage.used)),
            comparison_cell(storage.used.against_last),
            Cell(_full(storage.full_in_days)),
        )
        for storage in review.storages
    )
    deleted = review.figure("deletions")
    sizes = review.figure("deleted_bytes")
    said = f"{_deleted(deleted, sizes)}, {deleted.against_last.words}."
    parts = [f"{d.database}: {d.backups:,} ({format_bytes(d.bytes)})" for d in review.deletions]
    happened = deleted.value or sizes.value
    blocks = (Table(columns, rows, right=columns[1:4]), Paragraph(said if happened else "No backup was deleted."))
    items = (Items(tuple(Cell(part) for part in parts)),) if parts else ()
    return Section("storage", "Storage and deletions", (*blocks, *items))


def _full(days: int | None) -> str:
    if days is None:
        return NOTHING
    return f"{days:,} {'day' if days == 1 else 'days'}" if days else "full"


def emergencies_section(review: Review) -> Section:
    """Return the emergency backups."""
    if not review.emergencies:
        text = "No emergency backup was made in this week."
        return Section("emergencies", "Emergency backups", (Paragraph(text),))
    rows = tuple(
        (
            Cell(day_time(backup.finished_at)),
            Cell(backup.database),
            Cell(backup.name, link=f"inventory?backup={backup.id}"),
            Cell(format_duration(backup.seconds)),
            Cell(format_bytes(backup.stored_bytes)),
            Cell(backup.actor),
            Cell(backup.note or NOTHING),
        )
        for backup in review.emergencies
    )
    columns = ("Finished (UTC)", "Database", "Backup", "Took", "Stored", "By", "Note")
    table = Table(columns, rows, right=("Took", "Stored"), wide=("Note",))
    return Section("emergencies", "Emergency backups", (table,))


_DUE_ON = {
    "backups": "schedules",
    "restore test": "verify_and_restore",
    "verification": "verify_and_restore",
    "upkeep": "schedules",
    "proof": "verify_and_restore",
    "key": "health",
}
"""The page on which what is due is seen or done; an action item stands further down on this one."""


def due_section(review: Review) -> Section:
    """Return what is due in the week that follows."""
    title = f"Due next week ({review.week.shifted(1).title})"
    if not review.due:
        return Section("due", title, (Paragraph("Nothing is due."),))
    rows = tuple(
        (
            _due_at(due, review),
            Cell(due.database or ""),
            Cell(due.text, link=_DUE_ON.get(due.kind, "")),
            Cell("needs a person" if due.severity != "ok" else "by itself" if due.kind != "action" else "agreed",
                 mark="warning" if due.severity != "ok" else ""),
        )
        for due in review.due
    )  # fmt: skip
    return Section("due", title, (Table(("First (UTC)", "Database", "What", "Who"), rows, wide=("What",)),))


def _cut(review: Review, key: str, shown: int) -> tuple[Paragraph, ...]:
    """Say that a list is not whole, where it is not."""
    total = review.figure(key).value
    return (Paragraph(f"The newest {shown} of {total:,.0f}.", quiet=True),) if total and total > shown else ()


def _due_at(due: Due, review: Review) -> Cell:
    if due.at is None:
        return Cell(NOTHING)
    if due.at < min(review.week.shifted(1).start, review.now):
        return Cell(f"overdue since {day_only(due.at)}", mark="bad")
    return Cell(day_only(due.at) if due.kind == "action" else day_time(due.at))
