"""The objects around the tables, each as ``identity = definition``.

A definition must be equal after dump and restore, with ``--no-owner --no-acl``, into a newer server. So owners and
rights are no part of it, printed expressions go through ``canonical``, and what only the server decides is left out:
versions of extensions (restore installs the version that the target has), NOT NULL constraints as named objects (new in
PostgreSQL 18; a column's ``not null`` is compared instead), clones that a partition gets from its parent.
Objects that belong to an extension are left out: the extension makes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from services.postgres.canonical import canonical
from services.postgres.connection import Connection
from services.postgres.fingerprint_later import read_later_kinds

SEPARATOR = " = "
SEQUENCES_A_QUERY = 200


@dataclass(frozen=True)
class _Kind:
    """One kind of object and its query.

    The query gives: schema and name of the table that it belongs to (or NULL), identity, plain definition, and text
    that PostgreSQL printed (or NULL).
    """

    name: str
    query: LiteralString
    digest: bool = False
    """True: show a digest of the printed text, which is long."""


_NOT_SYSTEM: LiteralString = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"


def _own(catalog: LiteralString, oid: LiteralString) -> LiteralString:
    return (
        "NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.deptype = 'e' AND x.classid = 'pg_catalog."
        + catalog
        + "'::pg_catalog.regclass AND x.objid = "
        + oid
        + ")"
    )


_QUALIFIED: LiteralString = "pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)"

_KINDS: tuple[_Kind, ...] = (
    _Kind(
        # The target has public from its template, whatever the source did with it.
        "schemas",
        "SELECT NULL, NULL, pg_catalog.quote_ident(n.nspname), '', NULL FROM pg_catalog.pg_namespace n"
        " WHERE n.nspname <> 'public' AND " + _NOT_SYSTEM + " AND " + _own("pg_namespace", "n.oid"),
    ),
    _Kind(
        "extensions",
        "SELECT NULL, NULL, pg_catalog.quote_ident(extname), '', NULL FROM pg_catalog.pg_extension",
    ),
    _Kind(
        "tables",
        "SELECT n.nspname, c.relname, " + _QUALIFIED + ","
        " CASE c.relkind WHEN 'p' THEN 'partitioned by ' || pg_catalog.pg_get_partkeydef(c.oid)"
        "  WHEN 'f' THEN 'foreign' ELSE 'table' END"
        " || CASE c.relpersistence WHEN 'u' THEN ', unlogged' ELSE '' END"
        " || CASE WHEN c.relrowsecurity THEN ', row security' ELSE '' END"
        " || CASE WHEN c.relforcerowsecurity THEN ', forced' ELSE '' END"
        " || CASE WHEN c.relispartition THEN ', partition' ELSE '' END"
        " || coalesce((SELECT ', of ' || pg_catalog.string_agg(i.inhparent::pg_catalog.regclass::text, ', '"
        "  ORDER BY i.inhseqno) FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid), ''),"
        " pg_catalog.pg_get_expr(c.relpartbound, c.oid)"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND " + _NOT_SYSTEM
        + " AND " + _own("pg_class", "c.oid"),
    ),
    _Kind(
        "columns",
        "SELECT n.nspname, c.relname, " + _QUALIFIED + " || '.' || pg_catalog.quote_ident(a.attname),"
        " pg_catalog.format_type(a.atttypid, a.atttypmod)"
        " || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END"
        " || CASE a.attidentity WHEN 'a' THEN ' identity always' WHEN 'd' THEN ' identity by default' ELSE '' END"
        " || CASE a.attgenerated WHEN 's' THEN ' stored' WHEN 'v' THEN ' virtual' ELSE '' END"
        " || CASE WHEN a.attcollation <> t.typcollation AND k.collname <> 'default'"
        "  THEN ' collate ' || pg_catalog.quote_ident(k.collname) ELSE '' END,"
        " ' default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid)"
        " FROM pg_catalog.pg_attribute a"
        " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
        " LEFT JOIN pg_catalog.pg_collation k ON k.oid = a.attcollation"
        " LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
        " WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND "
        + _NOT_SYSTEM + " AND " + _own("pg_class", "c.oid"),
    ),
    _Kind(
        # pg_dump passes over invalid indexes, except those of partitioned tables.
        "indexes",
        "SELECT tn.nspname, tc.relname, " + _QUALIFIED + ","
        " CASE WHEN i.indisclustered THEN 'clustered ' ELSE '' END"
        " || CASE WHEN i.indisreplident THEN 'replica identity ' ELSE '' END,"
        " pg_catalog.pg_get_indexdef(i.indexrelid)"
        " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_catalog.pg_class tc ON tc.oid = i.indrelid"
        " JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace"
        " WHERE (i.indisvalid OR tc.relkind = 'p') AND tc.relpersistence <> 't' AND " + _NOT_SYSTEM
        + " AND " + _own("pg_class", "tc.oid"),
    ),
    _Kind(
        # A foreign key's rows for partitions are made, and named, by the server.
        "constraints",
        "SELECT n.nspname, c.relname, pg_catalog.quote_ident(r.conname) || ' on ' || " + _QUALIFIED + ", '',"
        " pg_catalog.pg_get_constraintdef(r.oid)"
        " FROM pg_catalog.pg_constraint r JOIN pg_catalog.pg_class c ON c.oid = r.conrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE r.contype IN ('c', 'f', 'p', 'u', 'x') AND NOT (r.contype = 'f' AND r.conparentid <> 0)"
        " AND c.relpersistence <> 't' AND " + _NOT_SYSTEM + " AND " + _own("pg_class", "c.oid"),
    ),
    _Kind(
        "views",
        "SELECT n.nspname, c.relname, " + _QUALIFIED + ","
        " CASE c.relkind WHEN 'm' THEN 'materialized ' ELSE '' END || '(' || coalesce((SELECT pg_catalog.string_agg("
        "  pg_catalog.quote_ident(a.attname) || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod), ', '"
        "  ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0), '') || ')'"
        " || coalesce(' with ' || pg_catalog.array_to_string(c.reloptions, ', '), '')"
        " || coalesce((SELECT ' reads ' || pg_catalog.string_agg(DISTINCT d.refobjid::pg_catalog.regclass::text, ', ')"
        "  FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'"
        "  ::pg_catalog.regclass AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
        "  WHERE w.ev_class = c.oid AND d.refobjid <> c.oid), ''),"
        " pg_catalog.pg_get_viewdef(c.oid)"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't' AND " + _NOT_SYSTEM
        + " AND " + _own("pg_class", "c.oid"),
        digest=True,
    ),
    _Kind(
        # The body as it was typed. A body in the newer SQL style (PostgreSQL 14) has none and is compared by the rest.
        "functions",
        "SELECT NULL, NULL, p.oid::pg_catalog.regprocedure::text,"
        " CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' WHEN 'w' THEN 'window' ELSE 'function' END"
        " || coalesce(' (' || pg_catalog.array_to_string(p.proargnames, ', ') || ')', '')"
        " || ' ' || l.lanname || ' ' || p.provolatile::text || p.proparallel::text"
        " || CASE WHEN p.proisstrict THEN ' strict' ELSE '' END"
        " || CASE WHEN p.prosecdef THEN ' security definer' ELSE '' END"
        " || CASE WHEN p.proleakproof THEN ' leakproof' ELSE '' END"
        " || coalesce(' returns ' || pg_catalog.pg_get_function_result(p.oid), '')"
        " || coalesce(' set ' || pg_catalog.array_to_string(p.proconfig, ', '), '')"
        " || coalesce((SELECT ' state ' || g.aggtransfn::text || ' ' || g.aggfinalfn::text || ' ' ||"
        "  coalesce(g.agginitval, '') FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid = p.oid), '')"
        " || ' body ' || pg_catalog.md5(coalesce(p.probin, '') || p.prosrc),"
        " pg_catalog.pg_get_expr(p.proargdefaults, 0)"
        " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
        " JOIN pg_catalog.pg_language l ON l.oid = p.prolang"
        # A range type makes its own constructors.
        " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend i WHERE i.classid = 'pg_catalog.pg_proc'"
        "  ::pg_catalog.regclass AND i.objid = p.oid AND i.deptype = 'i') AND " + _NOT_SYSTEM
        + " AND " + _own("pg_proc", "p.oid"),
    ),
    _Kind(
        "triggers",
        "SELECT n.nspname, c.relname, pg_catalog.quote_ident(g.tgname) || ' on ' || " + _QUALIFIED + ","
        " CASE g.tgenabled WHEN 'D' THEN 'disabled ' WHEN 'R' THEN 'replica ' WHEN 'A' THEN 'always ' ELSE '' END,"
        " pg_catalog.pg_get_triggerdef(g.oid)"
        " FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND " + _NOT_SYSTEM + " AND " + _own("pg_class", "c.oid"),
    ),
    _Kind(
        "event triggers",
        "SELECT NULL, NULL, pg_catalog.quote_ident(e.evtname), e.evtevent || ' ' || e.evtenabled::text || ' '"
        " || coalesce(pg_catalog.array_to_string(e.evttags, ', '), '') || ' ' || e.evtfoid::pg_catalog.regproc::text,"
        " NULL FROM pg_catalog.pg_event_trigger e WHERE " + _own("pg_event_trigger", "e.oid"),
    ),
    _Kind(
        "rules",
        "SELECT n.nspname, c.relname, pg_catalog.quote_ident(w.rulename) || ' on ' || " + _QUALIFIED + ", '',"
        " pg_catalog.pg_get_ruledef(w.oid)"
        " FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE w.rulename <> '_RETURN' AND " + _NOT_SYSTEM + " AND " + _own("pg_class", "c.oid"),
    ),
    _Kind(
        "policies",
        "SELECT n.nspname, c.relname, pg_catalog.quote_ident(p.polname) || ' on ' || " + _QUALIFIED + ","
        " CASE WHEN p.polpermissive THEN 'permissive ' ELSE 'restrictive ' END || p.polcmd::text,"
        " coalesce(' using ' || pg_catalog.pg_get_expr(p.polqual, p.polrelid), '')"
        " || coalesce(' check ' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '')"
        " FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE " + _NOT_SYSTEM
        + " AND " + _own("pg_class", "c.oid"),
    ),
    _Kind(
        "types",
        "SELECT NULL, NULL, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname),"
        " CASE t.typtype"
        "  WHEN 'e' THEN 'enum (' || (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', '"
        "   ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) || ')'"
        "  WHEN 'd' THEN 'domain ' || pg_catalog.format_type(t.typbasetype, t.typtypmod)"
        "   || CASE WHEN t.typnotnull THEN ' not null' ELSE '' END"
        "  WHEN 'c' THEN 'composite (' || coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname)"
        "   || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)"
        "   FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '')"
        "   || ')'"
        "  WHEN 'r' THEN 'range of ' || (SELECT pg_catalog.format_type(r.rngsubtype, NULL)"
        "   FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid)"
        "  ELSE 'type' END,"
        " coalesce(' default ' || t.typdefault, '') || coalesce((SELECT pg_catalog.string_agg(' ' || k.conname || ' '"
        "  || pg_catalog.pg_get_constraintdef(k.oid), '' ORDER BY k.conname) FROM pg_catalog.pg_constraint k"
        "  WHERE k.contypid = t.oid AND k.contype = 'c'), '')"
        " FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
        " LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid"
        " WHERE (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c'"
        "  OR t.typtype = 'b' AND t.typelem = 0) AND " + _NOT_SYSTEM + " AND " + _own("pg_type", "t.oid"),
    ),
    _Kind(
        "sequences",
        "SELECT n.nspname, c.relname, " + _QUALIFIED + ","
        " pg_catalog.format_type(s.seqtypid, NULL) || ' start ' || s.seqstart"
        " || ' by ' || s.seqincrement || ' from ' || s.seqmin || ' to ' || s.seqmax || ' cache ' || s.seqcache"
        " || CASE WHEN s.seqcycle THEN ' cycle' ELSE '' END, NULL"
        " FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relpersistence <> 't' AND " + _NOT_SYSTEM + " AND " + _own("pg_class", "c.oid"),
    ),
    _Kind(
        "statistics",
        "SELECT tn.nspname, tc.relname, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(s.stxname),"
        " '', pg_catalog.pg_get_statisticsobjdef(s.oid)"
        " FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace"
        " JOIN pg_catalog.pg_class tc ON tc.oid = s.stxrelid"
        " JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace"
        " WHERE " + _NOT_SYSTEM,
    ),
    _Kind(
        "publications",
        "SELECT NULL, NULL, pg_catalog.quote_ident(p.pubname), CASE WHEN p.puballtables THEN 'all tables' ELSE"
        " coalesce((SELECT pg_catalog.string_agg(DISTINCT r.prrelid::pg_catalog.regclass::text, ', ')"
        "  FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid), '') END, NULL"
        " FROM pg_catalog.pg_publication p",
    ),
)  # fmt: skip

_SEQUENCES = (
    "SELECT n.nspname, c.relname, tn.nspname, tc.relname, d.deptype = 'i' FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid"
    "  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')"
    " LEFT JOIN pg_catalog.pg_class tc ON tc.oid = d.refobjid"
    " LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace"
    " WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND " + _NOT_SYSTEM + " AND " + _own("pg_class", "c.oid")
    + " ORDER BY 1, 2"
)  # fmt: skip


def read_objects(connection: Connection, excluded: Collection[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return kind -> sorted ``identity = definition``, without what belongs to an excluded table. Raise psycopg.Error.

    Expects ``search_path`` to be ``pg_catalog``, so that names are printed with their schema.
    """
    tables, sequences = set(excluded), _excluded_sequences(connection, excluded)
    found: dict[str, tuple[str, ...]] = {}
    for kind in _KINDS:
        left_out = sequences if kind.name == "sequences" else tables
        rows = connection.execute(kind.query).fetchall()
        found[kind.name] = tuple(_entries(kind, (row for row in rows if (row[0], row[1]) not in left_out)))
    for name, later in read_later_kinds(connection).items():
        kept = (f"{row[2]}{SEPARATOR}{row[3]}" for row in later if (row[0], row[1]) not in tables)
        found[name] = tuple(sorted(kept))
    return found


