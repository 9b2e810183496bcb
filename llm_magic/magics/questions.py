"""Questions end with a question mark, and IPython takes a line that does for a request for help.

``%llm What is this?`` would print the help of ``this`` and ask nothing. One transformer, ahead of IPython's,
takes lines of our magics for what they are. ``%llm?`` is still help.
"""

from __future__ import annotations

import tokenize
from typing import TYPE_CHECKING, Any

from IPython.core.inputtransformer2 import EscapedCommand, MagicAssign, TokenTransformBase

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

MAGICS = ("chat", "llm")
_OPENING, _CLOSING = ("(", "[", "{"), (")", "]", "}")


class QuestionLine(TokenTransformBase):
    """A line of one of our magics, by itself or assigned to something.

    Args:
        start: Where its statement starts: row, counted from 1, and column.
        magic: The transformer of IPython's own that writes the call.
    """

    # Before help, which begins at the same place.
    priority = 1

    def __init__(self, start: tuple[int, int], magic: TokenTransformBase) -> None:
        super().__init__(start)  # type: ignore[no-untyped-call]  # half typed
        self._magic = magic

    @classmethod
    def find(cls, tokens_by_line: list[list[tokenize.TokenInfo]]) -> QuestionLine | None:
        """The first such line of a cell, None where there is none."""
        for line in tokens_by_line:
            tokens = [token for token in line if token.type not in (tokenize.INDENT, tokenize.DEDENT)]
            if not tokens:
                continue
            if _is_magic(tokens):
                return cls(tokens[0].start, EscapedCommand(tokens[0].start))  # type: ignore[no-untyped-call]
            assigned = _after_assignment(tokens)
            if _is_magic(assigned):
                return cls(tokens[0].start, MagicAssign(assigned[0].start))  # type: ignore[no-untyped-call]
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """The cell with this line as the call it stands for."""
        changed: list[str] = self._magic.transform(lines)
        return changed


def install(shell: InteractiveShell) -> None:
    """Let lines of our magics end with a question mark; once, also where it is done twice."""
    uninstall(shell)
    _transformers(shell).insert(0, QuestionLine)


def uninstall(shell: InteractiveShell) -> None:
    """Take it back."""
    transformers = _transformers(shell)
    # By name: after a reload the class of the former module is another one.
    transformers[:] = [one for one in transformers if one.__qualname__ != QuestionLine.__qualname__]


def _transformers(shell: InteractiveShell) -> list[Any]:
    found: list[Any] = shell.input_transformer_manager.token_transformers
    return found


def _is_magic(tokens: list[tokenize.TokenInfo]) -> bool:
    """Whether a statement begins with one of our magics and a space."""
    if len(tokens) < 3 or tokens[0].string != "%" or tokens[1].string not in MAGICS:  # noqa: PLR2004  # "%", name, more
        return False
    is_one_word = tokens[0].end == tokens[1].start
    return is_one_word and tokens[1].line[tokens[1].end[1] :][:1] == " "


def _after_assignment(tokens: list[tokenize.TokenInfo]) -> list[tokenize.TokenInfo]:
    """What follows the first ``=`` that is in no bracket."""
    depth = 0
    for place, token in enumerate(tokens):
        if token.string == "=" and depth == 0:
            return tokens[place + 1 :]
        depth += (token.string in _OPENING) - (token.string in _CLOSING)
    return []
