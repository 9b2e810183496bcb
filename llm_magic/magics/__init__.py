"""The magics: options, commands, completion, and what a cell does.

``load`` registers them with a shell; it imports nothing heavy and starts no thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_ATTRIBUTE = "_llm_magic"


def load(shell: InteractiveShell) -> None:
    """Register magics, completion, settings and hooks; a second load changes nothing."""
    if getattr(shell, _ATTRIBUTE, None) is not None:
        return
    from .extension import Extension

    extension = Extension(shell)
    setattr(shell, _ATTRIBUTE, extension)
    extension.load()


def unload(shell: InteractiveShell) -> None:
    """Take back exactly what ``load`` did and close connections; conversations and ledger stay."""
    extension = getattr(shell, _ATTRIBUTE, None)
    if extension is not None:
        delattr(shell, _ATTRIBUTE)
        extension.unload()
