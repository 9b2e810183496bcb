"""``map()`` and ``amap()``: ask one question of each row of a column, and get a DataFrame aligned with it.

Every request is an aside of its own, in no conversation, through the session's engine, retries and ledger. Its plan
is made once; then only the prompt changes from row to row.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from .. import api
from ..asks import Ask
from ..content import message
from ..errors import ConfigurationError, Interrupted, SessionBusyError
from ..interrupts import deferred
from ..slots import Cell
from .job import Job
from .progress import Progress, drawing_for, here_of
from .results import COLUMNS, frame_of
from .rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping
    from types import FrameType

    import pandas as pd

    from ..backends.base import Backend
    from ..frontend import Frontend
    from ..interrupts import Interrupts
    from ..session import Session
    from ..values import Limits
    from .rows import Rows

OnError: TypeAlias = Literal["keep", "raise"]
_TICK_S = 0.05
# What belongs to a conversation, and what one answer a row leaves no room for.
_NOT_HERE = {
    "keep": "the answers are in the DataFrame",
    "fresh": "no row sees a conversation",
    "n": "a row has one answer: repeat the column for more",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What a call asks for, checked.

    Attributes:
        session: Whose settings and ledger.
        here: Where the running cell is.
        rows: What is asked.
        ask: How, for the plan.
        limits: How large content may be.
        in_flight: Requests under way at once. Count.
        on_error: What a failed row does.
    """

    session: Session
    here: Frontend
    rows: Rows
    ask: Ask
    limits: Limits
    in_flight: int
    on_error: OnError

    def begin(self) -> Job:
        """Begin to ask.

        Raises:
            LLMMagicError: It cannot be asked at all.
        """
        plan = self.session.plan(self.ask)
        return Job(
            self.session,
            plan,
            self.rows,
            in_flight=self.in_flight,
            limits=self.limits,
            stops_on_error=self.on_error == "raise",
        )


def map(  # noqa: A001  # the name users know; here it is llm_magic.map
    prompts: Iterable[Any] | pd.DataFrame,
    *,
    template: str | None = None,
    schema: Any = None,
    model: str | None = None,
    system: str | None = None,
    in_flight: int = 16,
    progress: bool = True,
    on_error: OnError = "keep",
    **options: Any,
) -> pd.DataFrame:
    """Ask each of many prompts on its own, many at once, and wait for all answers.

    Args:
        prompts: A list or other iterable, a Series, or a DataFrame with ``template``. A prompt is text or any other
            content, a list of those in order, or a list of messages in the protocol's form. Equal ones are asked
            as often as they come.
        template: A prompt with ``{{ }}``, evaluated for every row before the first is asked. Of a DataFrame it sees
            the columns by name and all of them as ``row``, else the prompt as ``value`` (of a Series also by its
            name); then the names of the calling code.
        schema: The type of the answers; their fields become columns.
        model: The model; None takes the one of the current conversation.
        system: The system prompt; None takes that of the current conversation.
        in_flight: How many requests are under way at once.
        progress: Show how far it is, where somebody watches.
        on_error: "keep" leaves an error in its row; "raise" ends with the first and raises it.
        options: As for ``ask()``: ``timeout_s`` (of each request), any setting, any request parameter; ``backend``.

    Returns:
        A row for each prompt, in order, with the index of a Series or DataFrame, else counted from 0. Columns:
        answer, the fields of ``schema`` (``data`` where that is not one object), status (complete, interrupted,
        truncated, failed, not asked), input_tokens,
        output_tokens, cost_usd, latency_s, error (one line, missing where there is none).

    Raises:
        Interrupted: The user interrupted. What was done is in its ``frame``, and in ``last_map()``.
        LLMMagicError: Nothing can be asked, or with ``on_error="raise"`` a row failed. What was done is in
            ``last_map()``.
    """
    named = {"schema": schema, "model": model, "system": system}
    order = _order(prompts, template, named | options, in_flight=in_flight, on_error=on_error, names=_caller())
    if order.session.jobs.is_here:
        raise SessionBusyError("map() was called from inside an answer.", hint="await amap() instead")
    if not order.rows.prompts:
        return _keep(order, None)
    drawn = Progress(drawing_for(order.here) if progress else None)
    with deferred() as interrupts:
        job = order.begin()
        interrupts.attach(job)
        try:
            _watch(job, drawn, interrupts)
        except KeyboardInterrupt:
            job.cancel()
            raise _interrupted(order, job) from None
        drawn.end(job.tally)
    if interrupts.count and job.tally.done < job.tally.total:
        raise _interrupted(order, job)
    return _ended(order, job)


