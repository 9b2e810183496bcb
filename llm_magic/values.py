"""Python values become content: the order in which a value is looked at, and the user's own types.

What comes in: any value; for the options ``-i`` and ``-f`` also a path or an address. What goes out: parts,
in the value's order. Types are recognised without importing the package they come from: a value of a package
that is not loaded cannot exist. Pictures are encoded in ``images.py``, tables written in ``tables.py``, files
read in ``files.py``; nothing is fetched and no text is evaluated here.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from .content import AudioPart, Detail, FilePart, ImagePart, Part, TextPart
from .errors import ContentError, LLMMagicError
from .files import checked_url, is_url, part_from_bytes, part_from_path
from .images import encode_image, image_from_array, image_from_bytes, image_from_figure
from .tables import array_part, frame_part, series_part

# A user's function: from a value to text, a part, a picture, or a list of those.
Converter: TypeAlias = Callable[[Any], Any]

_MAX_DEPTH = 10
_IMAGE_MARK = "img:"
_PLAIN = frozenset({bool, complex, float, int, str, type(None)})  # quickly passed over in long lists
_PARTS = (TextPart, ImagePart, AudioPart, FilePart)
_REGISTERED: dict[type, Converter] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large content may be; the settings of the same names.

    Attributes:
        max_image_edge_px: Longest side of a picture, in pixels.
        detail: How closely the model is to look at pictures.
        frame_rows: Most rows of a DataFrame. Count.
        frame_columns: Most columns of a DataFrame. Count.
        frame_bytes: Most bytes of a DataFrame's or an array's text.
    """

    max_image_edge_px: int = 2048
    detail: Detail = "auto"
    frame_rows: int = 20
    frame_columns: int = 30
    frame_bytes: int = 8000


DEFAULT_LIMITS = Limits()


def register_content(kind: type, function: Converter) -> None:
    """Say how values of a type become content; before everything else that would fit.

    Args:
        kind: The type; subclasses follow it unless they have a function of their own.
        function: Called with the value; returns a str, a part, a picture (PIL image, figure, uint8 array), or
            a list of those in order. Registering a type again replaces its function.

    Raises:
        ContentError: ``kind`` is no type, or ``function`` cannot be called.
    """
    if not isinstance(kind, type):
        raise ContentError(f"{kind!r} is not a type.", hint="register_content(type, function)")
    if not callable(function):
        raise ContentError(f"{function!r} cannot be called.", hint="register_content(type, function)")
    _REGISTERED[kind] = function


def to_parts(value: Any, *, limits: Limits = DEFAULT_LIMITS, name: str = "") -> tuple[Part, ...]:
    """The content a value stands for.

    The first that fits: a part itself; a registered type; ``_repr_llm_()``; text; PIL image, matplotlib
    figure (or axes: their figure); DataFrame, Series; array (uint8 of shape (H, W, 3|4) is a picture); path
    and bytes by what is in them, IPython's Audio too; ``_repr_png_``, ``_repr_jpeg_``, the source of ``_repr_svg_``;
    ``str()``. A list or tuple that holds
    anything but plain values stands for its items, in order; one of numbers and text is text as a whole.

    Args:
        value: Anything. Not changed.
        limits: How large content may be.
        name: What the user calls the value ("df"), for labels.

    Returns:
        Parts in order; none for empty text.

    Raises:
        ContentError: The value cannot be sent, or its own conversion failed.
    """
    try:
        parts = _convert(value, limits, name, 0)
    except LLMMagicError:
        raise
    except Exception as exc:  # a value's own code: str(), shape, columns … may raise anything
        raise _failed(value, "its conversion to text", exc) from exc
    return tuple(part for part in parts if not isinstance(part, TextPart) or part.text)


def has_own_content(value: Any) -> bool:
    """Whether a value is content of its own kind, beyond text.

    A part, a picture, a table, a file, a type with a conversion of the user's, or a list that holds any of those.
    """
    if type(value) in _PLAIN:
        return False
    if isinstance(value, list | tuple) and _holds_content(value, 0):
        return True
    return isinstance(value, _PARTS) or _custom(value) is not None or bool(_known(value)) or _shows_itself(value)


def image_parts(source: Any, *, limits: Limits = DEFAULT_LIMITS, name: str = "") -> tuple[Part, ...]:
    """What the option ``-i`` stands for.

    Args:
        source: Any value that is a picture or several; or text: a path, an http(s) address (the server will
            fetch it, nothing is fetched here), or a ``data:`` address.
        limits: How large content may be.
        name: What the user calls the value, for errors.

    Raises:
        ContentError: It is no picture, or there is no such file.
    """
    if isinstance(source, str):
        if is_url(source):
            return (ImagePart(url=checked_url(source), detail=limits.detail),)
        if source[:5].lower() == "data:":
            return (image_from_bytes(_inline_data(source), **_image_options(limits)),)
        source = Path(source)
    parts = to_parts(source, limits=limits, name=name)
    if not parts or not all(isinstance(part, ImagePart) for part in parts):
        shown = str(source) if isinstance(source, os.PathLike) else _described(source, name)
        raise ContentError(f"{shown} is not a picture.", hint="-i takes pictures; -f takes files")
    return parts


