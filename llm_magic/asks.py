"""Asks and plans: what is to be asked, and everything that follows from it, decided but not sent.

Comes in: an :class:`Ask`, a conversation, and functions that know settings and backends. Goes out: a :class:`Plan`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import continuation, typed
from .backends.base import Backend, BackendInfo, Request, Timeouts
from .backends.posting import Posting
from .content import NAME, TextPart
from .errors import ConfigurationError, nearest
from .model_info import checked_facts
from .parameters import by_own_names, checked_parameter, expanded
from .settings import SETTINGS
from .slots import Context, context_messages
from .turns import Turn, new_id
from .values import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .backends.registry import Choice
    from .budgets import Till
    from .cache import AnswerCache
    from .config import Value
    from .content import Message
    from .schemas import Schema
    from .slots import Cell, Conversation, Slot
    from .tools import Tool
    from .typed import Types

LOCAL_SYSTEM = "You are a helpful assistant."
# What tool_choice may be beside the name of a tool; "any" is Mistral's for required.
_CHOICES = ("auto", "none", "required", "any")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked, and how.

    Attributes:
        prompt: The messages to ask, usually one of the user.
        conversation: Where; None means the cell's own, else the current one.
        is_kept: Added to the conversation; False is an aside.
        is_fresh: Sent without the conversation before it.
        slot: Asked again in this slot; None takes the cell's slot, or a new one.
        continues: The partial turn to go on with; None asks for an answer from its beginning.
        cell: The cell that asks, None where the front end tells none.
        backend: Asked instead of the configured one.
        settings: The cell's settings, by their name in the table of settings.
        params: Request parameters by their OpenAI name, over all settings.
        timeout_s: Seconds for the whole answer, None for no limit.
        kind: What the ledger calls it; "" is a chat or an aside.
        is_completion: Gone on with as text, by the completions of before chat: no conversation, no system prompt.
        tools: What the model may call.
        tool_names: Tools handed over to the session before, by name; see :meth:`Session.ask`.
        is_watched: Asked by a blocking call, on whose thread functions can be called meanwhile.
        schema: The type the answer is to have.
        is_forced: Sent also where it is known that the model cannot do it, or cannot read so much.
        is_attended: Whoever takes the events answers the questions in them; False: a tool that needs the user's word
            does not run.
    """

    prompt: tuple[Message, ...]
    conversation: Conversation | None = None
    is_kept: bool = True
    is_fresh: bool = False
    slot: Slot | None = None
    continues: Turn | None = None
    cell: Cell | None = None
    backend: Backend | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None
    kind: str = ""
    is_completion: bool = False
    tools: tuple[Tool, ...] = ()
    tool_names: tuple[str, ...] = ()
    is_watched: bool = False
    schema: Schema | None = None
    is_forced: bool = False
    is_attended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An ask with everything decided: what would be sent where. Making one sends nothing.

    Attributes:
        ask: What was asked.
        conversation: The conversation it sees.
        slot: The slot it is kept in, None for an aside.
        backend: Who is asked.
        info: What is known of the backend.
        request: What is sent.
        base: The turn as far as it is known before the answer.
        asked: The messages of the request, without the partial answer it goes on with.
        schema: The type the answer is to have, also where it is known from a former ask; None for none.
        gone: Ids of the slots whose cell is gone, where the notices speak of them.
        cache: Where former answers are, None where none counts.
        context: The turns sent before the prompt.
        facts: What the user says of the model, checked.
        listed: What the server's list says of the model, as far as it has been asked for.
        pool: What has been spent of a budget that this plan shares with others; None where it shares none.
        drops_oldest: Where the request is too long, the oldest turns are left out.
    """

    ask: Ask
    conversation: Conversation
    slot: Slot | None
    backend: Backend
    info: BackendInfo
    request: Request
    base: Turn
    asked: tuple[Message, ...]
    schema: Schema | None = None
    gone: frozenset[str] = frozenset()
    cache: AnswerCache | None = None
    context: Context = field(default_factory=Context)
    facts: Mapping[str, Any] = field(default_factory=dict)
    listed: Mapping[str, Any] = field(default_factory=dict)
    pool: Till | None = None
    drops_oldest: bool = False


def plan_ask(
    ask: Ask,
    conversation: Conversation,
    slot: Slot | None,
    *,
    look_up: Callable[[str], Value],
    resolve: Callable[[Callable[[str], Value]], Choice],
    types: Types | None = None,
    notices: tuple[str, ...] = (),
) -> Plan:
    """Decide what is sent where.

    Args:
        ask: What to ask.
        conversation: The conversation it sees.
        slot: The slot it is kept in, None where it is new or an aside.
        look_up: Finds settings.
        resolve: Finds backend and model.
        types: What the session knows of types; nothing where not given.
        notices: Lines to show beside the answer.

    Raises:
        LLMMagicError: It cannot be sent.
    """
    if not any(message.parts for message in ask.prompt):
        raise ConfigurationError("The prompt is empty.", hint="write the question below %%chat, or after %llm")
    prompt = _signed(ask.prompt, look_up("author").value)
    backend, model = _asked(ask, look_up, resolve)
    info = backend.info()
    system = _system(info, look_up)
    context = Context() if ask.is_fresh else conversation.context(slot.id if slot else None)
    request = _request(ask, context_messages(system, context.messages, prompt), model=model, look_up=look_up)
    base = Turn(
        id=new_id(),
        prompt=prompt,
        backend=info.name,
        requested_model=model,
        system=system,
        settings=request.params,
        tool_names=tuple(tool.name for tool in ask.tools),
        seen=context.seen,
        is_fresh=ask.is_fresh,
        cell_id=ask.cell.cell_id if ask.cell else None,
        notices=notices,
    )
    if ask.is_completion:
        request, base = _completing(ask, request, base, backend)
    asked = request.messages
    facts = checked_facts(look_up("model_info").value or {})
    schema, request, base = typed.planned(request, base, ask, types=types or typed.Types(), info=info, facts=facts)
    if ask.continues is not None:
        asked = (*asked, *continuation.rounds_of(ask.continues))
        request = replace(request, messages=asked)
        request, base = continuation.going_on(ask.continues, request, base, way=info.continues)
    return Plan(
        ask=ask,
        conversation=conversation,
        slot=slot,
        backend=backend,
        info=info,
        request=request,
        base=base,
        asked=asked,
        schema=schema,
        context=context,
        facts=facts,
        drops_oldest=look_up("overflow").value == "drop_oldest",
    )


def _system(info: BackendInfo, look_up: Callable[[str], Value]) -> str | None:
    """The system prompt that is sent, None where none is."""
    system: str | None = look_up("system").value
    if system is None and info.is_local and info.name == "local":
        return LOCAL_SYSTEM
    return system or None


def _request(ask: Ask, messages: tuple[Message, ...], *, model: str, look_up: Callable[[str], Value]) -> Request:
    """What is sent, by the settings in force."""
    request = Request(
        model=model,
        messages=messages,
        params=_with_choice(_params(ask, look_up), tuple(tool.name for tool in ask.tools)),
        tools=tuple(tool.to_openai() for tool in ask.tools),
        is_streaming=look_up("stream").value,
        timeouts=Timeouts(first_byte_s=look_up("first_byte_timeout_s").value, stall_s=look_up("stall_timeout_s").value),
        max_retries=look_up("max_retries").value,
        are_images_inlined=look_up("inline_images").value,
    )
    if request.tools and request.n_answers > 1:
        raise ConfigurationError("Several answers and tools do not go together.", hint="leave out n, or the tools")
    return request


def _completing(ask: Ask, request: Request, base: Turn, backend: Backend) -> tuple[Request, Turn]:
    """The request and turn of an ask that is text to go on with.

    Raises:
        ConfigurationError: The backend has no such completions, or the ask is more than text.
    """
    if not isinstance(backend, Posting) or not backend.has_path("/completions"):
        hint = "leave out --complete, or name a model of a server that has, with -m"
        raise ConfigurationError(f"The backend {backend.name!r} has no text completions.", hint=hint)
    is_text = all(isinstance(part, TextPart) for item in ask.prompt for part in item.parts)
    if ask.is_kept or ask.tools or ask.schema is not None or not is_text:
        hint = "leave out --complete, or --keep, tools, schema, pictures and files"
        raise ConfigurationError("A completion goes on with text, and is no turn of a conversation.", hint=hint)
    request = replace(request, api="completions", messages=ask.prompt)
    return request, replace(base, system=None, seen="", is_fresh=True)


def _asked(
    ask: Ask, look_up: Callable[[str], Value], resolve: Callable[[Callable[[str], Value]], Choice]
) -> tuple[Backend, str]:
    if ask.backend is None:
        choice = resolve(look_up)
        return choice.backend, choice.model
    model = look_up("model").value
    if not model:
        raise ConfigurationError("model is required with a backend of your own.", hint="name it with -m")
    return ask.backend, model


def _params(ask: Ask, look_up: Callable[[str], Value]) -> dict[str, Any]:
    """Request parameters by their OpenAI name: the settings', then the ask's own; None is not sent."""
    params = {name: look_up(name).value for name, row in SETTINGS.items() if row.is_parameter}
    params |= {name: checked_parameter(name, value) for name, value in by_own_names(ask.params).items()}
    if not ask.is_completion and not isinstance(shares := params.get("logprobs"), bool | None):
        hint = "logprobs is true or false; top_logprobs is how many"
        raise ConfigurationError(f"{shares!r} does not fit logprobs.", hint=hint)
    return expanded(params)


def _with_choice(params: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Parameters whose ``tool_choice`` has the protocol's form, where it is the name of a tool that is handed over."""
    choice = params.get("tool_choice")
    if not isinstance(choice, str) or choice in _CHOICES:
        return params
    if choice in names:
        return params | {"tool_choice": {"type": "function", "function": {"name": choice}}}
    # What else there is servers of one's own may know.
    if (meant := nearest(choice, (*names, *_CHOICES))) is not None:
        raise ConfigurationError(f"{choice!r} does not fit tool_choice.", hint=f"did you mean {meant}?")
    return params


def limits_of(look_up: Callable[[str], Value]) -> Limits:
    """How large pictures and tables may be, by the settings in force."""
    names = ("max_image_edge_px", "detail", "frame_rows", "frame_columns", "frame_bytes")
    return Limits(**{name: look_up(name).value for name in names})


def _signed(prompt: tuple[Message, ...], author: str | None) -> tuple[Message, ...]:
    """What the user says, with the user's name."""
    if not author:
        return prompt
    if not NAME.fullmatch(author):
        raise ConfigurationError(f"{author!r} does not fit author.", hint="up to 64 letters, digits, _ and -")
    return tuple(replace(item, name=author) if item.role == "user" and item.name is None else item for item in prompt)
