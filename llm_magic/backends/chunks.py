"""Chunks of a Chat Completions answer → events. The one place that knows what servers put into them.

In: chunks as parsed JSON, or a whole completion, which is one chunk with a ``message`` for a ``delta``. Out:
events, neighbouring text joined. No typed object is built: a chunk costs a microsecond or two. Errors are not
made here.
"""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..content import signature_of
from ..counts import Usage
from ..events import (
    Completed,
    LogprobsDelta,
    Notice,
    OtherAnswer,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from .logprobs import token_logprobs
from .stop_tokens import StopTokens
from .text_calls import TextCallParser
from .think import ThinkParser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..events import Event
    from ..providers.profile import TextCalls
    from .text_calls import TextCall
    from .think import Piece

_MANY_EMPTY_CHUNKS = 10
_FINISH_REASONS: Mapping[str, str] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "end_of_turn"), "stop"),
    **dict.fromkeys(("eom", "end_of_message", "complete", "completed"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "out_of_tokens", "model_length"), "length"),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"), "tool_calls"),
    **dict.fromkeys(("content_filter", "safety", "recitation", "refusal"), "content_filter"),
}
# Usage as the protocol nests it → fields of our own.
_INPUT_DETAILS = (
    ("cached_tokens", "cached_tokens"),
    ("cache_write_tokens", "cache_write_tokens"),
    ("audio_tokens", "input_audio_tokens"),
    ("image_tokens", "input_image_tokens"),
    ("text_tokens", "input_text_tokens"),
)
_OUTPUT_DETAILS = (
    ("reasoning_tokens", "reasoning_tokens"),
    ("audio_tokens", "output_audio_tokens"),
    ("accepted_prediction_tokens", "accepted_prediction_tokens"),
    ("rejected_prediction_tokens", "rejected_prediction_tokens"),
)
log = logging.getLogger("llm_magic")


