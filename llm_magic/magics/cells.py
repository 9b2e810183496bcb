"""Hooks on every execution: which cells run, which were deleted, which ran to their end.

They only pass names on, and tell who watches the session that a cell may have changed something. Before the first magic
is used there is no session to tell, and nothing has been asked; what was deleted until then is told later, as a
conversation of a former session may still come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import frontend
from ..slots import Cell

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from ..session import Session


class CellHooks:
    """The hooks of one shell.

    Args:
        shell: The shell.
        get_session: Gives the session, None as long as there is none.
    """

    def __init__(self, shell: InteractiveShell, get_session: Callable[[], Session | None]) -> None:
        self._shell = shell
        self._get_session = get_session
        self._deleted: set[str] = set()
        self._hooks = {"pre_run_cell": self._before, "post_run_cell": self._after}

    def install(self) -> None:
        """Look at every execution from now on."""
        for event, hook in self._hooks.items():
            self._shell.events.register(event, hook)

    def uninstall(self) -> None:
        """Look no more."""
        for event, hook in self._hooks.items():
            self._shell.events.unregister(event, hook)

    def tell(self, session: Session) -> None:
        """Tell a session that has just been made what was deleted before."""
        name = frontend.naming(self._shell, session.secret).cell_id if self._deleted else str
        session.note_started(None, {name(raw_id) for raw_id in self._deleted})
        self._deleted.clear()

    def _before(self, info: Any) -> None:
        found = frontend.report(self._shell) if info.store_history else None
        if found is None:
            return
        session = self._get_session()
        if session is None:
            self._deleted.update(found.deleted)
            self._deleted.discard(found.raw_id or "")
            return
        name = frontend.naming(self._shell, session.secret).cell_id
        session.note_started(found.raw_id and name(found.raw_id), {name(raw_id) for raw_id in found.deleted})

    def _after(self, result: Any) -> None:
        session = self._get_session()
        if session is None:
            return
        # Cut short by an interrupt, an asynchronous cell has no result.
        if result is not None and result.success and result.info.store_history:
            self._note_ran(session)
        session.watchers.note_changed()

    def _note_ran(self, session: Session) -> None:
        found = frontend.report(self._shell)
        if found is not None and found.raw_id is not None and found.run_id is not None:
            cell_id = frontend.naming(self._shell, session.secret).cell_id(found.raw_id)
            session.note_ran(Cell(cell_id=cell_id, run_id=found.run_id))
