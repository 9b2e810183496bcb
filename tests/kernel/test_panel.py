"""The chat panel in a real kernel, its page played by the test: what cells and panel ask is one conversation."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.fakes.pages import Store
from tests.fakes.server import FakeServer
from tests.kernel.harness import Kernel, Outcome, Received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.kernel

VIEW = "application/vnd.jupyter.widget-view+json"
WAIT_S = 60.0
LAB, NOTEBOOK = "JupyterLab", "Jupyter Notebook"


class User:
    """A user of a kernel with a panel, and the page that shows it.

    Attributes:
        page: What the page has, once the panel is open.
    """

    def __init__(self, kernel: Kernel, server: FakeServer) -> None:
        self.kernel = kernel
        self.server = server
        self._comm = ""
        self._seen = 0
        self._numbers = itertools.count(1)
        self._page: Store | None = None
        self.heard: list[dict[str, Any]] = []
        self.patches: list[Received] = []

    def run(self, code: str, cell_id: str = "cell") -> Outcome:
        """Run a cell as JupyterLab does."""
        return self.kernel.run(code, cell_id=cell_id)

    def open(self, code: str = "%chat panel") -> Outcome:
        """Show the panel."""
        outcome = self.run(code, "panel").checked()
        self.look()
        return outcome

    def panels(self) -> list[Received]:
        """The panels that the kernel has made."""
        return [message for message in self._opens() if _is_panel(message.content["data"]["state"])]

    def docks(self) -> list[Received]:
        """The docks that the kernel has made."""
        return [
            message
            for message in self._opens()
            if message.content["data"]["state"].get("_model_name") == "SidecarModel"
        ]

    def _opens(self) -> list[Received]:
        return [message for message in self.kernel.messages if message.type == "comm_open"]

    @property
    def whole(self) -> dict[str, Any]:
        """All that the page shows."""
        assert self._page is not None
        whole: dict[str, Any] = self._page.whole
        return whole

    def rows(self) -> list[dict[str, Any]]:
        """The turns that the page shows, in order."""
        return [self.whole["turns"][slot] for slot in self.whole["order"]]

    def look(self) -> None:
        """Take what the kernel has sent to the page."""
        for message in self.kernel.messages[self._seen :]:
            self._seen += 1
            data = message.content.get("data", {}) if message.type.startswith("comm") else {}
            if message.type == "comm_open" and _is_panel(data["state"]):
                self._comm = message.content["comm_id"]
                self._page = Store(data["state"]["snap"])
            elif message.type == "comm_msg" and message.content["comm_id"] == self._comm:
                self._hear(message, data)

    def _hear(self, message: Received, data: dict[str, Any]) -> None:
        if data["method"] == "update":
            self._page = Store(data["state"]["snap"])
        elif data["method"] == "custom" and data["content"]["k"] == "p":
            assert self._page is not None
            self._page.apply(data["content"])
            self.patches.append(message)
        elif data["method"] == "custom":
            self.heard.append(data["content"])

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait until what the page shows, or has heard, is so."""
        deadline = time.monotonic() + WAIT_S
        while True:
            self.look()
            if condition():
                return
            # One more message than have come.
            self.kernel.wait_for(
                lambda _: len(self.kernel.messages) > self._seen, timeout_s=deadline - time.monotonic()
            )

    def say(self, content: dict[str, Any], *, buffers: Sequence[bytes] = (), is_control: bool = False) -> None:
        """Say something to the kernel, by comm or over the control channel."""
        if is_control:
            self.kernel.send("llm_magic", content | {"t": self.whole["t"]}, channel="control")
        else:
            data = {"method": "custom", "content": content}
            self.kernel.send("comm_msg", {"comm_id": self._comm, "data": data}, buffers=buffers)

    def begin(self, name: str, /, *, buffers: Sequence[bytes] = (), **fields: Any) -> int:
        """Send what a button does; gives the request's number."""
        number = next(self._numbers)
        self.say({"k": "do", "id": number, "do": name, **fields}, buffers=buffers)
        return number

    def done(self, number: int) -> dict[str, Any]:
        """The answer to a request."""

        def answers() -> list[dict[str, Any]]:
            return [heard for heard in self.heard if heard["k"] == "done" and heard["id"] == number]

        self.until(answers)
        (answer,) = answers()
        return answer

    def begin_anew(self) -> None:
        """Use an empty conversation, and forget what the page has heard."""
        self.run("%chat new", "new").checked()
        self.until(lambda: self.whole["order"] == [])
        self.heard.clear()
        self.patches.clear()

    def do(self, name: str, /, *, buffers: Sequence[bytes] = (), **fields: Any) -> dict[str, Any]:
        """Do what a button does, and wait for the answer."""
        return self.done(self.begin(name, buffers=buffers, **fields))

    def ask(self, text: str, **fields: Any) -> str:
        """Ask in the panel and wait until it is answered; gives the slot's id."""
        slot: str = self.do("ask", text=text, **fields)["data"]["slot"]
        self.until(lambda: self.state(slot) == "complete")
        return slot

    def state(self, slot: str) -> str | None:
        """The state of a turn."""
        state: str | None = self.row(slot).get("s")
        return state

    def row(self, slot: str) -> dict[str, Any]:
        """A turn as the page shows it, empty where it does not."""
        row: dict[str, Any] = self.whole["turns"].get(slot, {})
        return row

    def text(self) -> str:
        """What ``%chat`` prints."""
        (bundle,) = self.run("%chat", "look").checked().bundles
        return str(bundle["text/plain"])


