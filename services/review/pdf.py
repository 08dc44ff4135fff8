"""The review as PDF/UA, by Typst: a compiler that lies in its wheel, with the fonts that it brings.

The template reads the document as JSON, so that no text of it is ever taken for markup. Fonts of the machine are asked
only for signs that Libertinus does not have.
"""

from __future__ import annotations

import json
from datetime import datetime
from importlib.resources import files
from typing import Any

from services.errors import BackupsError
from services.printable import visible, visible_lines
from services.review.document import Block, Cell, Chart, Code, Document, Items, Paragraph, Quote, Table

FONT = "Libertinus Serif"
NEARLY_EMPTY_PT = 300.0
"""A last page whose text ends above this, of an A4 page's 842 points, is saved where a notch smaller does it."""


def render_pdf(document: Document, charts: dict[str, str], made_at: datetime) -> bytes:
    """Return the document. ``charts``: SVG by the chart's name. Raise BackupsError when Typst refuses it."""
    # Imported here: a compiler of 80 MB, which nothing else of this product needs.
    import typst

    made_at = made_at.replace(microsecond=0)  # a PDF's dates have none
    template = files("services.review").joinpath("review.typ").read_bytes()
    inputs = {"review": json.dumps(_form(document, charts))}
    try:
        pages, last_y = _end_of(template, inputs)
        if pages > 1 and last_y < NEARLY_EMPTY_PT:
            tight = inputs | {"tight": "yes"}
            inputs = tight if _end_of(template, tight)[0] < pages else inputs
        made = typst.compile(template, format="pdf", sys_inputs=inputs, timestamp=made_at, pdf_standards=["ua-1"])
    except typst.TypstError as error:
        raise BackupsError(
            f"The PDF could not be made: {error.message}", hint="Use another form: --format html prints well."
        ) from error
    assert isinstance(made, bytes)
    return made


def _end_of(template: bytes, inputs: dict[str, str]) -> tuple[int, float]:
    """Return the last page's number, and how far down it the text ends, in points."""
    import typst

    [end] = json.loads(typst.query(template, "<end>", sys_inputs=inputs))
    return int(end["value"]["page"]), float(end["value"]["y"])


def _form(document: Document, charts: dict[str, str]) -> dict[str, Any]:
    return {
        "title": visible(document.title),
        "subtitle": visible(document.subtitle),
        "label": visible(document.label),
        "verdict": visible(document.verdict),
        "severity": document.severity,
        "remark": visible(document.remark),
        "made": visible(document.made),
        "sections": [
            {"title": visible(section.title), "blocks": [_block(block, charts) for block in section.blocks]}
            for section in document.sections
        ],
    }


def _block(block: Block, charts: dict[str, str]) -> dict[str, Any]:
    match block:
        case Table():
            return {
                "kind": "table",
                "columns": [visible(column) for column in block.columns],
                "right": [visible(column) for column in block.right],
                "wide": [visible(column) for column in block.wide],
                "rows": [[_cell(cell) for cell in row] for row in block.rows],
            }
        case Chart():
            return {"kind": "chart", "svg": charts[block.name], "words": visible(block.words), "legend": block.legend}
        case Paragraph():
            return {"kind": "paragraph", "text": visible(block.text), "quiet": block.quiet}
        case Items():
            return {"kind": "items", "items": [_cell(item) for item in block.items]}
        case Code():
            return {"kind": "code", "lines": visible_lines(block.text).split("\n")}
        case Quote():
            return {"kind": "quote", "lines": visible_lines(block.text).split("\n"), "by": visible(block.by)}


def _cell(cell: Cell) -> dict[str, str]:
    return {"text": visible(cell.text), "below": visible(cell.below), "mark": cell.mark}
