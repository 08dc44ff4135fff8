"""Reading settings: a TOML file (``BACKUPS_CONFIG``) for any number of databases, or environment variables for one.

The environment wins over the file where both name the same thing (keys, catalogue, home). All faults are named at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.settings.access import AccessSettings, missing
from services.settings.environment import (
    Environment,
    apply_access,
    apply_alerts,
    apply_environment,
    from_environment,
)
from services.settings.faults import EXAMPLES, example_of, fault_of, refused
from services.settings.model import AlertSettings, DatabaseSettings, Settings, StorageSettings

M = TypeVar("M", bound=BaseModel)


def load_settings(environ: Mapping[str, str], *, thorough: bool = True) -> Settings | None:
    """Given the environment, return the settings, or None when nothing is configured (the sample environment).

    Raise SettingsError that names every fault with its field and an example. Not ``thorough``: what contradicts each
    other is passed over, for commands that are called every few seconds (keys are checked again where they are used).
    """
    env = Environment.read(environ)
    if env.BACKUPS_CONFIG is None and env.DATABASE_URL is None:
        alone = [n for n in ("BACKUP_STORAGE", "BACKUP_DATABASE_NAME", "BACKUP_RECIPIENTS") if environ.get(n)]
        if alone:
            raise refused(
                [f"DATABASE_URL: is missing beside {', '.join(alone)}; {example_of('databases.url')}"], "DATABASE_URL"
            )
        return None
    faults: list[str] = []
    values = _from_file(Path(env.BACKUPS_CONFIG), faults) if env.BACKUPS_CONFIG else from_environment(env, faults)
    from_file = env.BACKUPS_CONFIG is not None
    apply_environment(values, env, faults)
    settings = _validate(values, faults, from_file=from_file)
    if settings is not None and thorough:
        from services.settings.contradictions import contradictions  # loads the database's driver and the signatures'

        faults += contradictions(settings, complete=not faults)
    if faults or settings is None:
        raise refused(faults, env.BACKUPS_CONFIG or "the environment")
    return settings


def load_alerts(environ: Mapping[str, str]) -> AlertSettings:
    """Return what the environment alone says of alerts: the sample environment's. Raise SettingsError."""
    values: dict[str, Any] = {}
    apply_alerts(values, Environment.read(environ))
    settings, errors = _build(AlertSettings, values.get("alerts", {}))
    if errors or settings is None:
        raise refused([fault_of(detail, "alerts", "", from_file=False) for detail in errors], "the environment")
    return settings


def load_access(environ: Mapping[str, str]) -> AccessSettings:
    """Return what the environment alone says of access: the sample environment's. Raise SettingsError."""
    values: dict[str, Any] = {}
    apply_access(values, Environment.read(environ))
    settings, errors = _build(AccessSettings, values.get("access", {}))
    faults = [fault_of(detail, "access", "", from_file=False) for detail in errors]
    faults += missing(settings) if settings is not None else []
    if faults or settings is None:
        raise refused(faults, "the environment")
    return settings


def _from_file(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        return dict(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        faults.append(f"BACKUPS_CONFIG: there is no file {path}; for example /etc/backups.toml")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"BACKUPS_CONFIG: {path} cannot be read ({error})")
    except tomllib.TOMLDecodeError as error:
        faults.append(f"BACKUPS_CONFIG: {path} is not TOML ({error})")
    raise refused(faults, str(path))


def _validate(values: dict[str, Any], faults: list[str], *, from_file: bool) -> Settings | None:
    for kind, model in (("databases", DatabaseSettings), ("storages", StorageSettings)):
        entries = values.get(kind, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            faults.append(f"{kind}: write one [[{kind}]] section each; with name = {EXAMPLES[kind + '.name']!r}")
            values[kind] = []
            continue
        built = []
        for index, entry in enumerate(entries):
            label = f"{kind}[{entry.get('name', index)}]"
            made, errors = _build(model, entry)
            faults += [fault_of(detail, kind, label, from_file=from_file) for detail in errors]
            built += [made] if made is not None else []
        values[kind] = built
    settings, errors = _build(Settings, values)
    faults += [fault_of(detail, "", "", from_file=from_file) for detail in errors]
    return settings


def _build(model: type[M], values: dict[str, Any]) -> tuple[M | None, list[Any]]:
    """Return the model and what is wrong. The faulty fields are left out of it, so that what else is wrong is seen."""
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        errors = error.errors()
    faulty = {detail["loc"][0] for detail in errors}
    try:
        return model.model_validate({name: value for name, value in values.items() if name not in faulty}), errors
    except ValidationError:
        return None, errors  # what is wrong must not be missing
