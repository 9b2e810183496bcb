"""The rows that are to be asked: from what the user hands over to the messages of each.

Comes in: an iterable, a Series or a DataFrame, and perhaps a template. Goes out: :class:`Rows`, whose prompts become
messages one by one, when their turn comes: a thousand pictures are not to lie in memory at once.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..backends.wire import message_from_openai
from ..content import Message, Part, TextPart
from ..errors import ConfigurationError, ContentError, LLMMagicError
from ..interpolation import interpolate
from ..values import is_of, to_parts

if TYPE_CHECKING:
    import pandas as pd

    from ..values import Limits

_ONE = (str, bytes, bytearray, Mapping)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What is to be asked, in order.

    Attributes:
        prompts: For each row what becomes its messages, or the error that keeps it from being asked.
        index: The index of the Series or DataFrame they come from, None where they come from neither.
    """

    prompts: Sequence[Any]
    index: pd.Index[Any] | None = None


def rows_of(prompts: Any, template: str | None, names: Mapping[str, Any], limits: Limits) -> Rows:
    """The rows to ask.

    Args:
        prompts: A Series, a DataFrame (with a template), or any iterable of prompts.
        template: A prompt with ``{{ }}``, evaluated for each row here and now.
        names: What its expressions see under the row's own names.
        limits: How large content may be.

    Raises:
        ConfigurationError: It is one prompt and not many, or a DataFrame without a template.
        InterpolationError: The template fails in every row.
    """
    if is_of(prompts, "pandas", "DataFrame"):
        if template is None:
            hint = 'map(df["text"]), or template="… {{ text }}" with the columns as names'
            raise ConfigurationError("A DataFrame needs a template.", hint=hint)
        return Rows(prompts=_filled(template, _records(prompts), names, limits), index=prompts.index)
    if isinstance(prompts, _ONE) or not isinstance(prompts, Iterable):
        message = f"map() asks many prompts, and this is one {type(prompts).__name__}."
        raise ConfigurationError(message, hint="give a list, a Series or a DataFrame; ask() asks one")
    series: Any = prompts if is_of(prompts, "pandas", "Series") else None
    values = list(prompts) if series is None else series.tolist()
    if template is not None:
        name = "value" if series is None else str(series.name)
        values = _filled(template, [{name: value, "value": value} for value in values], names, limits)
    return Rows(prompts=values, index=None if series is None else series.index)


def messages_of(prompt: Any, limits: Limits) -> tuple[Message, ...]:
    """The messages of one row.

    Args:
        prompt: Text or any other content, a list of those in order, a message (ours or the protocol's dict), or a
            list of messages: a conversation.
        limits: How large content may be.

    Raises:
        LLMMagicError: It cannot be asked.
    """
    if isinstance(prompt, LLMMagicError):
        raise prompt
    if _is_missing(prompt):
        raise ContentError("The prompt is missing.", hint="drop the row, or fill it with fillna()")
    messages: tuple[Message, ...]
    if _is_message(prompt):
        messages = (_message(prompt),)
    elif isinstance(prompt, list | tuple) and prompt and all(_is_message(item) for item in prompt):
        messages = tuple(_message(item) for item in prompt)
    else:
        values = prompt if isinstance(prompt, list | tuple) else (prompt,)
        parts = tuple(part for value in values for part in to_parts(value, limits=limits))
        messages = (Message(role="user", parts=parts),)
    if all(isinstance(part, TextPart) and not part.text.strip() for item in messages for part in item.parts):
        raise ContentError("The prompt is empty.", hint="drop the row")
    return messages


def is_quick(prompt: Any) -> bool:
    """Its messages are made in no time; what is read or drawn (files, pictures, plots) is not."""
    values = prompt if isinstance(prompt, list | tuple) else (prompt,)
    return all(isinstance(value, str | TextPart | Message | LLMMagicError | int | float | None) for value in values)


def _is_message(value: Any) -> bool:
    return isinstance(value, Message) or (isinstance(value, Mapping) and "role" in value and "content" in value)


def _message(value: Any) -> Message:
    return value if isinstance(value, Message) else message_from_openai(dict(value))


def _is_missing(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    pandas = sys.modules.get("pandas")
    return value is None or (pandas is not None and (value is pandas.NA or value is pandas.NaT))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Each row's values by column; ``row`` is all of them, for columns whose names are no names in Python."""
    columns = [str(name) for name in frame.columns]
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise ConfigurationError(f"The frame has two columns {twice[0]!r}.", hint="rename one")
    cells = [frame[name].tolist() for name in frame.columns]
    records = [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]
    return [{"row": record, **record} for record in records]


def _filled(
    template: str, records: Sequence[Mapping[str, Any]], names: Mapping[str, Any], limits: Limits
) -> list[list[Part] | LLMMagicError]:
    def convert(value: Any, name: str) -> tuple[Part, ...]:
        return to_parts(value, limits=limits, name=name)

    filled: list[list[Part] | LLMMagicError] = []
    for record in records:
        try:
            filled.append(list(interpolate(template, {**names, **record}, convert=convert)))
        except LLMMagicError as exc:
            filled.append(exc)
    failures = [item for item in filled if isinstance(item, LLMMagicError)]
    if failures and len(failures) == len(filled):
        # A slip in the template, not something about a row: nothing is to be asked at all.
        raise failures[0]
    return filled
