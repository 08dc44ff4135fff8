"""The exports: the same content in each form, text that stays text, pages that can be read."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from pypdf import PdfReader
from pypdf.generic import BooleanObject

from dashboard import theme
from services import commands
from services.installation import Installation
from services.printable import visible
from services.review.charts import INK, slots_svg, weeks_svg
from services.review.document import Document, Items, Paragraph, Quote, Section, Table
from services.review.export import export_name, export_review
from services.review.gather import load_review
from services.review.html import render_html
from services.review.markdown import escape_markdown
from services.review.model import Review
from services.review.pdf import render_pdf
from services.review.sections import LEGEND, SAMPLE, headline, make_document
from tests.review.world import HOSTILE, WEEK, at, backup, empty

LONG = "x" * 400
_ASKING = {
    "src",
    "href",
    "srcset",
    "action",
    "formaction",
    "data",
    "poster",
    "background",
    "style",
    "onclick",
    "onload",
}
TERMINAL = "\x1b[31mred \u202egnp.exe"


@pytest.fixture
def rich(world: Installation) -> Review:
    """The small world's week with notes and action items whose text is hostile."""
    world.settings = world.settings.model_copy(update={"sample": True})
    commands.write_review_note(world, WEEK.label, f"{HOSTILE}\nsecond line", database="billing", actor="mara")
    commands.write_review_note(world, WEEK.label, f"{LONG} {TERMINAL}", actor="jonas")
    commands.write_review_note(world, WEEK.label, "1. not a list\n- nor this\n# nor a heading\n    nor code", actor="j")
    commands.add_action_item(world, WEEK.label, HOSTILE, owner="<i>ines</i>", actor="mara")
    backup(world, "billing", at("11-14 11:00"), type="emergency", note=HOSTILE, actor="mara")
    return load_review(world, WEEK)


def texts(document: Document) -> set[str]:
    """Return every text of a document that a reader must find, as it is shown."""
    found = {document.title, document.subtitle, document.verdict, document.remark, document.made, document.label}
    for section in document.sections:
        found.add(section.title)
        for block in section.blocks:
            match block:
                case Table():
                    found |= {*block.columns, *(t for row in block.rows for c in row for t in (c.text, c.below))}
                case Paragraph():
                    found.add(block.text)
                case Items():
                    found |= {item.text for item in block.items}
                case Quote():
                    found |= {*block.text.split("\n"), block.by}
    return {visible(text) for text in found if text.strip()}


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def read_html(text: str) -> str:
    """Return the text that a browser shows."""
    return "".join(ElementTree.fromstring(well_formed(text)).itertext())


def well_formed(html: str) -> str:
    """Return HTML as XML: ours closes everything but what HTML leaves open."""
    body = html.removeprefix("<!DOCTYPE html>\n")
    return re.sub(r"<(meta|link)([^>]*)>", r"<\1\2/>", body).replace("<br>", "<br/>")


