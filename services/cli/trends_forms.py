"""The trends as text and as JSON. Imported when they are asked for: pandas is not needed by other commands."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from services.cli.output import instant, printable, say, stdout, table
from services.clock import isoformat
from services.trends.findings import changes, sentence
from services.trends.growth import Growth
from services.trends.trends import Trends
from services.trends.usage import StorageOutlook
from services.units import format_bytes, format_duration

_STYLES = {"failure": "bold red", "warning": "yellow", "unknown": "magenta", "note": "", "ok": "green"}


def say_trends(found: Trends) -> None:
    """Write what matters, a line for each database, and what is unusual."""
    say(f"{found.query.first} to {found.query.last} (UTC)", style="dim")
    for finding in found.findings:
        say(sentence([finding]), style=_STYLES[finding.severity])
    longer, larger = changes(found.points, "seconds"), changes(found.points, "stored_bytes")
    growth = {g.database: g for g in found.growth if g.measure == "stored_bytes"}
    rows = []
    for name, its in found.points.groupby("database", sort=True):
        database, tests = str(name), found.restores[found.restores["database"] == name]
        expected = growth[database].expected
        rows.append((
            database, f"{int(its['backups'].sum()):,}", format_duration(float(its["seconds"].iloc[-1])),
            _change(longer.get(database)), format_bytes(float(its["stored_bytes"].iloc[-1])),
            _change(larger.get(database)), "–" if expected is None else format_bytes(expected[0]),
            "–" if tests.empty else format_duration(float(tests["seconds"].iloc[-1])),
        ))  # fmt: skip
    if rows:
        columns = ["Database", "Backups", "Takes", "Change", "Stored", "Change", "In 90 days", "Restores in"]
        stdout().print(table(columns, rows, right=columns[1:]))
    for outlier in found.outliers[:20]:
        stdout().print(Text(printable(f"{instant(outlier.at)}  {outlier.backup} {outlier.reason}")), soft_wrap=True)


def _change(ratio: float | None) -> str:
    return "–" if ratio is None else f"{100 * (ratio - 1):+.0f} %"


def trends_form(found: Trends) -> dict[str, Any]:
    """Return the trends as JSON has them: bytes, seconds, ISO 8601."""
    query, success = found.query, found.success_total
    return {
        "first": query.first.isoformat(),
        "last": query.last.isoformat(),
        "databases": list(query.databases),
        "type": query.type,
        "bucket": "backup" if found.single else query.bucket,
        "findings": [{"severity": each.severity, "text": each.text} for each in found.findings],
        "points": _records(found.points),
        "success": {
            "runs": success.runs,
            "runs_finished": success.runs_finished,
            "days": success.days,
            "days_good": success.days_good,
        },
        "growth": [_growth_form(each) for each in found.growth],
        "storages": [_storage_form(each) for each in found.storages],
        "restores": _records(found.restores),
        "outliers": [
            {
                "kind": each.kind,
                "database": each.database,
                "backup_id": each.backup_id,
                "backup": each.backup,
                "at": isoformat(each.at),
                "value": each.value,
                "usual": each.usual,
                "reason": each.reason,
            }
            for each in found.outliers
        ],
    }


def _growth_form(found: Growth) -> dict[str, Any]:
    expected, low, high = found.expected or (None, None, None)
    return {
        "database": found.database,
        "measure": found.measure,
        "now": found.now,
        "bytes_per_day": found.bytes_per_day,
        "in_90_days": expected,
        "in_90_days_low": low,
        "in_90_days_high": high,
    }


def _storage_form(found: StorageOutlook) -> dict[str, Any]:
    return {
        "storage": found.storage,
        "bytes": found.bytes,
        "total_bytes": found.total_bytes,
        "bytes_per_day": None if found.line is None else found.line.slope,
        "full_in_days": found.full_in_days,
        "full_at_the_earliest": found.full_at_the_earliest,
        "full_at_the_latest": found.full_at_the_latest,
    }


def _records(frame: Any) -> list[dict[str, Any]]:
    """Return a frame's rows, instants as ISO 8601, what is missing as None."""
    rows: list[dict[str, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{key: isoformat(value) if key == "at" else value for key, value in row.items()} for row in rows]
