"""Point in time: from when to when a server can be restored, whether its log arrives, and the proof that it replays."""

from typing import get_args

import streamlit as st

from dashboard.charts.wal import wal_panels
from dashboard.components.base_list import base_list
from dashboard.components.point_checks import point_checks
from dashboard.components.point_form import point_form
from dashboard.components.point_result import point_history, point_result
from dashboard.components.point_window import recovery_window, switched_off
from dashboard.components.run_watch import watch
from dashboard.components.trend_panels import panel_grid
from dashboard.guard import reported
from dashboard.session import installation, last_seen, once, point_reach, point_status
from dashboard.who import actor, may, offered
from services.catalog.model import Run
from services.commands.point_in_time import submit_base_backup, submit_point_test
from services.installation import Installation
from services.pitr.log_history import Range, load_log_history
from services.pitr.point_history import load_point_restores, point_restore
from services.pitr.reach import Reach
from services.settings.model import DatabaseSettings

KINDS = ("base_backup", "point_test", "point_restore")


def show() -> None:
    inst = installation()
    st.markdown("# Point in time", anchors=False)
    with reported():
        names = [database.name for database in inst.settings.databases if database.pitr.enabled]
        if not names:
            switched_off(len(inst.settings.databases), sample=inst.settings.sample)
            return
        name = names[0]
        if len(names) > 1:
            name = str(st.selectbox("Database", names, key="database", bind="query-params", width=360))
        draw(inst, inst.settings.database(name))


def draw(inst: Installation, database: DatabaseSettings) -> None:
    if st.session_state.pop("point-asked", None):  # the button may stand far below the place where it is watched
        st.toast("It is queued. Watch it at the top of this page.", icon=":material/history:")
    top, asking, checks, rest = (st.container() for _ in range(4))
    with rest:  # what the catalogue says is there at once; what storage and server say is waited for
        over_time(inst, database)
        bases_at, past = st.container(), st.container()
        with past:
            history(inst, database)
    runs_at = top.container()
    with runs_at:
        runs(inst, database)
    newest = next(iter(inst.catalog.runs.list(database=database.name, kind="base_backup", limit=1)), None)
    with top:
        reach = point_reach(database.name, f"{newest.id} {newest.state}" if newest is not None else "")
        recovery_window(reach, wanted=database.pitr.window, theme=st.context.theme.type)
    with asking:
        ask(inst, reach)
    with checks:
        st.markdown("## What the server is set to", anchors=False)
        status = point_status(database.name)
        point_checks(status)
    with bases_at:
        bases(inst, database, reach, newest, incremental=status.can_increment)


def runs(inst: Installation, database: DatabaseSettings) -> None:
    """Live what is at work, and how that ended which the address names."""
    running = [run for run in inst.catalog.runs.active() if run.kind in KINDS and run.database == database.name]
    for run in running:
        watch(inst, run)
    asked = st.query_params.get("run")
    if asked and asked not in [run.id for run in running]:
        run = inst.catalog.runs.get(asked)
        with st.container(border=True):
            watch(inst, run)
            if run.kind != "base_backup":
                point_result(point_restore(run), rto=database.rto)


def ask(inst: Installation, reach: Reach) -> None:
    st.markdown("## Restore test to a point in time", anchors=False)
    if not reach.windows:
        words = "the storage can be listed again" if reach.error else "a base backup has its log in the storage"
        st.markdown(f"One can be started once {words}.")
        return
    if not offered("point.test"):
        return
    asked = point_form(reach, expected_seconds=inst.catalog.runs.typical_seconds("point_test", reach.database))
    newest = next(iter(inst.catalog.runs.list(database=reach.database, kind="point_test", limit=1)), None)
    key = once(f"point:{reach.database}", last_seen(newest), clicked=asked.clicked)
    if asked.clicked and asked.target is not None:
        watch_run(submit_point_test(inst, reach.database, asked.target, actor=actor(), idempotency_key=key))


def bases(
    inst: Installation, database: DatabaseSettings, reach: Reach, newest: Run | None, *, incremental: bool
) -> None:
    st.markdown("## Base backups", anchors=False)
    interval, may_take = database.pitr.base_interval, may("base.create")
    asked = base_list(reach, interval=interval, incremental=incremental, may_take=may_take)
    key = once(f"base:{database.name}", last_seen(newest), clicked=asked is not None)
    if asked is not None:
        watch_run(
            submit_base_backup(
                inst, database.name, incremental=asked == "incremental", actor=actor(), idempotency_key=key
            )
        )


def watch_run(run_id: str) -> None:
    st.query_params["run"] = run_id
    st.session_state["point-asked"] = run_id
    st.rerun()


def over_time(inst: Installation, database: DatabaseSettings) -> None:
    st.markdown("## The log over time", anchors=False)
    chosen: Range = st.segmented_control(
        "Range", get_args(Range), default="24 h", required=True, key="range", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    panels = wal_panels(load_log_history(inst, database, chosen or "24 h"))
    if panels:
        panel_grid(panels, inst.catalog.backups, theme=st.context.theme.type)
    else:
        st.info("A worker looks once a minute how far the log has come. There is no look in this time.")


def history(inst: Installation, database: DatabaseSettings) -> None:
    st.markdown("## Restores to a point in time", anchors=False)
    picked = point_history(load_point_restores(inst, database.name))
    if picked is not None:
        with st.container(border=True):
            if picked.run.error:
                watch(inst, picked.run)
            point_result(picked, rto=database.rto)


show()
