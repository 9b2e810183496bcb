"""Pictures named by an address, fetched here and sent as data: for servers that do not, or cannot, fetch them.

Comes in: messages. Goes out: the same with the pictures themselves. What was fetched is kept for the next turns, which
send it again; the messages that are kept in the conversation stay as they are. Nothing of the server's goes to the
picture's: neither key nor headers.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..content import ImagePart
from ..errors import RequestRejectedError
from . import endpoint, failures

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..content import Message, Part

    Fetch = Callable[..., Awaitable[bytes]]

LIMIT_BYTES = 20_000_000
TIMEOUT_S = 30.0
_MOST_KEPT = 16
_HINT = "give the picture itself, or %chat config inline_images=off lets the server fetch it"
# What the protocol takes, by its first bytes.
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
)


class Pictures:
    """Fetches pictures, and keeps those fetched last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    def __reduce__(self) -> tuple[type[Pictures], tuple[()]]:
        # What was fetched can be fetched again: it does not travel with a backend.
        return Pictures, ()

    async def inlined(
        self,
        messages: tuple[Message, ...],
        fetch: Fetch,
        *,
        limit_bytes: int = LIMIT_BYTES,
        timeout_s: float = TIMEOUT_S,
    ) -> tuple[Message, ...]:
        """Messages with their pictures in them.

        Args:
            messages: Not changed.
            fetch: Called with an address, ``limit_bytes`` and ``timeout_s``; returns the bytes that are there.
            limit_bytes: Most bytes of a picture.
            timeout_s: Most seconds for a picture.

        Raises:
            RequestRejectedError: A picture cannot be had, is too large, or is none that the protocol takes.
        """
        urls = {part.url for item in messages for part in item.parts if isinstance(part, ImagePart) and part.url}
        if not urls:
            return messages
        wanted = [url for url in sorted(urls) if not url.startswith("data:")]
        found = await asyncio.gather(
            *(self._picture(url, fetch, limit_bytes=limit_bytes, timeout_s=timeout_s) for url in wanted)
        )
        pictures = dict(zip(wanted, found, strict=True))
        return tuple(
            replace(item, parts=tuple(_filled(part, pictures) for part in item.parts))
            if any(isinstance(part, ImagePart) and part.url in pictures for part in item.parts)
            else item
            for item in messages
        )

    async def _picture(self, url: str, fetch: Fetch, *, limit_bytes: int, timeout_s: float) -> tuple[str, bytes]:
        if url in self._kept:
            self._kept.move_to_end(url)
            return self._kept[url]
        shown = endpoint.shown_url(url)
        if urlsplit(url).scheme not in ("http", "https"):
            raise RequestRejectedError(f"{shown} is no address of a picture.", hint="it begins with http or https")
        try:
            data = await fetch(url, limit_bytes=limit_bytes, timeout_s=timeout_s)
        except OverflowError as exc:
            size = f"{limit_bytes / 1_000_000:g} MB"
            raise RequestRejectedError(f"The picture at {shown} has more than {size}.", hint=_HINT) from exc
        except TimeoutError as exc:
            raise RequestRejectedError(f"No picture came from {shown} within {timeout_s:g} s.", hint=_HINT) from exc
        except Exception as exc:  # of whatever transport
            status = getattr(getattr(exc, "response", None), "status_code", None)
            reason = f"HTTP {status}" if status else failures.reason_of(exc)
            raise RequestRejectedError(f"The picture at {shown} cannot be fetched ({reason}).", hint=_HINT) from exc
        kind = next((name for mark, at, name in _KINDS if data[at : at + len(mark)] == mark), None)
        if kind is None:
            raise RequestRejectedError(f"At {shown} is no PNG, JPEG, GIF or WebP picture.", hint=_HINT)
        self._kept[url] = (kind, data)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return kind, data


def _filled(part: Part, pictures: dict[str, tuple[str, bytes]]) -> Part:
    if not isinstance(part, ImagePart) or part.url not in pictures:
        return part
    media_type, data = pictures[part.url]
    return replace(part, url="", data=data, media_type=media_type)
