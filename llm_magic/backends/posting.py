"""One request to another endpoint than chat, and its whole reply: bytes, whatever they hold.

In: a call. Out: what came back. Retries, keys and pace are the connection's; what the bytes mean is for those who ask.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from . import failures
from .connection import Accepted
from .pump import Pump

if TYPE_CHECKING:
    from ..errors import BackendError
    from .connection import Call, Connection, Revise

_SHOWN_BYTES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A reply.

    Attributes:
        data: Its body.
        media_type: As the server says, without parameters; "" where it does not.
        retries: Retries that went before. Count.
        asked: Who was asked for what, for errors of what it holds.
        organization: The one of several that was billed this time, None where none was named.
    """

    data: bytes
    media_type: str
    retries: int
    asked: failures.Asked
    organization: str | None = None

    def json(self, wanted: str) -> dict[str, Any]:
        """The body as a JSON object.

        Args:
            wanted: What it should hold, for the error.

        Raises:
            BackendError: It is none, or an error.
        """
        try:
            read = json.loads(self.data)
        except ValueError as exc:
            raise self.strange(wanted) from exc
        if not isinstance(read, dict):
            raise self.strange(wanted)
        if read.get("error"):
            raise failures.reported(read["error"], self.asked)
        return read

    def strange(self, wanted: str) -> BackendError:
        """The error for a body that is something else than it should be."""
        return failures.no_such_reply(self.data[:_SHOWN_BYTES].decode("utf-8", "replace"), wanted, self.asked)


@runtime_checkable
class Posting(Protocol):
    """A backend with more endpoints than chat."""

    def has_path(self, path: str) -> bool:
        """It knows of an endpoint at that path; the server behind it may refuse it all the same."""

    async def post(self, call: Call, *, revise: Revise | None = None) -> Posted:
        """Send a request and read its reply.

        Raises:
            BackendError: One of its children, ``from`` its cause; nothing else.
        """


async def post(connection: Connection, call: Call, *, revise: Revise | None = None) -> Posted:
    """Send a request over a connection and read its reply; cancelling closes it.

    Raises:
        BackendError: It is not accepted, or the reply breaks off or stalls.
    """
    accepted: Accepted | None = None
    async with contextlib.aclosing(connection.send(call, revise=revise)) as steps:
        async for step in steps:
            if isinstance(step, Accepted):
                accepted = step
    assert accepted is not None
    pieces: list[bytes] = []
    try:
        async with Pump(accepted.response.aiter_bytes()) as pump:
            while (piece := await pump.read(timeout_s=accepted.stall_s)) is not None:
                pieces.append(piece)
    except TimeoutError as exc:
        raise failures.stalled(accepted.stall_s, accepted.asked) from exc
    except Exception as exc:  # of whatever transport: the connection is lost
        raise failures.broken(exc, accepted.asked) from exc
    finally:
        await accepted.response.aclose()
    kind = accepted.response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Posted(
        data=b"".join(pieces),
        media_type=kind,
        retries=accepted.retries,
        asked=accepted.asked,
        organization=accepted.organization,
    )
