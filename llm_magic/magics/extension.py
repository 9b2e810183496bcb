"""What ``%load_ext`` adds to a shell, and takes away again.

Loading has to be cheap: the engine behind the magics is imported by the first of them that is used.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from .. import frontend
from . import completion, questions
from .cells import CellHooks
from .chat import LLMMagics
from .scope import helpers
from .traits import make_traits

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..session import Session

_MAGICS = {"line": ("chat", "llm"), "cell": ("chat", "llm")}
# A cell of one magic line and nothing below it: IPython refuses it before our code runs.
_BARE_CELL = re.compile(r"%%(chat|llm)\b[^\n]*\n?\Z")


class Extension:
    """The extension, loaded into one shell.

    Args:
        shell: The shell.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._settings: dict[str, Any] = {}
        self._cells = CellHooks(shell, lambda: vars(self).get("session"))
        self._traits: Any = None
        self._magics = LLMMagics(shell, lambda: self.session)

    @functools.cached_property
    def session(self) -> Session:
        """The process's session, made by the first magic that needs it."""
        from .. import api

        session = api.session()
        session.config.traits = self._settings
        here = frontend.detect(self._shell, secret=session.secret)
        session.note_notebook(here.notebook, here.notebook_path)
        self._cells.tell(session)
        return session

    def load(self) -> None:
        """Register everything."""
        shell = self._shell
        shell.register_magics(self._magics)
        shell.input_transformers_cleanup.append(give_body)
        self._traits = make_traits(self._settings, parent=shell)
        shell.configurables.append(self._traits)
        self._cells.install()
        questions.install(shell)
        completion.install(
            shell,
            completion.Sources(
                models=self._known_models,
                conversations=lambda: [c.name for c in self.session.conversations],
                kept=self._kept,
                versions=lambda: [len(slot.versions) for slot in self.session.current.slots],
                namespace=lambda: {**helpers(shell), **shell.user_ns},
            ),
        )

    def unload(self) -> None:
        """Take everything back."""
        shell = self._shell
        for kind, names in _MAGICS.items():
            for name in names:
                shell.magics_manager.magics[kind].pop(name, None)
        shell.magics_manager.registry.pop("LLMMagics", None)
        shell.input_transformers_cleanup.remove(give_body)
        shell.configurables.remove(self._traits)
        self._cells.uninstall()
        questions.uninstall(shell)
        completion.uninstall(shell)
        self._magics.close()
        if "session" in vars(self):
            self.session.close()

    def _kept(self) -> list[str]:
        from ..errors import StoreError

        try:
            return list(dict.fromkeys(kept.name for kept in self.session.kept()))
        except StoreError:
            # Tab is no place to tell of it: the next ask does.
            return []

    def _known_models(self) -> list[str]:
        from .. import catalog

        asked = {turn.requested_model for c in self.session.conversations for slot in c.slots for turn in slot.versions}
        return sorted(asked | {catalog.DEFAULT_MODEL, catalog.LOCAL_MODEL})


def give_body(lines: list[str]) -> list[str]:
    r"""Let ``%%chat question`` stand alone: a cell without a body gets an empty line as one.

    >>> give_body(["%%chat What is 2 + 2?"])
    ['%%chat What is 2 + 2?\n', '\n']
    """
    text = "".join(lines)
    if not _BARE_CELL.match(text):
        return lines
    return [text.rstrip("\n") + "\n", "\n"]
