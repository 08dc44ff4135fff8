"""``backups storage``: what each storage holds, what still fits, when it is full, and which copies are wanting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from services.capacity.storage_use import Severity, StorageCard, StorageReport, Use, load_storage_report
from services.capacity.tiers import TierUse, use_by_tier
from services.catalog.copies import MissingCopy
from services.cli.app import app
from services.cli.output import instant, note, printable, say, stdout, table, write_json
from services.cli.session import AsJson, opened
from services.clock import isoformat
from services.retention.plans import load_plans
from services.units import format_bytes

_CODES: dict[Severity, int] = {"ok": 0, "warning": 1, "failure": 2, "unknown": 3}
_WORST_LAST = (0, 1, 3, 2)
_STYLES: dict[Severity, str] = {"ok": "green", "warning": "yellow", "failure": "bold red", "unknown": "magenta"}
_SHOWN = 10
_KEEPERS = {"other": "another reason", "none": "nothing: goes next"}


@app.command()
def storage(
    tiers: Annotated[
        bool, typer.Option("--tiers", help="Show what each tier of the retention policy holds instead; exit code 0.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what each storage holds, what still fits and when it is full, and which copies are wanting.

    Exit code, of the room alone: 0 enough, 1 nearly full or full within 30 days, 2 no room for the next backups, 3 a
    storage cannot be asked.
    """
    with opened(quiet=as_json) as installation:
        if tiers:
            uses = use_by_tier(load_plans(installation))
            write_json([_tier_form(use) for use in uses]) if as_json else _draw_tiers(uses)
            return
        report = load_storage_report(installation)
    if as_json:
        write_json([_form(card, report) for card in report.cards])
    else:
        _draw(report)
    raise typer.Exit(max((_CODES[card.verdict[0]] for card in report.cards), key=_WORST_LAST.index, default=0))


def _draw(report: StorageReport) -> None:
    columns = ["Storage", "Copies", "Used", "Fits", "Full", "A day", "Full in"]
    rows = [
        (
            card.name,
            f"{card.used.copies:,}",
            format_bytes(card.used.bytes),
            "–" if card.total_bytes is None else format_bytes(card.total_bytes),
            "–" if not card.total_bytes else f"{100 * card.used.bytes / card.total_bytes:.0f} %",
            _pace(card),
            _full(card),
        )
        for card in report.cards
    ]
    stdout().print(table(columns, rows, right=columns[1:]))
    for card in report.cards:
        severity, words = card.verdict
        stdout().print(
            Text.assemble((f"{printable(card.name)}: ", "default"), (printable(words), _STYLES[severity])),
            soft_wrap=True,
        )
    classes = {(c.name, name): use for c in report.cards for name, use in c.by_class.items()}
    if len({name for _, name in classes}) > 1:
        lines = [(s, name, f"{use.copies:,}", format_bytes(use.bytes)) for (s, name), use in classes.items()]
        stdout().print(table(["Storage", "Class", "Copies", "Used"], lines, right=["Copies", "Used"]))
    _draw_missing(report)


def _draw_tiers(uses: list[TierUse]) -> None:
    columns = ["Database", "Kept by", "Backups", "Size"]
    rows = [(u.database, _KEEPERS.get(u.keeper, u.keeper), f"{u.backups:,}", format_bytes(u.bytes)) for u in uses]
    stdout().print(table(columns, rows, right=columns[2:]))
    note("In all storages. A backup that several tiers keep counts in each of them.")


def _draw_missing(report: StorageReport) -> None:
    if not report.missing_count:
        return
    many = "1 copy is" if report.missing_count == 1 else f"{report.missing_count:,} copies are"
    say(f"{many} wanting; the worker makes them, the newest first.", style="yellow")
    rows = [
        (each.backup_name, each.storage, each.state or "not begun", instant(each.next_attempt_at), each.error)
        for each in report.missing[:_SHOWN]
    ]
    stdout().print(table(["Backup", "Storage", "State", "Tried again (UTC)", "Why"], rows, whole=["Backup", "State"]))
    if report.missing_count > len(rows):
        note(f"And {report.missing_count - len(rows):,} more.")


def _pace(card: StorageCard) -> str:
    pace = card.growth_bytes_per_day
    if pace is None:
        return "unknown"
    return f"{'+' if pace >= 0 else '-'}{format_bytes(abs(pace))}"


def _full(card: StorageCard) -> str:
    if card.total_bytes is None:
        return "no limit"
    if card.full_in_days is not None:
        return f"{card.full_in_days:,} d"
    if card.growth_bytes_per_day is None:
        return "unknown"
    return "over 10 y" if card.growth_bytes_per_day > 0 else "not growing"


def _form(card: StorageCard, report: StorageReport) -> dict[str, Any]:
    severity, words = card.verdict
    pace = card.growth_bytes_per_day
    return {
        "name": card.name,
        "url": card.url or None,
        "backups": card.used.copies,
        "used_bytes": card.used.bytes,
        "limit_bytes": card.limit_bytes,
        "free_bytes": card.free_bytes,
        "room_bytes": card.room_bytes,
        "problem": card.problem or None,
        "total_bytes": card.total_bytes,
        "warn_percent": card.warn_percent,
        "severity": severity,
        "verdict": words,
        "growth_bytes_per_day": None if pace is None else round(pace),
        "full_in_days": card.full_in_days,
        "next_bytes": card.next_bytes,
        "cold_classes": list(card.cold_classes),
        "by_database": _uses("database", card.by_database),
        "by_type": _uses("type", card.by_type),
        "by_class": _uses("storage_class", card.by_class),
        "missing_copies": card.wanting,
        "missing": [_missing_form(each) for each in report.missing if each.storage == card.name],
    }


def _uses(key: str, uses: Mapping[Any, Use]) -> list[dict[str, Any]]:
    return [{key: name, "copies": use.copies, "bytes": use.bytes} for name, use in uses.items()]


def _tier_form(use: TierUse) -> dict[str, Any]:
    return {"database": use.database, "tier": use.keeper, "backups": use.backups, "bytes": use.bytes}


def _missing_form(each: MissingCopy) -> dict[str, Any]:
    return {
        "backup_id": each.backup_id,
        "backup": each.backup_name,
        "database": each.database,
        "finished_at": isoformat(each.finished_at),
        "state": each.state,
        "error": each.error,
        "attempts": each.attempts,
        "next_attempt_at": isoformat(each.next_attempt_at),
        "has_source": each.has_source,
    }
