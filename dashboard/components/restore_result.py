"""What a check found: for a restore test table by table, with its times against the RTO."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from dashboard.components.figures import figure, four_cells
from dashboard.fitted import fitted
from dashboard.format import counted, day, duration, escape, number, percent, rate
from dashboard.frames import comparison_frame
from dashboard.theme import OUTCOME_MARKS
from services.catalog.model import Verification
from services.restores.comparison_model import Comparison
from services.restores.report import RestoreReport
from services.status import age


def verification_result(found: Verification) -> None:
    """Draw the result of a check below a restore test."""
    st.markdown(f"{OUTCOME_MARKS[found.outcome].badge(found.outcome)} **{found.level}** · {escape(found.reason)}")
    st.caption(f"Ended {day(found.finished_at)} · took {duration(found.finished_at - found.started_at)}")


def restore_result(found: Verification, *, rto: timedelta | None) -> None:
    """Draw a restore test: its verdict, its times, then what was compared, differences first."""
    mark = OUTCOME_MARKS[found.outcome]
    st.markdown(f"{mark.badge(found.outcome)} {escape(found.reason)}")
    try:
        report = RestoreReport.from_json(found.detail)
    except (KeyError, TypeError, ValueError):
        st.caption("The catalogue holds no table-by-table result of this test.")
        return
    _times(report, rto)
    where = "the embedded server" if report.server == "embedded" else escape(report.server)
    jobs = f"{report.jobs} {'job' if report.jobs == 1 else 'jobs'}"
    st.caption(
        f"Ended {day(found.finished_at)} on {where} (PostgreSQL {escape(report.server_version)}), {jobs}; "
        f"compared with the source as it was {day(report.snapshot_at)}."
    )
    for note in report.notes:
        st.caption(escape(note))
    if report.comparison is not None:
        _comparison(report.comparison)


def _times(report: RestoreReport, rto: timedelta | None) -> None:
    cells = four_cells()
    fetched, restored = report.download_seconds, report.restore_seconds
    figure(cells[0], "Download and decrypt", duration(fetched), f":gray[{rate(report.stored_bytes, fetched)}]")
    figure(cells[1], "Restore", duration(restored), f":gray[{rate(report.plain_bytes, restored)}]")
    thaw = f" · {duration(report.thaw_seconds)} of it the thaw" if report.thaw_seconds else ""
    if rto is None:
        against = f":gray[no limit is known{thaw}]"
    else:
        kept = report.rto_seconds <= rto.total_seconds()
        words = f"{percent(report.rto_seconds, rto.total_seconds())} of the RTO {age(rto)}{thaw}"
        against = f":{'green' if kept else 'red'}[{'within: ' if kept else 'breached: '}{words}]"
    figure(cells[2], "Measured RTO", duration(report.rto_seconds), against)
    figure(cells[3], "Compare", duration(report.compare_seconds), ":gray[proof, not part of a restore]")


def _comparison(comparison: Comparison) -> None:
    found = comparison.differences()
    if found:
        st.error(
            "  \n".join(escape(words) for words in found[:20])
            + (f"  \nand {len(found) - 20} more" if len(found) > 20 else ""),
            icon=":material/cancel:",
            title=f"{len(found)} {'difference' if len(found) == 1 else 'differences'}",
        )
    remarks = comparison.remarks()
    if remarks:
        things = "1 thing that was" if len(remarks) == 1 else f"{number(len(remarks))} things that were"
        with st.expander(f"{things} not compared, and why"):
            st.markdown("\n".join(f"- {escape(words)}" for words in remarks))
    st.markdown(f"**{counted(len(comparison.tables), 'table')}, {counted(comparison.rows, 'row')}**")
    frame = comparison_frame(comparison)
    st.dataframe(
        frame,
        hide_index=True,
        height=min(420, 38 + 35 * len(comparison.tables)),
        alt="Each table as it was in the source and as it was restored",
        column_config=fitted(
            frame,
            {
                "Table": st.column_config.TextColumn(width="medium", pinned=True),
                "Rows in the source": st.column_config.NumberColumn(format="localized"),
                "Rows restored": st.column_config.NumberColumn(format="localized"),
            },
        ),
    )
    counts = " · ".join(
        f"{escape(kind)} {number(count)}" for kind, count in sorted(comparison.object_counts.items()) if count
    )
    if counts:
        st.caption(f"Compared by definition: {counts}")
