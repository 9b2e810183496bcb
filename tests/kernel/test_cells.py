"""What counts as the same cell where: every front end's own requests, in a real kernel. See ``docs/cells.md``."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.frontends import Recorded, names

if TYPE_CHECKING:
    from tests.kernel.conftest import Chat, StartKernel
    from tests.kernel.harness import Kernel, Outcome

pytestmark = pytest.mark.kernel

GONE = "1 turn sent whose cell is gone: %chat prune hides it"
JUPYTER = ("jupyterlab", "notebook")
WITH_IDS = (*JUPYTER, "vscode", "colab")
WITHOUT_IDS = ("nbclient", "papermill", "console")
# Prompts of the slots, versions of each, and which have lost their cell.
_STATE = (
    "[(s.versions[0].prompt[0].text.strip(), len(s.versions), o.is_gone(c, s)) "
    "for a in [__import__('llm_magic.api', fromlist=['api'])] for o in [a.session()] for c in [o.current] "
    "for s in c.slots]"
)
_DETECT = "from llm_magic import frontend\nfound = frontend.detect(get_ipython(), secret=b'of the store')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """A notebook in one front end, on a kernel."""

    front_end: Recorded
    kernel: Kernel
    path: str

    def id(self, cell: str) -> str:
        """What the front end calls a cell."""
        if self.front_end.name == "vscode":
            return f"vscode-notebook-cell:/home/ada/{self.path}.ipynb#W{cell}sZmlsZQ%3D%3D"
        return f"{cell}-{self.front_end.name}"

    def run(self, cell: str, code: str, *, deleted: tuple[str, ...] = ()) -> Outcome:
        """Run a cell; the front end tells what it tells."""
        told = tuple(self.id(one) for one in deleted)
        return self.kernel.replay(self.front_end.request(code, self.id(cell), told))

    def ask(self, cell: str, prompt: str, *, deleted: tuple[str, ...] = ()) -> str:
        """Run a cell that asks, and what it shows."""
        (bundle,) = self.run(cell, f"%%chat\n{prompt}", deleted=deleted).checked().bundles or ({"text/plain": ""},)
        return str(bundle["text/plain"])

    @property
    def slots(self) -> list[tuple[str, int, bool]]:
        """First prompt of each slot, how many versions it has, and whether it has lost its cell."""
        return list(self.kernel.value(_STATE))


_paths = (f"notebook-{number}" for number in itertools.count())


@pytest.fixture
def notebook(chat: Chat, request: pytest.FixtureRequest) -> Notebook:
    """A notebook with cell ids that no test before had, and an empty conversation."""
    chat.begin()
    return Notebook(front_end=Recorded.of(request.param), kernel=chat.kernel, path=next(_paths))


def cells(count: int) -> list[str]:
    """Ids that no other cell has."""
    return [str(next(_numbers)) for _ in range(count)]


_numbers = itertools.count(1)


def each(*front_ends: str) -> pytest.MarkDecorator:
    """Run a test in each of these front ends."""
    return pytest.mark.parametrize("notebook", front_ends, indirect=True)


def test_every_fixture_says_where_it_is_from() -> None:
    """There is one for each front end, and each says whether it was recorded or read."""
    assert set(names()) == {*WITH_IDS, *WITHOUT_IDS}
    for name in names():
        recorded = Recorded.of(name)
        assert recorded.data["front_end"]
        assert recorded.data["origin"].startswith(("recorded", "not recorded"))
        assert recorded.has_ids == (name in WITH_IDS)
        assert recorded.has_deletions == (name in JUPYTER)


# The same cell


@each(*WITH_IDS)
def test_run_again_and_edited(notebook: Notebook) -> None:
    """A cell that runs again, edited or not, adds versions to its turn."""
    (a,) = cells(1)

    for prompt in ("one", "one", "two"):
        notebook.ask(a, prompt)

    assert notebook.slots == [("one", 3, False)]


@each(*WITHOUT_IDS)
def test_without_ids_every_ask_is_a_turn_of_its_own(notebook: Notebook) -> None:
    """Where no cell is told, nothing is matched and nothing is ever gone."""
    for _ in range(2):
        notebook.run("", "%%chat\none").checked()
    notebook.run("", "pass").checked()

    assert notebook.slots == [("one", 1, False), ("one", 1, False)]


# Deleted


@each(*JUPYTER)
def test_deletion_is_seen_and_said_once(notebook: Notebook) -> None:
    """JupyterLab and Notebook tell of a deletion with the next execution."""
    a, b, c = cells(3)
    notebook.ask(a, "one")
    notebook.ask(b, "two")

    shown = [notebook.ask(c, "three", deleted=(a,)), notebook.ask(c, "four")]

    assert [GONE in text for text in shown] == [True, False]
    assert notebook.slots == [("one", 1, True), ("two", 1, False), ("three", 2, False)]
    assert "cell gone" in notebook.run(b, "%chat").bundles[0]["text/plain"]


@each("vscode", "colab")
def test_deletion_that_nobody_tells_is_not_known(notebook: Notebook) -> None:
    """VS Code and Colab do not tell: the turn stays as it is until it is hidden or its cell runs without asking."""
    a, b = cells(2)
    notebook.ask(a, "one")

    notebook.ask(b, "two", deleted=(a,))

    assert notebook.slots == [("one", 1, False), ("two", 1, False)]


@each(*JUPYTER)
def test_undone_deletion_and_paste_after_a_cut_give_the_same_cell(notebook: Notebook) -> None:
    """The id comes back; the front end has told of a deletion, so the turn counts as gone until its cell runs."""
    a, b = cells(2)
    notebook.ask(a, "one")
    notebook.ask(b, "two", deleted=(a,))
    assert notebook.slots[0] == ("one", 1, True)

    notebook.ask(a, "one")

    assert notebook.slots == [("one", 2, False), ("two", 1, False)]


@each(*JUPYTER)
def test_run_all_after_an_undone_deletion_leaves_nothing_gone(notebook: Notebook) -> None:
    """All cells of a Run All tell of the deletion, also those behind the cell that is back."""
    a, b, c = cells(3)
    for cell in (a, b, c):
        notebook.ask(cell, cell)

    for cell in (a, b, c):
        notebook.ask(cell, cell, deleted=(b,))

    assert notebook.slots == [(a, 2, False), (b, 2, False), (c, 2, False)]


@each("vscode")
def test_undo_and_paste_give_another_cell(notebook: Notebook) -> None:
    """VS Code counts a cell that comes back as a new one: it has a turn of its own."""
    before, after = cells(2)
    notebook.ask(before, "one")

    notebook.ask(after, "one")

    assert notebook.slots == [("one", 1, False), ("one", 1, False)]


# Ran without asking


@each(*WITH_IDS)
def test_cell_that_asks_no_more_is_gone_until_it_does(notebook: Notebook) -> None:
    """A cell edited to do something else has given up its turn, and takes it back when it asks again."""
    a, b = cells(2)
    notebook.ask(a, "one")

    notebook.run(a, "1 + 1").checked()
    assert notebook.slots == [("one", 1, True)]
    assert GONE in notebook.ask(b, "two")

    notebook.ask(a, "one")
    assert notebook.slots == [("one", 2, False), ("two", 1, False)]


@each("jupyterlab")
@pytest.mark.parametrize(
    "code",
    [
        "raise ValueError",
        "this is no Python",
        "%%chat\n{{ missing_name }}",
        "import asyncio\nraise await asyncio.sleep(0, KeyboardInterrupt())",
    ],
)
def test_cell_that_fails_before_it_asks_is_not_gone(notebook: Notebook, code: str) -> None:
    """Only a cell that ran to its end says that it asks no more."""
    (a,) = cells(1)
    notebook.ask(a, "one")

    assert notebook.run(a, code).status == "error"

    assert notebook.slots == [("one", 1, False)]


@each("jupyterlab")
def test_interrupted_cell_is_not_gone(notebook: Notebook) -> None:
    """A cell that was stopped says nothing of its asks."""
    (a,) = cells(1)
    notebook.ask(a, "one")
    request = notebook.front_end.request("import time\nprint('begun')\ntime.sleep(120)", notebook.id(a))

    sent = notebook.kernel.send("execute_request", request["content"], metadata=request["metadata"])
    notebook.kernel.wait_for(lambda message: message.type == "stream", parent_id=sent)
    notebook.kernel.interrupt()

    assert notebook.kernel.finish(sent).status == "error"
    assert notebook.slots == [("one", 1, False)]


@each("jupyterlab")
@pytest.mark.parametrize(
    ("code", "is_gone"),
    [
        ("%%chat --dry-run\none", False),
        ("get_ipython().run_cell_magic('chat', '', 'one')", False),
        ("%llm --keep one", False),
        ("%%llm\none", True),
        ("%chat", True),
        ("%chat retry", True),
        ("%%chat -c elsewhere\none", True),
        ("# only a remark", True),
    ],
)
def test_what_counts_as_asking(notebook: Notebook, code: str, *, is_gone: bool) -> None:
    """A kept ask, or the trial of one, in the turn's conversation; asides and commands are no asks of their cell."""
    (a,) = cells(1)
    notebook.ask(a, "one")

    notebook.run(a, code).checked()

    assert [gone for _, _, gone in notebook.slots] == [is_gone]


