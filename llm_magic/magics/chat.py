"""The magics themselves: ``%%chat``, ``%chat``, ``%llm`` and ``%%llm``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from . import command_lines, options

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from ..reply import Reply
    from ..session import Session
    from .asking import Asker
    from .commands import Commands


@magics_class
class LLMMagics(Magics):
    """Registered by ``%load_ext llm_magic``.

    Args:
        shell: The shell.
        get_session: Gives the session whose conversations are asked.
    """

    def __init__(self, shell: InteractiveShell, get_session: Callable[[], Session]) -> None:
        super().__init__(shell)
        self._user_shell = shell
        self._get_session = get_session

    @functools.cached_property
    def asker(self) -> Asker:
        """What asks; its modules are imported by the first magic that is used."""
        from .asking import Asker

        return Asker(self._user_shell, self._get_session())

    @functools.cached_property
    def _commands(self) -> Commands:
        from .commands import Commands

        return Commands(self.asker)

    def close(self) -> None:
        """End what goes on in the background."""
        if "asker" in vars(self):
            self.asker.background.close()

    # IPython would otherwise fill in $names and {expressions} itself: the prompt is verbatim but for {{ }}.
    @no_var_expand
    @line_cell_magic
    def chat(self, line: str, cell: str | None = None) -> Any:
        """Ask a turn of the conversation (%%chat), or look at it and manage it (%chat). %chat help lists all."""
        if cell is None:
            return self._commands.run(command_lines.parse_command(line))
        self.asker.ask(options.parse("chat", line, cell), is_kept=True, is_status=False)
        return None

    @no_var_expand
    @line_cell_magic
    def llm(self, line: str, cell: str | None = None) -> Reply | None:
        """Ask an aside: it sees the conversation and is not added to it. %chat help lists the options."""
        reply = self.asker.ask(options.parse("llm", line, cell), is_kept=False, is_status=cell is None)
        return None if cell is not None or self._is_silenced(line) else reply

    def _is_silenced(self, line: str) -> bool:
        """The cell's last line is this magic by itself and ends with a semicolon: nothing is to be shown.

        IPython's own way would also take the reply from ``x = %llm …;``, where a semicolon may well end the prompt.
        """
        history = self._user_shell.history_manager
        last = history.input_hist_raw[-1].rstrip().rpartition("\n")[2] if history is not None else ""
        return line.rstrip().endswith(";") and last.lstrip().startswith("%llm")
