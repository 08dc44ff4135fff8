"""Addresses and connections: read rightly, failing clearly, and never showing the password."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from services.errors import ConnectionFailed, SettingsError
from services.postgres.connection import Address, connect, passfile
from services.postgres.server import LocalServer
from tests.support.run_context import RecordingRun

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r\n"), min_size=1, max_size=20)


@given(user=TEXT, password=TEXT, dbname=TEXT)
def test_a_url_is_read_back_as_it_was(user: str, password: str, dbname: str) -> None:
    address = Address("db.example.org", 6543, user, SecretStr(password), dbname, {"sslmode": "require"})
    assert Address.parse(address.url().get_secret_value()) == address


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("postgresql://u:p@h/d", "u@h:5432/d"),
        ("postgres://u@h:1", "u@h:1/u"),
        ("postgresql://u:p%40%2F@[::1]:5/d?sslmode=require", "u@::1:5/d"),
        ("postgresql://u@/d?host=/tmp&port=7", "u@/tmp:7/d"),
        ("postgresql://u@h/d?keepalives=1&keepalives_idle=30&connect_timeout=5", "u@h:5432/d"),
    ],
)
def test_usual_urls_are_understood(url: str, label: str) -> None:
    address = Address.parse(url)
    assert address.label() == label
    assert Address.parse(address.url().get_secret_value()) == address


@pytest.mark.parametrize("raw", ["planted@word", "planted/word", "planted%zzword"])
def test_a_password_with_a_raw_sign_is_refused_with_how_it_is_written(raw: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Address.parse(f"postgresql://ada:{raw}@db.example:5432/shop")
    assert "write @ as %40, / as %2F, ? as %3F, % as %25" in refused.value.hint
    assert "planted" not in str(refused.value) + refused.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:s3cret@h/d", "postgresql://u:s3cret@h:port/d", "postgresql://u:s3cret@h:99999/d", "postgresql://:s3cret@h/d",
        "postgresql://u:s3cret@h/d?nonsense=s3cret", "postgresql://u:s3cret@a,b/d",
        "postgresql://u:s3cret%0A@h/d", "postgresql://u:s3cret@h/d?sslpassword=s3cret", "s3cret", "postgresql://u:s3cret%zz@h/d",
    ],
)  # fmt: skip
def test_a_wrong_url_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Address.parse(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("password", "example"),
    [
        ("s3c@ret", "a @ is written %40: a@b as a%40b"), ("s3c/ret", "a / is written %2F: a/b as a%2Fb"),
        ("12/s3c", "a / is written %2F"), ("s3c%ret", "a % is written %25: a%b as a%25b"),
        ("s3c%", "a % is written %25"), ("s3c ret", "a space is written %20: a b as a%20b"),
        ("s3c?r@et", "a @ is written %40"), ("s3c/r@et", "a @ is written %40"),
    ],
)  # fmt: skip
def test_a_password_that_must_be_escaped_is_refused_with_an_example_that_shows_nothing_of_it(
    password: str, example: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Address.parse(f"postgresql://u:{password}@h:5432/d")
    assert example in caught.value.hint
    assert "s3c" not in str(caught.value)
    assert "r@et" not in str(caught.value)


@pytest.mark.parametrize("password", ["s3c#ret", "s3c?ret", "s3c:ret", "s3c&ret=", "s3c[ret]"])
def test_a_password_that_needs_no_escape_is_taken_as_it_is(password: str) -> None:
    address = Address.parse(f"postgresql://u:{password}@h:5432/d?options=-c%20a.b%3Dc@d")
    assert address.password == SecretStr(password)
    assert (address.user, address.host, address.dbname) == ("u", "h", "d")


@pytest.mark.parametrize(
    ("url", "missing"),
    [
        ("postgresql:///d", "names neither a server nor a user"), ("postgresql://", "neither a server nor a user"),
        ("postgresql://h/d", "names no user"), ("postgresql://h:5432/d?sslmode=require", "names no user"),
    ],
)  # fmt: skip
def test_what_a_url_lacks_is_named(url: str, missing: str) -> None:
    with pytest.raises(SettingsError, match=missing) as caught:
        Address.parse(url)
    assert "postgresql://user:password@host:5432/dbname" in caught.value.hint


def test_nothing_that_is_printed_shows_the_password() -> None:
    address = Address.parse("postgresql://u:s3cret@h/d?passfile=/s3cret")
    for text in (repr(address), str(address), address.label(), f"{address}", repr([address])):
        assert "s3cret" not in text


def test_the_child_environment_holds_no_password_and_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "ours")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1")
    address = Address.parse("postgresql://u:s3cret@h:7/d?sslmode=require&options=-c%20lock_timeout%3D5&keepalives=1")
    environment = address.child_environment(Path("/pass"))
    assert "s3cret" not in str(environment)
    assert "PGPASSWORD" not in environment
    assert environment | {
        "PGHOST": "h", "PGPORT": "7", "PGUSER": "u", "PGDATABASE": "d", "PGSSLMODE": "require", "PGPASSFILE": "/pass",
        "PGOPTIONS": "-c lock_timeout=5", "LC_ALL": "C",
    } == environment  # fmt: skip


def test_the_password_file_is_private_and_gone_afterwards() -> None:
    address = Address("h", 1, "u", SecretStr(r"a:b\c"), "d")
    with passfile(address) as path:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.read_text() == "*:*:*:*:a\\:b\\\\c\n"
    assert not path.parent.exists()


def test_each_reason_is_said(server18: LocalServer) -> None:
    address = server18.address
    cases = {
        "refuses the password": replace(address, password=SecretStr("planted")),
        "there is no such role or database": address.with_database("absent"),
        "wants a password": replace(address, password=None),
        "not known": replace(address, host="no-such-host.invalid"),
        "no server socket": replace(address, host="/nonexistent"),
        "the server offers none": replace(address, params={"sslmode": "require"}),
    }
    cases["offers none"] = cases.pop("the server offers none")
    for reason, wrong in cases.items():
        with pytest.raises(ConnectionFailed, match=reason) as caught:
            connect(wrong)
        assert caught.value.hint
        assert "planted" not in str(caught.value)


def test_a_server_that_never_answers_ends_within_the_limit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(ConnectionFailed, match="did not answer in time"):
            connect(Address("127.0.0.1", silent.getsockname()[1], "u", None, "d"), connect_timeout=2)
        assert time.monotonic() - began < 8


def test_a_port_that_is_not_postgresql_is_told(server18: LocalServer) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ConnectionFailed):
            connect(Address("127.0.0.1", other.getsockname()[1], "u", None, "d", {"sslmode": "disable"}))
        thread.join()


def test_a_network_that_goes_silent_is_noticed_within_about_a_minute(server18: LocalServer) -> None:
    def options(address: Address) -> tuple[int, ...]:
        with connect(address) as connection, socket.socket(fileno=os.dup(connection.fileno())) as ours:
            names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            return (
                ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                *(ours.getsockopt(socket.IPPROTO_TCP, name) for name in names),
            )

    assert options(server18.address) == (1, 30, 10, 3, 60_000)
    own = server18.address.with_params(keepalives_idle="77", tcp_user_timeout="5000")
    assert options(own) == (1, 77, 10, 3, 5000)


def test_client_programs_get_the_same_limits_and_a_urls_own_values_win() -> None:
    address = Address.parse("postgresql://u:s3cret@h/a%3Db?keepalives_idle=77&sslmode=require")
    limits = {"keepalives": "1", "keepalives_interval": "10", "keepalives_count": "3", "tcp_user_timeout": "60000"}
    assert conninfo_to_dict(address.child_conninfo(18)) == {"dbname": "a=b", "keepalives_idle": "77", **limits}
    assert "tcp_user_timeout" not in address.child_conninfo(11)  # which does not know it
    assert "s3cret" not in address.child_conninfo(18)


def test_a_password_file_is_a_leftover_of_its_attempt() -> None:
    address = Address("h", 1, "u", SecretStr("p"), "d")
    run = RecordingRun(attempt=2)
    with passfile(address, run) as path:
        assert run.leftovers == [("folder", {"path": str(path.parent)})]
        assert path.parent.name.startswith("backups-pass-run-1-2-")
        with passfile(address, run) as other:
            assert other.parent != path.parent
        shutil.rmtree(path.parent)  # as recovery does
    assert run.leftovers == []
