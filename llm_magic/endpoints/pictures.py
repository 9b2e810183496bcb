"""``image()``: pictures drawn from words, or from other pictures."""

from __future__ import annotations

import asyncio
import base64
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..content import ImagePart
from ..counts import Usage
from ..errors import ContentError
from ..images import decode_image
from ..tokens import count_text
from ..values import image_parts
from .desk import Desk, Endpoint, Said, Sending, blocking, on_engine, usage_of, whole_params

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..backends.base import Backend
    from ..backends.posting import Posted

IMAGES = Endpoint(
    kind="image", api="images", path="/images/generations", feature="pictures", default_model="gpt-image-1"
)
EDITS = Endpoint(
    kind="image", api="images", path="/images/edits", feature="edits of pictures", default_model="gpt-image-1"
)
_FETCH_S, _MOST_BYTES = 60.0, 50_000_000


async def aimage(
    prompt: str,
    *,
    model: str | None = None,
    size: str | None = None,
    quality: str | None = None,
    n: int | None = None,
    image: Any = None,
    mask: Any = None,
    fetch: bool = False,
    backend: Backend | None = None,
    timeout_s: float | None = None,
    **params: Any,
) -> Any:
    """Have a picture drawn.

    Args:
        prompt: What is on it.
        model: The model; None takes gpt-image-1 of OpenAI.
        size: Such as "1024x1024"; None lets the server choose.
        quality: Such as "low"; None lets the server choose.
        n: How many pictures; None means one.
        image: A picture, or a list of them, to draw from: anything that can be sent as a picture, or a path.
        mask: A picture whose transparent parts say where ``image`` may change.
        fetch: Get pictures of which the server sends only an address. Without this, nothing is fetched.
        backend: Asked instead of the configured one.
        timeout_s: Seconds for the request as a whole, None for no limit.
        params: Further request parameters by their OpenAI name.

    Returns:
        A PIL image; a list of them where ``n`` was given.

    Raises:
        LLMMagicError: A picture cannot be read, nobody can be asked, or the request failed.
    """
    if not isinstance(prompt, str) or not prompt.strip():
        raise ContentError("The prompt is empty.", hint="say what is to be on the picture")
    if mask is not None and image is None:
        raise ContentError("A mask needs the picture it belongs to.", hint="image=")
    body = whole_params({"prompt": prompt, "size": size, "quality": quality, "n": n, **params})
    # Encoding takes its time: not on the loop that carries all answers.
    files = () if image is None else await asyncio.to_thread(_files, image, mask)
    desk = Desk(EDITS if files else IMAGES, model=model, backend=backend, timeout_s=timeout_s)

    def estimate() -> Usage:
        tokens = count_text(prompt, desk.model).tokens
        return Usage(input_tokens=tokens, total_tokens=tokens)

    def read(posted: Posted) -> Said[list[Any]]:
        return _read(posted, n=n or 1, may_fetch=fetch)

    # What is drawn is billed by its tokens, which nobody but the server can count.
    sending = Sending(body=body, read=read, estimate=estimate, files=files, is_priced=False)
    found = await on_engine(desk.send(sending))
    drawn = [await asyncio.to_thread(_drawn, item) for item in found]
    return drawn if n is not None else drawn[0]


image = blocking(aimage)


def _files(image: Any, mask: Any) -> tuple[tuple[str, tuple[str, bytes, str]], ...]:
    given = list(image) if isinstance(image, list | tuple) else [image]
    parts = [part for one in given for part in image_parts(one)]
    field = "image" if len(parts) == 1 else "image[]"
    files = [(field, _file(part, f"image-{number}")) for number, part in enumerate(parts, 1)]
    if mask is not None:
        (part,) = image_parts(mask)
        files.append(("mask", _file(part, "mask")))
    return tuple(files)


def _file(part: Any, name: str) -> tuple[str, bytes, str]:
    if not isinstance(part, ImagePart) or not part.data:
        raise ContentError("A picture to draw from cannot be an address.", hint="download it first")
    return f"{name}.{part.media_type.rpartition('/')[2]}", part.data, part.media_type


def _read(posted: Posted, *, n: int, may_fetch: bool) -> Said[list[Any]]:
    wanted = "picture" if n == 1 else f"{n} pictures"
    reply = posted.json(wanted)
    try:
        found = [_bytes_or_url(row) for row in reply["data"]]
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise posted.strange(wanted) from exc
    if len(found) != n:
        raise posted.strange(wanted)
    addresses = [item for item in found if isinstance(item, str)]
    if addresses and not may_fetch:
        host = urlsplit(addresses[0]).hostname
        raise ContentError(
            f"The server sent an address of {host} instead of the picture.",
            hint='fetch=True gets it, response_format="b64_json" asks for the picture itself',
        )
    return Said(value=found, usage=usage_of(reply.get("usage")), model=reply.get("model"))


def _bytes_or_url(row: Any) -> bytes | str:
    if row.get("b64_json"):
        return base64.b64decode(row["b64_json"], validate=True)
    return str(row["url"])


def _drawn(item: bytes | str) -> Image:
    return decode_image(_fetched(item) if isinstance(item, str) else item)


def _fetched(url: str) -> bytes:
    # Without key, cookies or anything else of ours: the address is the server's word.
    if urlsplit(url).scheme not in ("http", "https"):
        raise ContentError(f"{url[:80]!r} is no address of a picture.")
    try:
        with urllib.request.urlopen(url, timeout=_FETCH_S) as opened:  # noqa: S310  # just checked
            data: bytes = opened.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as exc:
        raise ContentError(f"The picture at {urlsplit(url).hostname} cannot be fetched: {exc}.") from exc
    if len(data) > _MOST_BYTES:
        raise ContentError(f"The picture at {urlsplit(url).hostname} is larger than 50 MB.")
    return data
