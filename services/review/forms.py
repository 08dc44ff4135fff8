"""The review as JSON. Keys are stable: they are added to, never renamed. Times are ISO 8601 in UTC, sizes bytes,
durations seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.alerts.rules import rule_of
from services.clock import isoformat
from services.review.actions import ActionItem
from services.review.figures import Comparison, Figure
from services.review.model import DatabaseWeek, Review
from services.review.notes import Note
from services.review.week import BEFORE


def review_form(review: Review) -> dict[str, Any]:
    """Return everything that the review of a week holds."""
    return {
        "week": review.week.label,
        "start": isoformat(review.week.start),
        "end": isoformat(review.week.end),
        "until": isoformat(review.until),
        "running": review.is_running,
        "made_at": isoformat(review.now),
        "on_record_since": isoformat(review.since),
        "sample": review.sample,
        "verdict": {"sentence": review.verdict.sentence, "severity": review.verdict.severity},
        "compared_weeks": [review.week.shifted(n - BEFORE).label for n in range(BEFORE + 1)],
        "figures": {figure.key: figure_form(figure) for figure in review.figures},
        "databases": [_database_form(week) for week in review.databases],
        "misses": [
            {
                "database": outcome.slot.database,
                "due": isoformat(outcome.slot.due),
                "deadline": isoformat(outcome.slot.deadline_at),
                "state": outcome.state,
                "cause": outcome.cause or None,
                "run_id": outcome.run_id,
                "backup_id": outcome.backup_id,
            }
            for outcome in review.misses
        ],
        "restore_tests": [
            {
                "backup_id": test.backup_id,
                "backup": test.backup_name,
                "database": test.database,
                "outcome": test.outcome,
                "proof": test.proof,
                "finished_at": isoformat(test.finished_at),
                "rto_seconds": test.seconds,
                "promised_rto_seconds": test.rto_seconds,
                "run_id": test.run_id,
            }
            for test in review.restore_tests
        ],
        "verifications": [
            {"level": c.level, "passed": c.passed, "failed": c.failed, "not_testable": c.not_testable}
            for c in review.checks
        ],
        "alerts": [
            {
                "id": alert.id,
                "check": alert.check,
                "title": rule_of(alert.check).title,
                "subject": {"kind": alert.subject.kind, "name": alert.subject.name},
                "severity": alert.severity,
                "sentence": alert.sentence,
                "opened_at": isoformat(alert.opened_at),
                "resolved_at": isoformat(alert.resolved_at),
                "acknowledged_by": alert.acknowledged_by,
                "note": alert.note or None,
            }
            for alert in review.alerts
        ],
        "failures": [
            {
                "run_id": run.id,
                "kind": run.kind,
                "database": run.database,
                "finished_at": isoformat(run.at),
                "state": run.state,
                "error": run.error,
                "hint": run.hint or None,
            }
            for run in review.failures
        ],
        "deletions": [{"database": d.database, "backups": d.backups, "bytes": d.bytes} for d in review.deletions],
        "emergency_backups": [
            {
                "id": backup.id,
                "name": backup.name,
                "database": backup.database,
                "finished_at": isoformat(backup.finished_at),
                "duration_seconds": backup.seconds,
                "stored_bytes": backup.stored_bytes,
                "note": backup.note,
                "actor": backup.actor,
            }
            for backup in review.emergencies
        ],
        "storages": [
            {
                "name": storage.name,
                "used": figure_form(storage.used),
                "limit_bytes": storage.limit_bytes,
                "full_in_days": storage.full_in_days,
            }
            for storage in review.storages
        ],
        "due": [
            {
                "kind": due.kind,
                "database": due.database,
                "text": due.text,
                "at": isoformat(due.at),
                "needs_a_person": due.severity != "ok",
            }
            for due in review.due
        ],
        "questions": [{"database": q.database, "text": q.text} for q in review.questions],
        "notes": [note_form(note) for note in review.notes],
        "actions": action_forms(review.actions),
    }


def figure_form(figure: Figure) -> dict[str, Any]:
    """Return a figure; ``values`` are those of ``compared_weeks``."""
    return {
        "label": figure.label,
        "unit": {"s": "seconds", "B": "bytes", "%": "percent", "": "count"}[figure.unit],
        "value": figure.value,
        "text": figure.text,
        "last_week": figure.last,
        "mean": figure.mean,
        "mean_of_weeks": figure.mean_of,
        "values": list(figure.values),
        "against_last_week": _comparison_form(figure.against_last),
        "against_mean": _comparison_form(figure.against_mean),
    }


def note_form(note: Note) -> dict[str, Any]:
    """Return a note as it reads now, and what it said before."""
    return {
        "id": note.id,
        "week": note.week,
        "database": note.database,
        "text": note.text,
        "withdrawn": note.is_withdrawn,
        "versions": [
            {"number": v.number, "text": v.text, "author": v.author, "at": isoformat(v.at)} for v in note.versions
        ],
    }


def action_forms(items: Iterable[ActionItem]) -> list[dict[str, Any]]:
    """Return action items; ``due`` is a day."""
    return [
        {
            "id": item.id,
            "week": item.week,
            "text": item.text,
            "owner": item.owner or None,
            "due": item.due.isoformat() if item.due else None,
            "created_at": isoformat(item.created_at),
            "created_by": item.created_by,
            "done_at": isoformat(item.done_at),
            "done_by": item.done_by,
            "note": item.note or None,
        }
        for item in items
    ]


def _comparison_form(comparison: Comparison) -> dict[str, Any]:
    return {"words": comparison.words, "tone": comparison.tone}


def _database_form(week: DatabaseWeek) -> dict[str, Any]:
    proof = week.proof
    return {
        "database": week.database,
        "status": week.status.state if week.status else None,
        "reasons": [reason.text for reason in week.status.reasons] if week.status else [],
        "proven": week.is_proven,
        "proven_at": isoformat(proof.finished_at) if proof else None,
        "proven_by": proof.backup_id if proof else None,
        "days": [
            {
                "day": day.day.isoformat(),
                "state": day.state,
                "satisfied": day.satisfied,
                "late": day.late,
                "missed": day.missed,
                "open": day.open,
                "good_backups": day.good_backups,
            }
            for day in week.days
        ],
        "duration": figure_form(week.duration),
        "database_size": figure_form(week.database_size),
        "stored_size": figure_form(week.stored_size),
    }
