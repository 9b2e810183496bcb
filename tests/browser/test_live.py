"""The live view in JupyterLab and in Notebook: what is seen while an answer arrives, and that what stays is exact."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from llm_magic.rendering import markdown_html
from tests.browser.lab import Lab
from tests.browser.server import LabServer
from tests.fakes.answers import words
from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Browser, Locator

    from tests.browser.lab import App, Notebook

pytestmark = pytest.mark.browser

# However long a page takes to show its first widget: no test is to depend on it.
PATIENT = "from llm_magic.magics import showing\nshowing.KNOWN_PATIENCE_S = 600"
LOAD = f"%load_ext llm_magic\n{PATIENT}"
ENDLESS = "%%chat -m tokens-20000@100\ncount"
GATED = "%%chat -m gated\nhello"
APPS = pytest.mark.parametrize("app", ["lab", "notebook"])
BAR = re.compile(r"Answering\s*tokens-20000@100 · ~\d+ → ~\d+ tokens · \d+ tokens/s · \d+\.\d s · price unknown\s*Stop")
ANSWERS = sorted((Path(__file__).parents[1] / "fixtures" / "answers").glob("*.md"))
LONGEST_LINK = 80
# Modules of widgets wait until they are released.
HOLD_SCRIPTS = """() => {
  const address = URL.createObjectURL.bind(URL);
  const held = new Promise((resolve) => (window.release = resolve));
  window.held = held;
  URL.createObjectURL = (blob) =>
    address(blob.type === "text/javascript" ? new Blob(["await window.held;\\n", blob], { type: blob.type }) : blob);
}"""
_SIGNS = re.compile(r"\W+")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that answers as its models' names say."""
    with FakeServer() as started:
        yield started


def opened(lab: Lab, server: FakeServer, *cells: str, app: App = "lab") -> Notebook:
    """A notebook of a user who has a key; its cells come behind one that loads."""
    environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-canary", "LLM_MAGIC_MODEL": "echo"}
    notebook = lab.open([LOAD, *cells], environ=environ, app=app)
    notebook.run_cell(0)
    # Notebook has an error of its own while it loads.
    notebook.watch.errors.clear()
    return notebook


def bar(notebook: Notebook, index: int) -> Locator:
    """The bar of a turn that is under way."""
    return notebook.output(index).locator(".llm-magic-bar")


def stop(notebook: Notebook, index: int) -> Locator:
    """The button by its name, as who cannot see it finds it."""
    return notebook.output(index).get_by_role("button", name="Stop answering")


def answer(notebook: Notebook, index: int) -> Locator:
    """The answer while it is live."""
    return notebook.output(index).locator(".llm-magic-answer")


def expect_static(notebook: Notebook, index: int) -> None:
    """Wait until an output holds text and HTML alone, in the page and in the notebook."""
    expect(notebook.output(index).locator(".llm-magic-view, .jupyter-widgets")).to_have_count(0)
    expect(notebook.output(index).locator(".llm-magic").first).to_be_visible()
    (kept,) = [output for output in notebook.saved(index) if output["output_type"] == "display_data"]
    assert set(kept["data"]) == {"text/html", "text/plain"}


def kept_html(notebook: Notebook, index: int) -> str:
    """The saved HTML of a cell's one display."""
    (kept,) = [output for output in notebook.saved(index) if output["output_type"] == "display_data"]
    return "".join(kept["data"]["text/html"])


# States


def answer_and_stop_by_keyboard(notebook: Notebook, server: FakeServer) -> None:
    """The bar tells what is going on; Stop comes behind the cell's own tools; what came is kept, with one line."""
    notebook.run_cell_nowait(1)
    expect(bar(notebook, 1)).to_have_text(BAR)
    # By now the page has said something, after which a kernel looks idle.
    notebook.page.wait_for_function("() => rig.status() === 'busy'")
    answer(notebook, 1).click()
    # The cell has the focus; its toolbar comes first.
    notebook.page.keyboard.press("Tab")
    notebook.page.keyboard.press("Tab")
    expect(stop(notebook, 1)).to_be_focused()
    notebook.page.keyboard.press("Enter")
    notebook.finish()

    server.wait_until(lambda: server.requests[-1].disconnected_at is not None)
    expect_static(notebook, 1)
    shown = notebook.outputs(1).text
    assert "interrupted" in shown
    assert [line for line in shown.splitlines() if line.startswith("Interrupted: ")]
    assert "Traceback" not in shown


