"""The books: what a session keeps of an answer, under way and when it has ended. On the engine's loop.

Comes in: a plan, and what came of it. Goes out: a version in its slot, rows in the ledger, both in the store.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .archive import Archive
from .gate import Gate
from .keeper import PATIENCE_S
from .ledger import row_from_turn
from .store import Draft

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from .answering import Answer
    from .asks import Plan
    from .ledger import LedgerRow
    from .turns import Turn

# What a kill -9 may lose of an answer is a second of it, the writing included.
DRAFT_EVERY_S = 0.8


class Books(Archive):
    """An archive that answers are entered in.

    Args:
        arguments: See :class:`~llm_magic.archive.Archive`.

    Attributes:
        last: The turn answered last, kept or not.
        gate: What asks pass before they are sent, and what knows what has been spent.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.last: Turn | None = None
        self.gate = Gate(self.config, self.ledger)

    def record(self, row: LedgerRow) -> None:
        """Enter a request in the ledger; :meth:`flush` writes it. From any thread."""
        self.ledger.add(row)
        if self.keeper is not None:
            self.keeper.note(row)

    async def flush(self, *, is_waiting: bool = True) -> None:
        """Write what was recorded, and mostly wait for that, or until the disk is too slow to wait for."""
        if self.keeper is not None:
            writing = self.keeper.keep(None)
            if is_waiting:
                await _waited(writing)

    def note_round(self, plan: Plan, turn: Turn, number: int) -> None:
        """Enter a request in the ledger on which another of its turn follows."""
        row = self.row(plan, turn, number)
        self.ledger.add(row)
        self.gate.pay(plan, row)
        # Those of a turn that is kept are written with it, or with its draft: once, whatever happens.
        if self.keeper is not None and plan.slot is None:
            self.keeper.keep(None, row)

    async def keep_drafts(self, plan: Plan, draft: Callable[[], Answer]) -> None:
        """Write what has come, once a second: as it is to be kept if this process is killed."""
        if self.keeper is None or plan.slot is None:
            return
        while True:
            await asyncio.sleep(DRAFT_EVERY_S)
            answer = draft()
            *earlier, row = self._rows(plan, answer)
            written = Draft(
                turn=answer.turn,
                row=row,
                earlier=tuple(earlier),
                conversation=plan.conversation.id,
                slot=plan.slot.id,
            )
            await _waited(self.keeper.keep_draft(self.snapshot(plan.conversation), written))

    async def keep(self, plan: Plan, answer: Answer) -> None:
        """Keep an answer, whatever became of it: its turn, its ledger rows."""
        turn, rows = answer.turn, self._rows(plan, answer)
        with self.lock:
            if plan.slot is not None:
                plan.conversation.add_version(plan.slot, turn)
                if turn.status != "failed":
                    self.note_told(plan.conversation, plan.gone)
            self.last = turn
            self.ledger.add(rows[-1])
            self.gate.close(plan)
            snapshot = self.snapshot(plan.conversation) if plan.slot is not None else None
        if self.keeper is not None:
            writing = self.keeper.keep(snapshot, *(rows if snapshot is not None else rows[-1:]), ended=turn.id)
            # Who interrupts wants the cell back at once, and all but the last second has been written.
            if turn.status != "interrupted":
                await _waited(writing)

    def _rows(self, plan: Plan, answer: Answer) -> tuple[LedgerRow, ...]:
        return tuple(self.row(plan, turn, number) for number, turn in enumerate(answer.rounds, 1))

    def row(self, plan: Plan, turn: Turn, number: int) -> LedgerRow:
        """The ledger's row for one request of a turn, counted from 1."""
        return row_from_turn(
            turn,
            session=self.id,
            notebook=self.notebook,
            conversation=plan.conversation.name,
            kind=plan.ask.kind or ("chat" if plan.ask.is_kept else "aside"),
            round=number,
            api=plan.request.api,
            organization=plan.info.organization,
        )


async def _waited(writing: Future[None]) -> None:
    """Until it is written, or the disk is too slow to wait for; the keeper tells of its errors itself."""
    waited = asyncio.wrap_future(writing)
    # Looked at, also where it ends after we gave up: asyncio would print what nobody has seen.
    waited.add_done_callback(lambda future: future.cancelled() or future.exception())
    await asyncio.wait((waited,), timeout=PATIENCE_S)
