"""The charts of the Trends page, in their order."""

from __future__ import annotations

from dashboard.charts.line import SERIES, line_chart
from dashboard.charts.measured import MEASURED, MOST_SERIES, measured_panel
from dashboard.charts.panel import Panel
from dashboard.charts.rows import RowMaker, edges, horizon, reaches_today, room_for, unit_of, when
from dashboard.charts.success import success_chart, success_rows
from dashboard.format import duration, percent, size
from services.status import age
from services.trends.findings import TARGET
from services.trends.trends import Trends
from services.trends.usage import StorageOutlook

_FAR = 3.0
"""A limit that is so many times what is drawn is said, not drawn: it would press everything else flat."""


def panels(trends: Trends) -> list[Panel]:
    """Return the charts over time; one without anything to show is not among them."""
    made = [*(measured_panel(trends, what) for what in MEASURED), _success(trends), _restores(trends), _usage(trends)]
    return [panel for panel in made if panel is not None]


def _success(trends: Trends) -> Panel | None:
    if trends.success.empty:
        return None
    found, said = trends.success_total, []
    if found.runs:
        said.append(f"{percent(found.runs_finished, found.runs)} of {found.runs:,} runs finished")
    if found.days:
        what = "days" if len(trends.query.databases) == 1 else "days (of each database)"
        said.append(f"{percent(found.days_good, found.days)} of {found.days:,} {what} have a good backup")
    said.append(f"promised {100 * TARGET:.1f} %")
    rows = success_rows(trends.success, trends.query)
    words = " · ".join(said)
    return Panel("success", "Success", words, words, success_chart, rows, (), trends.success)


def _restores(trends: Trends) -> Panel | None:
    tested = set(trends.restores["database"])
    drawn = tuple(name for name in trends.largest(MOST_SERIES) if name in tested)
    tests = trends.restores[trends.restores["database"].isin(drawn)]
    if tests.empty:
        return None
    longest = float(tests["seconds"].max())
    limits = sorted({trends.limits[name] for name in drawn if name in trends.limits})
    shown = [limit for limit in limits if limit.total_seconds() <= _FAR * longest]
    unit = unit_of([longest, *(limit.total_seconds() for limit in shown)], "seconds")
    maker, several = RowMaker(unit), len(drawn) > 1
    for row in tests.itertuples():
        said = f"{row.database}: " if several else ""
        said += f"{duration(row.seconds)} for {size(row.plain_bytes)} of dump · {row.backup}"
        maker.point(row.at, SERIES[drawn.index(row.database)], row.database, row.seconds, backup_id=row.backup_id,
                    when=when(row.at, None), words=said)  # fmt: skip
    for edge in edges(trends.query):
        maker.edge(edge)
    for limit in shown:
        maker.limit(limit.total_seconds(), f"RTO {age(limit)}", edges(trends.query)[0])
    if several:
        maker.names(log=False)
    count = f"{len(tests):,} passed restore {'test' if len(tests) == 1 else 'tests'}"
    promised = " or ".join(age(limit) for limit in limits)
    far = "" if shown else ", far above all of them"
    words = f"{count} · the last took {duration(float(tests['seconds'].iloc[-1]))} · limit: RTO {promised}{far}"
    return Panel(
        "restore-time", "Measured restore time (RTO)", words, words, line_chart, maker.frame(),
        (f"Restore ({unit.name})", *([room_for(drawn)] if several else [])), tests, leads=True,
    )  # fmt: skip


def _usage(trends: Trends) -> Panel | None:
    usage, storages = trends.usage, trends.storages[: len(SERIES)]
    if usage.empty or not usage["bytes"].any():
        return None
    slots = {found.storage: SERIES[n] for n, found in enumerate(storages)}
    highest = float(usage["bytes"].max())
    shown = {s.storage: float(s.total_bytes) for s in storages if s.total_bytes and s.total_bytes <= _FAR * highest}
    unit = unit_of([highest, *shown.values()], "bytes")
    maker, several = RowMaker(unit), len(storages) > 1
    for row in usage.itertuples():
        if row.storage in slots:
            said = f"{row.storage}: {size(row.bytes)}" if several else size(row.bytes)
            maker.point(row.at, slots[row.storage], row.storage, row.bytes, when=when(row.at, "day"), words=said)
    for edge in edges(trends.query):
        maker.edge(edge)
    for found in storages:
        if found.line is not None and reaches_today(trends):
            maker.forecast(slots[found.storage], found.storage, found.line, horizon(trends.query))
    for storage, room in shown.items():
        maker.limit(room, f"room in {storage}: {size(round(room))}", edges(trends.query)[0])
    if several:
        maker.names(log=False)
    said = [_room_words(found) for found in storages]
    return Panel(
        "storage-usage", "Storage used, by day", " · ".join(said), "\n".join(said), line_chart,
        maker.frame(), (f"Stored ({unit.name})", "steps", *([room_for(slots)] if several else [])), usage, wide=True,
    )  # fmt: skip


def _room_words(found: StorageOutlook) -> str:
    text = f"{found.storage} holds {size(found.bytes)}"
    if found.total_bytes is None:
        return f"{text}, no limit is set"
    text += f" of {size(found.total_bytes)}"
    if found.full_in_days is None:
        return text if found.line is None else f"{text}, not growing"
    if found.full_in_days > 3650:
        return f"{text}, not full within ten years"
    text += f", full in about {found.full_in_days:,.0f} days"
    if found.full_at_the_earliest is not None and found.full_at_the_latest is not None:
        text += f" ({found.full_at_the_earliest:,.0f} to {found.full_at_the_latest:,.0f})"
    return text
