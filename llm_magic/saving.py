"""Conversations in files, by suffix. Files are written whole or not at all; loading evaluates nothing.

.json keeps everything, .parquet and .csv the frame, .jsonl the messages as they would be sent, .md a text to
read.
"""

from __future__ import annotations

import csv
import io
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import MissingDependencyError, StoreError
from .export import COLUMNS, from_dict, from_frame, from_jsonl, from_messages, to_dict, to_frame, to_jsonl, to_markdown
from .jsontext import JSON_HINT, json_text, strict_value
from .slots import Conversation

if TYPE_CHECKING:
    import pandas as pd

    from .records import C

_SAVED = (".json", ".jsonl", ".md", ".csv", ".parquet")
_LOADED = (".json", ".jsonl", ".csv", ".parquet")
# A file is for its owner to write and, if the umask lets them, for others to read; never more.
_WIDEST_MODE = 0o644


def save(conversation: Conversation, path: str | os.PathLike[str]) -> Path:
    """Write a conversation to a file; one that is there is replaced in one step.

    Args:
        conversation: What to save. Connection settings (key, address, headers) are left out.
        path: Its suffix says the format: .json, .jsonl, .md, .csv, .parquet. "~" is the home folder.

    Returns:
        The file's path.

    Raises:
        StoreError: The suffix is unknown, the folder is missing, or the disk refuses.
        MissingDependencyError: .parquet without pyarrow.
    """
    target = Path(path).expanduser()
    suffix = _suffix(target, _SAVED, "saved")
    if not target.parent.is_dir():
        raise StoreError(f"There is no folder {target.parent}.", hint="make it first")
    if target.is_dir():
        raise StoreError(f"{target} is a folder.", hint="name a file in it")
    data = encoded(conversation, suffix)
    try:
        _replace(Path(os.path.realpath(target)), data)
    except OSError as exc:
        raise StoreError(f"{target} cannot be written: {exc.strerror or exc}.") from exc
    return target


def load(
    path: str | os.PathLike[str],
    *,
    line: int | None = None,
    cls: type[C] = Conversation,  # type: ignore[assignment]  # the default of C, which mypy does not match up
) -> C:
    """Read a conversation from a file that :func:`save` wrote, or from messages in OpenAI's format (.jsonl, .json).

    Args:
        path: Its suffix says the format: .json, .jsonl, .csv, .parquet.
        line: Which of several conversations in a .jsonl, by a line of it.
        cls: What to make of it.

    Returns:
        A conversation of its own; one of messages alone is called like the file.

    Raises:
        StoreError: The suffix is unknown, the file is missing or damaged, or it holds several conversations.
        MissingDependencyError: .parquet without pyarrow.
    """
    source = Path(path).expanduser()
    suffix = _suffix(source, _LOADED, "loaded")
    if line is not None and suffix != ".jsonl":
        raise StoreError(f"{source} holds one conversation.", hint="only .jsonl has lines to choose from")
    try:
        data = source.read_bytes()
    except OSError as exc:
        raise StoreError(f"{source} cannot be read: {exc.strerror or exc}.") from exc
    try:
        conversation = _decode(data, source, line, cls)
    except UnicodeDecodeError as exc:
        number = data.count(b"\n", 0, exc.start) + 1
        raise StoreError(f"{source}: line {number} is not text in UTF-8.", hint="save it as UTF-8") from exc
    except StoreError as exc:
        raise StoreError(f"{source}: {exc.message}", hint=exc.hint) from exc
    return conversation


def _suffix(path: Path, known: tuple[str, ...], done: str) -> str:
    suffix = path.suffix.lower()
    if suffix in known:
        return suffix
    if suffix in _SAVED:
        raise StoreError(f"{suffix} can be saved and not loaded.", hint=f"{', '.join(known)} can be {done}")
    what = f"files ending in {path.suffix!r}" if path.suffix else "files without a suffix"
    raise StoreError(f"Conversations are not {done} as {what}.", hint=f"use {', '.join(known)}")


