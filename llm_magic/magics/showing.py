"""Which view shows an ask: by how it is to be shown, by the front end, and by what was learned of its pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import frontend
from ..reply import form_of
from ..views.channel import channel_of
from ..views.live import LiveView
from ..views.plain import PlainNotice, PlainView, TerminalStatus
from ..views.static import Display, StaticStatus, StaticView

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..frontend import Frontend, Kind
    from ..reply import Form
    from ..run import Run
    from ..session import Session
    from ..watch import View

# How long a display waits for a page to show its widget, where front ends have widgets, and where that is not known.
KNOWN_PATIENCE_S, UNKNOWN_PATIENCE_S = 3.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How one ask is shown, and where its reply goes.

    Attributes:
        form: The form of the answer.
        into: The variable that gets the reply, beside ``_reply``.
        is_quiet: Nothing is shown.
        is_status: Only a line while it runs.
        is_blocking: The cell waits for it.
    """

    form: Form = "markdown"
    into: str | None = None
    is_quiet: bool = False
    is_status: bool = False
    is_blocking: bool = True


class Views:
    """Makes the views of one shell.

    Args:
        shell: The shell.
        session: Whose settings count.
    """

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self._shell = shell
        self._session = session
        self._status: tuple[str | None, Display] = (None, Display())
        self._is_deaf = False

    def frontend(self) -> Frontend:
        """Which front end the running cell belongs to."""
        return frontend.detect(self._shell, view=self._session.config.get("view"), secret=self._session.secret)

    def view(self, run: Run, showing: Showing) -> View | None:
        """What shows an ask; None shows nothing."""
        here = self.frontend()
        if showing.is_quiet:
            return None
        if showing.is_status:
            return self._status_view(run, here)
        has_footer = self._session.config.get("footer")
        if here.path in ("plain", "print"):
            return self._plain_view(run, showing, has_footer=has_footer)
        if here.path == "live" and not self._is_deaf:
            return self._live_view(run, here.kind, showing, has_footer=has_footer)
        return StaticView(
            waiting=_waiting(run),
            form=_form(run, showing),
            has_footer=has_footer,
            is_live=here.path != "final",
            is_blocking=showing.is_blocking,
        )

    def _status_view(self, run: Run, here: Frontend) -> View | None:
        if here.path in ("plain", "print"):
            return TerminalStatus(_waiting(run))
        if here.path == "final":
            return None
        if here.run_id is None or self._status[0] != here.run_id:
            self._status = (here.run_id, Display())
        return StaticStatus(_waiting(run), self._status[1])

    def _plain_view(self, run: Run, showing: Showing, *, has_footer: bool) -> View:
        if showing.is_blocking:
            return PlainView(form=_form(run, showing), has_footer=has_footer)
        return PlainNotice(lambda: self._name(run), lambda: self._place(run, showing))

    def _live_view(self, run: Run, kind: Kind, showing: Showing, *, has_footer: bool) -> LiveView:
        # Where widgets are known to be, no page means that nobody looks now; elsewhere, that there are no widgets.
        is_known = kind == "jupyter"
        return LiveView(
            run,
            waiting=_waiting(run),
            channel=channel_of(self._shell),
            form=_form(run, showing),
            has_footer=has_footer,
            is_blocking=showing.is_blocking,
            patience_s=KNOWN_PATIENCE_S if is_known else UNKNOWN_PATIENCE_S,
            on_deaf=None if is_known else self._note_deaf,
        )

    def _note_deaf(self) -> None:
        self._is_deaf = True

    # What lines in a terminal call an ask, and where its answer is

    def _name(self, run: Run) -> str:
        number, conversation = _number(run), run.plan.conversation
        if number is None:
            return "aside"
        return f"turn {number}" + ("" if self._is_here(run) else f" of {conversation.name!r}")

    def _place(self, run: Run, showing: Showing) -> str:
        number = _number(run)
        if showing.into or number is None or not self._is_here(run):
            return showing.into or "_reply"
        return f"%chat show {number}"

    def _is_here(self, run: Run) -> bool:
        return run.plan.conversation is self._session.current


def _form(run: Run, showing: Showing) -> Form:
    return form_of(showing.form, run.plan.base.settings)


def _waiting(run: Run) -> str:
    return f"asking {run.plan.request.model}"


def _number(run: Run) -> int | None:
    """The number of the turn, None for an aside."""
    slot = run.plan.slot
    ids = [one.id for one in run.plan.conversation.slots]
    return ids.index(slot.id) + 1 if slot is not None and slot.id in ids else None
