"""The comparison of a restored database with the fingerprint that was taken in the dump's own snapshot.

Pure: two fingerprints in, a comparison out. What PostgreSQL versions print differently is levelled by the fingerprint
itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from services.postgres.fingerprint_model import Fingerprint, TableFingerprint
from services.restores.compare_objects import compare_objects
from services.restores.comparison_model import (
    Comparison,
    HashResult,
    SequenceOutcome,
    SequenceRow,
    TableOutcome,
    TableRow,
)
from services.restores.excluded import Excluded, Relation


def compare_fingerprints(
    expected: Fingerprint,
    actual: Fingerprint,
    *,
    excluded: Collection[str] = (),
    excluded_tables: Collection[Relation] | None = None,
) -> Comparison:
    """Given the fingerprint of the source and that of the restored database, return what is equal and what is not.

    ``excluded`` are the pg_dump patterns of the tables that a partial backup left out: what depends on them cannot be
    in the restored database, so it is reported and does not fail the comparison. ``excluded_tables`` are the (schema,
    name) that these matched; None where only the patterns are known (see ``services.restores.excluded``).
    """
    gone = Excluded(excluded, expected, excluded_tables)
    objects = compare_objects(expected.objects, actual.objects, gone)
    return Comparison(
        tables=tuple(_compare_tables(expected.tables, actual.tables, gone)),
        sequences=tuple(_compare_sequences(expected.sequences, actual.sequences, gone)),
        objects=tuple(objects),
        object_counts={kind: len(names) for kind, names in expected.objects.items()},
    )


def _compare_tables(
    expected: Iterable[TableFingerprint], actual: Iterable[TableFingerprint], gone: Excluded
) -> list[TableRow]:
    """Return a row per table, in the order of schema and name, those only in the restored database among them."""
    there = {(t.schema, t.name): t for t in actual}
    wanted = {(t.schema, t.name): t for t in expected}
    rows = []
    for key in sorted({*there, *wanted}):
        if key not in there:
            rows.append(_missing_table(wanted[key], gone))
        elif key not in wanted:
            rows.append(_unexpected_table(there[key]))
        else:
            rows.append(_compare_table(wanted[key], there[key]))
    return rows


def _missing_table(table: TableFingerprint, gone: Excluded) -> TableRow:
    if table.kind == "materialized view" and gone.has_view(table.schema, table.name):
        return _row(table, None, "not compared", "depends on excluded", "reads a table that the backup leaves out")
    return _row(table, None, "not compared", "missing", f"missing: the source had {_rows(table.rows)}")


def _unexpected_table(table: TableFingerprint) -> TableRow:
    return TableRow(
        schema=table.schema,
        name=table.name,
        kind=table.kind,
        expected_rows=None,
        actual_rows=table.rows,
        hash="not compared",
        outcome="unexpected",
        words=f"not in the source, has {_rows(table.rows)}",
    )


def _compare_table(expected: TableFingerprint, actual: TableFingerprint) -> TableRow:
    """Compare count, then content. A hash that should have been taken and was not is a difference."""
    compared = _compare_hashes(expected, actual)
    if expected.rows == actual.rows and compared == "equal":
        return _row(expected, actual, compared, "equal", "every row equals the source")
    if expected.kind == "materialized view":
        # pg_restore refreshes it from its query; the source's rows may be from an older refresh. Its definition is
        # compared among the objects.
        words = f"computed anew by the restore: {_rows(actual.rows)}, the source had {_rows(expected.rows)}"
        return _row(expected, actual, compared, "recomputed", words)
    if expected.rows != actual.rows:
        words = f"{_rows(actual.rows)} instead of {expected.rows:,}"
        return _row(expected, actual, compared, "differs", words)
    if compared == "differs":
        words = f"the count of {_rows(expected.rows)} is equal, but their content differs"
        return _row(expected, actual, compared, "differs", words)
    if expected.hash is None:
        why = expected.why_no_hash or "the fingerprint holds no hash of it"
        return _row(expected, actual, compared, "count only", f"count equal; content not compared: {why}")
    why = actual.why_no_hash or f"hashed as {actual.method!r} instead of {expected.method!r}"
    return _row(expected, actual, compared, "differs", f"the restored content could not be compared: {why}")


def _compare_hashes(expected: TableFingerprint, actual: TableFingerprint) -> HashResult:
    if expected.hash is None or actual.hash is None or expected.method != actual.method:
        return "not compared"
    return "equal" if expected.hash == actual.hash else "differs"


def _row(
    expected: TableFingerprint, actual: TableFingerprint | None, compared: HashResult, outcome: TableOutcome, words: str
) -> TableRow:
    return TableRow(
        schema=expected.schema,
        name=expected.name,
        kind=expected.kind,
        expected_rows=expected.rows,
        actual_rows=None if actual is None else actual.rows,
        hash=compared,
        outcome=outcome,
        words=words,
    )


def _compare_sequences(expected: Mapping[str, str], actual: Mapping[str, str], gone: Excluded) -> list[SequenceRow]:
    """Return a row per sequence, by name. Values are ``last_value/is_called``."""
    rows = []
    for name in sorted({*expected, *actual}):
        want, have = expected.get(name), actual.get(name)
        outcome: SequenceOutcome
        if want == have:
            outcome, words = "equal", "stands where the source's does"
        elif have is None and gone.owns_sequence(name):
            outcome, words = "depends on excluded", "belongs to a table that the backup leaves out"
        elif have is None:
            outcome, words = "missing", f"missing: the source's stands at {_position(want)}"
        elif want is None:
            outcome, words = "unexpected", f"not in the source, stands at {_position(have)}"
        elif _is_further(have, want):
            outcome, words = "moved on", f"stands at {_position(have)}, drawn after {_position(want)} was recorded"
        else:
            outcome, words = "differs", f"stands at {_position(have)} instead of {_position(want)}"
        rows.append(SequenceRow(name=name, expected=want, actual=have, outcome=outcome, words=words))
    return rows


def _is_further(have: str, want: str) -> bool:
    """Say whether a sequence stands beyond the recorded position.

    Sequences know no snapshots: they are recorded just before the dump, which reads them again, so that one in use may
    be ahead in the dump, and never behind. No value is handed out twice by it. One that counts down and is drawn from
    in that moment is reported as a difference.
    """
    (have_last, _, have_called), (want_last, _, want_called) = have.partition("/"), want.partition("/")
    return (int(have_last), have_called == "true") > (int(want_last), want_called == "true")


def _position(value: str | None) -> str:
    """Given ``last_value/is_called``, say it in words."""
    last, _, called = (value or "").partition("/")
    return last if called in ("true", "t") else f"{last} (not yet used)"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
