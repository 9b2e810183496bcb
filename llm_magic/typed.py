"""Typed answers: in which form a type is asked for, and which forms servers have been found to take.

Comes in: a request and a :class:`~llm_magic.schemas.Schema`. Goes out: the request that asks for it, in one of three
ways, of which each next needs less of the server. What follows when an answer does not fit is in ``repairs.py``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from .content import TextPart, message
from .errors import ConfigurationError
from .model_info import abilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .asks import Ask
    from .backends.base import BackendInfo, Request
    from .content import Message
    from .model_info import Abilities
    from .schemas import Schema
    from .turns import Turn

# The server holds the model to the schema; to JSON; to nothing, and words alone ask for it.
Way: TypeAlias = Literal["schema", "object", "words"]
_WAYS: tuple[Way, ...] = get_args(Way)
_NAME = "response_format"


class Types:
    """The types a session has asked for, and the ways its servers take.

    A turn keeps what was sent, not the type: by that the type is found again, to read the answer or to ask once more.
    """

    def __init__(self) -> None:
        self._known: dict[str, Schema] = {}
        self._ways: dict[tuple[str, str, str], Way] = {}

    def remember(self, schema: Schema) -> None:
        """Know a type by what it is on the wire; of two that are alike there, the later counts."""
        self._known[_key(schema.to_response_format())] = schema

    def of(self, params: Mapping[str, Any]) -> Schema | None:
        """The type that was asked for with these request parameters, None where this session has not done so."""
        return self._known.get(_key(params[_NAME])) if _NAME in params else None

    def way(self, schema: Schema, info: BackendInfo, model: str, facts: Mapping[str, Any] | None = None) -> Way:
        """How a type is asked for, as far as is known of the server and the model.

        Args:
            schema: The type.
            info: What is known of the server.
            model: The model.
            facts: What the user says of it, checked.
        """
        return max(
            _first_way(schema, abilities(model, info.provider, facts=facts)),
            self._ways.get((info.name, info.base_url, model), "schema"),
            key=_WAYS.index,
        )

    def note_refused(self, way: Way, info: BackendInfo, model: str) -> None:
        """Remember that a way was refused: the next one is taken from now on."""
        key = info.name, info.base_url, model
        self._ways[key] = max(_after(way), self._ways.get(key, "schema"), key=_WAYS.index)


def planned(
    request: Request, base: Turn, ask: Ask, *, types: Types, info: BackendInfo, facts: Mapping[str, Any]
) -> tuple[Schema | None, Request, Turn]:
    """The type of an ask, and request and turn as they are with it; as they were where none is asked for.

    Raises:
        ConfigurationError: The ask has a type and a ``response_format``, or one that the model does not take.
    """
    if ask.is_completion:
        # Text that is gone on with has no form.
        if ask.schema is not None:
            raise ConfigurationError("A completion has no type.", hint="leave out --complete, or the schema")
        return None, untyped(request), base
    schema = ask.schema or types.of(request.params)
    if schema is None:
        if not ask.is_forced:
            _check_form(request, abilities(request.model, info.provider, facts=facts))
        return None, request, base
    if ask.schema is not None and (ask.params.get(_NAME) or ask.settings.get(_NAME)) is not None:
        raise ConfigurationError("The ask has a schema and a response_format.", hint="leave one of them out")
    types.remember(schema)
    # What is kept is what was asked for, in whatever way it was sent.
    base = replace(base, settings={**base.settings, _NAME: schema.to_response_format()})
    if ask.continues is not None:
        return schema, untyped(request), base
    return schema, typed(request, schema, types.way(schema, info, request.model, facts)), base


def typed(request: Request, schema: Schema, way: Way) -> Request:
    """The request, asking for a type in a way."""
    params = {name: value for name, value in request.params.items() if name != _NAME}
    match way:
        case "schema":
            return replace(request, params={**params, _NAME: schema.to_response_format()})
        case "object":
            params[_NAME] = {"type": "json_object"}
        case "words":
            pass
    return replace(request, params=params, messages=with_words(request.messages, instruction(schema)))


def untyped(request: Request) -> Request:
    """The request without a form of its answer: the rest of an answer does not have the form of a whole one."""
    return replace(request, params={name: value for name, value in request.params.items() if name != _NAME})


def lowered(request: Request, schema: Schema) -> tuple[Way, Request] | None:
    """The same request in the next way, and the way it was in; None where there is no further way."""
    match request.params.get(_NAME):
        case {"type": "json_schema"}:
            return "schema", typed(request, schema, "object")
        case {"type": "json_object"}:
            return "object", untyped(request)
        case _:
            return None


def instruction(schema: Schema) -> str:
    """What a model is told where the server does not hold it to the schema."""
    if schema.is_free:
        return "Answer with one JSON object and nothing else."
    shape = json.dumps(schema.json, ensure_ascii=False)
    return f"Answer with one JSON object and nothing else. It has to fit this JSON schema:\n{shape}"


def with_words(messages: tuple[Message, ...], words: str) -> tuple[Message, ...]:
    """The messages with words of ours at the end of the user's last one: not all servers take two in a row."""
    place = max((place for place, item in enumerate(messages) if item.role == "user"), default=None)
    if place is None:
        return (*messages, message("user", words))
    item = messages[place]
    instructed = replace(item, parts=(*item.parts, TextPart(text=f"\n\n{words}")))
    return (*messages[:place], instructed, *messages[place + 1 :])


def _check_form(request: Request, can: Abilities) -> None:
    """Check that the model can do what a ``response_format`` of the user's own wants.

    Raises:
        ConfigurationError: It is known that it cannot.
    """
    model, form = request.model, request.params.get(_NAME)
    kind = form.get("type") if isinstance(form, dict) else None
    missing = "typed" if kind == "json_schema" and can.typed is False else ""
    missing = missing or ("json" if kind == "json_object" and can.json is False else "")
    if missing:
        hint = (
            "--schema asks in words where it must; --force sends it all the same, and "
            f"llm_magic.register_model({model!r}, {missing}=True) says that it does"
        )
        raise ConfigurationError(f"The model {model} does not take response_format {kind}.", hint=hint)


def _first_way(schema: Schema, can: Abilities) -> Way:
    if can.typed is not False and not schema.is_free:
        return "schema"
    return "words" if can.json is False else "object"


def _after(way: Way) -> Way:
    return _WAYS[min(_WAYS.index(way) + 1, len(_WAYS) - 1)]


def _key(response_format: Any) -> str:
    return json.dumps(response_format, sort_keys=True, default=str)
