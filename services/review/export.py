"""The review in the form that is asked for. The page and the command line both hand out what is made here."""

from __future__ import annotations

from typing import Literal

from services.review import html, pdf
from services.review.charts import slots_svg, weeks_svg
from services.review.document import Chart, Document
from services.review.markdown import render_markdown
from services.review.model import Review
from services.review.sections import headline, make_document

Form = Literal["pdf", "html", "md"]
MIME: dict[Form, str] = {"pdf": "application/pdf", "html": "text/html", "md": "text/markdown"}


def export_review(review: Review, form: Form) -> bytes:
    """Return the review as a file. Raise BackupsError when a PDF cannot be made."""
    document = make_document(review)
    if form == "md":
        return render_markdown(document).encode()
    if form == "html":
        return html.render_html(document, draw_charts(review, document, font=html.FONT)).encode()
    return pdf.render_pdf(document, draw_charts(review, document, font=pdf.FONT), review.now)


def export_name(review: Review, form: Form) -> str:
    """Return a name for the file: ``weekly-review-2026-W46.pdf``."""
    return f"weekly-review-{review.week.label}.{form}"


def draw_charts(review: Review, document: Document, *, font: str) -> dict[str, str]:
    """Return the document's charts as SVG, by their names."""
    words = {
        block.name: block.words for section in document.sections for block in section.blocks if isinstance(block, Chart)
    }
    drawn = {"weeks": weeks_svg(headline(review), review.week, font=font, words=words["weeks"])}
    if "slots" in words:
        drawn["slots"] = slots_svg(review.databases, review.week, font=font, words=words["slots"])
    return drawn