def encoded(conversation: Conversation, suffix: str) -> bytes:
    """What a file of this suffix holds of a conversation."""
    match suffix:
        case ".json":
            text = json_text(to_dict(conversation), indent=1) + "\n"
        case ".jsonl":
            text = to_jsonl(conversation)
        case ".md":
            text = to_markdown(conversation)
        case ".csv":
            # All cells quoted: pandas leaves a lone carriage return bare, and then reads it as a row's end.
            text = _clean_frame(conversation).to_csv(index=False, quoting=csv.QUOTE_ALL, lineterminator="\n")
        case _:
            return _to_parquet(_clean_frame(conversation))
    return text.encode("utf-8", "replace")


def _decode(data: bytes, source: Path, line: int | None, cls: type[C]) -> C:
    match source.suffix.lower():
        case ".json":
            return _from_json(data.decode("utf-8-sig"), source, cls)
        case ".jsonl":
            return _named(from_jsonl(data.decode("utf-8-sig"), line=line, cls=cls), source)
        case ".csv":
            return from_frame(_from_csv(data), cls=cls)
        case _:
            return from_frame(_from_parquet(data), cls=cls)


def _from_json(text: str, source: Path, cls: type[C]) -> C:
    value = strict_value(text, "The file", hint=JSON_HINT, has_lines=True)
    is_messages = isinstance(value, list) or (isinstance(value, dict) and "messages" in value and "format" not in value)
    return _named(from_messages(value, cls=cls), source) if is_messages else from_dict(value, cls=cls)


def _named(conversation: C, source: Path) -> C:
    """Messages have no name of their own: they are called like the file."""
    conversation.name = source.stem
    return conversation


def _clean_frame(conversation: Conversation) -> pd.DataFrame:
    """The frame without halves of surrogate pairs, which no file can hold; ``parts`` has them as JSON."""
    frame = to_frame(conversation)
    for name, kind in COLUMNS.items():
        if kind == "text":
            frame[name] = frame[name].map(_encodable, na_action="ignore").astype(frame[name].dtype)
    return frame


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _to_parquet(frame: pd.DataFrame) -> bytes:
    _need_pyarrow()
    file = io.BytesIO()
    frame.to_parquet(file, engine="pyarrow", index=False)
    return file.getvalue()


def _from_parquet(data: bytes) -> pd.DataFrame:
    _need_pyarrow()
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    try:
        # pandas trusts a file that its texts are UTF-8, until somebody looks at them.
        parquet.read_table(io.BytesIO(data)).validate(full=True)
        return pd.read_parquet(io.BytesIO(data), engine="pyarrow")
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as exc:
        raise StoreError("This is not a Parquet file that can be read.") from exc


def _from_csv(data: bytes) -> pd.DataFrame:
    import pandas as pd

    try:
        # As text: from_frame() knows the kinds, and "NA" is a word somebody may have said.
        frame = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig")
    except pd.errors.EmptyDataError as exc:
        raise StoreError("The file is empty.") from exc
    except pd.errors.ParserError as exc:
        raise StoreError(f"This is not a CSV file that can be read: {_one_line(exc)}.") from exc
    if not isinstance(frame.index, pd.RangeIndex):
        # pandas takes what stands before the header's cells for names of rows.
        raise StoreError("The rows have more cells than the header.", hint="is a comma or a quote too many?")
    return frame


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split()).rstrip(".")


def _need_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401, ICN001  # only whether it is there
    except ImportError as exc:
        raise MissingDependencyError(".parquet needs pyarrow.", hint="pip install pyarrow") from exc


def _replace(target: Path, data: bytes) -> None:
    """Write beside the target, then take its place: a crash leaves the old file or the new one."""
    mode = stat.S_IMODE(target.stat().st_mode) & _WIDEST_MODE if target.exists() else _WIDEST_MODE
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(draft, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
