"""Whether two addresses lead to one server: a restore test must not burden the server that it is about."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import psycopg

from services.errors import ConnectionFailed
from services.postgres.connection import Address, Connection, connect

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class ServerIdentity:
    """What is known of a server; None where it could not be asked."""

    host: str
    port: int
    addresses: frozenset[str]
    """IP addresses of the host name, or the folder of the Unix socket."""
    system_identifier: int | None = None
    """Given by initdb, the same on a physical replica."""
    inner: tuple[str, int] | None = None
    """Address and port that the server itself sees: the same behind a proxy."""


def identify(address: Address) -> ServerIdentity:
    """Return what can be learnt of a server. One that cannot be reached is known by its address alone."""
    by_address = ServerIdentity(address.host, address.port, _resolve(address.host, address.port))
    try:
        with connect(address) as connection:
            return identify_connected(by_address, connection)
    except ConnectionFailed:
        return by_address


def identify_connected(by_address: ServerIdentity, connection: Connection) -> ServerIdentity:
    """Given an open connection, add what the server says of itself, as far as the role may ask."""
    row = connection.execute("SELECT host(inet_server_addr()), inet_server_port()").fetchone()
    inner = None if row is None or row[0] is None else (str(row[0]), int(row[1]))
    return ServerIdentity(by_address.host, by_address.port, by_address.addresses, _system_identifier(connection), inner)


def same_server(one: ServerIdentity, other: ServerIdentity) -> str:
    """Return in words why the two are (or may well be) one server; empty when they are not.

    The system identifier decides where both are known. A replica or a clone on another machine has its source's: it
    counts as the same, since nothing tells the two apart for certain.
    """
    if one.system_identifier is not None and other.system_identifier is not None:
        if one.system_identifier == other.system_identifier:
            return f"both have the system identifier {one.system_identifier}"
        return ""
    if one.port == other.port and one.addresses & other.addresses:
        return f"{one.host} and {other.host} are one address, port {one.port}"
    if one.inner is not None and one.inner == other.inner:
        return f"both say that they are {one.inner[0]}, port {one.inner[1]}"
    return ""


def _system_identifier(connection: Connection) -> int | None:
    """Return the identifier, or None where the role may not ask (it can be revoked; some servers lack it)."""
    try:
        row = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
    except psycopg.Error:
        return None
    return None if row is None else int(row[0])


def _resolve(host: str, port: int) -> frozenset[str]:
    if host.startswith("/"):
        return frozenset({host})
    names = {"127.0.0.1", "::1"} if host in _LOCAL else {host}
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:  # a name that nobody knows; the names themselves are compared then
        found = set()
    return frozenset(names | found)
