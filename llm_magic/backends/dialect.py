"""What one endpoint takes: the request's body, and what is learned from its refusals.

Servers call themselves compatible and refuse this or that. What one refused once is left out from then on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
_EXTRA = re.compile(r"\bextra\b", re.IGNORECASE)
_UNSUPPORTED = re.compile(r"unsupported|not support|does not allow|not allowed", re.IGNORECASE)
_REFUSALS = (400, 422)


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
class Dialect:
    """What is known of an endpoint; shared by all its requests, holds nothing of any.

    Attributes:
        limit_name: How it calls the limit of the answer's tokens.
        has_stream_options: It takes ``stream_options``, which ask for usage.
        refused: Sampling parameters refused, by model.
    """

    limit_name: str = "max_tokens"
    has_stream_options: bool = True
    refused: dict[str, set[str]] = field(default_factory=dict)

    def body(self, request: Request) -> Body:
        """What to send. None is never sent, it would mean null."""
        params = {name: value for name, value in request.params.items() if value is not None}
        unwanted = set(self.refused.get(request.model, ()))
        if catalog.rejects_sampling(request.model):
            unwanted.update(_SAMPLING)
        left_out = tuple(name for name in params if name in unwanted)
        for name in left_out:
            del params[name]
        if "max_tokens" in params:
            params[self.limit_name] = params.pop("max_tokens")
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [wire.message_to_openai(message) for message in request.messages],
            **params,
        }
        if request.is_streaming:
            body["stream"] = True
            if self.has_stream_options:
                body["stream_options"] = {"include_usage": True} | body.get("stream_options", {})
        return Body(json=body, left_out=left_out)

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
        if "stream_options" in sent.json and self.has_stream_options:
            named = any(name in words for name in (*_LIMITS, *_SAMPLING))
            if "stream_options" in words or (_EXTRA.search(words) and not named):
                self.has_stream_options = False
                return True
        for mine, other in (_LIMITS, _LIMITS[::-1]):
            if mine in sent.json and self.limit_name == mine and re.search(rf"\b{mine}\b", words):
                self.limit_name = other
                return True
        if not _UNSUPPORTED.search(words):
            return False
        named_params = {name for name in _SAMPLING if name in sent.json and re.search(rf"\b{name}\b", words)}
        self.refused.setdefault(sent.json["model"], set()).update(named_params)
        return bool(named_params)
