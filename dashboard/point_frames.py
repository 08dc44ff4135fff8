"""DataFrames for the page *Point in time*, each with a documented column schema. Pure; nothing here knows Streamlit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pandas as pd

from dashboard.format import instant, naive
from services.pitr.base_model import BaseBackup
from services.pitr.point_history import PointRestore
from services.pitr.reach import Reach

WINDOW_COLUMNS = ("kind", "timeline", "from", "to", "words")
BASE_COLUMNS = (
    "Consistent at (UTC)", "Name", "Verified", "Size", "Stored", "Took", "Timeline", "PostgreSQL", "Kind",
)  # fmt: skip
POINT_COLUMNS = (
    "id", "Asked (UTC)", "Outcome", "Target", "Last transaction in it", "Measured RTO", "Rows", "By", "Base backup",
)  # fmt: skip


def window_frame(reach: Reach) -> pd.DataFrame:
    """Return what the bar of the recovery windows is drawn from, with WINDOW_COLUMNS.

    ``kind``: ``window`` (from ``from`` to ``to`` any instant can be restored), ``gap`` (segments are missing),
    ``base`` (a base backup, at ``from``). ``timeline``: ``timeline 1``. Times are naive, UTC.
    """
    rows: list[tuple[str, int, datetime, datetime, str]] = [
        ("window", w.timeline, w.from_at, w.to_at, f"{instant(w.from_at)} to {instant(w.to_at)}") for w in reach.windows
    ]
    for gap in (gap for gap in reach.gaps if gap.before_at is not None or gap.after_at is not None):
        begun = gap.before_at or gap.after_at
        ended = gap.after_at or gap.before_at
        assert begun is not None  # one of the two is
        assert ended is not None  # one of the two is
        rows.append(("gap", gap.timeline, min(begun, ended), max(begun, ended), f"missing: {gap}"))
    rows += [
        ("base", base.timeline, base.stopped_at, base.stopped_at, f"base backup of {instant(base.stopped_at)}")
        for base in reach.bases
    ]
    rows.sort(key=lambda row: row[1])
    named = [(kind, f"timeline {line}", naive(begun), naive(ended), words) for kind, line, begun, ended, words in rows]
    return pd.DataFrame(named, columns=list(WINDOW_COLUMNS))


def window_words(reach: Reach) -> str:
    """Say the bar in words, for those who do not see it."""
    windows = "; ".join(f"{instant(w.from_at)} to {instant(w.to_at)} (timeline {w.timeline})" for w in reach.windows)
    gaps = "; ".join(f"{gap} on timeline {gap.timeline}" for gap in reach.gaps[:5])
    return f"Can be restored: {windows or 'nothing'}. Missing: {gaps or 'nothing'}."


def base_frame(bases: Iterable[BaseBackup]) -> pd.DataFrame:
    """Return one row a base backup, the newest first, with BASE_COLUMNS; sizes are bytes, ``Took`` seconds."""
    rows = [
        (
            naive(base.stopped_at), base.backup.name, _verified(base), base.backup.plain_bytes,
            base.backup.stored_bytes, (base.stopped_at - base.started_at).total_seconds(), base.timeline,
            base.server_major, "full" if base.parent_id is None else "incremental",
        )
        for base in sorted(bases, key=lambda one: one.stopped_at, reverse=True)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(BASE_COLUMNS))


def point_frame(restores: Iterable[PointRestore]) -> pd.DataFrame:
    """Return one row a restore to a point, with POINT_COLUMNS; ``Measured RTO`` is seconds."""
    rows = []
    for found in restores:
        run, report = found.run, found.report
        rows.append((
            run.id, naive(run.queued_at), point_outcome(found), found.target,
            (report.last_commit_at or "") if report is not None else "",
            report.recovery_time if report is not None else None,
            sum(one.rows or 0 for one in report.databases) if report is not None else None,
            run.actor, report.base_name if report is not None else "",
        ))  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(POINT_COLUMNS))
    return frame.astype({"Rows": "Int64", "Measured RTO": "Float64"})


def point_outcome(found: PointRestore) -> str:
    """Return the word for what a restore came to, with a sign of its own."""
    run = found.run
    if run.state in ("queued", "running"):
        return f"… {run.state}"
    if run.state != "finished":
        return f"– {run.state}" if run.state == "cancelled" else "✕ refused" if run.was_refused else f"✕ {run.state}"
    if run.kind == "point_restore":
        return "✓ restored"
    outcome = str(run.result.get("outcome", "unknown"))
    return f"{'✓' if outcome == 'passed' else '✕' if outcome == 'failed' else '?'} {outcome}"


def _verified(base: BaseBackup) -> str:
    backup = base.backup
    if backup.verification_level is None:
        return "? not verified"
    if backup.verification_level == "restore":
        return "◆ restored"
    return f"✓ {backup.verification_level}"
