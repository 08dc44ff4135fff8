"""The review on a page: its first screen, and each section of its document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
import streamlit as st

from dashboard.charts.week_strip import week_frame, week_strip
from dashboard.components.chart import draw_chart
from dashboard.format import advice, escape
from dashboard.theme import SEVERITY_MARKS, Tone, palette
from services.printable import visible_lines
from services.review.document import Block, Cell, Chart, Code, Items, Mark, Paragraph, Quote, Section, Table
from services.review.figures import Figure
from services.review.figures import Tone as Judgement
from services.review.model import Review
from services.review.sections import misses_table, remark, slots_words
from services.review.totals import HEADLINE
from services.review.wording import comparison_cell, mean_words

STRIP_LEGEND = (
    ":green[■] satisfied · :yellow[▄] late · :red[✖] missed · :blue[○] open · :green[▪] backup without a slot "
    "· :gray[▁] no slot"
)
_MARKS: dict[Mark, str] = {
    "": "{}",
    "good": ":green[✓\u00a0{}]",
    "warning": ":yellow[⚠\u00a0{}]",
    "bad": ":red[✕\u00a0{}]",
    "quiet": ":gray[{}]",
}
_SHORT = 6
_TALL = 8
"""Databases whose strips are as high as the figures beside them."""
_HEADING = 160
"""Characters that a heading bears, on a wall as on a phone; the details of a longer sentence stand below it."""
_TONES: dict[Judgement, Tone] = {
    "better": "green",
    "worse": "red",
    "same": "gray",
    "changed": "gray",
    "nothing": "gray",
}


def first_screen(review: Review, *, theme: str | None) -> None:
    """Draw what is read from across the room: the verdict, the strip of each database, and the few figures."""
    verdict = review.verdict
    whole = len(verdict.sentence) <= _HEADING
    heading = verdict.sentence if whole else verdict.headline
    st.markdown(f"# {SEVERITY_MARKS[verdict.severity].inline()} {escape(heading)}", anchors=False)
    if not whole:
        st.markdown(escape(verdict.detail))
    st.caption(escape(remark(review)))
    left, right = st.columns([7, 6], gap="large")
    with left:
        if review.databases:
            words = slots_words(review.databases)
            draw_chart(
                week_strip, week_frame(review.databases), palette(theme), len(review.databases),
                alt=f"Slots of the week. {words}", key="week-strip",
            )  # fmt: skip
            st.markdown(f":small[{STRIP_LEGEND}]")
    with right:
        figures = [review.figure(key) for key in HEADLINE]
        for first in range(0, len(figures), 2):
            for column, figure in zip(st.columns(2, wrap=False), figures[first : first + 2], strict=False):
                with column:
                    _metric(figure)
    with left if len(review.databases) <= _TALL else right:  # beside many strips there is room on the right
        draw_block(misses_table(review), alt="Slots that were missed or late")


def section_links(sections: Sequence[Section]) -> None:
    """Draw a line of links to the sections further down."""
    links = " · ".join(f"[{escape(section.title)}](#{section.key})" for section in sections)
    st.markdown(f"**The week in detail:** {links}")


def draw_section(section: Section) -> None:
    """Draw a section's heading, which can be linked to, and what stands under it."""
    st.header(escape(section.title), anchor=section.key)
    for block in section.blocks:
        draw_block(block, alt=section.title)


def draw_block(block: Block, *, alt: str) -> None:
    """Draw a table, a paragraph, a list or a quotation. A chart of an export is drawn as its table."""
    match block:
        case Table():
            _table(block, alt)
        case Chart():
            _table(block.table, alt)
        case Paragraph():
            (st.caption if block.quiet else st.markdown)(advice(block.text))
        case Items():
            st.markdown("\n".join(f"- {_markdown(item)}" for item in block.items))
        case Code():
            st.code(visible_lines(block.text), language="bash", wrap_lines=True)
        case Quote():
            quote(block)


def quote(block: Quote) -> None:
    """Draw what a person wrote, with its line breaks, and who wrote it."""
    lines = "  \n".join(escape(line) for line in block.text.split("\n"))
    st.markdown(lines)
    st.caption(escape(block.by))


def _metric(figure: Figure) -> None:
    against = figure.against_last
    with st.container(gap=None):
        st.metric(
            figure.label, figure.text, delta=comparison_cell(against).text, delta_arrow="off",
            delta_color=_TONES[against.tone],
        )  # fmt: skip
        st.caption(f"last week {escape(figure.last_text)} · mean {escape(mean_words(figure))}")


def _table(table: Table, alt: str) -> None:
    rows = [
        [_markdown(cell, whole=column not in table.wide) for column, cell in zip(table.columns, row, strict=True)]
        for row in table.rows
    ]
    frame = pd.DataFrame(rows, columns=_headings(table.columns))
    st.table(frame, border="horizontal", hide_index=True, alt=alt)


def _headings(columns: Iterable[str]) -> list[str]:
    return [escape(column) for column in columns]


def _markdown(cell: Cell, *, whole: bool = False) -> str:
    """Return a cell as Markdown. ``whole``: a short text is not broken, so that a narrow screen scrolls the table."""
    text = advice(cell.text)
    if whole and len(cell.text) <= _SHORT:
        text = text.replace(" ", "\u00a0")
    if cell.link:
        text = f"[{text}]({cell.link})"  # made of identifiers and quoted names alone
    shown = _MARKS[cell.mark].format(text) if cell.text else ""
    return f"{shown} :small[:gray[{advice(cell.below)}]]" if cell.below else shown