class ChunkReader:
    """Reads the chunks of one answer.

    Args:
        begins_thinking: The model is known to begin inside a thought, without an opening tag.
        stop_tokens: Tokens of the model's own that the server may let through at the end of the answer.
        text_calls: In whose form tool calls may stand in the text.
        n: How many answers were asked for. Count.

    Attributes:
        finish_reason: Why the answer ended, as the server says it; None while it has not.
        usage: What the server reported last, None while it has reported none.
    """

    def __init__(
        self,
        *,
        begins_thinking: bool = False,
        stop_tokens: tuple[str, ...] = (),
        text_calls: TextCalls = "none",
        n: int = 1,
    ) -> None:
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self._model: str | None = None
        self._service_tier: str | None = None
        self._think = ThinkParser(begins_inside=begins_thinking)
        self._stop_tokens = StopTokens(stop_tokens) if stop_tokens else None
        self._text_calls = TextCallParser(text_calls) if text_calls != "none" else None
        self._calls = _CallNumbers()
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self._others = {
            index: ChunkReader(begins_thinking=begins_thinking, stop_tokens=stop_tokens, text_calls=text_calls)
            for index in range(1, n)
        }
        self._events: list[Event] = []
        self._pending: list[str] = []
        self._pending_type: type[TextDelta | ReasoningDelta | RefusalDelta] = TextDelta
        self._empty_chunks = 0
        self._has_said_choices = False
        self._has_warned = False

    def read(self, chunk: Mapping[str, Any]) -> None:
        """Take the next chunk; its events are had from :meth:`take`."""
        # Usage comes in a last chunk whose choices are empty, or on any other: read it before the choices.
        usage = chunk.get("usage")
        if not usage and (own := chunk.get("x_groq")):  # Groq has it there, whether it is asked for or not
            usage = own.get("usage")
        if usage:
            self.usage = usage_from_openai(usage)
        if model := chunk.get("model"):
            self._model = model
        if tier := chunk.get("service_tier"):
            self._service_tier = tier
        choices = chunk.get("choices")
        if not choices:
            if not usage:
                self._count_empty()
            return
        self._empty_chunks = 0
        for place, choice in enumerate(choices):
            # A server that does not number its answers means them in their order.
            index = choice.get("index") if isinstance(choice.get("index"), int) else place
            if not index:
                self.read_choice(choice)
            elif index in self._others:
                self._begun.add(index)
                self._others[index].read_choice(choice)
            else:
                self._say_choices()

    def take(self) -> list[Event]:
        """The events since the last call; neighbouring text is one delta."""
        self._flush()
        events, self._events = self._events, []
        for index in tuple(self._others):
            events += self._take_other(index)
        return events

    def finish(self) -> Completed:
        """End the answer: what was held back comes with the next :meth:`take`."""
        for index in self._begun:
            self._others[index].finish_reason = self._others[index].finish_reason or "unknown"
        reason = normalized_finish_reason(self.finish_reason)
        self._add_pieces(self._think.finish(is_cut=reason == "length"))
        if self._stop_tokens is not None:
            self._add_said(self._stop_tokens.finish())
            if self._stop_tokens.was_met and reason == "unknown":
                reason = "stop"
        if self._text_calls is not None:
            self._add_found(self._text_calls.finish())
        if self._calls and reason not in ("tool_calls", "length", "content_filter"):
            if self._text_calls is None:
                log.warning("the answer holds tool calls and ends with %r: read as tool_calls", self.finish_reason)
            reason = "tool_calls"
        if len(self._begun) < len(self._others):  # many servers pass over n
            wanted, came = len(self._others) + 1, len(self._begun) + 1
            self._put(Notice(text=f"{wanted} answers were asked for: the server sent {came}"))
        return Completed(finish_reason=reason, model=self._model, service_tier=self._service_tier)

    def _take_other(self, index: int) -> list[OtherAnswer]:
        """The events of another answer; once it has ended, its end is the last of them."""
        other, end = self._others[index], []
        if other.finish_reason is not None and index not in self._ended:
            self._ended.add(index)
            end = [replace(other.finish(), model=self._model, service_tier=self._service_tier)]
        return [OtherAnswer(index=index, event=event) for event in (*other.take(), *end)]

    def read_choice(self, choice: Mapping[str, Any]) -> None:
        """Take what a chunk brings for this answer."""
        if reason := choice.get("finish_reason"):
            self.finish_reason = reason
        # A stream has deltas, a whole completion a message, the old completions a text.
        delta = choice.get("delta") or choice.get("message")
        if delta:
            if len(delta) > 1 or "content" not in delta:
                self._read_rare(delta)
            if content := delta.get("content"):
                self._read_content(content)
            if calls := delta.get("tool_calls"):
                self._read_calls(calls)
            elif call := delta.get("function_call"):
                self._read_calls([{"index": 0, "function": call}])
        elif text := choice.get("text"):
            self._read_content(text)
        if (logprobs := choice.get("logprobs")) is not None and (tokens := token_logprobs(logprobs, _text_of(choice))):
            self._put(LogprobsDelta(tokens=tokens))

    def _read_rare(self, delta: Mapping[str, Any]) -> None:
        for key in ("reasoning_content", "reasoning"):
            thought = delta.get(key)
            if thought and isinstance(thought, str):
                self._add_pieces(self._think.give_up())
                self._add(ReasoningDelta, thought)
                break
        if refusal := delta.get("refusal"):
            self._add(RefusalDelta, refusal)

    def _read_content(self, content: Any) -> None:
        if not isinstance(content, str):
            self._read_parts(content)
        elif self._think.is_plain:
            self._say(content)
        else:
            self._add_pieces(self._think.feed(content))

    def _read_parts(self, parts: list[Mapping[str, Any]]) -> None:
        for part in parts:
            if thinking := part.get("thinking"):  # Mistral: a list of parts of its own
                self._add_pieces(self._think.give_up())
                texts = [thinking] if isinstance(thinking, str) else [inner.get("text", "") for inner in thinking]
                self._add(ReasoningDelta, "".join(texts))
            elif refusal := part.get("refusal"):
                self._add(RefusalDelta, refusal)
            elif isinstance(text := part.get("text"), str) and text:
                self._read_content(text)

    def _read_calls(self, calls: list[Mapping[str, Any]]) -> None:
        for call in calls:
            function = call.get("function") or {}
            arguments = function.get("arguments") or ""
            self._put(
                ToolCallDelta(
                    index=self._calls.number(call),
                    id=call.get("id") or "",
                    name=function.get("name") or "",
                    arguments=arguments if isinstance(arguments, str) else json.dumps(arguments),
                    signature=signature_of(call),
                )
            )

    def _add_pieces(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self._say(piece.text, is_thought=piece.is_thought)

    def _say(self, text: str, *, is_thought: bool = False) -> None:
        if is_thought:
            self._add(ReasoningDelta, text)
        else:
            self._add_said(text if self._stop_tokens is None else self._stop_tokens.feed(text))

    def _add_said(self, text: str) -> None:
        if self._text_calls is None:
            self._add(TextDelta, text)
        else:
            self._add_found(self._text_calls.feed(text))

    def _add_found(self, pieces: list[str | TextCall]) -> None:
        for piece in pieces:
            if isinstance(piece, str):
                self._add(TextDelta, piece)
            else:
                call = {"id": f"call_{secrets.token_hex(6)}", "function": piece._asdict()}
                self._read_calls([call])

    def _add(self, kind: type[TextDelta | ReasoningDelta | RefusalDelta], text: str) -> None:
        if kind is not self._pending_type:
            self._flush()
            self._pending_type = kind
        self._pending.append(text)

    def _put(self, event: Event) -> None:
        self._flush()
        self._events.append(event)

    def _flush(self) -> None:
        if self._pending:
            if text := "".join(self._pending):
                self._events.append(self._pending_type(text=text))
            self._pending = []

    def _count_empty(self) -> None:
        self._empty_chunks += 1
        if self._empty_chunks > _MANY_EMPTY_CHUNKS and not self._has_warned:
            self._has_warned = True
            log.warning("the server sent more than %d chunks in a row without content", _MANY_EMPTY_CHUNKS)

    def _say_choices(self) -> None:
        if not self._has_said_choices:
            self._has_said_choices = True
            self._put(Notice(text="the server sent more than one answer: the first is shown"))


class _CallNumbers:
    """Numbers the tool calls of an answer by appearance, whatever a server makes of ``index`` and ``id``.

    There are servers that send no index, count from 1, or send index 0 with every call.
    """

    def __init__(self) -> None:
        self._by_index: dict[int, int] = {}
        self._by_id: dict[str, int] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def number(self, call: Mapping[str, Any]) -> int:
        """Which call a piece belongs to, counted from 0."""
        index, call_id = call.get("index"), call.get("id") or ""
        if call_id:
            number = self._by_id.get(call_id)
            if number is None:
                number = self._by_id[call_id] = self._new()
        elif index is not None:
            number = self._by_index.get(index)
            if number is None:
                number = self._new()
        elif (call.get("function") or {}).get("name") or not self._count:
            number = self._new()  # only the first piece of a call brings its name
        else:
            number = self._count - 1
        if index is not None:
            self._by_index[index] = number
        return number

    def _new(self) -> int:
        self._count += 1
        return self._count - 1


def _text_of(choice: Mapping[str, Any]) -> str:
    """The text a chunk brings, as far as it is plain."""
    text = (choice.get("delta") or choice.get("message") or choice).get("content") or choice.get("text")
    return text if isinstance(text, str) else ""


def normalized_finish_reason(reason: str | None) -> str:
    """One of stop, length, tool_calls, content_filter, unknown.

    >>> normalized_finish_reason("END_TURN"), normalized_finish_reason(None)
    ('stop', 'unknown')
    """
    return _FINISH_REASONS.get(reason.lower(), "unknown") if isinstance(reason, str) else "unknown"


def usage_from_openai(data: Mapping[str, Any]) -> Usage:
    """Usage from a completion's ``usage`` object; details the server does not send are None."""
    inputs, outputs = data.get("prompt_tokens") or 0, data.get("completion_tokens") or 0
    details: dict[str, int | None] = {}
    for group, names in (
        ("prompt_tokens_details", _INPUT_DETAILS),
        ("completion_tokens_details", _OUTPUT_DETAILS),
    ):
        sent = data.get(group) or {}
        details |= {ours: sent.get(theirs) for theirs, ours in names}
    if details["cached_tokens"] is None:  # DeepSeek's name for it
        details["cached_tokens"] = data.get("prompt_cache_hit_tokens")
    counts = {"input_tokens": inputs, "output_tokens": outputs}
    return Usage.from_dict(
        {**counts, "total_tokens": data.get("total_tokens") or inputs + outputs}
        | {name: value for name, value in details.items() if value is not None}
    )
