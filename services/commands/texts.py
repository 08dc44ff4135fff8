"""What people may write into a command: text that can be stored, sent and shown, and not without end.

Each command has limits of its own for what it knows (a note, a name). Here is what holds for every text of every
command, looked at before anything else, so that no store, log or record has to cope with what none of them can hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

from services.errors import InputError

MAX_TEXT = 10_000
"""Characters of one text: more than any command needs."""


def check_texts(arguments: Mapping[str, Any]) -> None:
    """Raise InputError when a text among a command's arguments, or within one of them, is no text that can be kept."""
    for name, value in arguments.items():
        for text in _texts(value):
            check_text(name.replace("_", " "), text)


def check_text(what: str, text: str) -> None:
    """Raise InputError for a text that is too long, or holds what neither a catalogue nor UTF-8 can."""
    if len(text) > MAX_TEXT:
        raise InputError(f"The {what} has {len(text):,} characters.", hint=f"Use at most {MAX_TEXT:,}.")
    if "\0" in text:
        raise InputError(f"The {what} holds a character NUL, which no database stores.", hint="Leave it out.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"The {what} is not Unicode: it holds half a character.", hint="Write it as UTF-8.")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, PurePath):
        yield str(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _texts(getattr(value, field.name))
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _texts(inner)
