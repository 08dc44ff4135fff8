"""Who acts, as records write it: ``person:mara@example.com``, ``proxy:mara``, ``cli:mara@host``.

The product itself acts under names without a colon, which no identity has: none can pass for it.
"""

from __future__ import annotations

import os
import pwd
import re
import socket

from services.errors import InputError

OWN = frozenset({"alerts", "sample", "schedule", "settings", "worker"})
"""Under these names the product itself acts; what it does was asked for by its settings or by a person before."""
PAGE_WITHOUT_SIGN_IN = "dashboard"
"""The page that is served to this machine alone, where nobody signs in."""
KINDS = ("person", "proxy", "cli")
LONGEST = 190
_NAME = re.compile(rf"[!-~]{{1,{LONGEST}}}\Z")


def identity(kind: str, name: str) -> str:
    """Given ``person`` and an address or a name, return the identity. Raise InputError for what can be none.

    Case does not count for people; only visible ASCII is taken, so that no two identities look alike.
    """
    if kind not in KINDS:
        raise InputError(f"{kind!r} is no kind of identity.", hint=f"Known: {', '.join(KINDS)}.")
    name = name.strip()
    if not _NAME.match(name):
        raise InputError(
            "This is no name that can sign in.",
            hint=f"Use 1 to {LONGEST} visible ASCII characters without spaces: mara@example.com.",
        )
    return f"{kind}:{name if kind == 'cli' else name.lower()}"


def parse_identity(text: str, *, kind: str = "person") -> str:
    """Given ``cli:mara@host``, or a bare name which is then one of ``kind``, return the identity. Raise InputError."""
    head, colon, rest = text.partition(":")
    return identity(head, rest) if colon and head in KINDS else identity(kind, text)


def this_process() -> str:
    """Return who typed this command: ``cli:user@host``, as the system knows this process.

    Not from ``USER`` or ``LOGNAME``, which whoever types the command sets.
    """
    number = os.geteuid()
    try:
        user = pwd.getpwuid(number).pw_name
    except KeyError:  # a container whose user has no name
        user = str(number)
    return f"cli:{user}@{socket.gethostname()}"


def covering(actor: str) -> tuple[str, ...]:
    """Return the entries that stand for an actor, the nearest first: of ``cli:u@h`` that, then ``cli:u@*``."""
    if actor.startswith("cli:") and "@" in actor:
        return (actor, f"{actor.rpartition('@')[0]}@*")
    return (actor,)
