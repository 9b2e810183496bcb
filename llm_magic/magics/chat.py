"""The magics themselves: ``%%chat``, ``%chat``, ``%llm`` and ``%%llm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from . import options
from .asking import Asker
from .commands import Commands

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..reply import Reply
    from ..session import Session


@magics_class
class LLMMagics(Magics):  # type: ignore[misc]  # IPython is untyped
    """Registered by ``%load_ext llm_magic``.

    Args:
        shell: The shell.
        session: Whose conversations are asked.
    """

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self.asker = Asker(shell, session)
        self._commands = Commands(self.asker)

    # IPython would otherwise fill in $names and {expressions} itself: the prompt is verbatim but for {{ }}.
    @no_var_expand  # type: ignore[misc]  # IPython is untyped
    @line_cell_magic  # type: ignore[misc]
    def chat(self, line: str, cell: str | None = None) -> Any:
        """Ask a turn of the conversation (%%chat), or look at it and manage it (%chat). %chat help lists all."""
        if cell is None:
            return self._commands.run(options.parse_command(line))
        self.asker.ask(options.parse("chat", line, cell), is_kept=True, is_status=False)
        return None

    @no_var_expand  # type: ignore[misc]
    @line_cell_magic  # type: ignore[misc]
    def llm(self, line: str, cell: str | None = None) -> Reply | None:
        """Ask an aside: it sees the conversation and is not added to it. %chat help lists the options."""
        reply = self.asker.ask(options.parse("llm", line, cell), is_kept=False, is_status=cell is None)
        return reply if cell is None else None