def think_aloud(notebook: Notebook, server: FakeServer) -> None:
    """Reasoning is folded; opened, it stays so while it grows; Stop pressed twice is one Stop."""
    notebook.run_cell_nowait(2)
    folded = notebook.output(2).locator("details")
    expect(folded).to_be_visible()
    assert folded.get_attribute("open") is None
    folded.locator("summary").click()
    thoughts = folded.locator("p")
    expect(thoughts.nth(1)).to_be_visible()
    expect(thoughts.nth(2)).to_be_visible()
    assert folded.get_attribute("open") is not None
    expect(bar(notebook, 2)).to_contain_text(re.compile(r"→ ~\d+ \(~\d+ reasoning\) tokens"))
    stop(notebook, 2).dblclick()
    notebook.finish()

    server.wait_until(lambda: server.requests[-1].disconnected_at is not None)
    expect_static(notebook, 2)
    assert notebook.output(2).locator("details").get_attribute("open") is None
    assert len([one for one in notebook.saved(2) if one["output_type"] == "error"]) == 1


def break_off_and_fail(notebook: Notebook) -> None:
    """What broke off is kept and said to be cut; what failed leaves its line alone, and no room for a view."""
    notebook.run_cell(3)
    expect_static(notebook, 3)
    expect(notebook.output(3)).to_contain_text("truncated")
    expect(notebook.output(3)).to_contain_text("StreamInterruptedError")

    notebook.run_cell_nowait(4)
    expect(bar(notebook, 4)).to_contain_text("Waiting")
    notebook.finish()
    assert notebook.outputs(4).text.strip().splitlines() == ["BackendTimeoutError: No whole answer within 2.0 s."]
    heights = notebook.output(4).locator(".jp-OutputArea-child").evaluate_all("all => all.map(one => one.offsetHeight)")
    assert [height > 0 for height in heights] == [False, True]


def wait_for_a_turn(notebook: Notebook, server: FakeServer) -> None:
    """An answer behind another one of its conversation says that it waits, and for what."""
    notebook.run_cell(5)
    server.wait_until(lambda: server.billed[-1].output_tokens > 5)
    expect(answer(notebook, 5)).to_contain_text(words(1)[0])
    notebook.run_cell_nowait(6)
    expect(bar(notebook, 6)).to_contain_text("Waiting: another answer of this conversation is under way")
    stop(notebook, 6).click()
    notebook.finish()
    expect_static(notebook, 6)
    assert notebook.outputs(6).text.strip().splitlines()[-1] == "Interrupted: nothing had arrived"

    # Stopped, and at once the next cell asks: it is not hit.
    stop(notebook, 5).click()
    notebook.run_cell(7)
    expect_static(notebook, 5)
    expect(notebook.output(5)).to_contain_text("interrupted")
    expect_static(notebook, 7)
    expect(notebook.output(7)).to_contain_text("me too")


@APPS
def test_every_state_of_an_answer(lab: Lab, server: FakeServer, app: App) -> None:
    """Waiting, answering, thinking, stopped, broken off, failed, done: seen while it lasts, static when it is over."""
    notebook = opened(
        lab,
        server,
        ENDLESS,
        "%%chat -m ponder\nthink",
        "%%chat -m drop\nhello",
        "%%chat -m silent --timeout 2\nhello",
        "%%chat --background -m tokens-20000@100\ncount",
        "%%chat\nme as well",
        "%%chat\nme too",
        app=app,
    )

    answer_and_stop_by_keyboard(notebook, server)
    think_aloud(notebook, server)
    break_off_and_fail(notebook)
    wait_for_a_turn(notebook, server)

    assert notebook.watch.errors == []
    assert notebook.foreign_requests() == []


# What stays is exact


def expect_exact(notebook: Notebook, index: int, text: str) -> None:
    """Wait until a cell shows, to a letter, what it keeps; that is what the turn's Markdown is rendered to."""
    kept = kept_html(notebook, index)
    notebook.wait_for_text_of(index, ".jp-RenderedHTML", kept)
    assert markdown_html(text) in kept


def test_answers_grow_without_a_flicker_and_stay_as_they_are(lab: Lab, server: FakeServer) -> None:
    """All kinds of Markdown, cut anywhere: no block changes once another follows, and the end changes nothing."""
    text = "\n\n".join(path.read_text(encoding="utf-8") for path in ANSWERS)
    notebook = opened(lab, server, f"%%chat -m shards@0.002 --raw\n{text}", "print(repr(_reply.text))")
    notebook.trace(1)

    notebook.run_cell(1)
    expect_static(notebook, 1)

    # Before the first block there is the front end's own "Loading widget...".
    shown = list(itertools.dropwhile(lambda one: not one["blocks"], notebook.traced))
    assert len(shown) > 10
    assert all(one["size"] for one in shown)
    # At the end, the static output stands in for the view in one frame.
    live = [one["blocks"] for one in shown if one["blocks"]]
    for before, after in itertools.pairwise(live):
        assert after[: len(before) - 1] == before[:-1]
        # The last one may only grow, but for signs that turn out to be markup, and the targets of links.
        assert len(letters(after[len(before) - 1 :])) >= len(letters(before[-1:])) - LONGEST_LINK
    notebook.run_cell(2)
    answered = ast.literal_eval(notebook.outputs(2).text)
    assert answered.strip() == text.strip()
    expect_exact(notebook, 1, answered)


