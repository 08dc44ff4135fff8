"""Where a scratch database may be, and what it is made like: the pure rules."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from services.restores.database_locale import DatabaseLocale, parse_statement
from services.restores.same_server import ServerIdentity, same_server
from services.restores.scratch import _refused

ONE = ServerIdentity("db.example", 5432, frozenset({"db.example", "10.0.0.5"}), 7001, ("10.0.0.5", 5432))
OTHER = ServerIdentity("test.example", 5433, frozenset({"test.example", "10.0.0.6"}), 7002, ("10.0.0.6", 5433))


def test_different_system_identifiers_are_different_servers_even_behind_one_address() -> None:
    assert same_server(ONE, replace(ONE, system_identifier=7002)) == ""
    assert same_server(ONE, OTHER) == ""


def test_one_system_identifier_is_one_server_whatever_the_address() -> None:
    assert "7001" in same_server(ONE, replace(OTHER, system_identifier=7001))


@pytest.mark.parametrize("unknown", [replace(OTHER, system_identifier=None)])
def test_without_an_identifier_the_addresses_decide(unknown: ServerIdentity) -> None:
    assert same_server(ONE, unknown) == ""
    assert "one address" in same_server(ONE, replace(unknown, addresses=frozenset({"10.0.0.5"}), port=5432))
    assert same_server(ONE, replace(unknown, addresses=frozenset({"10.0.0.5"}), port=6000)) == ""
    assert "both say" in same_server(ONE, replace(unknown, inner=("10.0.0.5", 5432)))


def test_two_servers_that_say_nothing_of_themselves_are_not_taken_for_one() -> None:
    silent = replace(ONE, system_identifier=None, inner=None)
    assert same_server(silent, replace(OTHER, system_identifier=None, inner=None)) == ""


STATEMENTS = {
    "CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'en_US.UTF-8';": {
        "ENCODING": "UTF8",
        "LOCALE": "en_US.UTF-8",
    },
    "CREATE DATABASE \"a WITH b\" WITH TEMPLATE = template0 ENCODING = 'LATIN1' LOCALE_PROVIDER = libc"
    " LC_COLLATE = 'C' LC_CTYPE = 'de_DE';": {
        "ENCODING": "LATIN1",
        "LOCALE_PROVIDER": "libc",
        "LC_COLLATE": "C",
        "LC_CTYPE": "de_DE",
    },
    "CREATE DATABASE s WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu LOCALE = 'C.UTF-8'"
    " ICU_LOCALE = 'en' ICU_RULES = '&a < ''g';": {
        "ENCODING": "UTF8",
        "LOCALE_PROVIDER": "icu",
        "LOCALE": "C.UTF-8",
        "ICU_LOCALE": "en",
        "ICU_RULES": "&a < 'g",
    },
}


@pytest.mark.parametrize(("statement", "options"), STATEMENTS.items())
def test_the_archives_own_statement_tells_the_locale(statement: str, options: dict[str, str]) -> None:
    assert parse_statement(f"-- Name: x\n\n{statement}\n\n\\connect x\n") == DatabaseLocale(options)


def test_nothing_but_encoding_and_locale_is_taken_from_the_archive() -> None:
    found = parse_statement("CREATE DATABASE s WITH TEMPLATE = template0 ENCODING = 'UTF8' TABLESPACE = fast;")
    assert found == DatabaseLocale({"ENCODING": "UTF8"})


def test_where_the_locale_is_lacking_the_encoding_stays() -> None:
    latin = DatabaseLocale({"ENCODING": "LATIN1", "LC_COLLATE": "de_DE"})
    tried = [(options.as_string(), note) for options, note in latin.choices(18)]
    assert "de_DE" in tried[0][0]
    assert tried[0][1] == ""
    assert len(tried) == 2
    assert "'LATIN1'" in tried[1][0]
    assert "lacks the source's locale (libc de_DE)" in tried[1][1]


def test_a_role_without_createdb_is_told_what_it_needs_and_that_nothing_was_asked_wrongly() -> None:
    refusal = psycopg.errors.InsufficientPrivilege("permission denied to create database")
    error = _refused(refusal, "backup cannot create a database on db1")
    assert error.message == "backup cannot create a database on db1: permission denied to create database."
    assert (error.exit_code, error.may_pass, error.is_refusal) == (1, False, False)
    assert "ALTER ROLE … CREATEDB" in error.hint
    assert "--server restore-test" in error.hint
