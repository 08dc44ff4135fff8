"""The run of the checks, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import psycopg

from services.backups.signing import signing_key
from services.errors import ConnectionFailed
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.connection import Address, cancel_soon, connect
from services.postgres.exclusions import Exclusions
from services.postgres.facts import read_facts
from services.preflight.contents import check_contents, check_exclusions, check_method, check_size, expect
from services.preflight.model import Check, Preflight
from services.preflight.role import check_role
from services.preflight.server import check_server, check_versions, connection_lost, limit_questions
from services.preflight.space import check_spool, check_storage, check_working_folder, of_copy
from services.preflight.tried import TriedStorages
from services.settings.model import DatabaseSettings


def exclusions_of(database: DatabaseSettings, tables: Sequence[str] = (), data: Sequence[str] = ()) -> Exclusions:
    """Return what a backup leaves out: by the database's settings, and what is asked for beside them."""
    return Exclusions(database.exclude_tables, database.exclude_table_data).with_more(tables, data)


def preflight(
    installation: Installation,
    database: DatabaseSettings,
    *,
    exclude_tables: Sequence[str] = (),
    exclude_table_data: Sequence[str] = (),
    jobs: int | None = None,
    storages: Sequence[str] | None = None,
    run: RunContext | None = None,
    tried: TriedStorages | None = None,
) -> Preflight:
    """Check a database and where its backup is going to be stored; ``storages`` None: those of the database.
    ``tried``: the storages that were tried in the same look at the installation, which are not tried again.

    ``jobs`` None: those of the database; 2 and more need room to spool.

    Whatever is wrong with the server, the database or a storage is a check; only unknown names raise (UnknownName),
    and, with a ``run``, what it raises when it has to stop meanwhile.
    """
    settings = installation.settings
    targets = settings.storages_of(database) if storages is None else [settings.storage(name) for name in storages]
    exclusions = exclusions_of(database, exclude_tables, exclude_table_data)
    jobs = database.jobs if jobs is None else jobs
    checks: list[Check] = []
    expected = Preflight(())
    tried = tried or TriedStorages(installation)
    try:
        address = Address.parse(database.url.get_secret_value())
        with connect(address) as connection, run.on_cancel(partial(cancel_soon, connection)) if run else nullcontext():
            limit_questions(connection)
            checks.append(Check("connection", "ok", f"Connected to {address.label()}."))
            checks.append(check_versions(installation, connection))
            excluded, check = check_exclusions(connection, exclusions)
            checks.append(check)
            facts = read_facts(connection, excluded.tables)
        expected = expect(installation, database, facts.database_bytes, exclusions.labels, jobs)
        checks += [
            check_size(expected),
            check_method(expected, jobs),
            *check_server(facts),
            *check_role(facts),
            *check_contents(facts),
        ]
    except (ConnectionFailed, psycopg.Error) as error:
        if run is not None:
            run.check_cancelled()
        checks.append(connection_lost(error))
    checks += [check_storage(installation, target, expected, tried) for target in targets[:1]]
    checks += [of_copy(check_storage(installation, target, expected, tried)) for target in targets[1:]]
    checks.append(check_working_folder(installation))
    if jobs > 1:
        checks.append(check_spool(installation, expected))
    if signing_key(settings) is None:
        message = "Manifests will not be signed: nobody vouches for their fingerprints."
        checks.append(Check("signature", "warning", message, "Set BACKUP_SIGNING_KEY."))
    return replace(expected, checks=tuple(checks))
