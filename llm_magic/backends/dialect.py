"""What one endpoint takes: the request's body, and what is learned from its refusals.

Servers call themselves compatible and refuse this or that. What one refused once is left out from then on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from .. import catalog
from . import wire

if TYPE_CHECKING:
    from .base import Request

_LIMITS = ("max_tokens", "max_completion_tokens")
# Leaving one of these out changes how a model speaks, not what it is asked.
_SAMPLING = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias"),
    *("logprobs", "top_logprobs"),
)
# Words of any error text, and in every body.
_ALWAYS = ("model", "messages", "stream")
_EXTRA = re.compile(r"\bextra\b", re.IGNORECASE)
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|does not support|not allowed|not permitted"
    r"|unrecognized|unknown|unexpected|extra",
    re.IGNORECASE,
)
_REFUSALS = (400, 422)
# How a server is told that the last message is the beginning of the answer; what each means is told in OpenAIBackend.
PrefixForm: TypeAlias = Literal["plain", "prefix", "continue_final_message"]
PREFIX_FORMS: tuple[str, ...] = get_args(PrefixForm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request's body.

    Attributes:
        json: What is sent.
        left_out: Parameters that were asked for and are not sent.
    """

    json: dict[str, Any]
    left_out: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Taken:
    """What one model takes: its limit's name, ``stream_options``, and the sampling parameters it refused."""

    limit_name: str
    has_stream_options: bool = True
    refused: set[str] = field(default_factory=set)


class Dialect:
    """What is known of an endpoint; shared by all its requests, holds nothing of any.

    It is known by model: behind one address there may be many servers.

    Args:
        limit_name: How the limit of an answer's tokens is called, until a model refuses that.
        prefix_form: How it is told that the last message is the beginning of the answer, None where it cannot be.
    """

    def __init__(self, *, limit_name: str = "max_tokens", prefix_form: PrefixForm | None = None) -> None:
        self._limit_name = limit_name
        self._prefix_form = prefix_form
        self._known: dict[str, _Taken] = {}

    def body(self, request: Request) -> Body:
        """What to send. None is never sent, it would mean null."""
        taken = self._taken(request.model)
        params = {name: value for name, value in request.params.items() if value is not None}
        unwanted = set(_SAMPLING) if catalog.rejects_sampling(request.model) else taken.refused
        left_out = tuple(name for name in params if name in unwanted)
        for name in left_out:
            del params[name]
        if "max_tokens" in params:
            params[taken.limit_name] = params.pop("max_tokens")
        options = params.pop("stream_options", {})
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [wire.message_to_openai(wire.sendable(message)) for message in request.messages],
            **params,
        }
        if request.tools:
            body["tools"] = [dict(tool) for tool in request.tools]
        if request.is_streaming:
            body["stream"] = True
            if taken.has_stream_options:
                body["stream_options"] = {"include_usage": True} | options
        if is_prefixed(request):
            self._mark_prefix(body)
        return Body(json=body, left_out=left_out)

    def _mark_prefix(self, body: dict[str, Any]) -> None:
        if self._prefix_form == "prefix":
            body["messages"][-1]["prefix"] = True
        elif self._prefix_form == "continue_final_message":
            body |= {"continue_final_message": True, "add_generation_prompt": False}

    def learn(self, sent: Body, *, status: int, words: str) -> bool:
        """Learn from a refusal.

        Args:
            sent: What was refused.
            status: With which HTTP status.
            words: What the server said.

        Returns:
            Whether something will be sent differently, so that another try makes sense.
        """
        if status not in _REFUSALS:
            return False
        taken = self._taken(sent.json["model"])
        said = set(re.findall(r"\w+", words))
        named = {name for name in sent.json if name in said and name not in _ALWAYS}
        # What is looked at is what was sent: another request may have learned the same meanwhile.
        if "stream_options" in named or ("stream_options" in sent.json and not named and _EXTRA.search(words)):
            taken.has_stream_options = False
            return True
        if not _UNSUPPORTED.search(words):
            return False
        for mine, other in (_LIMITS, _LIMITS[::-1]):
            if mine in named:
                taken.limit_name = other
                return True
        taken.refused |= named.intersection(_SAMPLING)
        return bool(named.intersection(_SAMPLING))

    def _taken(self, model: str) -> _Taken:
        return self._known.setdefault(model, _Taken(limit_name=self._limit_name))


def is_prefixed(request: Request) -> bool:
    """The last message is the assistant's: the beginning of the answer."""
    return bool(request.messages) and request.messages[-1].role == "assistant"