def asked_parts(value: Any, *, limits: Limits = DEFAULT_LIMITS) -> tuple[Part, ...]:
    """What a value handed to ``ask()`` stands for: its content, or the picture at "img:ADDRESS".

    An address alone is text: texts are full of them.

    >>> asked_parts("img:https://example.org/a.png")[0].url, asked_parts("https://example.org/a.png")[0].text
    ('https://example.org/a.png', 'https://example.org/a.png')

    Raises:
        ContentError: The value cannot be sent, or the address is not complete.
    """
    if isinstance(value, str) and value.startswith(_IMAGE_MARK) and is_url(value.removeprefix(_IMAGE_MARK)):
        return image_parts(value.removeprefix(_IMAGE_MARK), limits=limits)
    return to_parts(value, limits=limits)


def file_parts(source: Any, *, limits: Limits = DEFAULT_LIMITS, name: str = "") -> tuple[Part, ...]:
    """What the option ``-f`` stands for.

    Args:
        source: A path (text or Path), or any other value.
        limits: How large content may be.
        name: What the user calls the value, for labels.

    Raises:
        ContentError: There is no such file, it cannot be sent, or it is an address: nothing is fetched.
    """
    if isinstance(source, str):
        if is_url(source):
            raise ContentError(
                f"{source[:200]} is an address, not a file.", hint="download it first; -i takes addresses"
            )
        source = Path(source)
    return to_parts(source, limits=limits, name=name)


def _convert(value: Any, limits: Limits, name: str, depth: int) -> tuple[Part, ...]:
    if depth > _MAX_DEPTH:
        raise ContentError(f"{_described(value, name)} is nested more than {_MAX_DEPTH} deep.")
    if isinstance(value, _PARTS):
        parts: tuple[Part, ...] = (value,)
    elif (custom := _custom(value)) is not None:
        parts = _customised(value, custom, limits, name, depth)
    elif isinstance(value, str):
        parts = (TextPart(text=str(value)),)
    elif (convert := _known(value)) is not None:
        parts = (convert(value, limits, name),)
    elif isinstance(value, list | tuple) and _holds_content(value, 0):
        parts = tuple(part for item in value for part in _convert(item, limits, "", depth + 1))
    elif (picture := _own_picture(value, limits)) is not None:
        parts = (picture,)
    elif drawing := _drawing(value):
        parts = (TextPart(text=drawing, label=f"{name}: SVG" if name else "SVG"),)
    else:
        parts = _text(str(value), value, name)
    return parts


def _custom(value: Any) -> Converter | None:
    """The user's own function for a value: registered for its type, or a method of it."""
    for kind in type(value).__mro__:
        if kind in _REGISTERED:
            return _REGISTERED[kind]
    # Looked up on the type: an object that answers to every name does not mean this one, nor does a class.
    method: Converter | None = getattr(type(value), "_repr_llm_", None)
    return method


def _customised(value: Any, custom: Converter, limits: Limits, name: str, depth: int) -> tuple[Part, ...]:
    """Parts from what a user's function returns for a value."""
    try:
        result = custom(value)
    except Exception as exc:
        raise _failed(value, getattr(custom, "__name__", "its conversion"), exc) from exc
    if isinstance(result, str):
        return _text(result, value, name)
    if result is None:
        shown = _described(value, name)
        raise ContentError(f"The conversion of {shown} returned None.", hint="return text, a part, or a list")
    if isinstance(result, list | tuple):
        return tuple(part for item in result for part in _convert(item, limits, name, depth + 1))
    return _convert(result, limits, name, depth + 1)


def _image(value: Any, limits: Limits, _: str) -> Part:
    return encode_image(value, **_image_options(limits))


def _figure(value: Any, limits: Limits, _: str) -> Part:
    return image_from_figure(value, **_image_options(limits))


def _axes(value: Any, limits: Limits, _: str) -> Part:
    figure = value.figure  # of a part of a figure in some layouts, which knows its own
    return image_from_figure(figure if hasattr(figure, "savefig") else figure.figure, **_image_options(limits))


def _frame(value: Any, limits: Limits, name: str) -> Part:
    rows, columns, size = limits.frame_rows, limits.frame_columns, limits.frame_bytes
    return frame_part(value, rows=rows, columns=columns, max_bytes=size, name=name)


def _series(value: Any, limits: Limits, name: str) -> Part:
    return series_part(value, rows=limits.frame_rows, max_bytes=limits.frame_bytes, name=name)


