"""How a PostgreSQL server is reached: parsed URLs, private password files, connections whose failure is explained."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from services.errors import ConnectionFailed, SettingsError
from services.jobs.context import RunContext

Connection = psycopg.Connection[tuple[Any, ...]]

CANCEL_SECONDS = 5.0
"""How long a server may take to hear that it is to give up what it does."""
EXAMPLE = "postgresql://user:password@host:5432/dbname?sslmode=require"
_ESCAPES = {"@": "%40", "/": "%2F", "?": "%3F", "%": "%25", " ": "%20"}
"""What ends a login too soon, or begins an escape, when it stands in a URL as it is (RFC 3986, 2.1)."""
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_OWN_FIELDS = frozenset({"host", "port", "user", "password", "dbname"})
_WATCH_OVER_NETWORK: Mapping[str, str] = {
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""What a URL leaves open: a network that went silent ends a connection after about a minute, not after hours."""
# Settings without an environment variable: client programs get them in a connection string.
_WITHOUT_VARIABLE = frozenset({*_WATCH_OVER_NETWORK, "fallback_application_name"})
# Ours to set: the names shown in pg_stat_activity, and the archive in the database's own encoding.
_NEVER_FROM_URL = frozenset({"application_name", "client_encoding"})


@dataclass(frozen=True)
class Address:
    """Where a database is and who we are there. ``repr``, ``str`` and ``label`` never show the password."""

    host: str
    """A host name, an IP address, or the folder of a Unix socket (starts with ``/``)."""
    port: int
    user: str
    password: SecretStr | None = field(repr=False)
    dbname: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Further libpq settings of the URL: ``sslmode``, ``sslrootcert``, ``options``, …"""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Given a ``postgresql://`` URL, return the address. Missing port: 5432; missing dbname: the user's name.

        Raise SettingsError, without repeating the URL (libpq's own message would show the password).
        """
        hint = _how_to_write(url)
        if not url.startswith(("postgresql://", "postgres://")):
            raise SettingsError("A database URL must start with postgresql://.", hint=hint)
        try:
            found = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
        except psycopg.Error:
            raise SettingsError("The database URL cannot be read.", hint=hint) from None
        if "@" in found.get("host", ""):
            raise SettingsError("The database URL has more than one @.", hint=hint)
        host = found.get("host") or found.get("hostaddr") or "localhost"
        port = found.get("port") or "5432"
        if "," in host or "," in port:
            raise SettingsError(
                "The database URL names several hosts.", hint="Name the one server that is to be backed up."
            )
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise SettingsError("The port in the database URL is not a number from 1 to 65535.", hint=hint)
        user = found.get("user")
        if not user:
            server = "no user" if "host" in found or "hostaddr" in found else "neither a server nor a user"
            raise SettingsError(f"The database URL names {server}.", hint=hint)
        password = found.get("password") or None
        if password and ("\n" in password or "\r" in password):
            raise SettingsError(
                "The password in the database URL holds a line break, which PostgreSQL's client programs cannot take.",
                hint="Choose a password without line breaks.",
            )
        params = {key: value for key, value in found.items() if key not in _OWN_FIELDS | _NEVER_FROM_URL}
        unknown = sorted(set(params) - set(_environment_names()) - _WITHOUT_VARIABLE)
        if unknown:
            raise SettingsError(
                f"The database URL sets {', '.join(unknown)}, which cannot be handed to pg_dump.",
                hint="Remove it from the URL.",
            )
        return cls(
            host=host,
            port=int(port),
            user=user,
            password=SecretStr(password) if password else None,
            dbname=found.get("dbname") or user,
            params=params,
        )

    def with_database(self, dbname: str) -> Address:
        """Return the address of another database on the same server."""
        return replace(self, dbname=dbname)

    def with_params(self, **params: str) -> Address:
        """Return the same address with further libpq settings."""
        return replace(self, params={**self.params, **params})

    def label(self) -> str:
        """Return ``user@host:port/dbname``, fit to be shown."""
        return f"{self.user}@{self.host}:{self.port}/{self.dbname}"

    def __str__(self) -> str:
        return self.label()

    def url(self) -> SecretStr:
        """Return the URL that ``parse`` reads back. It holds the password."""
        login = quote(self.user, safe="")
        if self.password is not None:
            login += ":" + quote(self.password.get_secret_value(), safe="")
        params = dict(self.params)
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.host.startswith("/"):
            params, host = {"host": self.host, **params}, ""
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in params.items())
        return SecretStr(
            f"postgresql://{login}@{host}:{self.port}/{quote(self.dbname, safe='')}{'?' if query else ''}{query}"
        )

    def child_conninfo(self, client_major: int) -> str:
        """Return the connection string for the ``--dbname`` of a client program of that major version.

        It holds the database, and the settings that no environment variable can carry; never the password. (A bare name
        with ``=`` in it would be taken for such a string.)
        """
        settings = dict(_WATCH_OVER_NETWORK)
        if client_major < 12:  # which refuses what it does not know
            del settings["tcp_user_timeout"]
        settings |= {key: value for key, value in self.params.items() if key in _WITHOUT_VARIABLE}
        return make_conninfo(dbname=self.dbname, **settings)

    def child_environment(self, passfile: Path) -> dict[str, str]:
        """Return the whole environment of a client program: nothing of ours is inherited, no secret is in it."""
        environment = {
            "PATH": _SYSTEM_PATH,
            "LANG": "C",
            "LC_ALL": "C",
            "PGPASSFILE": str(passfile),
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.dbname,
            "PGAPPNAME": "backups",
            "PGCONNECT_TIMEOUT": "10",
        }
        names = _environment_names()
        # An empty password file must not hide one that the URL names.
        skipped = {"passfile"} if self.password is not None else set()
        environment.update(
            {names[key]: value for key, value in self.params.items() if key in names and key not in skipped}
        )
        return environment


