"""What people have to say and to do about a week: open questions, notes and action items, as parts of the document."""

from __future__ import annotations

from services.review.actions import ActionItem
from services.review.document import Cell, Items, Paragraph, Quote, Section, Table
from services.review.figures import NOTHING
from services.review.model import Review
from services.review.notes import Note
from services.review.week import Week
from services.review.wording import instant


def question_section(review: Review) -> Section:
    """Return what the week leaves open."""
    if not review.questions:
        return Section("questions", "Open questions", (Paragraph("The week leaves no question open."),))
    items = tuple(Cell(question.text) for question in review.questions)
    return Section("questions", "Open questions", (Items(items),))


def note_section(review: Review) -> Section:
    """Return the notes as they read now, each with its author."""
    if not review.notes:
        return Section("notes", "Notes", (Paragraph("No note yet."),))
    return Section("notes", "Notes", tuple(Quote(note.text, note_words(note)) for note in review.notes))


def note_words(note: Note) -> str:
    """Say about what a note is, who wrote it, and whether it was edited."""
    first, latest = note.versions[0], note.latest
    said = [note.database] if note.database else []
    said.append(f"{first.author}, {instant(first.at)}")
    if latest.number > 1:
        said.append(f"edited by {latest.author}, {instant(latest.at)}")
    return " · ".join(said)


def action_section(review: Review) -> Section:
    """Return the action items: what is open of this week and of those before, and what was done."""
    if not review.actions:
        return Section("actions", "Action items", (Paragraph("No action item is open."),))
    rows = tuple(
        (
            Cell("done" if item.is_done else "overdue" if item.is_overdue(review.now) else "open",
                 mark="good" if item.is_done else "bad" if item.is_overdue(review.now) else ""),
            Cell(item.text, action_words(item, review.week)),
            Cell(item.owner or "nobody yet", mark="" if item.owner else "warning"),
            Cell(f"{item.due:%a} {item.due.day} {item.due:%b %Y}" if item.due else NOTHING),
        )
        for item in review.actions
    )  # fmt: skip
    return Section("actions", "Action items", (Table(("State", "What", "Owner", "Due"), rows, wide=("What",)),))


def action_words(item: ActionItem, week: Week) -> str:
    """Say since when an item is carried over, and how it was done."""
    carried = item.carried(week)
    said = [f"from {item.week}, carried over {carried} {'week' if carried == 1 else 'weeks'}"] if carried else []
    if item.done_at is not None:
        said.append(f"done by {item.done_by}, {instant(item.done_at)}" + (f": {item.note}" if item.note else ""))
    return " · ".join(said)
