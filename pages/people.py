"""People: who may do what, and since when."""

import streamlit as st

from dashboard.components.people_table import add_form, change_form, people_table
from dashboard.format import escape
from dashboard.guard import reported, show_error
from dashboard.session import installation, remember_message
from dashboard.who import actor
from services import commands
from services.access.roles import Role
from services.catalog.people import Person
from services.errors import BackupsError
from services.installation import Installation


def show() -> None:
    inst = installation()
    st.markdown("# People", anchors=False)
    with reported():
        access = inst.settings.access
        if access.mode == "none":
            st.info(
                "Whoever reaches this machine may do everything. Once sign-in is set up, the people below are those "
                "who get in; docs/access.md says how.",
                icon=":material/lock_open:",
                title="Nobody signs in",
            )
        everybody = inst.catalog.people.all()
        picked = people_table(everybody, inst.clock())
        admins = sorted(access.admin_identities())
        if admins:
            st.caption(f"Admins by the settings: {escape(', '.join(admins))}.")
        if picked is not None:
            change(inst, picked)
        add(inst)


def change(inst: Installation, person: Person) -> None:
    wish = change_form(person)
    if wish is None:
        return
    who, me = person.identity, actor()
    if wish.role is not person.role:
        carry_out(lambda: commands.set_role(inst, who, wish.role, actor=me, reason=wish.reason))
    if wish.disabled is not person.disabled:
        command = commands.disable_person if wish.disabled else commands.enable_person
        carry_out(lambda: command(inst, who, actor=me, reason=wish.reason))
    remember_message("success", f"{escape(who)} is changed; it holds from their next click on.")
    st.rerun()


def add(inst: Installation) -> None:
    wish = add_form()
    if wish is None:
        return
    role = wish.role or Role.VIEWER
    carry_out(lambda: commands.add_person(inst, wish.who, role, name=wish.name, actor=actor(), reason=wish.reason))
    remember_message("success", f"{escape(wish.who.strip())} is let in as {role}.")
    st.rerun()


def carry_out(command: object) -> None:
    assert callable(command)
    try:
        command()
    except BackupsError as error:
        show_error(error)
        st.stop()


show()
