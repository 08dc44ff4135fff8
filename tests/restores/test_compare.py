"""The comparison, pure: fingerprints in, differences and remarks out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.postgres.fingerprint_model import Fingerprint, TableFingerprint
from services.restores.compare import compare_fingerprints
from services.restores.comparison_model import Comparison
from services.restores.excluded import Excluded
from services.restores.report import RestoreReport

AT = datetime(2026, 11, 22, 2, 0, 11, tzinfo=UTC)


def table(name: str = "users", *, rows: int = 2, content: str | None = "5", **rest: str) -> TableFingerprint:
    method = "record" if content is not None else "count"
    why = "" if content else "it is too large"
    values: dict[str, Any] = {"schema": "public", "method": method, "why_no_hash": why} | rest
    return TableFingerprint(name=name, rows=rows, hash=content, bytes=8192, **values)


def fingerprint(
    *tables: TableFingerprint, sequences: dict[str, str] | None = None, **objects: tuple[str, ...]
) -> Fingerprint:
    return Fingerprint("15.14", tables, sequences or {}, objects)


def differences(expected: Fingerprint, actual: Fingerprint, *excluded: str) -> list[str]:
    return compare_fingerprints(expected, actual, excluded=excluded).differences()


def report(comparison: Comparison | None, *, excluded: tuple[str, ...] = (), failure: str = "") -> RestoreReport:
    return RestoreReport(
        outcome="passed",
        backup_id="b",
        backup_name="one",
        database="la_factoria",
        snapshot_at=AT,
        server="embedded",
        server_version="18.1",
        target="restore_test_x",
        way="spooled",
        jobs=2,
        stored_bytes=10,
        plain_bytes=20,
        download_seconds=1.5,
        restore_seconds=2.25,
        compare_seconds=0.5,
        total_seconds=4.5,
        excluded=excluded,
        failure=failure,
        comparison=comparison,
    )


def test_equal_fingerprints_are_equal() -> None:
    one = fingerprint(table(), sequences={"public.s": "5/true"}, indexes=("public.i = CREATE INDEX i ON users",))
    assert compare_fingerprints(one, one).is_equal


@pytest.mark.parametrize(
    ("actual", "words"),
    [
        (table(rows=1), ["table public.users: 1 row instead of 2"]),
        (table(content="6"), ["table public.users: the count of 2 rows is equal, but their content differs"]),
        (table(content=None), ["table public.users: the restored content could not be compared: it is too large"]),
        (
            table(method="text"),
            ["table public.users: the restored content could not be compared: hashed as 'text' instead of 'record'"],
        ),
    ],
)
def test_a_table_that_differs_is_said(actual: TableFingerprint, words: list[str]) -> None:
    assert differences(fingerprint(table()), fingerprint(actual)) == words


def test_missing_and_unexpected_tables_are_differences() -> None:
    assert differences(fingerprint(table("a")), fingerprint(table("b"))) == [
        "table public.a: missing: the source had 2 rows",
        "table public.b: not in the source, has 2 rows",
    ]


def test_a_kind_of_objects_that_an_older_manifest_does_not_know_is_not_compared() -> None:
    """Otherwise every backup of before would differ from what is restored of it."""
    now = fingerprint(**{"comments": ("on public.users = as 1",), "triggers of partitions": (), "triggers": ()})
    older = fingerprint(triggers=())
    assert differences(older, now) == []
    assert differences(now, older) == []
    gone = fingerprint(**{"comments": (), "triggers of partitions": (), "triggers": ()})
    assert differences(now, gone) == ["comments: on public.users: missing: as 1"]
    assert differences(gone, now) == ["comments: on public.users: not in the source: as 1"]


def test_a_table_without_a_hash_is_count_only_and_named() -> None:
    one = fingerprint(table("big", content=None), table("small"))
    found = compare_fingerprints(one, one)
    assert found.is_equal
    assert found.count_only == ("public.big",)
    assert report(found).summary == (
        "2 tables, 4 rows: every count and 1 of 2 hashes equal the source at 2026-11-22 02:00:11 UTC; "
        "count only: public.big"
    )


def test_the_count_of_a_count_only_table_still_counts() -> None:
    expected, actual = fingerprint(table(content=None)), fingerprint(table(content=None, rows=3))
    assert differences(expected, actual) == ["table public.users: 3 rows instead of 2"]


def test_rows_of_a_materialized_view_may_differ_but_not_its_absence() -> None:
    view = table("totals", kind="materialized view")
    other = table("totals", kind="materialized view", rows=9, content="1")
    assert differences(fingerprint(view), fingerprint(other)) == []
    assert differences(fingerprint(view), fingerprint()) == [
        "materialized view public.totals: missing: the source had 2 rows"
    ]


def test_a_sequence_that_was_drawn_from_while_the_dump_began_is_no_difference() -> None:
    for position in ("6/true", "5000/false"):
        found = compare_fingerprints(
            fingerprint(sequences={"public.s": "5/true"}), fingerprint(sequences={"public.s": position})
        )
        assert found.is_equal
        assert found.sequences[0].outcome == "moved on"


@pytest.mark.parametrize(
    ("actual", "words"),
    [
        ({"public.s": "4/true"}, ["sequence public.s: stands at 4 instead of 5"]),
        ({"public.s": "5/false"}, ["sequence public.s: stands at 5 (not yet used) instead of 5"]),
        ({}, ["sequence public.s: missing: the source's stands at 5"]),
        ({"public.s": "5/true", "public.t": "1/true"}, ["sequence public.t: not in the source, stands at 1"]),
    ],
)
def test_a_sequence_that_stands_elsewhere_is_said(actual: dict[str, str], words: list[str]) -> None:
    expected = fingerprint(sequences={"public.s": "5/true"})
    assert differences(expected, fingerprint(sequences=actual)) == words


def test_objects_are_missing_unexpected_or_changed() -> None:
    expected = fingerprint(indexes=("public.a = CREATE a", "public.b = CREATE b"), extensions=("plpgsql", "citext"))
    actual = fingerprint(indexes=("public.b = CREATE other", "public.c = CREATE c"), extensions=("plpgsql",))
    assert differences(expected, actual) == [
        "extensions: citext: missing: without further definition",
        "indexes: public.a: missing: CREATE a",
        "indexes: public.b: is CREATE other instead of CREATE b",
        "indexes: public.c: not in the source: CREATE c",
    ]


def test_names_that_hold_the_separator_are_not_mixed_up() -> None:
    expected = fingerprint(tables=('public."a = b" = table', 'public."a = c" = table, unlogged'))
    actual = fingerprint(tables=('public."a = b" = table',))
    assert differences(expected, actual) == ['tables: public."a = c": missing: table, unlogged']


VIEWS = (
    "public.direct = (id integer) reads public.users as 0123456789abcdef0123456789abcdef",
    "public.indirect = (id integer) reads public.direct as 0123456789abcdef0123456789abcdef",
    "public.other = (id integer) reads public.orders as 0123456789abcdef0123456789abcdef",
)


def test_views_on_views_on_an_excluded_table_are_dependent_and_others_are_not() -> None:
    gone = Excluded(("public.us*",), fingerprint(views=VIEWS), [("public", "users")])
    assert gone.dependent == {("views", "public.direct"), ("views", "public.indirect")}


def test_only_what_is_built_on_an_excluded_table_is_excused() -> None:
    keys = ("o_fkey on public.orders = FOREIGN KEY user_id REFERENCES users id", "c on public.orders = CHECK users > 0")
    expected = fingerprint(table("orders"), views=VIEWS, constraints=keys)
    found = compare_fingerprints(expected, fingerprint(table("orders")), excluded=("users",))
    assert [d.split(": ")[1] for d in found.differences()] == ["c on public.orders", "public.other"]
    assert {o.name for o in found.objects if o.outcome == "depends on excluded"} == {
        "o_fkey on public.orders",
        "public.direct",
        "public.indirect",
    }


OBJECTS = {
    "tables": ("public.users = table", "public.orders = table"),
    "indexes": ("public.users_name = CREATE INDEX users_name ON users USING btree name",),
    "constraints": ("o_fkey on public.orders = FOREIGN KEY user_id REFERENCES users id",),
    "views": (
        "public.v = (id integer) reads public.users as 0123456789abcdef0123456789abcdef",
        "public.w = (id integer) reads archive.users as 0123456789abcdef0123456789abcdef",
    ),
    "triggers": ("touch on public.users = CREATE TRIGGER touch BEFORE UPDATE ON users EXECUTE FUNCTION touch",),
    "functions": (
        "public.f(public.users) = function body 1",
        "public.g(archive.users) = function body 2",
        "public.users(integer) = function (audit) body 3",
    ),
    "rules": ("r on public.users = CREATE RULE r AS ON INSERT TO users DO INSERT INTO orders VALUES 1",),
    "policies": ("p on public.users = permissive * using audit",),
}


@pytest.mark.parametrize("relations", [[("archive", "users"), ("archive", "audit")], None], ids=["pairs", "patterns"])
@pytest.mark.parametrize("pattern", ["archive.*", "archive.users"])
def test_only_what_names_the_excluded_schema_is_dependent(
    pattern: str, relations: list[tuple[str, str]] | None
) -> None:
    gone = Excluded((pattern,), fingerprint(table("users"), table("orders"), **OBJECTS), relations)
    assert gone.dependent == {("views", "public.w"), ("functions", "public.g(archive.users)")}


@pytest.mark.parametrize("relations", [[("audit", "logs")], None], ids=["pairs", "patterns"])
def test_a_foreign_key_into_a_schema_that_is_excluded_whole_is_dependent(
    relations: list[tuple[str, str]] | None,
) -> None:
    keys = (
        "a on public.orders = FOREIGN KEY log REFERENCES logs id",
        "b on public.orders = FOREIGN KEY user_id REFERENCES users id",
    )
    expected = fingerprint(table("users"), table("orders"), constraints=keys)
    assert Excluded(("audit.*",), expected, relations).dependent == {("constraints", "a on public.orders")}


def test_what_the_fingerprint_lists_is_dependent_and_nothing_else_of_that_bare_name() -> None:
    expected = fingerprint(
        table("users"),
        table("orders"),
        constraints=(
            "a on public.orders = FOREIGN KEY old_id REFERENCES users id",
            "b on public.orders = FOREIGN KEY user_id REFERENCES users id",
        ),
        rules=(
            "r on public.orders = CREATE RULE r AS ON DELETE TO orders DO DELETE FROM users",
            "s on public.orders = CREATE RULE s AS ON UPDATE TO orders DO DELETE FROM users",
        ),
        views=("public.v = (id integer) reads archive.users as 0123456789abcdef0123456789abcdef",),
    )
    listed = {"constraints": ("a on public.orders",), "rules": ("r on public.orders",)}
    gone = Excluded(("archive.users",), replace(expected, on_excluded=listed), [("archive", "users")])
    assert gone.dependent == {
        ("constraints", "a on public.orders"), ("rules", "r on public.orders"), ("views", "public.v"),
    }  # fmt: skip


def test_a_rule_on_a_view_that_is_gone_is_dependent_though_it_names_no_excluded_table() -> None:
    expected = fingerprint(
        table("orders"),
        views=("public.v = (id integer) reads audit.logs as 0123456789abcdef0123456789abcdef",),
        rules=("r on public.orders = CREATE RULE r AS ON INSERT TO orders DO SELECT FROM v",),
    )
    gone = Excluded(("audit.logs",), replace(expected, on_excluded={}), [("audit", "logs")])
    assert gone.dependent == {("views", "public.v"), ("rules", "r on public.orders")}


def test_what_belongs_to_a_dependent_view_goes_with_it() -> None:
    objects = {
        "views": ("public.m = materialized (id integer) reads audit.logs as 0123456789abcdef0123456789abcdef",),
        "indexes": ("public.m_id = CREATE INDEX m_id ON m USING btree id", "other.i = CREATE INDEX i ON m"),
        "triggers": ("t on public.m = CREATE TRIGGER", "t on other.m = CREATE TRIGGER"),
    }
    gone = Excluded(("audit.*",), fingerprint(**objects), [("audit", "logs")])
    assert gone.dependent == {("views", "public.m"), ("indexes", "public.m_id"), ("triggers", "t on public.m")}


def test_without_exclusions_nothing_is_excused() -> None:
    assert len(differences(fingerprint(views=VIEWS), fingerprint())) == 3


def test_the_summary_of_a_whole_proof_is_one_sentence() -> None:
    one = fingerprint(*(table(f"t{i}", rows=28_674 if i else 28_697) for i in range(42)))
    assert report(compare_fingerprints(one, one)).summary == (
        "42 tables, 1,204,331 rows: every count and hash equals the source at 2026-11-22 02:00:11 UTC"
    )


def test_the_summary_of_a_failure_names_the_first_differences_and_counts_the_rest() -> None:
    one, other = (
        fingerprint(*(table(f"t{i}") for i in range(5))),
        fingerprint(*(table(f"t{i}", rows=1) for i in range(5))),
    )
    assert report(compare_fingerprints(one, other)).summary == (
        "5 differences from the source at 2026-11-22 02:00:11 UTC: table public.t0: 1 row instead of 2; "
        "table public.t1: 1 row instead of 2; table public.t2: 1 row instead of 2; and 2 more"
    )


def test_a_partial_backup_is_called_partial_even_when_it_fails() -> None:
    partial = report(None, excluded=("audit_*",), failure="The backup does not restore.")
    assert partial.summary == "Partial backup (without audit_*): The backup does not restore."


def test_the_measured_rto_is_download_and_restore() -> None:
    assert report(None).rto_seconds == 3.75
    assert report(None).to_json()["rto_seconds"] == 3.75


names = st.sampled_from(["a", "b", "c d", 'e"f'])
tables = st.lists(
    st.builds(
        lambda n, r, h: table(n, rows=r, content=h), names, st.integers(0, 3), st.none() | st.sampled_from(["1", "2"])
    ),
    max_size=4,
    unique_by=lambda t: t.name,
)
fingerprints = st.builds(
    lambda t, s, i: fingerprint(*t, sequences=s, indexes=tuple(i)),
    tables,
    st.dictionaries(names, st.sampled_from(["1/true", "2/true"]), max_size=3),
    st.lists(st.sampled_from(["x = 1", "x2 = 1", "y"]), unique=True, max_size=3),
)


@given(fingerprints, fingerprints)
def test_two_fingerprints_compare_equal_only_when_they_are(expected: Fingerprint, actual: Fingerprint) -> None:
    def comparable(one: Fingerprint) -> object:
        uncounted = {t.name for t in expected.tables if t.hash is None}
        contents = {(t.name, t.rows, None if t.name in uncounted else t.hash) for t in one.tables}
        # A sequence may have been drawn from since it was recorded: 1, then 2, is no difference.
        sequences = {name: "" if expected.sequences.get(name) == "1/true" else at for name, at in one.sequences.items()}
        return contents, sequences, {kind: set(names) for kind, names in one.objects.items()}

    found = compare_fingerprints(expected, actual)
    assert found.is_equal == (comparable(expected) == comparable(actual))
    assert compare_fingerprints(expected, expected).is_equal


@given(fingerprints, fingerprints)
def test_a_report_survives_json(expected: Fingerprint, actual: Fingerprint) -> None:
    made = report(compare_fingerprints(expected, actual))
    assert RestoreReport.from_json(json.loads(json.dumps(made.to_json()))) == made
