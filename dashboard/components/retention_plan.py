"""What the policies keep, what goes at the next cleanup, and the drawer in which somebody confirms that."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.fitted import fitted
from dashboard.format import escape, number, size, to_confirm
from dashboard.frames import in_words
from dashboard.retention_frames import going_frame, plans_frame
from dashboard.theme import SEVERITY_MARKS
from services.catalog.model import Run
from services.retention.plans import DatabasePlan, PlannedBackup, total_bytes
from services.retention.policy import TIERS
from services.retention.words import policy_words

SHOWN = 1000
"""So many backups one confirmation shows, the oldest first; what is not shown is not deleted."""
FAILURES = 10
"""So many failures are told one by one; the log has them all."""


def all_plans(plans: Sequence[DatabasePlan]) -> None:
    """Draw every database's policy and what it comes to, a row each."""
    frame = plans_frame(plans)
    st.dataframe(
        in_words(frame, sizes=["Kept size", "To be freed"]),
        hide_index=True,
        height="content" if len(plans) <= 12 else 420,
        alt=f"The retention policies of {len(plans)} databases",
        column_config=fitted(frame, {"Database": st.column_config.TextColumn(pinned=True)}),
    )


def plan_numbers(plan: DatabasePlan) -> None:
    """Draw a policy in words, and what it keeps and lets go, each against its threshold."""
    st.markdown(escape(policy_words(plan.policy)))
    columns = [cell.container(gap=None) for half in st.columns(2) for cell in half.columns(2, wrap=False)]
    kept, going = plan.kept, plan.going
    columns[0].metric("Kept", _backups(len(kept)))
    columns[0].caption(f"{size(total_bytes(kept))} in all storages")
    columns[1].metric("Goes next", _backups(len(going)))
    columns[1].caption(f"{size(total_bytes(going))} to be freed")
    filled = [f"{len(plan.in_tier(tier))} of {plan.policy.count(tier)} {tier}" for tier in TIERS]
    columns[2].metric("Good ones kept", number(sum(backup.candidate.is_good for backup in kept)))
    columns[2].caption(f"at least {plan.policy.minimum}, the newest")
    failing = plan.failing
    columns[3].metric("Deletion failed", number(len(failing)))
    columns[3].caption("tried again by the next cleanup" if failing else "nothing refused")
    st.caption(f"Tiers filled: {' · '.join(filled)}")
    if failing:
        st.warning(
            "What a storage refused to delete stays listed, and each cleanup tries it again. The log has the reasons.",
            icon=":material/warning:",
            title=f"{_backups(len(failing))} could not be deleted when last tried",
        )


def nothing_goes(plan: DatabasePlan) -> None:
    """Say that the next cleanup deletes nothing, and why that is so."""
    if plan.backups:
        st.success("Nothing: each backup is kept, and the inventory says by what.", icon=":material/check_circle:")
    else:
        st.info(
            "There is no backup of this database yet. Take the first one under “Run backup”; the policy keeps it.",
            icon=":material/backup:",
        )


def going_table(going: Sequence[PlannedBackup], *, key: str) -> None:
    """Draw the backups that go, the oldest first, at most SHOWN of them."""
    shown = going[:SHOWN]
    frame = going_frame(shown)
    st.dataframe(
        in_words(frame, sizes=["Size"]),
        hide_index=True,
        key=key,
        height="content" if len(shown) <= 10 else 420,
        alt=f"{len(shown)} backups that the next cleanup deletes",
        column_config=fitted(
            frame,
            {
                "id": None,
                "Name": st.column_config.TextColumn(pinned=True),
                "Finished (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            },
        ),
    )
    if len(going) > SHOWN:
        st.caption(f"The oldest {number(SHOWN)} of {number(len(going))}.")


def confirmation(plan: DatabasePlan, cost: str = "") -> tuple[tuple[str, ...], bool]:
    """Draw exactly what a cleanup would delete; return those ids, and whether the person typed the name and clicked.

    ``cost``: what is to be known of the price (``services.retention.early``).
    """
    shown = plan.going[:SHOWN]
    st.markdown(
        f"{SEVERITY_MARKS['warning'].inline(_backups(len(shown)))} of **{escape(plan.database)}** will be deleted from "
        f"every storage: {size(total_bytes(shown))}. This cannot be undone. What was pinned, became needed or is "
        "read by a run by then is kept, and nothing else goes."
    )
    going_table(shown, key=f"confirm-{plan.database}")
    if cost:
        st.caption(escape(cost))
    typed = st.text_input(to_confirm(plan.database), key=f"typed-{plan.database}")
    right = typed.strip() == plan.database
    if typed and not right:
        st.caption(":red[That is not the name of this database.]")
    clicked = st.button(
        f"Delete {_backups(len(shown))}", type="primary", icon=":material/delete_sweep:", key=f"delete-{plan.database}",
        disabled=not right,
    )  # fmt: skip
    return tuple(backup.id for backup in shown), clicked and right


def cleanup_result(run: Run) -> None:
    """Draw what a cleanup that ended did, and what it could not delete."""
    if run.state != "finished":
        return
    st.markdown(escape(run.result.get("reason", "")))
    failed = [item for item in run.result.get("items", []) if item["outcome"] == "failed"]
    if failed:
        st.warning(
            "\n".join(f"- **{escape(item['name'])}**: {escape(item['error'])}" for item in failed[:FAILURES]),
            icon=":material/warning:",
            title=f"{_backups(run.result['failed'])} could not be deleted",
        )


def _backups(count: int) -> str:
    return f"{number(count)} backup{'' if count == 1 else 's'}"
