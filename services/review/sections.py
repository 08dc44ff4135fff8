"""From the review's facts to its document: which tables it has, and what they say."""

from __future__ import annotations

from urllib.parse import quote

from services.review import events
from services.review.document import Cell, Chart, Document, Mark, Paragraph, Section, Table
from services.review.figures import NOTHING, Figure
from services.review.model import DatabaseWeek, DayOfSlots, Review
from services.review.people import action_section, note_section, question_section
from services.review.totals import HEADLINE
from services.review.week import BEFORE
from services.review.wording import comparison_cell, day_time, instant, mean_words, run_link, write_value
from services.status import State
from services.units import format_duration

SAMPLE = "Sample environment: this is not your data"
LEGEND = (
    "full bar: satisfied · half bar: late · cross: missed · ring: open · square: backup without a slot · line: none"
)
_STATES: dict[State, Mark] = {
    "PROTECTED": "good",
    "AT RISK": "warning",
    "UNPROTECTED": "bad",
    "NEVER BACKED UP": "bad",
    "UNKNOWN": "quiet",
    "PAUSED": "quiet",
}
_DAYS: dict[str, tuple[str, Mark]] = {
    "satisfied": ("✓", "good"),
    "late": ("late", "warning"),
    "missed": ("✕ missed", "bad"),
    "open": ("open", ""),
    "backup": ("backup", ""),
    "nothing": (NOTHING, "quiet"),
}


_PAGES = {
    "slots": "slo",
    "misses": "slo",
    "backups": "inventory",
    "duration": "trends",
    "database_size": "trends",
    "stored_size": "trends",
    "emergencies": "inventory?type=emergency",
    "storage": "storage",
    "checks": "verify_and_restore",
    "restore_tests": "verify_and_restore",
    "deletions": "retention?view=Deletion+log",
    "alerts_opened": "health",
}
"""Where the page tells more of a figure."""


def make_document(review: Review) -> Document:
    """Return the review of a week as a document."""
    return Document(
        title=f"Weekly review {review.week.label}",
        subtitle=f"{review.week.title}, UTC",
        label=SAMPLE if review.sample else "",
        verdict=review.verdict.sentence,
        severity=review.verdict.severity,
        remark=remark(review),
        sections=(
            _slots(review),
            question_section(review),
            action_section(review),
            note_section(review),
            Section("figures", "Figures", (figures_table(review),)),
            _databases(review),
            _weeks(review),
            events.restore_tests_section(review),
            events.checks_section(review),
            events.failures_section(review),
            events.alerts_section(review),
            events.storage_section(review),
            events.emergencies_section(review),
            events.due_section(review),
        ),
        made=f"Made {instant(review.now)}",
    )


def remark(review: Review) -> str:
    """Say with what the week is compared, and up to when it speaks."""
    if review.since is None:
        return "Nothing is on record yet."
    first = f"On record since {review.since:%d %b %Y}. " if review.figure("backups").mean_of < BEFORE else ""
    if review.is_running:
        return f"{first}The week runs: up to {instant(review.until)}, against the same days of the weeks before."
    return f"{first}Against the week before and the mean of the {BEFORE} weeks before."


def figures_table(review: Review) -> Table:
    """Return every figure of the week with its comparisons."""
    rows = tuple(
        (
            _label(figure), Cell(figure.text), Cell(figure.last_text), Cell(mean_words(figure)),
            comparison_cell(figure.against_last), comparison_cell(figure.against_mean),
        )
        for figure in review.figures
    )  # fmt: skip
    columns = ("Figure", "This week", "Last week", "4-week mean", "Against last week", "Against the mean")
    return Table(columns, rows, right=columns[1:4])


def _label(figure: Figure) -> Cell:
    return Cell(figure.label, link=_PAGES.get(figure.key, ""))


def slots_words(databases: tuple[DatabaseWeek, ...]) -> str:
    """Say the strips of all databases in words."""
    return ". ".join(f"{week.database}: {strip_words(week)}" for week in databases)


def strip_words(week: DatabaseWeek) -> str:
    """Say one database's strip in words: ``6 satisfied, 1 missed (Wed 18)``."""
    said = []
    for state in ("satisfied", "late", "missed", "open"):
        counts = [(day, getattr(day, state)) for day in week.days]
        if total := sum(n for _, n in counts):
            days = ", ".join(f"{day.day:%a} {day.day.day}" for day, n in counts if n)
            said.append(f"{total} {state}" + (f" ({days})" if state != "satisfied" else ""))
    extra = sum(day.good_backups for day in week.days if not day.slots)
    if extra:
        said.append(f"{extra} good {'backup' if extra == 1 else 'backups'} on days without a slot")
    return ", ".join(said) or "no slot was due, and no backup was made"


