"""Names that people type: what is close to a name that we do not know."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from services.errors import UnknownName


def unknown_name(what: str, name: str, known: Iterable[str]) -> UnknownName:
    """Given the name that was asked for and the names there are, return the error that says what comes close."""
    names = sorted(known)
    lowered = {n.lower(): n for n in names}
    close = [lowered[m] for m in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)]
    shown = shortened(name)
    if close:
        hint = f"Did you mean {' or '.join(close)}?"
    elif names:
        hint = f"Known: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}."
    else:
        hint = f"There is no {what} yet."
    return UnknownName(f"No {what} is called {shown!r}.", hint=hint)


def shortened(name: str) -> str:
    """Return what somebody typed as an error repeats it: at most 80 characters."""
    return name if len(name) <= 80 else name[:77] + "…"