def _array(value: Any, limits: Limits, name: str) -> Part:
    if value.dtype == "uint8" and value.ndim == 3 and value.shape[2] in (3, 4):  # noqa: PLR2004  # (H, W, RGB or RGBA)
        return image_from_array(value, **_image_options(limits))
    return array_part(value, max_bytes=limits.frame_bytes, name=name)


def _path(value: Any, limits: Limits, _: str) -> Part:
    return part_from_path(Path(value), **_image_options(limits))


def _bytes(value: Any, limits: Limits, _: str) -> Part:
    return part_from_bytes(bytes(value), **_image_options(limits))


def _sound(value: Any, limits: Limits, name: str) -> Part:
    if value.data is None:
        raise ContentError(f"{_described(value, name)} holds no sound, only where it is.", hint="Audio(…, embed=True)")
    return _bytes(value.data, limits, name)


# Module, type, conversion: the first whose type a value is of.
_TYPES: tuple[tuple[str, str, Callable[[Any, Limits, str], Part]], ...] = (
    ("PIL.Image", "Image", _image),
    ("matplotlib.figure", "Figure", _figure),
    ("matplotlib.axes", "Axes", _axes),
    ("pandas", "DataFrame", _frame),
    ("pandas", "Series", _series),
    ("numpy", "ndarray", _array),
    ("IPython.lib.display", "Audio", _sound),
    ("os", "PathLike", _path),
    ("builtins", "bytes", _bytes),
    ("builtins", "bytearray", _bytes),
    ("builtins", "memoryview", _bytes),
)


def _known(value: Any) -> Callable[[Any, Limits, str], Part] | None:
    """The conversion of a type that is content of its own kind; None for all others."""
    return next((convert for module, name, convert in _TYPES if is_of(value, module, name)), None)


def is_of(value: Any, module: str, name: str) -> bool:
    """The value is of a type of a module, which is not imported to find out."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _holds_content(values: Any, depth: int) -> bool:
    """A list holds anything that is content of its own kind, so that it stands for its items."""
    for item in values:
        if type(item) in _PLAIN:
            continue
        if isinstance(item, _PARTS) or _custom(item) is not None or _known(item) or _shows_itself(item):
            return True
        if isinstance(item, list | tuple) and depth < _MAX_DEPTH and _holds_content(item, depth + 1):
            return True
    return False


def _shows_itself(value: Any) -> bool:
    return any(hasattr(type(value), method) for method in ("_repr_png_", "_repr_jpeg_", "_repr_svg_"))


def _own_picture(value: Any, limits: Limits) -> ImagePart | None:
    """The picture an object shows of itself in a notebook; None where it has none."""
    for method in ("_repr_png_", "_repr_jpeg_"):
        if not hasattr(type(value), method):
            continue
        shown = getattr(value, method)()
        data = shown[0] if isinstance(shown, tuple) else shown  # (data, metadata) is allowed
        if isinstance(data, str):
            data = base64.b64decode(data)  # and so is base64: IPython's own Image does it
        if data:
            return image_from_bytes(data, **_image_options(limits))
    return None


def _drawing(value: Any) -> str:
    """The source of the drawing an object shows of itself: no model takes SVG as a picture. "" where it has none."""
    shown = value._repr_svg_() if hasattr(type(value), "_repr_svg_") else None
    return (shown[0] if isinstance(shown, tuple) else shown) or ""


def _text(text: str, value: Any, name: str) -> tuple[Part, ...]:
    """Text an object stands for; labelled where it is more than a word in a sentence."""
    label = f"{name}: {type(value).__name__}" if name else type(value).__name__
    return (TextPart(text=text, label=label if "\n" in text else ""),)


def _image_options(limits: Limits) -> dict[str, Any]:
    return {"max_edge_px": limits.max_image_edge_px, "detail": limits.detail}


def _inline_data(source: str) -> bytes:
    """The bytes of a ``data:`` address."""
    head, _, body = source.partition(",")
    try:
        return base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except ValueError as exc:  # base64's own error is one
        raise ContentError(
            f"{source[:40]!r} … is not a complete data address.", hint="data:image/png;base64,…"
        ) from exc


def _described(value: Any, name: str) -> str:
    kind = type(value).__name__
    return f"{name} ({kind})" if name else f"a value of type {kind}"


def _failed(value: Any, what: str, exc: Exception) -> ContentError:
    try:
        reason = " ".join(str(exc).split())[:200]
    except Exception:  # noqa: BLE001  # an exception that cannot tell itself: its type must do
        reason = ""
    said = f"{type(exc).__name__}: {reason}" if reason else type(exc).__name__
    return ContentError(f"A value of type {type(value).__name__} cannot be sent: {what} failed ({said}).")
