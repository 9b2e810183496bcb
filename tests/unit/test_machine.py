"""A user's actions in any order, against a plain model of what they mean: lists and dicts, and none of our code.

The model remembers what each turn saw as the list of texts itself, so that staleness is judged by comparison, and
undo as whole former states.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from llm_magic import export, repeats
from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.errors import AuthenticationError, StreamInterruptedError
from llm_magic.events import TextDelta
from llm_magic.session import Session
from llm_magic.slots import Cell
from llm_magic.testing import ScriptedBackend, says

STEPS = 10_000
STEPS_A_RUN = 100
CELLS = [f"cell-{number}" for number in range(6)]
NAMES = ["main", "second", "third"]
NUMBERS = st.integers(0, 999)
ENDS = ["complete", "complete", "complete", "failed", "truncated"]


@dataclass
class Version:
    """One answer: its text, how it ended, and the answers that were sent before it."""

    text: str
    status: str
    seen: tuple[str, ...]


@dataclass
class Place:
    """One turn of the model: whose it is, what it holds, which version counts."""

    key: tuple[str, int] | None
    versions: list[Version] = field(default_factory=list)
    current: int | None = None
    is_hidden: bool = False

    @property
    def text(self) -> str | None:
        """What it sends."""
        return None if self.current is None or self.is_hidden else self.versions[self.current].text


@dataclass
class Talk:
    """A conversation of the model, with all its former states."""

    name: str
    row: list[Place] = field(default_factory=list)
    past: list[list[tuple[int, int | None, bool]]] = field(default_factory=list)
    future: list[list[tuple[int, int | None, bool]]] = field(default_factory=list)
    places: dict[int, Place] = field(default_factory=dict)

    def marks(self) -> list[tuple[int, int | None, bool]]:
        """Which turns there are, in order, and what counts of each: what undo brings back."""
        for place in self.row:
            self.places.setdefault(id(place), place)
        return [(id(place), place.current, place.is_hidden) for place in self.row]

    def changing(self) -> None:
        """Something is about to change."""
        self.past.append(self.marks())
        self.future.clear()

    def restore(self, marks: list[tuple[int, int | None, bool]]) -> None:
        """Be as it was; versions stay."""
        self.row = []
        for number, current, is_hidden in marks:
            place = self.places[number]
            place.current, place.is_hidden = current, is_hidden
            self.row.append(place)

    def sent(self, end: Place | None = None) -> tuple[str, ...]:
        """The answers that an ask of this place is sent with."""
        texts: list[str] = []
        for place in self.row:
            if place is end:
                break
            if place.text is not None:
                texts.append(place.text)
        return tuple(texts)

    def stale(self) -> list[bool]:
        """Which turns saw something else than what stands before them now."""
        return [
            place.current is not None and place.versions[place.current].seen != self.sent(place) for place in self.row
        ]


class Machine(RuleBasedStateMachine):
    """A real session beside the model; both do the same, and are compared after every step."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.session = self.opened()
        self.talks = [Talk("main")]
        self.current = self.talks[0]
        self.deleted: set[str] = set()
        self.asked: dict[str, set[int]] = {}
        self.left: dict[int, set[tuple[str, int]]] = {}
        self.count = 0
        self.requests = 0

    def opened(self) -> Session:
        """A session of the same notebook, on the same store."""
        config = Config(environ={"LLM_MAGIC_STORE": str(Path(self.folder.name) / "store.sqlite3")})
        made = Session(config=config, conversation_type=Conversation, is_kept=True)
        made.note_notebook("talk.ipynb", str(Path(self.folder.name) / "talk.ipynb"))
        return made

    def teardown(self) -> None:
        self.session.close()
        self.folder.cleanup()

    # What users do

    @rule(cell=st.sampled_from([*CELLS, None]), ends=st.lists(st.sampled_from(ENDS), min_size=1, max_size=2))
    def cell_asks(self, cell: str | None, ends: list[str]) -> None:
        """A cell runs and asks once or twice; it stops at the first ask that is not answered whole."""
        self.count += 1
        asker = None if cell is None else Cell(cell_id=cell, run_id=f"run-{self.count}")
        if cell is not None:
            self.session.note_started(cell)
            self.deleted.discard(cell)
        made = set()
        for ordinal, end in enumerate(ends):
            key = None if cell is None else (cell, ordinal)
            talk = self.home(key)
            place = next((place for place in talk.row if key is not None and place.key == key), None)
            made.add(ordinal)
            if cell in self.asked:
                self.asked[cell].add(ordinal)
            self.ask(talk, place or Place(key), Ask(prompt=self.prompt(), cell=asker), end)
            if end != "complete":
                return
        if asker is not None and cell is not None:
            self.session.note_ran(asker)
            self.asked[cell] = made

    @rule()
    def aside(self) -> None:
        """An aside is in the ledger and nowhere else."""
        self.send(Ask(prompt=self.prompt(), is_kept=False), "complete")

    @precondition(lambda self: self.current.row)
    @rule(number=NUMBERS, end=st.sampled_from(ENDS))
    def retry(self, number: int, end: str) -> None:
        """A turn is asked again, where it stands."""
        number %= len(self.current.row)
        self.ask(self.current, self.current.row[number], repeats.again(self.session.current, number + 1), end)

    @rule(cell=st.sampled_from(CELLS))
    def cell_is_deleted(self, cell: str) -> None:
        """The front end tells of it with the next execution."""
        self.session.note_started("another", deleted=[cell])
        self.deleted.add(cell)

    @rule(cell=st.sampled_from(CELLS))
    def cell_runs_without_asking(self, cell: str) -> None:
        """It was edited to do something else."""
        self.count += 1
        self.session.note_started(cell)
        self.session.note_ran(Cell(cell_id=cell, run_id=f"run-{self.count}"))
        self.deleted.discard(cell)
        self.asked[cell] = set()

    @rule()
    def undo(self) -> None:
        """The last change is taken back, where there is one."""
        assert (self.session.current.undo() is not None) == bool(self.current.past)
        if self.current.past:
            marks = self.current.marks()
            self.current.restore(self.current.past.pop())
            self.current.future.append(marks)

    @rule()
    def redo(self) -> None:
        """And made again."""
        assert (self.session.current.redo() is not None) == bool(self.current.future)
        if self.current.future:
            self.current.past.append(self.current.marks())
            self.current.restore(self.current.future.pop())

    @precondition(lambda self: self.current.row)
    @rule(number=NUMBERS, version=NUMBERS)
    def pick(self, number: int, version: int) -> None:
        """Another version counts, if it is one that can."""
        number %= len(self.current.row)
        place, slot = self.current.row[number], self.session.current.slots[number]
        version %= len(place.versions)
        if place.versions[version].status != "failed":
            self.current.changing()
            place.current = version
            self.session.current.pick(slot, slot.versions[version])

    @precondition(lambda self: self.current.row)
    @rule(number=NUMBERS, is_hidden=st.booleans())
    def hide(self, number: int, *, is_hidden: bool) -> None:
        """A turn is left out, or taken in again."""
        number %= len(self.current.row)
        self.current.changing()
        self.current.row[number].is_hidden = is_hidden
        slot = self.session.current.slots[number]
        (self.session.current.hide if is_hidden else self.session.current.unhide)(slot)

    @precondition(lambda self: len(self.current.row) > 1)
    @rule(number=NUMBERS, other=NUMBERS)
    def move(self, number: int, other: int) -> None:
        """A turn is put right before another."""
        number, other = number % len(self.current.row), other % len(self.current.row)
        if number == other:
            return
        slots = self.session.current.slots
        self.session.current.move(slots[number], slots[other])
        self.current.changing()
        place, before = self.current.row[number], self.current.row[other]
        self.current.row.remove(place)
        self.current.row.insert(self.current.row.index(before), place)

    @rule()
    def prune(self) -> None:
        """All turns without a cell are hidden at once."""
        gone = self.session.gone_slots(self.session.current)
        lost = [place for place in self.current.row if self.is_gone(place)]
        assert [slot.id for slot in gone] == [
            slot.id for slot, place in zip(self.session.current.slots, self.current.row, strict=True) if place in lost
        ]
        if lost:
            self.session.current.hide(*gone, what="prune")
            self.current.changing()
            for place in lost:
                place.is_hidden = True

    @rule(name=st.sampled_from(NAMES))
    def new(self, name: str) -> None:
        """A conversation is begun; one of that name is archived."""
        self.session.new(name)
        self.begin(Talk(name))

    @rule(number=NUMBERS)
    def use(self, number: int) -> None:
        """Another conversation is the current one."""
        self.current = self.talks[number % len(self.talks)]
        self.session.use(self.current.name)

    @precondition(lambda self: self.current.row)
    @rule(name=st.sampled_from(NAMES), number=NUMBERS)
    def fork(self, name: str, number: int) -> None:
        """A copy up to a turn goes on by itself."""
        at = 1 + number % len(self.current.row)
        self.session.fork(name, at=at)
        parent, made = self.current, Talk(name, row=copy.deepcopy(self.current.row[:at]))
        keys = {place.key for place in parent.row if place.key is not None}
        self.left[id(made)] = keys | self.left.get(id(parent), set())
        self.begin(made)

    @precondition(lambda self: self.current.row)
    @rule()
    def restart(self) -> None:
        """The kernel is started again, and the conversation taken up; what undo knew and where cells are is gone."""
        self.session.close()
        self.session = self.opened()
        self.session.resume(self.current.name)
        kept = Talk(self.current.name, row=self.current.row)
        # A fresh session has an empty conversation, in whose place one of its name comes.
        self.talks = [Talk("main")]
        self.begin(kept)
        self.deleted, self.asked, self.left = set(), {}, {}

    @rule()
    def round_trip(self) -> None:
        """Dict and frame say all of it."""
        live = self.session.current
        assert isinstance(live, Conversation)
        assert Conversation.from_dict(live.to_dict()) == live
        assert export.from_frame(live.to_frame(), cls=Conversation) == live

    # How the model follows

    def home(self, key: tuple[str, int] | None) -> Talk:
        """Where a cell's ask belongs."""
        holds = [talk for talk in self.talks if any(key is not None and place.key == key for place in talk.row)]
        if self.current in holds or key in self.left.get(id(self.current), set()) or not holds:
            return self.current
        return holds[-1]

    def begin(self, talk: Talk) -> None:
        """A conversation in place of the one of its name."""
        self.talks = [*(other for other in self.talks if other.name != talk.name), talk]
        self.current = talk

    def prompt(self) -> Any:
        """Something to ask."""
        return (message("user", f"question {self.count}"),)

    def ask(self, talk: Talk, place: Place, ask: Ask, end: str) -> None:
        """A kept ask: one more version, which counts if it has something to say."""
        seen = talk.sent(place)
        talk.changing()
        if place not in talk.row:
            talk.row.append(place)
        text = self.send(ask, end)
        place.versions.append(Version(text, end, seen))
        if end != "failed":
            place.current = len(place.versions) - 1

    def send(self, ask: Ask, end: str) -> str:
        """Ask for real; what was answered."""
        self.requests += 1
        text = f"answer {self.requests}"
        scripts: dict[str, Any] = {
            "complete": says(text),
            "failed": [AuthenticationError("No.")],
            "truncated": [TextDelta(text=text), StreamInterruptedError("Cut.")],
        }
        settings_asked = {**ask.settings, "model": "m"}
        made = Ask(
            prompt=ask.prompt,
            conversation=ask.conversation,
            is_kept=ask.is_kept,
            slot=ask.slot,
            cell=ask.cell,
            backend=ScriptedBackend([scripts[end]]),
            settings=settings_asked,
        )
        turn = self.session.ask(made).outcome().turn
        assert turn.status == end
        return "" if end == "failed" else text

    def is_gone(self, place: Place) -> bool:
        """The cell was deleted, or ran to its end without this ask."""
        if place.key is None:
            return False
        cell, ordinal = place.key
        return cell in self.deleted or (cell in self.asked and ordinal not in self.asked[cell])

    # The comparison

    def check_invariants(self, *args: Any, **options: Any) -> None:
        """Compare all there is, after every step."""
        super().check_invariants(*args, **options)
        type(self).steps += 1
        live = [c for c in self.session.conversations if not c.is_archived]
        assert [c.name for c in live] == [talk.name for talk in self.talks]
        assert self.session.current.name == self.current.name
        for conversation, talk in zip(live, self.talks, strict=True):
            self.compare(conversation, talk)
        assert len(self.session.usage_rows("notebook")) == self.requests

    def compare(self, conversation: Any, talk: Talk) -> None:
        """One conversation with its model."""
        stale = conversation.stale()
        for slot, place, is_stale in zip(conversation.slots, talk.row, talk.stale(), strict=True):
            key = None if slot.key is None else (slot.key.cell_id, slot.key.ordinal)
            assert key == place.key
            assert [(turn.text, turn.status) for turn in slot.versions] == [
                (version.text, version.status) for version in place.versions
            ]
            current = None if slot.current is None else slot.versions.index(slot.current)
            assert (current, slot.is_hidden) == (place.current, place.is_hidden)
            assert (slot.id in stale) == is_stale
            assert self.session.is_gone(conversation, slot) == self.is_gone(place)
        assert tuple(turn.text for turn in conversation.before(None)) == talk.sent()


def test_session_does_what_the_model_does() -> None:
    """Ten thousand steps of a user, and no difference."""
    Machine.steps = 0
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=STEPS // STEPS_A_RUN * 2,
            stateful_step_count=STEPS_A_RUN,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Machine.steps >= STEPS
