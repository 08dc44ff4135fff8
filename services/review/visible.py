r"""Foreign text in documents: characters that could command a reader's program are shown (``\x1b``), not sent.

Those are control characters, surrogates, private ones, and format characters, among them the marks that turn the
direction of writing. Line breaks stay where a form can keep them.
"""

from __future__ import annotations

import unicodedata

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
"""Zero-width (non-)joiners are format characters that Persian, Hindi and emoji need."""


def visible(text: str) -> str:
    """Return the text on one line: white space is a space, and what is harmful is shown as its escape."""
    return visible_lines(" ".join(text.split()))


def visible_lines(text: str) -> str:
    """Return the text with its line breaks; all else as ``visible`` does."""
    return "".join(_escape(c) if unicodedata.category(c) in _HARMFUL and c not in _KEPT else c for c in text)


_KEPT = f"\n{_JOINERS}"


def _escape(character: str) -> str:
    if character == "\t":
        return " "
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
