"""The review as the command line writes it: in the form that is asked for, or drawn with plain tables."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import BinaryIO, Literal

from rich.text import Text

from services.cli.output import printable, say, stdout, table, write_json
from services.review.document import Block, Cell, Chart, Code, Document, Items, Mark, Paragraph, Quote, Table
from services.review.export import export_review
from services.review.forms import review_form
from services.review.model import Review
from services.review.sections import make_document

_STYLES: dict[Mark, str] = {"": "", "good": "green", "warning": "yellow", "bad": "bold red", "quiet": "dim"}
_WIDE = 28
"""Columns of running text are at least as wide."""
_SEVERITIES = {"ok": "bold green", "warning": "bold yellow", "failure": "bold red", "unknown": "bold magenta"}


def write_review(review: Review, form: Literal["text", "json", "md", "html", "pdf"], to: BinaryIO) -> None:
    """Write the review into a file, or to standard output. Raise BackupsError when a PDF cannot be made."""
    if form != "text" and form != "json":
        to.write(export_review(review, form))
        to.flush()
        return
    with contextlib.nullcontext() if to is sys.stdout.buffer else _redirected(to):
        if form == "json":
            write_json(review_form(review))
        else:
            draw_document(make_document(review))


@contextlib.contextmanager
def _redirected(to: BinaryIO) -> Iterator[None]:
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        yield
    to.write(written.getvalue().encode())


def draw_document(document: Document) -> None:
    """Write the review to standard output."""
    say(f"{document.title}, {document.subtitle}", style="bold")
    if document.label:
        say(document.label, style="blue")
    say(document.verdict, style=_SEVERITIES.get(document.severity, "bold"))
    say(document.remark, style="dim")
    for section in document.sections:
        say("")
        say(section.title, style="bold")
        for block in section.blocks:
            _draw(block)
    say("")
    say(document.made, style="dim")


def _draw(block: Block) -> None:
    match block:
        case Table():
            _draw_table(block)
        case Chart():
            _draw_table(block.table)
        case Paragraph():
            say(block.text, style="dim" if block.quiet else "")
        case Items():
            for item in block.items:
                say(f"- {item.text}")
        case Code():
            for line in block.text.split("\n"):
                say(f"    {line}")
        case Quote():
            for line in block.text.split("\n"):
                say(f"  {line}")
            say(f"  — {block.by}", style="dim")


def _draw_table(found: Table) -> None:
    rows = [[_cell(cell) for cell in row] for row in found.rows]
    drawn = table(found.columns, rows, right=found.right)
    for column in drawn.columns:
        if column.header in found.wide:
            column.min_width = _WIDE
    stdout().print(drawn)


def _cell(cell: Cell) -> Text:
    text = Text(printable(" ".join(cell.text.split())), style=_STYLES[cell.mark])
    if cell.below:
        text.append(f"\n{printable(' '.join(cell.below.split()))}", style="dim")
    return text
