"""The review as a document: what every form of it (page, PDF, HTML, Markdown, terminal) shows, without any markup.

Foreign text is in it as it was written; each form escapes it in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.status import Severity

Mark = Literal["", "good", "warning", "bad", "quiet"]
"""Gives a colour to what the words say already."""
ChartName = Literal["slots", "weeks"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    below: str = ""
    """A second, smaller line."""
    mark: Mark = ""
    link: str = ""
    """Where the page leads from here, relative to its own address; other forms have no links."""


@dataclass(frozen=True)
class Table:
    """Rows under headings. ``right`` names the columns of numbers, ``wide`` those of running text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()


@dataclass(frozen=True)
class Paragraph:
    """A sentence or two."""

    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Items:
    """A list."""

    items: tuple[Cell, ...]


@dataclass(frozen=True)
class Quote:
    """What a person wrote, with its line breaks, and who wrote it when."""

    text: str
    by: str


@dataclass(frozen=True)
class Code:
    """Commands to be typed as they are; never escaped, wrapped or shortened."""

    text: str


@dataclass(frozen=True)
class Chart:
    """A chart: in words for those who do not see it, and as a table for forms without pictures."""

    name: ChartName
    words: str
    table: Table
    legend: str = ""
    """What its marks mean, for whoever sees the picture."""


Block = Table | Paragraph | Items | Quote | Chart | Code


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """The whole review. ``label`` says on every page that it is sample data, where it is."""

    title: str
    subtitle: str
    label: str
    verdict: str
    severity: Severity
    remark: str
    """With what the week is compared, and up to when it speaks."""
    sections: tuple[Section, ...]
    made: str
    """When it was made."""

    def section(self, key: str) -> Section:
        """Return the section of that key. Raise KeyError."""
        for section in self.sections:
            if section.key == key:
                return section
        raise KeyError(key)
