"""What a backend is: a protocol, and the request it is handed.

A backend turns one :class:`Request` into a stream of events (see ``events.py``). It knows nothing of
conversations, views or the ledger, and keeps no state of a stream on itself.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ..content import Message
    from ..events import Event

# How a backend goes on with a partial answer: as every model does, when it is asked to; or as the beginning of its own.
Continues: TypeAlias = Literal["ask", "prefix"]

Api: TypeAlias = Literal["chat", "completions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait for a server.

    Attributes:
        first_byte_s: From sending the request to the first byte of the reply, in seconds.
        stall_s: Between two bytes of the reply, in seconds.
    """

    first_byte_s: float = 120.0
    stall_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to a model, as it is sent.

    Attributes:
        model: The model's name as the server knows it.
        messages: The whole context in order, the system message (if any) first. Where the backend can, an answer
            goes on from the end of a last message that is the assistant's.
        params: Further request parameters by their OpenAI name (temperature, max_tokens, seed, stop …); values
            are JSON. None values are not sent.
        tools: The tools handed over, in the protocol's own form; nothing is sent where there are none.
        api: What answers: chat; or the completions of before it, which go on with the messages' text as it stands.
        is_streaming: False asks for the answer in one piece; the events are the same.
        timeouts: How long to wait.
        max_retries: How often to try again before the first byte. Count.
        are_images_inlined: Pictures named by an address are fetched here and sent as data.
    """

    model: str
    messages: tuple[Message, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[Mapping[str, Any], ...] = ()
    api: Api = "chat"
    is_streaming: bool = True
    timeouts: Timeouts = Timeouts()
    max_retries: int = 2
    are_images_inlined: bool = False

    @property
    def n_answers(self) -> int:
        """How many answers it asks for. Count."""
        n = self.params.get("n")
        return n if isinstance(n, int) else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendInfo:
    """What is true of a backend as a whole; holds no secret.

    Attributes:
        name: The backend's name in ledger and error messages ("openai", "local", "ollama").
        is_local: True where nothing leaves this machine.
        base_url: Where requests go, without credentials or query.
        organization: The organization billed, None where none is set.
        provider: The provider's id for price look-ups, None where unknown.
        continues: What it takes to let it go on with a partial answer: "prefix" where that can be the last message,
            "ask" where a message has to ask for it.
    """

    name: str
    is_local: bool
    base_url: str
    organization: str | None = None
    provider: str | None = None
    continues: Continues = "ask"


@contextlib.asynccontextmanager
async def closing(stream: AsyncIterator[Event]) -> AsyncIterator[AsyncIterator[Event]]:
    """Close a backend's stream in the end, where it is one that can be closed."""
    try:
        yield stream
    finally:
        if (close := getattr(stream, "aclose", None)) is not None:
            await close()


@runtime_checkable
class Backend(Protocol):
    """Where answers come from."""

    @property
    def name(self) -> str:
        """The backend's name in ledger and error messages."""

    def info(self) -> BackendInfo:
        """What is true of the backend as a whole; costs nothing and asks no server."""

    def stream(self, request: Request) -> AsyncIterator[Event]:
        """Send a request and yield what comes back.

        Closing the iterator closes the connection. Runs on the engine's loop.

        Raises:
            BackendError: One of its children, ``from`` its cause; nothing else.
        """

    async def models(self) -> list[Mapping[str, Any]]:
        """The models the server offers, as it describes them; each has at least ``id``."""

    async def aclose(self) -> None:
        """Close connections and end child processes; the backend may be used again afterwards."""
