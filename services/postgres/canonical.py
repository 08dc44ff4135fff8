"""Definitions that PostgreSQL prints, brought to a form that survives dump and restore, and a newer server.

A definition that was printed, restored and printed again is often worded differently while it means the same:
``x IN ('a','b')`` on a varchar column gains and moves casts at each round, and PostgreSQL 16 stopped writing table
names before columns where they are not needed. So casts, parentheses, qualifiers and spaces are left out; names,
operators, literals and their order stay.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""
      (?P<string>[eE]?'(?:[^'\\]|''|\\.)*')
    | (?P<name>"(?:[^"]|"")*"|[^\W\d][\w$]*)
    | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)
    | (?P<cast>::)
    | (?P<space>\s+)
    | (?P<other>[-+*/<>=~!@\#%^&|`?]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
# Type names of more than one word, as format_type prints them.
_MORE_WORDS = {
    "character": ("varying",),
    "bit": ("varying",),
    "double": ("precision",),
    "timestamp": ("with", "without", "time", "zone"),
    "time": ("with", "without", "time", "zone"),
    "interval": ("year", "month", "day", "hour", "minute", "second", "to"),
}


def canonical(definition: str) -> str:
    """Given a definition as PostgreSQL prints it, return its tokens without casts, parentheses and qualifiers."""
    tokens = [(m.lastgroup or "", m.group()) for m in _TOKEN.finditer(definition) if m.lastgroup != "space"]
    kept: list[str] = []
    position = 0
    while position < len(tokens):
        kind, text = tokens[position]
        if kind == "cast":
            position = _after_type(tokens, position + 1)
            continue
        position += 1
        if text == "." and kept:
            kept.pop()  # the qualifier before the dot
        elif text not in "()":
            kept.append(text)
    return " ".join(kept)


def _after_type(tokens: list[tuple[str, str]], position: int) -> int:
    """Return the position behind the type name that begins here."""

    def text(at: int) -> str:
        return tokens[at][1] if at < len(tokens) else ""

    first = text(position)
    position += 1
    while text(position) == ".":
        position += 2
    more = _MORE_WORDS.get(first, ())
    while True:
        if text(position) == "(":
            while text(position) not in (")", ""):
                position += 1
            position += 1
        elif more and text(position) in more:
            position += 1
        elif text(position) == "[" and text(position + 1) == "]":
            position += 2
        else:
            return position
