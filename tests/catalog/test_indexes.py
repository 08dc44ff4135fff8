"""Partial indexes: a planner takes one only where it sees its very terms in the query."""

from __future__ import annotations

import sqlalchemy as sa

from services.catalog import schema
from services.catalog.backups import good
from services.catalog.catalog import Catalog


def test_the_words_good_and_active_have_an_index_of_their_own(catalog: Catalog) -> None:
    queries = {
        "ix_backups_sound": sa.select(schema.backups.c.id).where(schema.backups.c.database == "orders", good()),
        "ix_runs_active": sa.select(schema.runs.c.id).where(schema.active()).order_by(schema.runs.c.queued_at),
    }
    explain = "EXPLAIN" if catalog.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    with catalog.engine.connect() as connection:
        if catalog.engine.dialect.name == "postgresql":  # which reads an empty table whole, if it may
            connection.exec_driver_sql("SET enable_seqscan = off")
        for index, query in queries.items():
            text = str(query.compile(catalog.engine, compile_kwargs={"literal_binds": True}))
            plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {text}"))
            assert index in plan, plan
