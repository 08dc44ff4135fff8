"""The review as Markdown (CommonMark with tables). Charts are tables; foreign text is shown, never obeyed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.printable import visible, visible_lines
from services.review.document import Block, Cell, Chart, Code, Document, Items, Paragraph, Quote, Table

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~&$#!^])")
_OPENS_A_BLOCK = re.compile(r"^(\s*)([-+=]|\d+(?=[.)](?:\s|$)))")
# A scheme, a www or an address would become a link, a word between colons a picture; a backslash before any mark stands
# for the mark alone.
_LINKS = re.compile(r":(?=//|[\w+-]+:)|(?<=www)\.|@", re.IGNORECASE)


def escape_markdown(text: str) -> str:
    """Given foreign text, return Markdown that shows exactly that, on one line."""
    return _escape_line(visible(text))


def render_markdown(document: Document) -> str:
    """Return the document, ending with a line break."""
    label = f"**{escape_markdown(document.label)}**" if document.label else ""
    parts = [
        f"# {escape_markdown(document.title)}",
        escape_markdown(document.subtitle),
        label,
        f"**{escape_markdown(document.verdict)}**",
        f"*{escape_markdown(document.remark)}*",
    ]
    for section in document.sections:
        parts.append(f"## {escape_markdown(section.title)}")
        parts += [_block(block) for block in section.blocks]
    parts += ["---", escape_markdown(document.made) + (f" · {escape_markdown(document.label)}" if label else "")]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> str:
    match block:
        case Table():
            return _table(block)
        case Chart():
            return _table(block.table)
        case Paragraph():
            return escape_markdown(block.text)
        case Items():
            return "\n".join(f"- {_cell(item)}" for item in block.items)
        case Code():
            fence = "`" * (max((len(run) for run in re.findall("`+", block.text)), default=2) + 1)
            fence = fence if len(fence) > 2 else "```"
            return f"{fence}sh\n{visible_lines(block.text)}\n{fence}"
        case Quote():
            lines = [_escape_line(line) for line in visible_lines(block.text).split("\n")]
            # Two spaces at the end keep a line break.
            return "\n".join([*(f"> {line}  " if line.strip() else ">" for line in lines), ">", f"> — *{_by(block)}*"])


def _by(quote: Quote) -> str:
    return escape_markdown(quote.by)


def _table(table: Table) -> str:
    rules = ["---:" if column in table.right else "---" for column in table.columns]
    head = [_row(escape_markdown(column) for column in table.columns), _row(rules)]
    return "\n".join([*head, *(_row(_cell(cell) for cell in row) for row in table.rows)])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    below = f" ({escape_markdown(cell.below)})" if cell.below else ""
    return f"{escape_markdown(cell.text)}{below}"


def _escape_line(line: str) -> str:
    escaped = _LINKS.sub(lambda found: f"\\{found[0]}", _MARKUP.sub(r"\\\1", line))
    return _OPENS_A_BLOCK.sub(_not_a_block, escaped)


def _not_a_block(found: re.Match[str]) -> str:
    # "1." and "1)" begin a list, so the mark behind the number is escaped; a dash, plus or equals sign is itself.
    return f"{found[1]}{found[2]}\\" if found[2].isdigit() else f"{found[1]}\\{found[2]}"