def letters(blocks: Sequence[str]) -> str:
    """What is left of blocks without signs and spaces."""
    return _SIGNS.sub("", "".join(blocks))


def test_pictures_that_were_sent_are_seen_small(lab: Lab, server: FakeServer) -> None:
    """Over the answer, while it arrives and ever after, without a request for them."""
    draw = "from PIL import Image\nphoto = Image.effect_noise((800, 600), 64)"
    notebook = opened(lab, server, draw, "%%chat -m gated\nWhat is in {{ photo }}?")
    notebook.run_cell(1)
    width = "image => image.complete ? image.naturalWidth : 0"

    notebook.run_cell_nowait(2)
    live = notebook.output(2).locator(".llm-magic-view .llm-magic-thumbnail")
    expect(live).to_be_visible()
    assert live.evaluate(width) == 160
    server.open_gate()
    notebook.finish()

    expect_static(notebook, 2)
    kept = notebook.output(2).locator(".llm-magic-thumbnail")
    expect(kept).to_be_visible()
    assert kept.evaluate(width) == 160
    assert notebook.foreign_requests() == []


@APPS
def test_rows_and_items_that_came_later_are_whole(lab: Lab, server: FakeServer, app: App) -> None:
    """In long lists and tables too, formulas are typeset and code has its buttons, while the answer still arrives."""
    item = "1. Some words, then code and a formula $x^2$ in them:\n\n   ```\n   code\n   ```\n\n"
    text = item * 25 + "\n| a | b |\n|---|---|\n" + "| cell | $y_1$ |\n" * 40 + "\n"
    notebook = opened(lab, server, f"%%chat -m shards@0.001 --raw\n{text}{'words ' * 4_000}", app=app)

    notebook.run_cell_nowait(1)
    expect(answer(notebook, 1).locator("tr")).to_have_count(41)
    expect(answer(notebook, 1)).to_contain_text("words words")
    expect(answer(notebook, 1).locator(".llm-magic-code-actions")).to_have_count(25)
    expect(answer(notebook, 1).locator("li mjx-container")).to_have_count(25)
    expect(answer(notebook, 1).locator("td mjx-container")).to_have_count(40)
    stop(notebook, 1).click()
    notebook.finish()

    expect_static(notebook, 1)
    expect(notebook.output(1).locator("li mjx-container")).to_have_count(25)
    expect(notebook.output(1).locator("td mjx-container")).to_have_count(40)


def test_second_view_and_a_selection_survive_the_rest_of_the_answer(lab: Lab, server: FakeServer) -> None:
    """A view made in mid-answer is current; what is selected in a finished paragraph stays selected."""
    notebook = opened(lab, server, ENDLESS, "print(repr(_reply.text))")
    notebook.run_cell_nowait(1)
    paragraphs = answer(notebook, 1).locator("p")
    expect(paragraphs.nth(1)).to_be_visible()
    selected = paragraphs.first.evaluate(
        "one => { getSelection().selectAllChildren(one); window.chosen = one; return getSelection().toString(); }"
    )
    notebook.command("notebook:create-output-view", 1)
    second = notebook.page.locator(".jp-LinkedOutputView")
    expect(second.locator(".llm-magic-answer p").first).to_have_text(selected)
    expect(paragraphs.nth(2)).to_be_visible()
    expect(second.locator(".llm-magic-answer p").nth(2)).to_be_visible()
    assert notebook.page.evaluate("() => [getSelection().toString(), window.chosen.isConnected]") == [selected, True]

    # Stop is heard from whichever view.
    second.get_by_role("button", name="Stop answering").click()
    notebook.finish()
    expect_static(notebook, 1)
    notebook.run_cell(2)
    answered = ast.literal_eval(notebook.outputs(2).text)
    expect_exact(notebook, 1, answered)
    expect(second).to_contain_text(answered.split("\n\n")[-1])
    expect(second.locator(".llm-magic-view")).to_have_count(0)
    assert notebook.watch.errors == []


@pytest.mark.parametrize("manner", ["", "--background "])
def test_reload_in_mid_answer_loses_nothing(lab: Lab, server: FakeServer, manner: str) -> None:
    """The page loaded again, from a notebook saved meanwhile, shows the whole answer when it is there, and keeps it."""
    notebook = opened(lab, server, GATED.replace("-m", f"{manner}-m"))
    notebook.run_cell_nowait(1)
    expect(answer(notebook, 1)).to_have_text("before")
    notebook.save()
    assert "widget-view" in notebook.path.read_text()

    notebook.reload()
    if manner:
        expect(answer(notebook, 1)).to_have_text("before")
        expect(stop(notebook, 1)).to_be_visible()
    server.open_gate()

    expect_static(notebook, 1)
    expect_exact(notebook, 1, "before after")
    notebook.save()
    assert "widget-view" not in notebook.path.read_text()


