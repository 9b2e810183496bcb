"""Asking for the user's word in a real kernel: by buttons while the cell blocks, on standard input, or of nobody."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from tests.fakes.pages import TurnPage
from tests.kernel.conftest import CANARY
from tests.kernel.harness import run_notebook

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.server import FakeServer
    from tests.kernel.conftest import Chat
    from tests.kernel.harness import Outcome

pytestmark = pytest.mark.kernel
TOOLS = '''
import llm_magic
ran = []
def get_weather(city: str) -> str:
    """The weather of a city."""
    ran.append(city)
    return f"18 °C in {city}"
@llm_magic.tool(read_only=True)
def get_time(city: str) -> str:
    """The time in a city."""
    return f"noon in {city}"
'''
PARIS = ["get_weather", {"city": "Paris"}]
ROME = ["get_weather", {"city": "Rome"}]
CLOCK = ["get_time", {"city": "Paris"}]
FOR_EVER_S = 3600


@pytest.fixture
def begun(chat: Chat) -> Chat:
    """The chat kernel with an empty conversation and two functions, defined anew: nothing is allowed for good."""
    chat.begin()
    chat.run(
        "from llm_magic.magics import showing\n"
        f"showing.KNOWN_PATIENCE_S, showing.UNKNOWN_PATIENCE_S = {FOR_EVER_S}, {FOR_EVER_S}",
        "constants",
    ).checked()
    chat.run(TOOLS, "tools").checked()
    return chat


def asking(*calls: list[Any], magic: str = "%%chat", options: str = "") -> str:
    """A cell whose model makes these calls, then says what came of them."""
    return f"{magic} -m calls --tool get_weather --tool get_time --raw {options}\n{json.dumps(calls)}"


def prompts(chat: Chat, request_id: str) -> list[str]:
    """What was asked on the standard input."""
    return [
        message.content["prompt"]
        for message in chat.kernel.messages
        if message.type == "input_request" and message.parent_id == request_id
    ]


def acknowledged(page: TurnPage) -> list[bool]:
    """Of each word on a call that the kernel has heard, whether it counted."""
    return [said["is_taken"] for said in page.said if said["k"] == "ack" and "call" in said]


def answered(chat: Chat, request_id: str, *answers: str) -> Outcome:
    """Answer what a cell asks on the standard input, and wait for its end."""
    for number, answer in enumerate(answers, 1):
        chat.kernel.wait_for(lambda _message, n=number: len(prompts(chat, request_id)) == n, parent_id=None)  # type: ignore[misc]  # n has a default
        chat.kernel.answer(answer)
    return chat.kernel.finish(request_id)


@pytest.mark.capability("D19", "G9")
def test_a_button_runs_a_call_while_the_cell_blocks(begun: Chat) -> None:
    """The read-only function runs by itself; the other one when a page says so; forged and late words do nothing."""
    request_id = begun.kernel.submit(asking(PARIS, CLOCK), cell_id="cell", allow_stdin=True)
    page = TurnPage.of_cell(begun.kernel, request_id)
    page.say("hello")
    page.see(lambda page: page.turn["s"] == "asking" and "noon in Paris" in page.html)
    (asked,) = page.turn["asks"]
    assert (asked["name"], asked["args"]) == ("get_weather", '{\n  "city": "Paris"\n}')
    assert asked["where"].endswith("line 3")

    number = asked["call"]
    for turn, call, answer in (
        ("other", number, "yes"),
        (page.turn["w"], number + 1, "yes"),
        (page.turn["w"], number, "YES"),
    ):
        page.say("permit", turn=turn, call=call, answer=answer)
    page.see(lambda page: len(acknowledged(page)) == 2)
    assert page.turn["s"] == "asking"
    page.say("permit", turn=page.turn["w"], call=number, answer="yes")
    page.say("permit", turn=page.turn["w"], call=number, answer="no")
    page.see(lambda page: page.turn["s"] == "complete" and len(acknowledged(page)) == 4)
    outcome = begun.kernel.finish(request_id).checked()

    assert acknowledged(page) == [False, False, True, False]
    assert prompts(begun, request_id) == []
    assert begun.kernel.value("ran") == ["Paris"]
    assert begun.kernel.value("_reply.text") == "I have: 18 °C in Paris; noon in Paris"
    (kept,) = outcome.bundles
    assert set(kept) == {"text/html", "text/plain"}
    assert page.html in kept["text/html"]
    assert kept["text/plain"].splitlines()[:4] == [
        "Let me look.",
        '[get_weather({"city": "Paris"}): done: 18 °C in Paris]',
        '[get_time({"city": "Paris"}): done: noon in Paris]',
        "I have: 18 °C in Paris; noon in Paris",
    ]


def test_always_is_asked_once_and_deny_is_told(begun: Chat) -> None:
    """Denied, the model hears it; allowed for good, the next call runs by itself."""
    for word, n_ran in (("no", 0), ("always", 1)):
        request_id = begun.kernel.submit(asking(PARIS), cell_id="cell")
        page = TurnPage.of_cell(begun.kernel, request_id)
        page.say("hello")
        page.see(lambda page: page.turn["s"] == "asking")
        page.say("permit", turn=page.turn["w"], call=page.turn["asks"][0]["call"], answer=word)
        begun.kernel.finish(request_id).checked()
        assert len(begun.kernel.value("ran")) == n_ran
        assert ("denied" in begun.kernel.value("_reply.text")) is (word == "no")

    begun.run(asking(ROME), "other").checked()
    assert begun.kernel.value("ran") == ["Paris", "Rome"]


def test_stop_ends_a_turn_that_waits_for_a_word(begun: Chat) -> None:
    """The cell ends with one line, the call has not run, and what was said is kept."""
    request_id = begun.kernel.submit(asking(PARIS), cell_id="cell")
    page = TurnPage.of_cell(begun.kernel, request_id)
    page.say("hello")
    page.see(lambda page: page.turn["s"] == "asking")
    page.stop()
    outcome = begun.kernel.finish(request_id)
    page.see(lambda page: page.turn["s"] == "interrupted")
    page.say("permit", turn=page.turn["w"], call=0, answer="yes")
    page.see(lambda page: acknowledged(page) == [False])

    assert begun.one_line(outcome).startswith("Interrupted")
    assert "asks" not in page.turn
    assert "Let me look." in page.html
    assert begun.kernel.value("ran") == []


def test_a_page_that_is_loaded_again_is_asked_again(begun: Chat) -> None:
    """In the background: its state has the question, and its word counts."""
    outcome = begun.run(asking(PARIS, options="--background"), "cell").checked()
    page = TurnPage.of_cell(begun.kernel, outcome.id)
    page.say("hello")
    page.see(lambda page: page.turn["s"] == "asking")

    page.say("need", q=-1)
    page.see(lambda page: "asks" in page.turn)
    page.say("permit", turn=page.turn["w"], call=page.turn["asks"][0]["call"], answer="yes")

    page.see(lambda page: page.turn["s"] == "complete")
    assert begun.kernel.value("ran") == ["Paris"]


def test_consoles_ask_on_the_standard_input(begun: Chat) -> None:
    """One question after another, in a line each; no page, and no identity of a cell."""
    request_id = begun.kernel.submit(asking(PARIS, ROME), allow_stdin=True)
    outcome = answered(begun, request_id, "y", "what?", "n").checked()

    (first, second, again) = prompts(begun, request_id)
    assert first.startswith('Run get_weather({"city": "Paris"}) from ')
    assert first.endswith("? [y]es, [n]o, [a]lways: ")
    assert second.startswith('Run get_weather({"city": "Rome"}) from ')
    assert again == "Please answer y, n or a: "
    assert begun.kernel.value("ran") == ["Paris"]
    assert '[get_weather({"city": "Paris"}): done: 18 °C in Paris]' in outcome.stdout
    assert '[get_weather({"city": "Rome"}): denied: ' in outcome.stdout


@pytest.mark.parametrize(
    "code",
    [
        asking(PARIS, magic="%%llm", options="--quiet"),
        "reply = %llm -m calls --tool get_weather --raw " + json.dumps([PARIS]),
        f'reply = llm_magic.ask({json.dumps(json.dumps([PARIS]))}, model="calls", tools=[get_weather])',
    ],
)
def test_what_shows_no_page_asks_on_the_standard_input(begun: Chat, code: str) -> None:
    """A quiet cell, a line, and Python: in a notebook too."""
    request_id = begun.kernel.submit(code, cell_id="cell", allow_stdin=True)
    answered(begun, request_id, "yes").checked()

    assert begun.kernel.value("ran") == ["Paris"]


def test_an_interrupt_at_the_prompt_interrupts_the_turn(begun: Chat) -> None:
    """It does not wait for an answer any more; the next cell is unharmed."""
    request_id = begun.kernel.submit(asking(PARIS), allow_stdin=True)
    begun.kernel.wait_for(lambda m: m.type == "input_request", parent_id=request_id)
    begun.kernel.interrupt()
    outcome = begun.kernel.finish(request_id)

    assert begun.one_line(outcome).startswith("Interrupted")
    assert begun.kernel.value("ran") == []
    begun.run("%llm --quiet next", "next").checked()


def test_where_nobody_can_answer_it_is_no_in_one_line(begun: Chat) -> None:
    """A program that runs notebooks takes no questions: the model hears why, and the cell goes on."""
    outcome = begun.kernel.run(asking(PARIS, CLOCK)).checked()

    (bundle,) = outcome.bundles
    assert begun.kernel.value("ran") == []
    assert bundle["text/plain"].count("nobody could be asked: no page shows this answer") >= 1
    assert "noon in Paris" in bundle["text/plain"]


def test_nbclient_gets_a_whole_notebook(tmp_path: Path, chat_server: FakeServer) -> None:
    """Executed without a person: no question hangs, and the notebook says what was not run."""
    cells = ["%load_ext llm_magic", TOOLS, asking(PARIS, CLOCK)]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]  # nbformat's

    ended = run_notebook(notebook, tmp_path, environ={"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": chat_server.url})

    html = ended.cells[-1].outputs[0]["data"]["text/html"]
    assert "denied</span>" in html
    assert "nobody could be asked" in html
    assert "noon in Paris" in html