def _how_to_write(url: str) -> str:
    """Return the hint for a URL that cannot be used: the first thing in its login that must be escaped and is not, if
    there is one, as an example that shows nothing of it."""
    login, at, _ = url.partition("://")[2].rpartition("@")
    password = login.partition(":")[2] if at else ""
    bare = next((sign for sign in _ESCAPES if sign != "%" and sign in password), "")
    bare = bare or ("%" if re.search(r"%(?![0-9A-Fa-f]{2})", password) else "")
    first = ""
    if bare:
        word, code = "space" if bare == " " else bare, _ESCAPES[bare]
        first = f"In its password a {word} is written {code}: a{bare}b as a{code}b. "
    escapes = ", ".join(f"{sign} as {code}" for sign, code in _ESCAPES.items() if sign != " ")
    return f"{first}Write it as {EXAMPLE}; in a user name or password, write {escapes}."


@cache
def _environment_names() -> dict[str, str]:
    """Return libpq's environment variable for each connection setting that has one."""
    return {info.keyword.decode(): info.envvar.decode() for info in pq.Conninfo.get_defaults() if info.envvar}


@contextmanager
def passfile(address: Address, run: RunContext | None = None) -> Iterator[Path]:
    """Write the password where only we and our client programs can read it; remove it afterwards.

    The single line matches any server: the file serves one address only. With a ``run``, its folder is one of the
    run's leftovers, so that recovery removes it after a crash; it is the attempt's own.
    """
    whose = f"{run.run_id}-{run.attempt}-" if run else ""
    folder = Path(tempfile.gettempdir(), f"backups-pass-{whose}{secrets.token_hex(8)}")
    with run.leftover("folder", path=str(folder)) if run else nullcontext():
        folder.mkdir(mode=0o700)
        try:
            path = folder / "pgpass"
            path.touch(mode=0o600)
            if address.password is not None:
                secret = address.password.get_secret_value().replace("\\", "\\\\").replace(":", "\\:")
                path.write_text(f"*:*:*:*:{secret}\n", encoding="utf-8")
            yield path
        finally:
            with suppress(FileNotFoundError):  # recovery may have taken this run for dead
                shutil.rmtree(folder)


def connect(
    address: Address, *, application_name: str = "backups", connect_timeout: int = 10, autocommit: bool = True
) -> Connection:
    """Open a connection; ``connect_timeout`` is in seconds. Raise ConnectionFailed with reason and hint."""
    settings: dict[str, Any] = {
        **_WATCH_OVER_NETWORK,
        **address.params,
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "dbname": address.dbname,
        "application_name": application_name,
        "connect_timeout": connect_timeout,
        "client_encoding": "UTF8",
    }
    if address.password is not None:
        settings["password"] = address.password.get_secret_value()
    try:
        return psycopg.connect(**settings, autocommit=autocommit)
    except psycopg.Error as error:
        raise connection_failed(address, str(error)) from error