def read_markdown(text: str) -> tuple[str, set[str]]:
    """Return what a reader of Markdown shows, and the kinds of elements in it."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    shown, kinds = [], set()
    for token in parser.parse(text):
        kinds.add(token.type)
        for child in token.children or []:
            kinds.add(child.type)
            shown.append(" " if child.type in ("softbreak", "hardbreak") else child.content)
    return "".join(shown), kinds


def test_html_holds_the_whole_review_and_hostile_text_is_text(rich: Review) -> None:
    document = make_document(rich)
    html = export_review(rich, "html").decode()
    shown = squeezed(read_html(html))
    assert [text for text in texts(document) if squeezed(text) not in shown] == []
    assert "<img" not in html
    assert "<script" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "\\x1b[31mred \\u202egnp.exe" in html
    assert html.count(SAMPLE) == 2
    assert html.count("<svg") == 2
    assert LEGEND in html


def test_html_asks_nothing_of_anybody(rich: Review) -> None:
    html = export_review(rich, "html").decode()
    tree = ElementTree.fromstring(well_formed(html))
    addresses = {(e.tag.split("}")[-1], n, v) for e in tree.iter() for n, v in e.attrib.items() if n in _ASKING}
    assert addresses == {("link", "href", "data:,")}
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_markdown_holds_the_whole_review_and_hostile_text_is_text(rich: Review) -> None:
    text = export_review(rich, "md").decode()
    shown, kinds = read_markdown(text)
    assert [each for each in texts(make_document(rich)) if squeezed(each) not in squeezed(shown)] == []
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "code_inline", "code_block", "fence",
                        "ordered_list_open", "lheading_open"}  # fmt: skip
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert len(headings) == 1 + len(make_document(rich).sections)
    assert SAMPLE in text


@pytest.mark.parametrize(
    "text", [HOSTILE, "1. one", "12) twelve", "- dash", "+ plus", "=== rule", "# head", "> quote", "98.2 %", "a_b_c",
             "``` code", "http://a.example", "<!-- x -->", "&amp; &lt;", "\\ back\\", "[x]: y", "~~s~~", "*** ---"],
)  # fmt: skip
def test_any_text_reads_back_from_markdown_as_it_was(text: str) -> None:
    shown, kinds = read_markdown(escape_markdown(text) + "\n")
    assert shown == text
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    assert not re.search(r"(?<!\\):(?=//)|(?<!\\)@|www(?<!\\)\.", escape_markdown(text)), "nothing to make a link of"


def test_figures_stay_readable_in_raw_markdown() -> None:
    assert escape_markdown("98.2 % · 1 min 30 s – 2026-11-18") == "98.2 % · 1 min 30 s – 2026-11-18"


def test_the_pdf_holds_the_whole_review_on_numbered_pages_with_the_label_of_sample_data(rich: Review) -> None:
    reader = PdfReader(io.BytesIO(export_review(rich, "pdf")))
    pages = [page.extract_text() for page in reader.pages]
    assert 2 <= len(pages) <= 6
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
        assert SAMPLE in page
    assert "\u200b" not in "".join(pages), "a name that is copied from it works in a command"
    shown = squeezed("".join(pages)).replace("ﬁ", "fi").replace("ﬂ", "fl")
    missing = [text for text in texts(make_document(rich)) if squeezed(text) not in shown]
    # Text that runs over the end of a page has a footer and a header in its midst.
    assert len(missing) <= len(pages) - 1, missing
    assert reader.metadata is not None
    assert reader.metadata.title == "Weekly review 2026-W46"
    assert squeezed(HOSTILE) in shown
    assert squeezed(LEGEND) in shown


def test_the_pdf_is_tagged_has_its_own_fonts_and_no_links(rich: Review) -> None:
    reader = PdfReader(io.BytesIO(export_review(rich, "pdf")))
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] == BooleanObject(True)  # type: ignore[index]
    assert b"pdfuaid:part" in root["/Metadata"].get_data()  # type: ignore[index]
    fonts = set()
    for page in reader.pages:
        assert "/Annots" not in page
        for font in page["/Resources"]["/Font"].values():  # type: ignore[index]
            inner = font.get_object()["/DescendantFonts"][0].get_object()
            fonts.add(str(inner["/BaseFont"]))
            assert {"/FontFile2", "/FontFile3"} & set(inner["/FontDescriptor"].get_object())
    assert any("LibertinusSerif-Bold" in name or "LibertinusSerif-Semibold" in name for name in fonts)


def test_a_review_made_within_a_second_has_its_pdf(rich: Review) -> None:
    made = replace(rich, now=rich.now.replace(microsecond=123_456))
    assert export_review(made, "pdf") == export_review(rich, "pdf")


def test_the_same_review_gives_the_same_files(rich: Review) -> None:
    forms: tuple[Literal["pdf", "html", "md"], ...] = ("pdf", "html", "md")
    for form in forms:
        assert export_review(rich, form) == export_review(rich, form)
        assert export_name(rich, form) == f"weekly-review-2026-W46.{form}"


def test_a_week_in_which_nothing_happened_has_its_exports(tmp_path: Path) -> None:
    for folder, names in (("none", ()), ("one", ("la_factoria",))):
        review = load_review(empty(tmp_path / folder, *names), WEEK)
        assert "No restore test was held" in read_html(export_review(review, "html").decode())
        assert "No note yet" in export_review(review, "md").decode()
        assert "Page 1 of" in PdfReader(io.BytesIO(export_review(review, "pdf"))).pages[0].extract_text()


def test_each_mark_of_the_strip_has_a_silhouette_of_its_own(rich: Review) -> None:
    svg = slots_svg(rich.databases, WEEK, font="serif", words="in words")
    root = ElementTree.fromstring(svg)
    ns = "{http://www.w3.org/2000/svg}"
    assert root.get("aria-label") == "in words"
    groups = root.findall(f"{ns}g")
    assert len(groups) == 14
    colours = [(g.find(f"{ns}title").text, [e.get("fill") or e.get("stroke") for e in g[1:]]) for g in groups]  # type: ignore[union-attr]
    missed = [fill for title, fill in colours if "missed" in (title or "")]
    assert missed == [[INK.failure]] * 2
    assert [fill for title, fill in colours if "late" in (title or "")] == [[INK.warning]]
    assert len({g[1].tag for g in groups}) == 2, "bars and crosses"


def test_the_bars_of_five_weeks_are_to_scale_and_unknown_weeks_have_none(rich: Review) -> None:
    ns = "{http://www.w3.org/2000/svg}"
    root = ElementTree.fromstring(weeks_svg(headline(rich), WEEK, font="serif", words="w"))
    bars = [(e.find(f"{ns}title").text, float(e.get("height", "0"))) for e in root.findall(f"{ns}rect")]  # type: ignore[union-attr]
    storage = {title: height for title, height in bars if title and "MB" in title}
    assert storage["W46: 310 MB"] == 48.0
    assert storage["W42: 70.0 MB"] == pytest.approx(48 * 70 / 310, abs=0.1)
    assert len(bars) == 25


def test_the_ink_is_the_dashboards_light_theme() -> None:
    assert vars(INK) == {name: getattr(theme.LIGHT, name) for name in vars(INK)}


def test_a_hostile_name_stays_text_in_the_charts(tmp_path: Path) -> None:
    inst = empty(tmp_path, "la_factoria")
    review = load_review(inst, WEEK)
    document = make_document(review)
    evil = Document(**(vars(document) | {"title": HOSTILE, "verdict": HOSTILE, "label": HOSTILE}))
    html = render_html(evil, {"weeks": "", "slots": ""})
    assert read_html(html).count("<img src=x onerror=alert(1)>") >= 3
    assert "<img" not in html


def test_a_last_page_with_a_line_or_two_is_saved_by_a_notch_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    def pages(lines: int) -> int:
        blocks = tuple(Paragraph(f"Line {n}: nothing of note.", quiet=False) for n in range(lines))
        section = Section("x", "Lines", blocks)
        document = Document("Weekly review", "16–22 Nov 2026", "", "All is well.", "ok", "", (section,), "made now")
        return len(PdfReader(io.BytesIO(render_pdf(document, {}, at("11-22 12:00")))).pages)

    with monkeypatch.context() as plain:
        plain.setattr("services.review.pdf.NEARLY_EMPTY_PT", 0.0)
        over = next(lines for lines in range(41, 50) if pages(lines) == 2)
    assert pages(over) == 1
    assert pages(over + 25) == 2, "what fills its last page is left as it is"