@contextlib.contextmanager
def started(home: Path) -> Iterator[User]:
    """A user with a key and the extension loaded."""
    environ = {"OPENAI_API_KEY": "sk-panel", "LLM_MAGIC_MODEL": "echo", "LLM_MAGIC_STORE": "memory"}
    with FakeServer() as server, Kernel(home, environ=environ | {"OPENAI_BASE_URL": server.url}) as kernel:
        kernel.run("%load_ext llm_magic").checked()
        yield User(kernel, server)


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """A user who has not opened the panel yet."""
    with started(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def open_panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose panel is open, one a module."""
    with started(tmp_path_factory.mktemp("kernel")) as made:
        made.open()
        yield made


@pytest.fixture
def panel(open_panel: User) -> User:
    """A user whose panel is open and shows an empty conversation."""
    open_panel.begin_anew()
    return open_panel


def _is_panel(state: dict[str, Any]) -> bool:
    # Live views of single turns have a state like it.
    return str(state.get("snap", {}).get("t", "")).endswith("-panel")


def html(row: dict[str, Any]) -> str:
    """The HTML of a row's answer."""
    return "".join(piece if isinstance(piece, str) else piece[1] for piece in row.get("a", []))


def test_cells_and_panel_are_one_conversation(panel: User) -> None:
    """What a cell asks appears in the panel; what the panel asks is in the conversation, the ledger and the next."""
    before = panel.kernel.value("len(__import__('llm_magic').usage('session'))")

    panel.run("%%chat\n*from* a cell", "asking").checked()
    panel.until(lambda: [row["s"] for row in panel.rows()] == ["complete"])
    panel.ask("from the panel {{ 1/0 }}")

    assert [html(row) for row in panel.rows()] == ["<p><em>from</em> a cell</p>\n", "<p>from the panel {{ 1/0 }}</p>\n"]
    assert "2  from the panel {{ 1/0 }}" in panel.text()
    assert panel.kernel.value("len(__import__('llm_magic').usage('session'))") == before + 2
    sent = panel.server.requests[-1].body["messages"]
    assert [message["content"] for message in sent] == ["*from* a cell", "*from* a cell", "from the panel {{ 1/0 }}"]
    assert panel.whole["head"]["totals"].startswith("2 turns · session ")


def test_a_cell_that_blocks_does_not_hold_the_panel(panel: User) -> None:
    """While a cell waits for its answer the panel streams it, can stop it, and an ask waits to be taken."""
    asking = panel.kernel.submit("%%chat -m stall@3\nhold", cell_id="asking")
    panel.until(lambda: [html(row) for row in panel.rows()] not in ([], [""]))

    (slot,) = panel.whole["order"]
    assert panel.state(slot) == "running"
    waiting = panel.begin("ask", text="after it")
    panel.say({"k": "text", "slot": slot}, is_control=True)
    panel.until(lambda: [heard for heard in panel.heard if heard["k"] == "text"])
    assert [heard for heard in panel.heard if heard["k"] == "done"] == []
    panel.say({"k": "stop", "turn": panel.whole["turns"][slot]["w"]}, is_control=True)

    assert panel.kernel.finish(asking).errors[0][0] == "Interrupted"
    assert panel.done(waiting)["ok"]
    panel.until(lambda: [row["s"] for row in panel.rows()] == ["interrupted", "complete"])


TOOL = '''
from llm_magic.magics import showing
showing.KNOWN_PATIENCE_S = 3600
def weather(city: str) -> str:
    """The weather of a city."""
    return f"18 °C in {city}"
'''


def test_a_call_of_a_blocking_cell_is_permitted_in_the_panel(panel: User) -> None:
    """The word names turn and call; whoever else was asked, the first word counts."""
    panel.run(TOOL, "tool").checked()
    asking = panel.kernel.submit(
        '%%chat -m calls --tool weather --raw\n[["weather", {"city": "Paris"}]]', cell_id="asking"
    )
    panel.until(lambda: [row["s"] for row in panel.rows()] == ["asking"])
    (row,) = panel.rows()
    permit = {"k": "permit", "turn": row["w"], "call": row["asks"][0]["call"], "answer": "yes"}

    panel.say(permit | {"turn": "nobody"}, is_control=True)
    panel.say(permit | {"turn": 7}, is_control=True)
    panel.say(permit | {"answer": "sure"}, is_control=True)
    panel.say(permit, is_control=True)
    panel.kernel.finish(asking).checked()

    def taken() -> list[bool]:
        return [heard["is_taken"] for heard in panel.heard if heard["k"] == "ack" and "call" in heard]

    panel.until(lambda: [row["s"] for row in panel.rows()] == ["complete"] and len(taken()) == 3)
    (row,) = panel.rows()
    assert "done</span>: 18 °C in Paris" in html(row)
    assert html(row).endswith("<p>I have: 18 °C in Paris</p>\n")
    assert taken() == [False, False, True]


def test_stop_names_the_turn_it_means(panel: User) -> None:
    """Pressed for a turn that has ended, or for one that never was, it hits nothing else."""
    first = panel.ask("one")
    second = panel.do("ask", text="two")["data"]["slot"]
    panel.do("model", name="stall@3")
    third = panel.do("ask", text="three")["data"]["slot"]
    panel.until(lambda: html(panel.row(third)))

    for turn in (panel.whole["turns"][first]["w"], panel.whole["turns"][second]["w"], "nobody", 7, None):
        panel.say({"k": "stop", "turn": turn}, is_control=True)
    panel.say({"k": "text", "slot": first}, is_control=True)
    panel.until(lambda: [heard for heard in panel.heard if heard["k"] == "text"])

    assert panel.state(third) == "running"
    panel.say({"k": "stop", "turn": panel.whole["turns"][third]["w"]}, is_control=True)
    panel.until(lambda: panel.state(third) == "interrupted")


def test_without_the_extension_it_shows_what_cells_change(user: User) -> None:
    """Python alone may open it; what a cell does to a conversation is seen when the cell has ended."""
    user.run("%unload_ext llm_magic").checked()
    user.open("import llm_magic; llm_magic.panel()")

    user.run("llm_magic.conversation().name = 'half \\ud83d'").checked()

    user.until(lambda: user.whole["head"]["name"] == "half \ufffd")


def test_a_second_panel_is_the_same_one_again(user: User) -> None:
    """Shown again it is one more view of the one model."""
    first = user.open()
    user.ask("one")
    before = user.whole

    second = user.open("import llm_magic; llm_magic.panel()")

    assert len(user.panels()) == 1
    assert user.whole is before
    user.say({"k": "page", "app": NOTEBOOK}, is_control=True)
    shown = user.open()
    models = {bundle[VIEW]["model_id"] for bundle in shown.bundles}
    assert models == {user.panels()[0].content["comm_id"]}
    assert all("text/plain" in bundle for outcome in (first, second, shown) for bundle in outcome.bundles)


def test_in_jupyterlab_it_docks_and_the_output_holds_a_line(user: User) -> None:
    """Once the page has said where it runs, the panel stands beside the notebook, and is shown there again."""
    display = user.open().of_type("display_data")[0].content["transient"]["display_id"]
    user.say({"k": "page", "app": LAB}, is_control=True)
    user.kernel.wait_for(lambda _: bool(user.docks()), timeout_s=WAIT_S)
    user.say({"k": "view"}, is_control=True)

    (dock,) = user.docks()
    (output,) = dock.content["data"]["state"]["outputs"]
    assert output["data"][VIEW]["model_id"] == user.panels()[0].content["comm_id"]
    update = user.kernel.wait_for(lambda message: message.type == "update_display_data", timeout_s=WAIT_S)
    assert update.content["transient"]["display_id"] == display
    assert update.content["data"]["text/plain"] == "The chat panel is beside the notebook; %chat panel shows it again."
    assert VIEW not in update.content["data"]

    user.open()
    user.kernel.wait_for(lambda _: len(user.docks()) == 2, timeout_s=WAIT_S)
    closed = user.kernel.wait_for(lambda message: message.type == "comm_close", timeout_s=WAIT_S)
    assert closed.content["comm_id"] == dock.content["comm_id"]
    assert len(user.panels()) == 1


@pytest.mark.parametrize("application", [NOTEBOOK, None, LAB])
def test_where_it_does_not_dock_it_stands_in_the_output(user: User, application: str | None) -> None:
    """In Notebook, where no page says where it runs, and where a dock shows nothing, the output shows the panel."""
    user.open()
    if application is not None:
        user.say({"k": "page", "app": application}, is_control=True)

    def is_inline(message: Received) -> bool:
        return message.type == "update_display_data" and VIEW in message.content["data"]

    shown = user.kernel.wait_for(is_inline, timeout_s=WAIT_S)

    assert shown.content["data"][VIEW]["model_id"] == user.panels()[0].content["comm_id"]
    assert len(user.docks()) == (application == LAB)


def test_files_and_variables_are_attached(panel: User) -> None:
    """Pictures come as bytes beside the message, variables by name; what is refused leaves nothing behind."""
    encoded = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(encoded, "PNG")
    panel.run("import pandas as pd\ndf = pd.DataFrame({'a': [1]})\nimport math").checked()

    listed = panel.do("names")["data"]
    assert {"name": "df", "type": "DataFrame", "shape": "1 × 1"} in listed
    assert {row["name"] for row in listed}.isdisjoint({"math", "pd", "In", "Out", "get_ipython", "exit"})
    wanted = [{"file": 0, "name": "shot.png", "type": "image/png"}, {"variable": "df"}]
    slot = panel.ask("What?", **{"with": wanted}, buffers=[encoded.getvalue()])
    refused = panel.do("ask", text="And this?", **{"with": [{"file": 0, "name": "x.exe"}]}, buffers=[b"MZ\x00\x01"])

    content = panel.server.requests[-1].body["messages"][-1]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text"]
    assert "<img" in panel.row(slot)["p"]
    assert 'src="data:image/' in panel.row(slot)["p"]
    assert not refused["ok"]
    assert refused["line"] == "x.exe cannot be sent: neither image, PDF, WAV, MP3 nor UTF-8 text."
    assert len(panel.whole["order"]) == 1


def test_a_reloaded_page_has_lost_nothing(panel: User) -> None:
    """A page that asks for the whole in the middle of an answer goes on from there."""
    panel.do("model", name="gated")
    slot = panel.do("ask", text="hold")["data"]["slot"]
    panel.until(lambda: html(panel.row(slot)))
    half = html(panel.whole["turns"][slot])

    panel.kernel.send("comm_msg", {"comm_id": panel._comm, "data": {"method": "request_state"}})
    panel.until(lambda: panel.whole.get("late"))

    assert html(panel.whole["turns"][slot]) == half
    panel.server.open_gate()
    panel.until(lambda: panel.state(slot) == "complete")
    assert html(panel.whole["turns"][slot]) != half


def test_a_page_that_missed_something_is_given_the_whole(panel: User) -> None:
    """Asked with an old number the kernel sends all, with the present one a word."""
    panel.ask("one")
    whole = json.loads(json.dumps(panel.whole))

    panel.say({"k": "need", "q": whole["q"]}, is_control=True)
    panel.until(lambda: {"k": "same"} in panel.heard)
    panel.whole["turns"].clear()
    panel.say({"k": "need", "q": 0}, is_control=True)
    panel.until(lambda: panel.whole["turns"])

    assert panel.whole["turns"] == whole["turns"]


SENSELESS: list[dict[str, Any]] = [
    {},
    {"k": "do"},
    {"k": "do", "id": 1},
    {"k": "do", "id": {}, "do": "ask"},
    {"k": "do", "id": 1, "do": ["ask"]},
    {"k": "need"},
    {"k": "text", "slot": 7},
    {"k": "page", "app": None},
    {"k": "hello", "late": "yes"},
]


def test_what_makes_no_sense_is_heard_and_forgotten(panel: User) -> None:
    """A message of another version, or of nobody, changes nothing and breaks nothing, on either channel."""
    whole = json.loads(json.dumps(panel.whole))

    before = len(panel.kernel.messages)

    for content in SENSELESS:
        panel.say(content)
        panel.say(content, is_control=True)

    refused = panel.do("dance")
    assert refused["line"] == "The panel does not know 'dance'.  Hint: reload the page."
    assert (panel.whole["order"], panel.whole["turns"]) == (whole["order"], whole["turns"])
    panel.ask("still there?")
    assert [message for message in panel.kernel.messages[before:] if message.type in ("error", "stream")] == []


def test_where_there_are_no_widgets_a_line_says_so(user: User) -> None:
    """Programs that run notebooks, and consoles, get one line and no widget."""
    line = "The chat panel needs a notebook with widgets; %chat, %%chat and %llm do the same here.\n"

    assert user.kernel.run("%chat panel").stdout == line
    assert user.kernel.run("import llm_magic; llm_magic.panel()", allow_stdin=True).stdout == line
    assert user.panels() == []


def test_a_long_conversation_opens_quickly(user: User) -> None:
    """A thousand turns: a page gets the last ones, whose HTML is all that is made, and the earlier ones on request."""
    user.run(
        "from llm_magic import conversation\n"
        "from llm_magic.content import message\n"
        "from llm_magic.turns import Turn\n"
        "made = conversation()\n"
        "for number in range(1000):\n"
        "    asked = (message('user', f'question {number}'),)\n"
        "    turn = Turn(id=f'{number:012}', prompt=asked, text='word *word* ' * 200)\n"
        "    made.add_version(made.reserve(None), turn)\n"
    ).checked()

    outcome = user.open()

    assert [row["n"] for row in user.rows()] == list(range(951, 1001))
    assert user.whole["head"]["earlier"] == 950
    user.until(lambda: all(html(row) for row in user.rows()))
    assert outcome.iopub_bytes < 1_000_000
    assert user.do("earlier")["ok"]
    user.until(lambda: len(user.whole["order"]) == 100 and all(html(row) for row in user.rows()))
    assert user.whole["head"]["earlier"] == 900


def test_traffic_grows_with_the_answer(panel: User) -> None:
    """Patches are few and small: the answer of a long stream is sent once."""
    panel.do("model", name="tokens-3000@3000")
    before = len(panel.patches)

    slot = panel.ask("go on")

    sent = panel.patches[before:]
    size = len(html(panel.whole["turns"][slot]).encode())
    assert len(sent) < 60
    assert sum(message.size_bytes for message in sent) < 2 * size + 2_000 * len(sent)


def test_a_cell_that_takes_long_is_told(panel: User) -> None:
    """The page knows that the kernel is busy, and when it is not any more."""
    panel.run("import threading; gate = threading.Event()").checked()

    running = panel.kernel.submit("gate.wait(60)", cell_id="busy")
    panel.until(lambda: panel.whole["head"].get("busy"))
    panel.kernel.interrupt()

    panel.kernel.finish(running)
    panel.until(lambda: "busy" not in panel.whole["head"])
