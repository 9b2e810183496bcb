"""``embed()``: texts become vectors, batch by batch."""

from __future__ import annotations

import asyncio
import base64
import functools
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, overload

from ..counts import Usage
from ..errors import ContentError
from ..tokens import count_text
from ..values import is_of
from .desk import Desk, Endpoint, Said, Sending, blocking, on_engine, usage_of, whole_params

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from ..backends.base import Backend
    from ..backends.posting import Posted

EMBEDDINGS = Endpoint(
    kind="embed",
    api="embeddings",
    path="/embeddings",
    feature="embeddings",
    default_model="text-embedding-3-small",
)
# What OpenAI takes in one request: texts, and tokens of all of them.
MOST_TEXTS, MOST_TOKENS = 2048, 300_000
# Counting each text exactly would take longer than embedding it; this rather says too many.
_BYTES_A_TOKEN = 3
_REFUSALS = (400, 422)


@overload
async def aembed(texts: pd.Series[Any], **options: Any) -> pd.DataFrame: ...
@overload
async def aembed(texts: str | Iterable[str], **options: Any) -> NDArray[np.float32]: ...
async def aembed(
    texts: Any,
    *,
    model: str | None = None,
    dimensions: int | None = None,
    backend: Backend | None = None,
    timeout_s: float | None = None,
    **params: Any,
) -> Any:
    """The vectors of texts.

    Args:
        texts: One text, an iterable of texts, or a Series of texts.
        model: The model; None takes text-embedding-3-small of OpenAI.
        dimensions: How long the vectors are to be, where the model can choose.
        backend: Asked instead of the configured one.
        timeout_s: Seconds for each request as a whole.
        params: Further request parameters by their OpenAI name.

    Returns:
        float32. Of one text a vector, shape (dimensions,); of several an array of shape (texts, dimensions), in their
        order; of a Series a DataFrame with its index, a column a dimension.

    Raises:
        ContentError: A text is empty, missing or no text; the message says which.
        LLMMagicError: Nobody can be asked, or a request failed. Nothing of the others is given then.
    """
    series: Any = texts if is_of(texts, "pandas", "Series") else None
    is_one = isinstance(texts, str)
    wanted = _checked([texts] if is_one else _listed(texts), None if series is None else list(series.index))
    desk = Desk(EMBEDDINGS, model=model, backend=backend, timeout_s=timeout_s)
    fields = {"dimensions": dimensions, "encoding_format": "base64"} | params
    vectors = await on_engine(_all(desk, wanted, whole_params(fields)))
    if series is None:
        return vectors[0] if is_one else vectors
    import pandas as pd

    return pd.DataFrame(vectors, index=series.index)


@overload
def embed(texts: pd.Series[Any], **options: Any) -> pd.DataFrame: ...
@overload
def embed(texts: str | Iterable[str], **options: Any) -> NDArray[np.float32]: ...
@functools.wraps(aembed)
def embed(texts: Any, **options: Any) -> Any:
    """As :func:`aembed`, and waits."""
    return blocking(aembed)(texts, **options)


embed.__name__ = embed.__qualname__ = "embed"


def _listed(texts: Any) -> list[Any]:
    if is_of(texts, "pandas", "DataFrame"):
        raise ContentError("A DataFrame is no list of texts.", hint='embed(df["text"]) takes a column of it')
    if isinstance(texts, Iterable) and not isinstance(texts, bytes | Mapping):
        return list(texts)
    raise ContentError(
        f"A value of type {type(texts).__name__} is no text.", hint="give a text, a list of texts, a Series"
    )


def _checked(texts: Sequence[Any], names: Sequence[Any] | None) -> list[str]:
    for number, text in enumerate(texts):
        if isinstance(text, str) and text.strip():
            continue
        where = f"Text {number + 1} of {len(texts)}" + (f" (index {names[number]!r})" if names is not None else "")
        is_missing = text is None or (isinstance(text, float) and math.isnan(text))
        is_empty = isinstance(text, str)
        what = "is empty" if is_empty else "is missing" if is_missing else f"is a {type(text).__name__}, not text"
        raise ContentError(f"{where} {what}.", hint="servers refuse it: leave it out")
    return list(texts)


def batches(texts: Sequence[str]) -> list[Sequence[str]]:
    """Texts in rows that servers take at once, in order."""
    found: list[Sequence[str]] = []
    start, tokens = 0, 0
    for number, text in enumerate(texts):
        size = len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN + 1
        if number > start and (number - start >= MOST_TEXTS or tokens + size > MOST_TOKENS):
            found.append(texts[start:number])
            start, tokens = number, 0
        tokens += size
    return [*found, texts[start:]] if texts else []


async def _all(desk: Desk, texts: Sequence[str], params: Mapping[str, Any]) -> NDArray[np.float32]:
    import numpy as np

    if not texts:
        return np.empty((0, 0), dtype=np.float32)
    tasks = [asyncio.create_task(desk.send(_sending(desk.model, batch, params))) for batch in batches(texts)]
    try:
        rows = await asyncio.gather(*tasks)
    except BaseException:
        # One that failed, or the user's interrupt: none of the others is wanted any more.
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    if len({row.shape[1] for row in rows}) > 1:
        raise ContentError("The server sent vectors of several lengths.", hint="embed fewer texts at once")
    return np.concatenate(rows)


def _sending(model: str, texts: Sequence[str], params: Mapping[str, Any]) -> Sending[NDArray[np.float32]]:
    sendable = [text.encode("utf-8", "replace").decode() for text in texts]
    body = {"input": sendable, **params}

    def revise(status: int, words: str) -> Mapping[str, Any] | None:
        # Only a way to say the same: servers that do not know it send numbers.
        if status in _REFUSALS and "encoding_format" in words and body.pop("encoding_format", None):
            return {"model": model, **body}
        return None

    def estimate() -> Usage:
        tokens = sum(count_text(text, model).tokens for text in sendable)
        return Usage(input_tokens=tokens, total_tokens=tokens)

    return Sending(body=body, read=_reader(len(texts)), estimate=estimate, revise=revise)


def _reader(count: int) -> Callable[[Posted], Said[NDArray[np.float32]]]:
    def read(posted: Posted) -> Said[NDArray[np.float32]]:
        import numpy as np

        wanted = f"embeddings of {count} text{'s' if count > 1 else ''}"
        reply = posted.json(wanted)
        try:
            rows: list[Any] = [None] * count
            for place, row in enumerate(reply["data"]):
                rows[row.get("index", place)] = _vector(row["embedding"])
            vectors = np.stack(rows)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as exc:
            raise posted.strange(wanted) from exc
        if len(reply["data"]) != count or vectors.ndim != 2 or not np.isfinite(vectors).all():  # noqa: PLR2004  # texts, dimensions
            raise posted.strange(wanted)
        return Said(value=vectors, usage=usage_of(reply.get("usage")), model=reply.get("model"))

    return read


def _vector(embedding: Any) -> NDArray[np.float32]:
    import numpy as np

    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
    return np.asarray(embedding, dtype=np.float32)
