"""Steering a sweep from its page: buttons where the dashboard may, else the commands to type."""

from __future__ import annotations

from typing import Final, NamedTuple

import streamlit as st

from dashboards import session, standing
from storage import control
from storage.drivers import seconds_since
from storage.errors import StoreError
from storage.sweeps import DONE, PAUSED, RUNNING, SweepRecord


class Action(NamedTuple):
    """What a visitor may ask of a running sweep."""

    name: str
    label: str
    does: str
    needs_yes: bool


PAUSE: Final = Action(
    control.PAUSE, "Pause", "Begin no more runs; those running finish. Resume goes on.", False
)
RESUME: Final = Action(control.RESUME, "Resume", "Begin runs again.", False)
RETRY: Final = Action(control.RETRY, "Retry failed runs", "Try the failed runs again.", False)
STOP: Final = Action(
    control.STOP, "Stop", "Let the running runs finish, then end the launch.", True
)
CANCEL: Final = Action(
    control.CANCEL, "Cancel", "End the launch now, in the middle of its runs.", True
)


def actions(record: SweepRecord, failed: int) -> list[Action]:
    """Return what can be asked of a sweep now; nothing where no process runs it."""
    if record.running_in is None:
        return []
    found = {RUNNING: [PAUSE, STOP], PAUSED: [RESUME, STOP]}.get(record.state, [])
    return [*found, *([RETRY] if failed and record.state == RUNNING else []), CANCEL]


def show_controls(record: SweepRecord, failed: int) -> None:
    """Show buttons, or commands; and what was asked and not yet obeyed."""
    if (refused := st.session_state.pop("refused", None)) is not None:
        st.error(refused)
    possible = actions(record, failed)
    if not possible:
        _say_how_to_go_on(record, failed)
    elif session.options().allow_control:
        _show_buttons(record, possible)
    else:
        _show_commands(record, possible)
    for request in session.store().requests(record.name, untaken=True) if possible else ():
        ago = seconds_since(request.created)
        st.info(f"Asked to {request.action} {ago:.0f} s ago; its process has yet to see it.")


def _show_buttons(record: SweepRecord, possible: list[Action]) -> None:
    with st.container(horizontal=True):
        for action in possible:
            if action.needs_yes:
                with st.popover(action.label, help=action.does):
                    st.write(f"{action.does} A later resume takes up what is left.")
                    st.button(
                        f"Yes, {action.name} it",
                        key=f"{action.name}-yes",
                        type="primary",
                        on_click=_ask,
                        args=(record.name, action.name),
                    )
            else:
                st.button(
                    action.label,
                    key=action.name,
                    help=action.does,
                    on_click=_ask,
                    args=(record.name, action.name),
                )


def _ask(sweep: str, action: str) -> None:
    try:
        session.store().ask(sweep, action)
    except StoreError as error:
        st.session_state["refused"] = str(error)


def _show_commands(record: SweepRecord, possible: list[Action]) -> None:
    with st.expander("Pause, stop or cancel it"):
        st.caption(
            "This dashboard only reads. Type one of these in a terminal, or start the dashboard "
            "with --allow-control for buttons."
        )
        lines = [session.command(f"sweep {action.name} {record.name}") for action in possible]
        width = max(map(len, lines))
        st.code(
            "\n".join(
                f"{line:<{width}}  # {action.does}"
                for line, action in zip(lines, possible, strict=True)
            ),
            language="bash",
        )


def _say_how_to_go_on(record: SweepRecord, failed: int) -> None:
    if not record.spec_text:
        return
    if record.state in standing.TO_RESUME:
        st.write("Take up what is left of it with")
        st.code(session.command(f"sweep resume {record.name}"), language="bash")
    elif record.state == DONE and failed:
        st.write("Try the failed runs again with")
        st.code(session.command(f"sweep retry {record.name}"), language="bash")
