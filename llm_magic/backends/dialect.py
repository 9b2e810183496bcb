"""What one endpoint takes: the request's body, by its provider's quirks, and what is learned from its refusals.

Servers call themselves compatible and refuse this or that. What one refused once is left out from then on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .. import catalog
from ..providers import Quirks
from . import families, wire

if TYPE_CHECKING:
    from ..content import Message
    from .base import Request

_LIMITS = ("max_tokens", "max_completion_tokens")
# Parameters that models refuse which think before they answer.
_SAMPLING = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias"),
    *("logprobs", "top_logprobs"),
)
# Leaving one of these out would change what is asked, so a refusal of it stays an error. All others change at most
# how a model speaks; strings to stop at are looked for here, too.
_MEANING = frozenset(
    (
        *("model", "messages", "stream", "tools", "functions", "function_call", "response_format", "n"),
        *("modalities", "audio", "continue_final_message", "add_generation_prompt", *_LIMITS),
    )
)
# Words of any error text: they name a parameter only where they stand like one.
_COMMON = frozenset(("stop", "user", "store", "seed", "name", "metadata", "prediction", "reasoning", "thinking"))
_EXTRA = re.compile(r"\bextra\b", re.IGNORECASE)
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|does not support|not allowed|not permitted|not available"
    r"|unrecognized|unknown|unexpected|extra",
    re.IGNORECASE,
)
_WRONG_ROLE = re.compile(_UNSUPPORTED.pattern + r"|invalid|must be|should be|one of|expected", re.IGNORECASE)
_REFUSALS = (400, 422)
_NAMES, _DEVELOPER = "names of authors (they stand before the text)", "role developer (sent as system)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request's body.

    Attributes:
        json: What is sent.
        left_out: What was asked for and is not sent.
    """

    json: dict[str, Any]
    left_out: tuple[str, ...] = ()

    @property
    def form(self) -> frozenset[str]:
        """What tells one way to ask the same from another."""
        return frozenset((*self.json, *(f"without {name}" for name in self.left_out)))


@dataclass(slots=True, kw_only=True)
class _Taken:
    """What one model takes, as far as it is known by now.

    Attributes:
        quirks: The provider's, and what was learned of roles and names.
        limit_name: How it calls its limit.
        has_stream_options: They may be sent.
        refused: Parameters it refused.
        untold: What was learned and nobody was told of yet.
    """

    quirks: Quirks
    limit_name: str
    has_stream_options: bool
    refused: set[str] = field(default_factory=set)
    untold: list[str] = field(default_factory=list)


