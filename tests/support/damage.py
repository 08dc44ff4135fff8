"""Stored bytes changed by chance, as a failing disk or a hand would change them."""

from __future__ import annotations

import random


def changed_at_random(whole: bytes, chance: random.Random, *, block: int = 0) -> bytes:
    """Return the bytes with one flipped bit, cut somewhere, or with two of them swapped; never as they were.

    With the size of a ``block`` two of these may change places as well.
    """
    kinds = ("flip", "cut", "swap", "blocks") if block else ("flip", "cut", "swap")
    while True:
        data = bytearray(whole)
        at, other = chance.randrange(len(data)), chance.randrange(len(data))
        kind = chance.choice(kinds)
        if kind == "flip":
            data[at] ^= 1 << chance.randrange(8)
        elif kind == "cut":
            del data[at:]
        elif kind == "swap":
            data[at], data[other] = data[other], data[at]
        else:
            one, two = sorted((at // block * block, other // block * block))
            data[one : one + block], data[two : two + block] = data[two : two + block], data[one : one + block]
        if data != whole:
            return bytes(data)