@each("jupyterlab")
def test_execution_that_is_not_the_users_marks_nothing(notebook: Notebook) -> None:
    """Silent executions, and those that leave no history, are a front end's own."""
    a, b = cells(2)
    notebook.ask(a, "one")
    notebook.ask(b, "two")

    for content in ({"silent": True}, {"store_history": False}):
        request = notebook.front_end.request("1 + 1", notebook.id(a), (notebook.id(b),))
        request["content"] |= content
        notebook.kernel.replay(request).checked()

    assert notebook.slots == [("one", 1, False), ("two", 1, False)]


@each("jupyterlab")
def test_hooks_look_at_anything_and_are_gone_when_unloaded(notebook: Notebook) -> None:
    """Whatever a front end sends, a cell runs without a word of ours; after %unload_ext nothing looks any more."""
    (a,) = cells(1)
    notebook.ask(a, "one")
    for metadata in ({"cellId": 3}, {"deletedCells": 5}, {"deletedCells": [None, ["x"]]}, {"colab": 1, "cellId": ""}):
        outcome = notebook.kernel.replay(notebook.front_end.request("1 + 1") | {"metadata": metadata}).checked()
        assert (outcome.stdout, outcome.stderr) == ("", "")
    # What ipykernel hands on when a cell was interrupted while it awaited something.
    outcome = notebook.run("none", "get_ipython().events.trigger('post_run_cell', None)").checked()
    assert (outcome.stdout, outcome.stderr) == ("", "")
    hooks = "sum(len(v) for v in get_ipython().events.callbacks.values())"
    loaded = notebook.kernel.value(hooks)

    notebook.run("none", "%unload_ext llm_magic").checked()
    assert notebook.kernel.value(hooks) == loaded - 2

    notebook.run("none", "%load_ext llm_magic").checked()
    assert notebook.kernel.value(hooks) == loaded


