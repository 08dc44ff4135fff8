"""The review as one HTML file: nothing in it is fetched from anywhere, no script runs, and it prints well."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from services.printable import visible, visible_lines
from services.review.document import Block, Cell, Chart, Code, Document, Items, Paragraph, Quote, Table

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
# Even text that slipped through could load nothing and run nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"


def render_html(document: Document, charts: dict[str, str]) -> str:
    """Return the document. ``charts``: SVG by the chart's name, as ``services.review.charts`` draws it."""
    style = files("services.review").joinpath("review.css").read_text(encoding="utf-8")
    label = f'<p class="label">{_text(document.label)}</p>' if document.label else ""
    sections = "".join(
        f'<section class="{_text(section.key)}"><h2>{_text(section.title)}</h2>'
        f"{''.join(_block(block, charts) for block in section.blocks)}</section>"
        for section in document.sections
    )
    title = f"{document.title}, {document.subtitle}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{_text(title)}</title><style>{style}</style></head><body><main>"
        f'<header>{label}<h1>{_text(document.title)} <span class="days">{_text(document.subtitle)}</span></h1>'
        f'<p class="verdict {_text(document.severity)}">{_text(document.verdict)}</p>'
        f'<p class="quiet">{_text(document.remark)}</p></header>'
        f"{sections}<footer>{_text(document.made)}{' · ' + _text(document.label) if label else ''}</footer>"
        "</main></body></html>\n"
    )


def _block(block: Block, charts: dict[str, str]) -> str:
    match block:
        case Table():
            return _table(block)
        case Chart():
            legend = f"<figcaption>{_text(block.legend)}</figcaption>" if block.legend else ""
            return f'<figure tabindex="0">{charts[block.name]}{legend}</figure>'
        case Paragraph():
            return f"<p{_class('quiet' if block.quiet else '')}>{_text(block.text)}</p>"
        case Items():
            return f"<ul>{''.join(f'<li>{_inside(item)}</li>' for item in block.items)}</ul>"
        case Code():
            return f"<pre><code>{escape(visible_lines(block.text))}</code></pre>"
        case Quote():
            lines = "<br>".join(escape(line) for line in visible_lines(block.text).split("\n"))
            return f"<blockquote><p>{lines}</p><footer>{_text(block.by)}</footer></blockquote>"


def _table(table: Table) -> str:
    kinds = ["right" if c in table.right else "wide" if c in table.wide else "" for c in table.columns]
    head = "".join(
        f'<th scope="col"{_class(kind)}>{_text(column)}</th>' for column, kind in zip(table.columns, kinds, strict=True)
    )
    rows = "".join(
        f"<tr>{''.join(f'<td{_class(kind)}>{_inside(cell)}</td>' for cell, kind in zip(row, kinds, strict=True))}</tr>"
        for row in table.rows
    )
    return f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _inside(cell: Cell) -> str:
    text = f"<span{_class(cell.mark)}>{_text(cell.text)}</span>"
    return f"{text}<small>{_text(cell.below)}</small>" if cell.below else text


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _text(text: str) -> str:
    return escape(visible(text), quote=True)
