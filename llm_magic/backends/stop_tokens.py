"""Tokens of a model's own at the end of its answer, which some servers let through: taken off, however they are cut.

Only at the end: ``</s>`` in the middle of an answer about HTML is a part of it.
"""

from __future__ import annotations

import re


class StopTokens:
    """Takes tokens off the end of a text that comes in pieces.

    Args:
        tokens: What may stand there, at least one.

    Attributes:
        was_met: The text ended with one; known after :meth:`finish`.
    """

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._tokens = tokens
        self._begin = re.compile("[" + re.escape("".join(sorted({token[0] for token in tokens}))) + "]")
        self._held = ""
        self.was_met = False

    def feed(self, text: str) -> str:
        """What of the text so far is no such token, and cannot become one."""
        text = self._held + text
        places = (found.start() for found in self._begin.finditer(text))
        start = next((place for place in places if self._may_end(text[place:])), len(text))
        self._held = text[start:]
        return text[:start]

    def finish(self) -> str:
        """What was held back and is no such token."""
        held, self._held = self._held, ""
        rest = self._without_tokens(held)
        self.was_met = len(rest) < len(held)
        return rest

    def _may_end(self, text: str) -> bool:
        """The text is tokens and white space between them, or the beginning of more of them."""
        while text:
            token = next((item for item in self._tokens if text.startswith(item)), None)
            if token is None:
                return any(item.startswith(text) for item in self._tokens)
            text = text[len(token) :].lstrip()
        return True

    def _without_tokens(self, text: str) -> str:
        while True:
            bare = text.rstrip()
            token = next((item for item in self._tokens if bare.endswith(item)), None)
            if token is None:
                return text
            text = bare.removesuffix(token)
