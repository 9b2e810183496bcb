"""What a conversation costs as a DataFrame, beside what pandas needs to make the same one from ready columns.

In this process; nobody is asked and nothing is stored.
"""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any

from benchmarks.measures import Measure
from llm_magic.content import ImagePart, Message, TextPart, message
from llm_magic.counts import Usage
from llm_magic.export import COLUMNS, to_frame
from llm_magic.slots import CellKey, Conversation, Slot
from llm_magic.turns import Turn, chained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
ROUNDS = 5


def framing(*, messages: int = 100_000) -> Measure:
    """CPU of ``to_frame()``, beside that of pandas; the least of five, in turns."""
    conversation = conversation_of(messages)
    frame = to_frame(conversation)
    columns = ready_columns(frame)
    assert ready_frame(columns).equals(frame), "the floor makes the same frame"
    ours, floor = _least(lambda: to_frame(conversation), lambda: ready_frame(columns))
    return Measure(
        name=f"{messages:,} messages to a frame, CPU against pandas", ours=ours, floor=floor, unit="s", limit=3
    )


def mixed_framing(*, turns: int = 2000) -> Measure:
    """The same with two versions a turn, and a picture in every tenth question, whose bytes are in the frame."""
    conversation = conversation_of(turns * 2, versions=2, picture_every=10)
    frame = to_frame(conversation)
    columns = ready_columns(frame)
    ours, floor = _least(lambda: to_frame(conversation), lambda: ready_frame(columns))
    name = f"{turns:,} turns with versions and pictures, the same"
    return Measure(name=name, ours=ours, floor=floor, unit="s", limit=4)


def conversation_of(messages: int, *, versions: int = 1, picture_every: int = 0) -> Conversation:
    """A conversation as asking cells make it, with this many messages of current versions."""
    seen, slots = "", []
    for number in range(messages // 2):
        has_picture = bool(picture_every) and number % picture_every == 0
        turns = tuple(_turn(number, version, seen, has_picture=has_picture) for version in range(versions))
        seen = chained(seen, turns[-1].id)
        key = CellKey(cell_id=f"{number:016x}")
        slots.append(Slot(id=f"{number:012x}", key=key, versions=turns, current_id=turns[-1].id))
    return Conversation(name="long", slots=tuple(slots))


def ready_columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """The cells of a frame as Python lists, None where one is missing."""
    return {
        name: [
            None if is_missing else value.to_pydatetime() if COLUMNS[name] == "time" else value
            for value, is_missing in zip(frame[name].tolist(), frame[name].isna(), strict=True)
        ]
        for name in COLUMNS
    }


def ready_frame(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    """The frame that pandas makes of them: no way with these dtypes is quicker that begins with lists."""
    import pandas as pd

    dtypes: dict[str, Any] = {
        "text": pd.StringDtype("python"),
        "count": pd.Int64Dtype(),
        "number": pd.Float64Dtype(),
        "flag": pd.BooleanDtype(),
        "time": pd.DatetimeTZDtype("ns", "UTC"),
    }
    return pd.DataFrame({name: pd.array(values, dtype=dtypes[COLUMNS[name]]) for name, values in columns.items()})


def every_measure() -> list[Measure]:
    """All of them."""
    return [framing(), mixed_framing()]


def _turn(number: int, version: int, seen: str, *, has_picture: bool) -> Turn:
    question = f"What stands out in station {number}'s readings, and what would you look at next?"
    picture = ImagePart(data=PICTURE + number.to_bytes(4, "big"), media_type="image/png", width=640, height=480)
    asked = Message(role="user", parts=(TextPart(text=question), picture)) if has_picture else message("user", question)
    return Turn(
        id=f"{number:08x}{version:04x}",
        prompt=(asked,),
        text=f"Station {number} warmed by {number % 7} degrees – look at its neighbours next.",
        finish_reason="stop",
        usage=Usage(input_tokens=20 + number, output_tokens=15, total_tokens=35 + number),
        cost_usd=0.000_01 * number,
        backend="openai",
        requested_model="gpt-5.4-mini",
        model="gpt-5.4-mini-2026-03-17",
        request_id=f"req_{number:08x}{version}",
        latency_s=1 + number / 7,
        ttft_s=0.3 + number / 70,
        system="Be brief.",
        settings={"temperature": 0.2},
        seen=seen,
        cell_id=f"{number:016x}",
    )


def _least(*works: Callable[[], object]) -> list[float]:
    """The least CPU time of each, measured in turns so that a busy machine is busy for all."""
    spent: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for work, times in zip(works, spent, strict=True):
            gc.collect()
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
    return [min(times) for times in spent]