def read_sequences(connection: Connection, excluded: Collection[tuple[str, str]]) -> dict[str, str]:
    """Return ``schema.name`` -> ``last_value/is_called`` of every sequence that a dump without ``excluded`` holds."""
    left_out = _excluded_sequences(connection, excluded)
    names = sorted({(row[0], row[1]) for row in connection.execute(_SEQUENCES)} - left_out)
    values: dict[str, str] = {}
    for start in range(0, len(names), SEQUENCES_A_QUERY):
        part = names[start : start + SEQUENCES_A_QUERY]
        query = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}::int4, last_value, is_called FROM {}").format(i, sql.Identifier(*name))
            for i, name in enumerate(part)
        )
        for i, last, called in connection.execute(query):
            values[".".join(part[i])] = f"{last}/{'true' if called else 'false'}"
    return dict(sorted(values.items()))


def _excluded_sequences(connection: Connection, excluded: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return (schema, name) of the sequences that pg_dump leaves out with these tables (``getOwnedSeqs`` in pg_dump.c).

    An owned sequence goes with its table into the dump, whatever the patterns say of it. That of an identity column
    never goes without its table; that of a ``serial`` column stays when only the table is excluded.
    """
    left_out = set(excluded)
    gone = set()
    for schema, name, table_schema, table, is_identity in connection.execute(_SEQUENCES):
        if table is None:
            is_gone = (schema, name) in left_out
        else:
            is_gone = (table_schema, table) in left_out and (is_identity or (schema, name) in left_out)
        if is_gone:
            gone.add((schema, name))
    return gone


def _entries(kind: _Kind, rows: Iterable[tuple[str | None, str | None, str, str, str | None]]) -> list[str]:
    entries = []
    for _, _, identity, plain, printed in rows:
        text = canonical(printed) if printed else ""
        if text and kind.digest:
            text = "as " + hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        definition = " ".join(part for part in (plain.strip(), text) if part)
        entries.append(f"{identity}{SEPARATOR}{definition}" if definition else identity)
    return sorted(entries)