def test_restart_in_mid_answer_keeps_what_was_seen(lab: Lab, server: FakeServer) -> None:
    """A kernel that ends cannot leave the static output: the page does, with what it has."""
    notebook = opened(lab, server, "%%chat -m stall@20\nhello")
    notebook.run_cell_nowait(1)
    notebook.wait_for_text_of(1, ".llm-magic-answer", markdown_html("".join(words(20))))

    notebook.restart()

    expect_static(notebook, 1)
    expect(notebook.output(1)).to_contain_text("interrupted: the kernel has ended")
    expect_exact(notebook, 1, "".join(words(20)))
    notebook.save()
    assert "widget-view" not in notebook.path.read_text()


def test_script_that_loads_late_or_never_loses_nothing(lab: Lab, server: FakeServer) -> None:
    """What was sent meanwhile is not missing; where the script does not come at all, the answer is seen without it."""
    late = "%%chat -m tokens-300@100\ncount"
    notebook = opened(lab, server, late, "showing.KNOWN_PATIENCE_S = 1", GATED)
    notebook.page.evaluate(HOLD_SCRIPTS)
    notebook.run_cell_nowait(1)
    server.wait_until(lambda: bool(server.billed) and server.billed[-1].output_tokens > 100)
    expect(answer(notebook, 1)).to_have_count(0)
    notebook.page.evaluate("() => release()")
    notebook.finish()
    expect_static(notebook, 1)
    expect_exact(notebook, 1, "".join(words(300)))

    notebook.run_cell(2)
    notebook.page.evaluate(HOLD_SCRIPTS)
    notebook.run_cell_nowait(3)
    expect(notebook.output(3).locator(".llm-magic p")).to_have_text("before")
    server.open_gate()
    notebook.finish()
    expect_static(notebook, 3)
    expect_exact(notebook, 3, "before after")


def test_stop_without_a_control_channel_interrupts_the_cell(lab: Lab, server: FakeServer) -> None:
    """A kernel that hears no page while it is busy is interrupted, with the same end."""
    deaf = (
        "from llm_magic.views.channel import channel_of\n"
        "channel_of(get_ipython())\n"
        "del get_ipython().kernel.control_handlers['llm_magic']"
    )
    notebook = opened(lab, server, f"%llm --quiet hello\n{deaf}", ENDLESS)
    notebook.run_cell(1)

    notebook.run_cell_nowait(2)
    expect(answer(notebook, 2).locator("p").first).to_be_visible()
    stop(notebook, 2).click()
    notebook.finish()

    server.wait_until(lambda: server.requests[-1].disconnected_at is not None)
    expect_static(notebook, 2)
    assert [line for line in notebook.outputs(2).text.splitlines() if line.startswith("Interrupted: ")]


@pytest.fixture
def special_lab(request: pytest.FixtureRequest, browser: Browser, tmp_path: Path) -> Iterator[Lab]:
    """JupyterLab on a server with other options, or without some extensions."""
    with LabServer(tmp_path / "lab", **request.param) as started:
        made = Lab(started, browser)
        yield made
        made.close()


DROPPING = {"options": ["--ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=4"]}
NO_WIDGETS = {"disabled": ["@jupyter-widgets/jupyterlab-manager"]}


@pytest.mark.parametrize("special_lab", [DROPPING], indirect=True)
def test_server_that_drops_messages_delays_but_loses_nothing(special_lab: Lab, server: FakeServer) -> None:
    """Of twenty messages a second four arrive: the answer is whole in the end all the same."""
    notebook = opened(special_lab, server, "%%chat -m tokens-300@100\ncount")

    notebook.run_cell(1)

    assert "IOPub message rate exceeded" in notebook.outputs(1).text
    expect_static(notebook, 1)
    expect_exact(notebook, 1, "".join(words(300)))


@pytest.mark.parametrize("special_lab", [NO_WIDGETS], indirect=True)
def test_front_end_without_widgets_shows_the_answer_all_the_same(special_lab: Lab, server: FakeServer) -> None:
    """It says what it waits for, then shows what has come, and what stays is what stays elsewhere."""
    notebook = opened(special_lab, server, "showing.KNOWN_PATIENCE_S = 1", GATED)
    notebook.run_cell(1)

    notebook.run_cell_nowait(2)
    expect(notebook.output(2)).to_contain_text("asking gated …")
    expect(notebook.output(2).locator(".llm-magic p")).to_have_text("before")
    server.open_gate()
    notebook.finish()

    expect_static(notebook, 2)
    expect_exact(notebook, 2, "before after")
