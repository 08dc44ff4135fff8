"""The rule for keys, the same in every storage, so that a backup may be copied from any storage to any other."""

from __future__ import annotations

from services.errors import AlreadyExists, InvalidName

KEY_RULE = "parts of 1 to 200 bytes with '/' between them; no '..', no '\\', no control characters, not absolute"
_MAX_PART = 200  # a file name may have 255 bytes, and a partial file's name is longer than its object's
_MAX_KEY = 900  # S3 allows 1,024, prefix included


def check_key(key: str) -> str:
    """Return the key. Raise InvalidName when it breaks KEY_RULE."""
    parts = key.split("/")
    fine = (
        len(key.encode("utf-8", "surrogatepass")) <= _MAX_KEY
        and "\\" not in key
        and all(character.isprintable() for character in key)
        and all(part not in ("", ".", "..") and len(part.encode()) <= _MAX_PART for part in parts)
    )
    if not fine:
        shown = key if len(key) <= 80 else key[:77] + "…"
        raise InvalidName(f"{shown!r} cannot be the key of an object.", hint=f"The rule: {KEY_RULE}.")
    return key


def check_prefix(prefix: str) -> str:
    """Return the prefix of a listing: empty, or the beginning of a key. Raise InvalidName."""
    if prefix:
        check_key(prefix.removesuffix("/"))
    return prefix


def taken(location: str) -> AlreadyExists:
    """Return the error for an object that would be overwritten."""
    return AlreadyExists(f"{location} exists already.", hint="Choose another name; a backup is never overwritten.")
