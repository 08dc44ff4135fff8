"""From what a provider or a proxy says of somebody to how they stand: called on every run of a page.

What is stored of a person is written here only where it changes: their account when they sign in first, a role that
the settings or the provider's groups give, and once a minute when they were last seen. The first two are in the audit
log, in the same transaction.

A role that the groups give ends the sign-ins that began before the one that said so: what those say is older.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.access.identity import identity
from services.access.roles import Role
from services.access.standing import Standing, standing_of
from services.audit.head import remember_head
from services.audit.model import AuditRow, Entry
from services.audit.record import record
from services.catalog.people import Person
from services.clock import isoformat
from services.errors import InputError
from services.installation import Installation
from services.units import format_duration

NOBODY = "nobody"
"""Who acts where a sign-in names no person; no identity is spelled so."""
ENDED = "This sign-in has ended: you have signed out, or a later sign-in or an admin has ended it."
SEEN_EVERY = timedelta(minutes=1)
AHEAD = timedelta(minutes=5)
"""How far the provider's clock may be before ours."""


def sign_in(installation: Installation, claims: Mapping[str, Any]) -> Standing:
    """Given the claims of an ID token whose signature was checked when they signed in, return how its person stands.

    Issuer and audience are looked at again: the cookie that holds them may be older than the settings, and the library
    that checked the token lets another audience pass when ``azp`` names us (OpenID Connect Core, 3.1.3.7).
    """
    access = installation.settings.access
    issuer, subject = claims.get("iss"), claims.get("sub")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not isinstance(issuer, str) or issuer.rstrip("/") != access.issuer:
        return _refused("This sign-in is of another provider.")
    if access.client_id not in audiences:
        return _refused("This sign-in is for another audience: it was made for another application.")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        return _refused("The provider does not say whose account this is.")
    began = _instant(claims.get("iat"))
    if began is None or began > installation.clock() + AHEAD:
        return _refused("The provider does not say when this sign-in began.")
    if installation.clock() - began >= access.session:
        return _refused(f"This sign-in has expired: it began at {isoformat(began)}, and one lasts "
                        f"{format_duration(access.session)}.")  # fmt: skip
    account = f"{issuer} {subject}"
    known = installation.catalog.people.by_subject(account)
    if known is None:
        name = _name(access.claim, claims)
        if name is None:
            return _refused(
                f"The provider does not say a {'verified ' if access.claim == 'email' else ''}{access.claim} of you."
            )
        try:
            who = identity("person", name)
        except InputError:
            return _refused(f"The {access.claim} that the provider says of you holds what no identity may.")
        known = installation.catalog.people.find([who])
        if known is not None and known.subject is not None:
            return Standing(who, None, f"{who} belongs to another account of the provider.")
    else:
        who = known.identity
    if known is not None and known.signed_out_at is not None and began < known.signed_out_at:
        return _refused(ENDED)
    shown = _text(claims.get("name"), 200)
    return _met(installation, who, known, account, shown, _text(claims.get("email"), 320),
                _values(claims.get(access.roles_claim)), began)  # fmt: skip


def sign_in_by_proxy(installation: Installation, name: str, groups: str = "", *, began: datetime) -> Standing:
    """Given what the trusted proxy's headers said when a page's connection began, return how that person stands.

    A connection keeps its first headers, so it lasts no longer than a sign-in: the next has the proxy's present word.
    """
    session = installation.settings.access.session
    if installation.clock() - began >= session:
        return _refused(f"This page has been open since {isoformat(began)}, and a sign-in lasts "
                        f"{format_duration(session)}: load it again.")  # fmt: skip
    try:
        who = identity("proxy", name)
    except InputError:
        return _refused("The name that the proxy says holds what no identity may.")
    known = installation.catalog.people.find([who])
    if known is not None and known.signed_out_at is not None and began < known.signed_out_at:
        return _refused(f"{ENDED} Load the page again.")
    return _met(installation, who, known, None, "", "", [group.strip() for group in groups.split(",")], began)


def _met(
    installation: Installation, who: str, known: Person | None, account: str | None, name: str, email: str,
    groups: Iterable[str], began: datetime,
) -> Standing:  # fmt: skip
    """Write what is new of somebody who is there, and return how they stand."""
    access, people, now = installation.settings.access, installation.catalog.people, installation.clock()
    by_settings = who in access.admin_identities()
    role = Role.ADMIN if by_settings else _mapped(access.roles, groups) or access.default_role
    source = "settings" if by_settings else "claims"
    if known is None:
        if role is None:
            return Standing(who, None, f"{who} is not among the people of this installation.")
        made = Person(who, account, name, email, role, source, False, now, source, now, source, now, began)
        try:
            with installation.catalog.engine.begin() as connection:
                people.add(made, connection)
                row = _record(installation, who, connection, role=role, by=source, account=account)
        except sa.exc.IntegrityError:
            return standing_of(installation, who)  # two tabs at the same moment: the other one was first
        remember_head(installation.settings.home, row.number, row.hash)
        return standing_of(installation, who)
    values: dict[str, Any] = {}
    became: dict[str, Any] = {}
    if known.source != "person" and not known.disabled and (known.role, known.source) != (role, source):
        values |= {"role": role, "source": source, "changed_at": now, "changed_by": source}
        became |= {"role": role, "by": source, "before": known.role}
        if source == "claims" or known.source == "claims":
            values["signed_out_at"] = began
    if account is not None and known.subject is None:
        values["subject"] = account
        became["account"] = account
    if name and name != known.name:
        values["name"] = name
    if email and email != known.email:
        values["email"] = email
    if known.last_seen_at is None or now - known.last_seen_at >= SEEN_EVERY:
        values["last_seen_at"] = now
    if not values:
        return standing_of(installation, who)
    with installation.catalog.engine.begin() as connection:
        if not people.renew(known.identity, connection, began, **values):
            return _refused(ENDED)  # by another tab at the same moment
        changed = _record(installation, known.identity, connection, **became) if became else None
    if changed is not None:
        remember_head(installation.settings.home, changed.number, changed.hash)
    return standing_of(installation, who)


def _record(installation: Installation, who: str, connection: sa.Connection, **became: Any) -> AuditRow:
    """Record in the same transaction what somebody's sign-in changed of them."""
    detail = {"command": "sign_in"} | {name: value for name, value in became.items() if value is not None}
    return record(installation, Entry(who, "people.change", "person", who, detail=detail), connection)


def _mapped(roles: Mapping[str, Role], groups: Iterable[str]) -> Role | None:
    """Return the highest role that the mapping gives for these groups."""
    given = {roles[group] for group in groups if group in roles}
    return next((role for role in reversed(Role) if role in given), None)


def _name(claim: str, claims: Mapping[str, Any]) -> str | None:
    """Return what names a person; an address that the provider did not verify is whatever somebody typed there."""
    name = claims.get(claim)
    if not isinstance(name, str) or not name or (claim == "email" and claims.get("email_verified") is not True):
        return None
    return name


def _instant(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _values(value: object) -> list[str]:
    found = value if isinstance(value, list) else [value]
    return [item for item in found if isinstance(item, str)]


def _text(value: object, longest: int) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(character for character in text if character.isprintable())[:longest].strip()


def _refused(why: str) -> Standing:
    return Standing(NOBODY, None, why)
