r"""Text from people and other machines' files, made harmless to terminals, pages and documents.

Harmful are control characters, surrogates, private ones, and format characters, among them the marks that turn the
direction of writing and those without a width: they are shown as their escapes (``\x1b``, ``\u202e``), not sent.
"""

from __future__ import annotations

import unicodedata

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
"""Zero-width (non-)joiners are format characters that Persian, Hindi and emoji need."""
_KEPT = f"\n{_JOINERS}"


def printable(text: str) -> str:
    r"""Return the text on one line, with every character that could command a terminal as its escape (``\x1b``)."""
    return "".join(_escape(c) if unicodedata.category(c) in _HARMFUL else c for c in text)


def visible(text: str) -> str:
    """Return the text on one line, for pages and documents: white space is a space, joiners stay."""
    return visible_lines(" ".join(text.split()))


def visible_lines(text: str) -> str:
    """Return the text with its line breaks; all else as ``visible`` does."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        " " if c == "\t" else _escape(c) if unicodedata.category(c) in _HARMFUL and c not in _KEPT else c for c in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