def cancel_soon(connection: Connection) -> None:
    """Have the server give up what it does for this connection. Raise psycopg.Error when it does not hear.

    Not psycopg's half a minute: whoever cancels has a heart to beat meanwhile, and others wait 30 s for it.
    """
    connection.cancel_safe(timeout=CANCEL_SECONDS)


# What libpq and the server say (in English; another language falls through to the text itself),
# why that is, and what to do. The first match counts.
_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        "password authentication failed",
        "the server refuses the password of user {user}",
        "Check the user and the password in the database's URL.",
    ),
    ("no password supplied", "the server wants a password", "Add the password to the database's URL."),
    (
        "no pg_hba.conf entry",
        "the server does not let user {user} into database {dbname} from this machine",
        "Allow this machine in the server's pg_hba.conf, or add sslmode=require to the URL.",
    ),
    (
        "does not exist",
        "there is no such role or database",
        "Check the database's name and the user in the URL.",
    ),
    (
        "too many clients",
        "the server has no free connection",
        "Close idle sessions, or raise max_connections; try again later.",
    ),
    (
        "too many connections",
        "the connection limit of the role or database is reached",
        "Close idle sessions, or raise the limit; try again later.",
    ),
    (
        "remaining connection slots",
        "the server has no free connection",
        "Close idle sessions, or raise max_connections; try again later.",
    ),
    (
        "server does not support SSL",
        "the URL asks for TLS and the server offers none",
        "Remove sslmode from the URL if the network is trusted, or turn on TLS on the server.",
    ),
    (
        "certificate",
        "the server's TLS certificate is not accepted",
        "Check sslmode and sslrootcert in the URL, and the server's certificate.",
    ),
    ("SSL", "TLS could not be agreed with the server", "Check sslmode in the URL."),
    (
        "could not translate host name",
        "the host name {host} is not known",
        "Check the host in the database's URL and this machine's DNS.",
    ),
    (
        "failed to resolve host",
        "the host name {host} is not known",
        "Check the host in the database's URL and this machine's DNS.",
    ),
    (
        "Connection refused",
        "nothing listens at {host}:{port}",
        "Check that the server runs, and the host and port in the URL.",
    ),
    (
        "No such file or directory",
        "there is no server socket in {host}",
        "Check that the server runs, and the socket folder and port in the URL.",
    ),
    ("the database system is starting up", "the server is still starting", "Try again in a moment."),
    ("the database system is shutting down", "the server is shutting down", "Start it again, then retry."),
    ("the database system is in recovery mode", "the server is recovering from a crash", "Try again in a moment."),
    (
        "permission denied for database",
        "user {user} may not connect to database {dbname}",
        "GRANT CONNECT to the role.",
    ),
    (
        "is not currently accepting connections",
        "database {dbname} does not accept connections",
        "See datallowconn in pg_database.",
    ),
    ("timeout", "the server did not answer in time", "Check the host, the port, and any firewall between."),
    ("timed out", "the server did not answer in time", "Check the host, the port, and any firewall between."),
    ("No route to host", "there is no route to {host}", "Check the host and the network."),
    ("Network is unreachable", "the network of {host} cannot be reached", "Check the host and the network."),
    (
        "server closed the connection unexpectedly",
        "the server closed the connection",
        "Look into the server's log; check that this port is PostgreSQL's.",
    ),
)


_LASTING = frozenset(
    {
        "password authentication failed",
        "no password supplied",
        "no pg_hba.conf entry",
        "does not exist",
        "server does not support SSL",
        "certificate",
        "permission denied for database",
        "is not currently accepting connections",
    }
)
"""Of the signs above those of what somebody has to mend; any other reason may be over a little later."""


def connection_failed(address: Address, text: str) -> ConnectionFailed:
    """Given what libpq or a client program said, return the error that explains it."""
    for sign, reason, advice in _REASONS:
        if sign in text:
            why = reason.format(user=address.user, host=address.host, port=address.port, dbname=address.dbname)
            hint, may_pass = advice, sign not in _LASTING
            break
    else:
        lines = text.strip().splitlines() or ["the server cannot be reached"]
        why, hint, may_pass = lines[-1].strip(), "Check the database's URL.", True
    return ConnectionFailed(f"Cannot connect to {address.label()}: {why}.", hint=hint, may_pass=may_pass)
