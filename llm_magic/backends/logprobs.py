"""Log probabilities as servers send them → one form: a mapping a token, as Chat Completions has it.

Three shapes are known: Chat Completions' list of tokens; the legacy completions' parallel lists (of which Together
sends only the first two); and a mapping of tokens, or a bare number, for each position or chunk.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeAlias

from ..kinds import as_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TokenLogprob: TypeAlias = "Mapping[str, Any]"


def token_logprobs(sent: Any, text: str = "") -> tuple[TokenLogprob, ...]:
    """The tokens of what a server sent as ``logprobs``; of an unknown shape, none.

    >>> token_logprobs({"tokens": ["a"], "token_logprobs": [-0.5]})
    ({'token': 'a', 'logprob': -0.5, 'bytes': None, 'top_logprobs': []},)
    >>> token_logprobs(-0.25, "b")
    ({'token': 'b', 'logprob': -0.25, 'bytes': None, 'top_logprobs': []},)

    Args:
        sent: As parsed from JSON.
        text: The text of the same chunk: the token of a bare number.
    """
    match sent:
        case {"content": [*tokens]}:
            return tuple(token for token in tokens if isinstance(token, dict))
        case {"tokens": [*tokens]}:
            return tuple(_of_lists(tokens, sent))
        case [*positions]:
            return tuple(_of_position(position) for position in positions if isinstance(position, dict) and position)
        case {"logprobs_by_token": dict(position)} if position:
            return (_of_position(position),)
        case int() | float() if not isinstance(sent, bool):
            return (_token(text, float(sent)),)
        case _:
            return ()


def _of_lists(tokens: list[Any], sent: Mapping[str, Any]) -> Iterable[TokenLogprob]:
    """The legacy form; the first token of an echoed prompt has no probability."""
    values = sent.get("token_logprobs") or ()
    tops = sent.get("top_logprobs") or ()
    for token, value, top in itertools.zip_longest(tokens, values[: len(tokens)], tops[: len(tokens)]):
        yield _token(str(token), as_number(value), top if isinstance(top, dict) else {})


def _of_position(position: Mapping[str, Any]) -> TokenLogprob:
    """Alternatives of one place, of which the likeliest is taken for the token."""
    if "token" in position:
        return position
    best = max(position, key=lambda token: as_number(position[token]) or float("-inf"))
    return _token(str(best), as_number(position[best]), position)


def _token(token: str, logprob: float | None, top: Mapping[str, Any] | None = None) -> TokenLogprob:
    alternatives = [{"token": str(other), "logprob": as_number(value)} for other, value in (top or {}).items()]
    return {"token": token, "logprob": logprob, "bytes": None, "top_logprobs": alternatives}
