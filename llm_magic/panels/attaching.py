"""What a page attaches to an ask becomes parts: variables of the user's namespace, and files by what is in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import ContentError, did_you_mean
from ..files import MAX_FILE_BYTES, part_from_bytes
from ..values import to_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..content import Part
    from ..values import Limits
    from .said import Said

MAX_ATTACHMENTS = 20
_NAME_CHARACTERS = 120
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def attached(
    wanted: Sequence[Said], buffers: Sequence[Any], names: Mapping[str, Any], *, limits: Limits
) -> tuple[Part, ...]:
    """The parts of what is attached, in order.

    Args:
        wanted: Each ``{variable}``, a name, or ``{file, name}``, an index into the buffers.
        buffers: Bytes of the files.
        names: The user's variables.
        limits: How large pictures and tables may be.

    Raises:
        ContentError: There is no such variable, or it or a file cannot be sent.
        ConfigurationError: The page said something else.
    """
    if len(wanted) > MAX_ATTACHMENTS:
        raise ContentError(f"{len(wanted)} attachments are too many: at most {MAX_ATTACHMENTS}.")
    return tuple(part for item in wanted for part in _parts(item, buffers, names, limits))


def _parts(item: Said, buffers: Sequence[Any], names: Mapping[str, Any], limits: Limits) -> Iterator[Part]:
    if "variable" in item:
        yield from _variable(item.text("variable"), names, limits)
    else:
        yield _file(item.number("file"), item.text("name", default="file"), buffers, limits)


def _variable(name: str, names: Mapping[str, Any], limits: Limits) -> tuple[Part, ...]:
    if name not in names:
        known = [known for known in names if not known.startswith("_")]
        raise ContentError(f"No variable is named {name[:_NAME_CHARACTERS]!r}.", hint=did_you_mean(name, known))
    return to_parts(names[name], limits=limits, name=name)


def _file(index: int, name: str, buffers: Sequence[Any], limits: Limits) -> Part:
    # The name alone: a page may say a path, and what a terminal obeys.
    name = _UNSAFE.sub("", re.split(r"[\\/]", name)[-1])[:_NAME_CHARACTERS] or "file"
    if not 0 <= index < len(buffers):
        raise ContentError(f"{name} did not arrive.", hint="attach it again")
    data = memoryview(buffers[index])
    if data.nbytes > MAX_FILE_BYTES:
        size, limit = data.nbytes / 1e6, MAX_FILE_BYTES / 1e6
        raise ContentError(f"{name} is too large: {size:.1f} MB, at most {limit:.0f} MB.")
    if not data.nbytes:
        raise ContentError(f"{name} is empty.")
    try:
        return part_from_bytes(bytes(data), filename=name, max_edge_px=limits.max_image_edge_px, detail=limits.detail)
    except ContentError as exc:
        # What can be done about it in a cell cannot be done here.
        raise ContentError(exc.message) from exc