def _slots(review: Review) -> Section:
    if not review.databases:
        return Section("slots", "Slots", (Paragraph("No database was protected in this week."),))
    heads = tuple(f"{day:%a} {day.day}" for day in review.week.days)
    rows = tuple((Cell(week.database), *(_day(day) for day in week.days)) for week in review.databases)
    chart = Chart("slots", slots_words(review.databases), Table(("Database", *heads), rows), LEGEND)
    return Section("slots", "Slots", (chart, misses_table(review)))


def misses_table(review: Review) -> Table | Paragraph:
    """Return the late and missed slots with their causes."""
    if not review.misses:
        due = sum(day.slots for week in review.databases for day in week.days)
        return Paragraph("No slot was missed." if due else "No slot was due in this week.")
    rows = tuple(
        (
            Cell(day_time(outcome.slot.due)),
            Cell(outcome.slot.database or ""),
            Cell(
                outcome.state,
                mark="bad" if outcome.state == "missed" else "warning",
                link=run_link("backup", outcome.slot.database, outcome.run_id),
            ),
            Cell(outcome.cause or "Not known."),
        )
        for outcome in review.misses
    )
    return Table(("Due (UTC)", "Database", "Slot", "Cause"), rows, wide=("Cause",))


def _day(day: DayOfSlots) -> Cell:
    word, mark = _DAYS[day.state]
    count = f"{day.satisfied} of {day.slots}" if day.slots > 1 else ""
    return Cell(word, below=count, mark=mark)


def _databases(review: Review) -> Section:
    if not review.databases:
        return Section("databases", "Databases", (Paragraph("No database was protected in this week."),))
    columns = ("Database", "Status", "Slots", "Duration (median)", "Database size", "Stored", "Proven")
    rows = tuple(
        (
            Cell(week.database, link=f"inventory?db={quote(week.database)}"),
            _state(week),
            Cell(_slots_of(week)),
            _figure(week.duration),
            _figure(week.database_size),
            _figure(week.stored_size),
            _proof(week),
        )
        for week in review.databases
    )
    note = Paragraph("Durations and sizes are compared with last week's.", quiet=True)
    title = "Databases now" if review.is_running else "Databases at the end of the week"
    return Section("databases", title, (Table(columns, rows, right=columns[2:6], wide=("Status",)), note))


def _state(week: DatabaseWeek) -> Cell:
    if week.status is None:
        return Cell("no longer in the settings", mark="quiet")
    return Cell(week.status.state, week.status.reasons[0].text, _STATES[week.status.state])


def _slots_of(week: DatabaseWeek) -> str:
    satisfied = sum(day.satisfied for day in week.days)
    due = sum(day.settled for day in week.days)
    return f"{satisfied} of {due}" if due else NOTHING


def _figure(figure: Figure) -> Cell:
    below = comparison_cell(figure.against_last)
    return Cell(figure.text, "" if figure.against_last.tone == "nothing" else below.text, below.mark)


def _proof(week: DatabaseWeek) -> Cell:
    proof = week.proof
    undone = week.status.evidence.undone_test if week.status is not None else None
    if proof is None and undone is not None:
        return Cell("not any more", f"found damaged after {undone.finished_at:%Y-%m-%d}", "warning")
    if proof is None:
        return Cell("never", mark="warning" if week.status is not None else "quiet")
    if not week.is_proven:
        return Cell(f"{proof.finished_at:%Y-%m-%d}", "run out, or a later test failed", "warning")
    took = f"restored in {format_duration(proof.seconds)}" if proof.seconds is not None else ""
    return Cell(f"{proof.finished_at:%Y-%m-%d}", took, "good")


def headline(review: Review) -> list[Figure]:
    """Return the figures that the chart of five weeks shows."""
    return [review.figure(key) for key in HEADLINE if key != "alerts_opened"]


def _weeks(review: Review) -> Section:
    chosen = headline(review)
    labels = tuple(f"W{review.week.shifted(n - BEFORE).number:02d}" for n in range(BEFORE + 1))
    rows = tuple((_label(f), *(Cell(write_value(f, value)) for value in f.values)) for f in chosen)
    words = "; ".join(f"{f.label} from {write_value(f, f.values[0])} to {f.text}" for f in chosen)
    return Section("weeks", "Five weeks", (Chart("weeks", words, Table(("Figure", *labels), rows, right=labels)),))
