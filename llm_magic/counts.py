"""Token counts of one request, and their addition. Counts only: prices are in catalog.py."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens billed for one request. A detail the server did not send is None, never 0.

    Attributes:
        input_tokens: Tokens sent, cached ones included. Count, >= 0.
        output_tokens: Tokens answered, reasoning included. Count, >= 0.
        total_tokens: As the server says, else input + output. Count.
        cached_tokens: Part of ``input_tokens`` read from the provider's cache. Count.
        cache_write_tokens: Part of ``input_tokens`` written to the provider's cache. Count.
        input_audio_tokens: Part of ``input_tokens`` that is audio. Count.
        input_image_tokens: Part of ``input_tokens`` that is images. Count.
        input_text_tokens: Part of ``input_tokens`` that is text. Count.
        reasoning_tokens: Part of ``output_tokens`` the model thought with. Count.
        output_audio_tokens: Part of ``output_tokens`` that is audio. Count.
        accepted_prediction_tokens: Predicted tokens that were used. Count.
        rejected_prediction_tokens: Predicted tokens that were billed and not used. Count.
        is_estimate: True where the server sent no usage and we counted.

    Source: OpenAI API reference, chat completion ``usage`` object.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    input_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    input_text_tokens: int | None = None
    reasoning_tokens: int | None = None
    output_audio_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    is_estimate: bool = False

    def __add__(self, other: Usage) -> Usage:
        """Sum of two requests: a detail is None only where both are, an estimate where one is."""
        if not isinstance(other, Usage):
            return NotImplemented
        sums: dict[str, int | None] = {}
        for field in fields(self):
            if field.name == "is_estimate":
                continue
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            sums[field.name] = None if mine is None and theirs is None else (mine or 0) + (theirs or 0)
        return Usage(is_estimate=self.is_estimate or other.is_estimate, **sums)  # type: ignore[arg-type]  # the three required counts are never None

    def to_dict(self) -> dict[str, int | bool]:
        """The counts that are known."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, int | bool]) -> Usage:
        """The inverse of :meth:`to_dict`."""
        return cls(**data)  # type: ignore[arg-type]  # to_dict wrote it