def amap(
    prompts: Iterable[Any] | pd.DataFrame,
    *,
    template: str | None = None,
    schema: Any = None,
    model: str | None = None,
    system: str | None = None,
    in_flight: int = 16,
    progress: bool = False,
    on_error: OnError = "keep",
    **options: Any,
) -> Coroutine[Any, Any, pd.DataFrame]:
    """As :func:`map`, awaited. Cancelling the task stops it; what was done is in ``last_map()``."""
    named = {"schema": schema, "model": model, "system": system}
    # Evaluated here, while the caller's names can still be seen.
    order = _order(prompts, template, named | options, in_flight=in_flight, on_error=on_error, names=_caller())
    return _awaited(order, Progress(drawing_for(order.here) if progress else None))


def last_map() -> pd.DataFrame | None:
    """What the last ``map()`` or ``amap()`` of this session gave, whole or not; None where there was none."""
    return api.session().last_map


def _watch(job: Job, drawn: Progress, interrupts: Interrupts) -> None:
    """Until it is over.

    Raises:
        KeyboardInterrupt: The user insists, and it is not over in time.
    """
    while not job.finished.wait(_TICK_S):
        drawn.tick(job.tally)
        if interrupts.is_insistent:
            raise KeyboardInterrupt


async def _awaited(order: _Order, drawn: Progress) -> pd.DataFrame:
    if not order.rows.prompts:
        return _keep(order, None)
    job = order.begin()
    ending = asyncio.ensure_future(job.ended())
    try:
        while not ending.done():
            await asyncio.wait((ending,), timeout=_TICK_S if drawn.is_on else None)
            drawn.tick(job.tally)
    except asyncio.CancelledError:
        job.cancel()
        await asyncio.wait((ending,))
        _keep(order, job)
        raise
    drawn.end(job.tally)
    return _ended(order, job)


def _order(
    prompts: Any,
    template: str | None,
    options: Mapping[str, Any],
    *,
    in_flight: int,
    on_error: OnError,
    names: Mapping[str, Any],
) -> _Order:
    if not isinstance(in_flight, int) or in_flight < 1:
        raise ConfigurationError(f"{in_flight!r} does not fit in_flight.", hint="a whole number of at least 1")
    if on_error not in get_args(OnError):
        raise ConfigurationError(f"{on_error!r} does not fit on_error.", hint="one of " + ", ".join(get_args(OnError)))
    if template is not None and not isinstance(template, str):
        raise ConfigurationError(f"A template is text, not a {type(template).__name__}.", hint="text with {{ value }}")
    for name in _NOT_HERE.keys() & options.keys():
        raise ConfigurationError(f"map() does not take {name!r}.", hint=_NOT_HERE[name])
    given = {name: value for name, value in options.items() if value is not None}
    # In one piece unless the user wants it otherwise: nobody watches, and it costs less.
    given = {"stream": False} | given
    owner, conversation = api.session(), api.conversation()
    backend: Backend | None = given.pop("backend", None) or conversation.backend
    here = here_of(owner)
    is_cell = here.cell_id is not None and here.run_id is not None
    place = Ask(
        # Only keeps the place of the rows' own.
        prompt=(message("user", "…"),),
        conversation=conversation,
        is_kept=False,
        is_fresh=True,
        kind="map",
        cell=Cell(cell_id=here.cell_id or "", run_id=here.run_id or "") if is_cell else None,
    )
    ask = api.with_options(place, given, backend=backend)
    limits = api.limits_for(owner, conversation, ask.settings)
    rows = rows_of(prompts, template, names, limits)
    return _Order(session=owner, here=here, rows=rows, ask=ask, limits=limits, in_flight=in_flight, on_error=on_error)


def _caller() -> dict[str, Any]:
    """The names that the code which called the public function sees."""
    frame: FrameType = sys._getframe(2)  # noqa: SLF001  # the documented way to a caller's names
    return {**frame.f_globals, **frame.f_locals}


def _keep(order: _Order, job: Job | None) -> pd.DataFrame:
    frame = frame_of(job.settled() if job is not None else [], order.rows.index, order.ask.schema)
    order.session.last_map = frame
    return frame


def _ended(order: _Order, job: Job) -> pd.DataFrame:
    frame = _keep(order, job)
    job.check()
    if job.error is not None and order.on_error == "raise":
        raise job.error
    return frame


def _interrupted(order: _Order, job: Job) -> Interrupted:
    frame = _keep(order, job)
    kept = len(frame) - int((frame["status"] == "not asked").sum())
    error = Interrupted(f"{kept:,} of {len(frame):,} rows were asked; llm_magic.last_map() has them")
    error.frame = frame
    return error


__all__ = ["COLUMNS", "amap", "last_map", "map"]
