"""Whose request it was: the address of the connection, or what a trusted proxy says of whom it speaks for. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

_LONGEST = 45


def client_address(peer: str, forwarded: Sequence[str], trusted: Iterable[str]) -> str:
    """Given the connection's address, the values of X-Forwarded-For and the trusted proxies, return the client's.

    Anybody can send that header, so it counts only from a trusted proxy, and from its end: the last address that is
    none of the trusted ones. What is no address is not taken.
    """
    networks = [ipaddress.ip_network(text, strict=False) for text in trusted]
    if not _is_in(peer, networks):
        return peer or "unknown"
    said = [part.strip() for value in forwarded for part in value.split(",")]
    for address in reversed(said):
        if not _is_address(address):
            break
        if not _is_in(address, networks):
            return f"{address} (through {peer})"
    return peer


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return len(text) <= _LONGEST


def _is_in(text: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return _is_address(text) and any(ipaddress.ip_address(text) in network for network in networks)