class Dialect:
    """What is known of an endpoint; shared by all its requests, holds nothing of any.

    It is known by model: behind one address there may be many servers.

    Args:
        quirks: What is known of its provider.
        has_own_names: The user named the models there, so that any may answer.
    """

    def __init__(self, quirks: Quirks | None = None, *, has_own_names: bool = False) -> None:
        self._has_own_names = has_own_names
        self.quirks = quirks or Quirks()
        self._known: dict[str, _Taken] = {}
        self._told: set[tuple[str, str]] = set()

    def body(self, request: Request) -> Body:
        """What to send. None is never sent, it would mean null.

        Raises:
            RequestRejectedError: The messages cannot be said as the server takes them.
        """
        taken = self._taken(request.model)
        params = {name: value for name, value in request.params.items() if value is not None}
        extra = params.pop("extra_body", {})
        options = params.pop("stream_options", {})
        params, left_out = self._sendable(params, taken, request.model)
        messages: tuple[Message, ...] = ()
        if request.api == "completions":
            # It has one name for its limit, whatever chat calls it.
            params = {"max_tokens" if name == taken.limit_name else name: value for name, value in params.items()}
            said: dict[str, Any] = {"prompt": "".join(wire.sendable(item).text for item in request.messages)}
        else:
            messages = families.for_family(request.messages, taken.quirks)
            said = {"messages": families.to_wire(messages, taken.quirks)}
        body: dict[str, Any] = {"model": request.model, **said, **params}
        if request.tools:
            body["tools"] = [dict(tool) for tool in request.tools]
        if request.is_streaming:
            body["stream"] = True
            if taken.has_stream_options:
                body["stream_options"] = {"include_usage": True} | options
        if messages and messages[-1].role == "assistant":
            self._mark_prefix(body)
        body |= extra
        return Body(json=body, left_out=(*left_out, *_said_otherwise(request.messages, taken.quirks, self.quirks)))

    def _sendable(self, params: dict[str, Any], taken: _Taken, model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Parameters by the names the server has for them, and those it does not take."""
        unwanted = {*taken.quirks.refused, *taken.refused}
        if catalog.rejects_sampling(model):
            unwanted.update(_SAMPLING)
        named = {self._name(name, taken): (name, value) for name, value in params.items()}
        left_out = tuple(name for sent, (name, _) in named.items() if sent in unwanted or name in unwanted)
        return {sent: value for sent, (name, value) in named.items() if name not in left_out}, left_out

    def _name(self, name: str, taken: _Taken) -> str:
        return taken.limit_name if name == "max_tokens" else taken.quirks.renamed.get(name, name)

    def _mark_prefix(self, body: dict[str, Any]) -> None:
        if self.quirks.continues == "prefix":
            body["messages"][-1]["prefix"] = True
        elif self.quirks.continues == "continue_final_message":
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
        if self._learn_of_messages(sent, taken, words):
            return True
        named = {name for name in sent.json if _names(words, name)} - {"model", "messages", "stream"}
        # What is looked at is what was sent: another request may have learned the same meanwhile.
        if "stream_options" in named or ("stream_options" in sent.json and not named and _EXTRA.search(words)):
            if taken.has_stream_options:
                taken.untold.append("stream_options (tokens are counted here where the server sends no usage)")
            taken.has_stream_options = False
            return True
        if not _UNSUPPORTED.search(words):
            return False
        for mine, other in (_LIMITS, _LIMITS[::-1]):
            if mine in named:
                taken.limit_name = other
                return True
        taken.refused |= named - _MEANING
        return bool(named - _MEANING)

    def news(self, model: str) -> tuple[str, ...]:
        """What was learned of a model and nobody was told of yet; it is told once."""
        taken = self._taken(model)
        told, taken.untold = tuple(taken.untold), []
        return told

    def other_model(self, requested: str, answered: str | None) -> str | None:
        """The model that answered, where it is another than the one asked for; told once for each pair."""
        pair = (requested, answered or "")
        if answered is None or self._has_own_names or pair in self._told or catalog.is_same_model(requested, answered):
            return None
        self._told.add(pair)
        return answered

    def begins_thinking(self, model: str) -> bool:
        """A model's answers begin inside a thought, without an opening tag: as was said, else by its name."""
        said = self.quirks.begins_thinking
        return catalog.thinks_in_tags(model) if said is None else said

    def _learn_of_messages(self, sent: Body, taken: _Taken, words: str) -> bool:
        messages: list[dict[str, Any]] = sent.json.get("messages", [])  # a text completion has none
        if "messages" in words and _names(words, "name") and _UNSUPPORTED.search(words):
            if not any("name" in item for item in messages):
                return False
            taken.quirks = replace(taken.quirks, names="prefixed")
            return True
        if "developer" in words and _WRONG_ROLE.search(words):
            if not any(item["role"] == "developer" for item in messages):
                return False
            taken.quirks = replace(taken.quirks, roles={**taken.quirks.roles, "developer": "system"})
            return True
        return False

    def _taken(self, model: str) -> _Taken:
        if model not in self._known:
            self._known[model] = _Taken(
                quirks=self.quirks,
                limit_name=self.quirks.limit_name,
                has_stream_options=self.quirks.has_stream_options,
            )
        return self._known[model]


def is_prefixed(request: Request) -> bool:
    """The last message is the assistant's: the beginning of the answer."""
    return bool(request.messages) and request.messages[-1].role == "assistant"


def _said_otherwise(messages: tuple[Message, ...], now: Quirks, before: Quirks) -> tuple[str, ...]:
    """What of messages is not sent as it is, since a server refused it."""
    said = []
    if now.names != before.names and any(item.name for item in messages):
        said.append(_NAMES)
    if now.roles != before.roles and any(item.role == "developer" for item in messages):
        said.append(_DEVELOPER)
    return tuple(said)


def _names(words: str, name: str) -> bool:
    """An error text names a parameter; some write its name in camel case."""
    humps = re.sub(r"_([a-z])", lambda found: found[1].upper(), name)
    if name not in _COMMON:
        return re.search(rf"\b(?:{re.escape(name)}|{re.escape(humps)})\b", words) is not None
    like_one = (
        rf"""['"`.]{name}\b(?!\.\w)|\b{name}['"`:\]]|: {name}\W*$"""
        rf"""|\b{name} (?:parameter|argument|field|is (?:not )?(?:un)?supported)\b"""
        rf"""|\b(?:parameter|argument|field|property|option)s?:? {name}\b"""
    )
    return re.search(like_one, words) is not None