# Notebooks and kernels


@each(*WITH_IDS)
def test_copy_on_the_same_kernel(notebook: Notebook) -> None:
    """Copies share their cells' ids, and so their turns; VS Code's ids hold the path, and its copies have their own."""
    (a,) = cells(1)
    copy = Notebook(front_end=notebook.front_end, kernel=notebook.kernel, path=next(_paths))
    notebook.ask(a, "one")

    copy.ask(a, "one")

    is_shared = notebook.front_end.name != "vscode"
    assert notebook.slots == ([("one", 2, False)] if is_shared else [("one", 1, False)] * 2)


@each(*WITH_IDS)
def test_renamed_notebook_on_the_same_kernel(notebook: Notebook) -> None:
    """The ids of a renamed notebook's cells stay; VS Code's change with the path."""
    (a,) = cells(1)
    notebook.ask(a, "one")
    renamed = Notebook(front_end=notebook.front_end, kernel=notebook.kernel, path=next(_paths))

    renamed.ask(a, "two")

    is_same = notebook.front_end.name != "vscode"
    assert notebook.slots == ([("one", 2, False)] if is_same else [("one", 1, False), ("two", 1, False)])


@each(*WITH_IDS)
def test_two_kernels_name_the_same_cell_alike(notebook: Notebook, start_kernel: StartKernel) -> None:
    """A second kernel on the notebook, a copy's kernel, a restarted one: where ids are stable, the cell's name is too.

    VS Code's cells have other names in each kernel, and the same source.
    """
    (a,) = cells(1)
    other = Notebook(front_end=notebook.front_end, kernel=start_kernel(), path=notebook.path)

    def found() -> list[Any]:
        both = []
        for one in (notebook, other):
            one.run(a, _DETECT).checked()
            both.append(one.kernel.value("(found.kind, found.cell_id, found.source)"))
        return both

    here, there = found()
    other.kernel.restart()
    _, restarted = found()

    is_stable = notebook.front_end.name != "vscode"
    assert len({here[1], there[1], restarted[1]}) == (1 if is_stable else 3)
    assert here[2] == there[2] == restarted[2]
    assert (here[2] is None) == is_stable


def test_cells_deleted_before_the_first_magic_are_known(start_kernel: StartKernel, chat: Chat) -> None:
    """Who deletes cells right after a restart finds their turns marked when the conversation comes back."""
    kernel = start_kernel(environ=chat.kernel.environ)
    notebook = Notebook(front_end=Recorded.of("jupyterlab"), kernel=kernel, path="mine")
    kernel.run("%load_ext llm_magic").checked()
    for cell in ("a", "b", "c"):
        notebook.ask(cell, cell)
    kernel.run("%chat save chat.json").checked()
    kernel.restart()

    notebook.run("load", "%load_ext llm_magic").checked()
    notebook.run("load", "1 + 1", deleted=("a", "b")).checked()
    notebook.run("b", "1 + 1").checked()
    notebook.run("load", "%chat load chat.json").checked()

    assert notebook.slots == [("a", 1, True), ("b", 1, False), ("c", 1, False)]


def test_cell_of_a_former_session_is_found_by_its_source(start_kernel: StartKernel, chat: Chat) -> None:
    """A new window of VS Code numbers cells anew: the same code in the same notebook is the same cell."""
    kernel = start_kernel(environ=chat.kernel.environ)
    notebook = Notebook(front_end=Recorded.of("vscode"), kernel=kernel, path="mine")
    begin = "%load_ext llm_magic\nfrom llm_magic import api"
    kernel.run(begin).checked()
    notebook.ask("1", "one")
    notebook.ask("2", "two")
    kernel.run("%chat save chat.json").checked()
    kernel.restart()
    kernel.run(f"{begin}\n%chat load chat.json").checked()

    notebook.ask("8", "one")
    notebook.ask("9", "two, edited")
    notebook.ask("8", "one, edited later")

    assert notebook.slots == [("one", 3, False), ("two", 1, False), ("two, edited", 1, False)]
