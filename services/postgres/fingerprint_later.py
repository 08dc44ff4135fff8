"""Kinds of objects that the fingerprint has had since after its first version.

A manifest from before lacks them altogether, and then nothing of these kinds is compared; one from since then lists
each kind, if with no object. A further one is added here, never to a kind that older manifests have.
"""

from __future__ import annotations

from typing import LiteralString

from services.postgres.connection import Connection

_NOT_SYSTEM: LiteralString = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
_QUALIFIED: LiteralString = "pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)"
_MD5: LiteralString = "'as ' || pg_catalog.md5(d.description)"


def _no_member(catalog: LiteralString) -> LiteralString:
    """Not made by an extension."""
    return (
        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.deptype = 'e' AND x.classid = d.classoid"
        " AND x.objid = d.objoid) AND d.classoid = 'pg_catalog." + catalog + "'::pg_catalog.regclass"
    )


# Those of tables, views, their columns and functions. pg_dump has no comment on what a partition's parent gives it.
_COMMENTS: LiteralString = (
    "SELECT n.nspname, c.relname, 'on ' || " + _QUALIFIED
    + " || coalesce('.' || pg_catalog.quote_ident(a.attname), ''), " + _MD5
    + " FROM pg_catalog.pg_description d JOIN pg_catalog.pg_class c ON c.oid = d.objoid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0"
    " WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relpersistence <> 't' AND " + _NOT_SYSTEM
    + _no_member("pg_class")
    + " UNION ALL SELECT NULL, NULL, 'on ' || p.oid::pg_catalog.regprocedure::text, " + _MD5
    + " FROM pg_catalog.pg_description d JOIN pg_catalog.pg_proc p ON p.oid = d.objoid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE " + _NOT_SYSTEM + _no_member("pg_proc")
)  # fmt: skip

# A partition's own trigger is made with the parent's; pg_dump says where it is enabled otherwise.
_PARTITION_TRIGGERS: LiteralString = (
    "SELECT n.nspname, c.relname, pg_catalog.quote_ident(g.tgname) || ' on ' || " + _QUALIFIED + ","
    " CASE g.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' ELSE 'enabled' END"
    " FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_trigger parent ON parent.oid = g.tgparentid"
    " JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE g.tgenabled <> parent.tgenabled AND " + _NOT_SYSTEM
    # Those of foreign keys are the server's own. (Up to PostgreSQL 14 every partition's trigger is called internal.)
    + " AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = g.tgconstraint AND k.contype <> 't')"
)  # fmt: skip

_PUBLICATION_OPTIONS: LiteralString = (
    "SELECT NULL, NULL, pg_catalog.quote_ident(p.pubname), 'publish'"
    " || CASE WHEN p.pubinsert THEN ' insert' ELSE '' END"
    " || CASE WHEN p.pubupdate THEN ' update' ELSE '' END || CASE WHEN p.pubdelete THEN ' delete' ELSE '' END"
    " || CASE WHEN p.pubtruncate THEN ' truncate' ELSE '' END"
    " || CASE WHEN p.pubviaroot THEN ', via partition root' ELSE '' END"
    " FROM pg_catalog.pg_publication p"
)

_KINDS: dict[str, LiteralString] = {
    "comments": _COMMENTS,
    "triggers of partitions": _PARTITION_TRIGGERS,
    "publication options": _PUBLICATION_OPTIONS,
}
LATER_KINDS = frozenset(_KINDS)


def read_later_kinds(
    connection: Connection,
) -> dict[str, list[tuple[str | None, str | None, str, str]]]:
    """Return kind -> (schema and name of its table, or None; identity; definition) of each object."""
    return {kind: connection.execute(query).fetchall() for kind, query in _KINDS.items()}
