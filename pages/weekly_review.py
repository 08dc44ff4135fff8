"""Weekly review: what a team goes through together once a week; made for being shown on a wall."""

import streamlit as st

from dashboard.components.review_people import Wish, actions, notes, questions
from dashboard.components.review_view import draw_section, first_screen, section_links
from dashboard.format import escape
from dashboard.guard import reported, show_error
from dashboard.navigation import page
from dashboard.session import installation, remember_message
from dashboard.visitor import exported
from services.errors import BackupsError
from services.installation import Installation
from services.review.export import MIME, Form, export_name, export_review
from services.review.gather import choose_week, load_review
from services.review.model import Review
from services.review.sections import make_document
from services.review.week import Week, week_of

FORMS: dict[Form, str] = {"pdf": "PDF", "html": "HTML", "md": "Markdown"}
SECTIONS = (  # what the people's own part, which comes first, is based on
    "databases", "restore_tests", "alerts", "failures", "storage", "emergencies", "checks", "figures", "weeks", "due",
)  # fmt: skip


def show() -> None:
    inst = installation()
    with reported():
        try:
            asked = st.query_params.get("week") or None
            week = choose_week(inst, asked)
        except BackupsError as error:
            show_error(error)
            st.page_link(page("weekly_review"), label="To the newest review", icon=":material/event_note:")
            return
        if asked is not None:
            st.query_params["week"] = week.label  # a link to the page that one is on does not change the address itself
        review = load_review(inst, week)
        head(inst, review)
        if review.since is None:
            first_step(bool(inst.settings.databases))
            if not inst.settings.databases:
                return
        first_screen(review, theme=st.context.theme.type)
        document = make_document(review)
        people(inst, review)
        sections = [document.section(key) for key in SECTIONS]
        section_links(sections)
        for section in sections:
            draw_section(section)


def first_step(named: bool) -> None:
    step = "Take the first one under “Run backup”" if named else "Name a database in the settings"
    st.info(f"No backup was ever made. {step}: then each week has its review.", icon=":material/database:")


def head(inst: Installation, review: Review) -> None:
    week = review.week
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.markdown(f"**Weekly review {week.label}** · {escape(week.title)}, UTC")
            link(week.shifted(-1), ":material/chevron_left:")
            if week < week_of(review.now):
                link(week.shifted(1), ":material/chevron_right:")
        with st.container(horizontal=True, width="content"):
            for form, word in FORMS.items():
                st.download_button(
                    word, exporter(inst, week, form), export_name(review, form), MIME[form], key=f"export-{form}",
                    icon=":material/download:", on_click="ignore",
                )  # fmt: skip


def link(week: Week, icon: str) -> None:
    st.page_link(page("weekly_review"), label=week.label, icon=icon, query_params={"week": week.label})


def exporter(inst: Installation, week: Week, form: Form):
    # Made when somebody clicks, from what is known then.
    return exported(f"review-{week.label}.{form}", lambda: export_review(load_review(inst, week), form))


def people(inst: Installation, review: Review) -> None:
    questions(review.questions)
    wishes = [actions(review), notes(review)]
    for wish in wishes:
        if wish is not None:
            carry_out(inst, wish)


def carry_out(inst: Installation, wish: Wish) -> None:
    try:
        wish.carry_out(inst)
    except BackupsError as error:
        remember_message("error", escape(str(error)))
    else:
        remember_message("success", wish.done)
    st.rerun()


show()
