"""The table of people, and the forms that change one or let one in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import streamlit as st

from dashboard.fitted import fitted
from dashboard.format import escape, naive
from services.access.roles import Role
from services.access.table import PERMISSIONS
from services.catalog.people import Person
from services.commands import MAX_NOTE

COLUMNS = ("Who", "Name", "Role", "Given by", "State", "Last seen (UTC)", "Changed (UTC)", "Changed by")
NONE = "none"
_SOURCES = {"person": "hand", "claims": "the provider's groups", "settings": "the settings"}


@dataclass(frozen=True)
class Wish:
    """What a form asks for."""

    role: Role | None
    reason: str
    who: str = ""
    name: str = ""
    disabled: bool = False


def people_frame(people: Sequence[Person]) -> pd.DataFrame:
    """Return one row a person, with COLUMNS; times naive UTC, the rest text."""
    rows = [
        (
            p.identity, p.name, p.role.value if p.role else NONE, _SOURCES.get(p.source, p.source),
            _state(p), naive(p.last_seen_at) if p.last_seen_at else None,
            naive(p.changed_at), p.changed_by,
        )
        for p in people
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"Last seen (UTC)": "datetime64[ns]", "Changed (UTC)": "datetime64[ns]"})


def _state(person: Person) -> str:
    if person.disabled:
        return "✕ disabled"
    return "✓ may get in" if person.role else "– no role"


def people_table(people: Sequence[Person], now: datetime) -> Person | None:
    """Draw everybody; return whose row is selected."""
    if not people:
        st.info("Nobody is in the table yet. Let the first person in below.", icon=":material/group_add:")
        return None
    active = [person for person in people if not person.disabled and person.role]
    seen = sum(1 for person in active if person.last_seen_at and (now - person.last_seen_at).days < 30)
    st.markdown(f"**{len(active)}** may get in · {seen} of them were seen within 30 days")
    stamp = st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")
    frame = people_frame(people)
    picked = st.dataframe(
        frame,
        hide_index=True,
        height="content" if len(people) <= 15 else 560,
        placeholder="–",
        alt=f"{len(people)} people, with their role",
        key="people",
        on_select="rerun",
        selection_mode="single-row",
        column_config=fitted(frame, {"Last seen (UTC)": stamp, "Changed (UTC)": stamp}),
    )
    rows = picked["selection"]["rows"]
    if not rows:
        st.caption("Select a row to change it.")
    return people[rows[0]] if rows else None


def change_form(person: Person) -> Wish | None:
    """Draw the form that changes a person; return what is wished for."""
    with st.form(f"change-{person.identity}-{person.changed_at}"):
        st.markdown(f"### {escape(person.identity)}", anchors=False)
        columns = st.columns([2, 2, 4], vertical_alignment="bottom")
        with columns[0]:
            role = _role_choice(person.role, "change-role")
        disabled = columns[1].checkbox("Disabled", person.disabled, help="Is out at the next click.")
        reason = columns[2].text_input("Why", max_chars=MAX_NOTE)
        pressed = st.form_submit_button("Change", type="primary", icon=":material/manage_accounts:")
    return Wish(role, reason, disabled=disabled) if pressed else None


def add_form() -> Wish | None:
    """Draw the form that lets somebody in; return what is wished for."""
    st.markdown("## Let somebody in", anchors=False)
    with st.form("add-person", clear_on_submit=False):
        columns = st.columns([3, 2, 2, 3], vertical_alignment="bottom")
        who = columns[0].text_input("Who", placeholder="mara@example.com or cli:deploy@host", max_chars=200)
        name = columns[1].text_input("Name", max_chars=200)
        with columns[2]:
            role = _role_choice(Role.VIEWER, "add-role", none=False)
        reason = columns[3].text_input("Why", key="add-why", max_chars=MAX_NOTE)
        pressed = st.form_submit_button("Let in", type="primary", icon=":material/person_add:")
    with st.expander("What each role may", icon=":material/help:"):
        for each in Role:
            st.markdown(f"**{each}**: " + "; ".join(row.what for row in PERMISSIONS.values() if row.role is each))
    return Wish(role, reason, who=who, name=name) if pressed else None


def _role_choice(role: Role | None, key: str, *, none: bool = True) -> Role | None:
    options = [*([NONE] if none else []), *(each.value for each in Role)]
    chosen = st.selectbox("Role", options, options.index(role.value if role else NONE), key=key)
    return None if chosen == NONE else Role(chosen)
