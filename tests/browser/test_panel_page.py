"""The panel's page in a bare Chromium, without Jupyter: keys, attachments, turns, patches; by ear and by keyboard."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.panel_page import PanelPage, turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, FilePayload

    from tests.browser.panel_page import Theme

Opened: TypeAlias = "Callable[..., PanelPage]"

pytestmark = pytest.mark.browser

LONG = f"<pre><code>{'long ' * 100}</code></pre>"
CODE = '<div class="highlight"><pre><code><span class="k">import</span> os\nprint(os.name)\n</code></pre></div>\n'
RUNNING = {"s": "running", "foot": "", "e": None, "fig": {"model": "gpt-5.4-mini", "age": 0.5}}
PNG = ("image/png", 2000)


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., PanelPage]]:
    """Opens panels for one test; none of them may have had an error."""
    pages: list[PanelPage] = []

    def open_page(*args: Any, **options: Any) -> PanelPage:
        pages.append(PanelPage(browser, *args, **options))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()
    assert [error for page in pages for error in page.errors] == []


# Writing


def test_enter_sends_and_shift_enter_breaks_the_line(opened: Opened) -> None:
    """Enter sends what is written and empties the field; with Shift it breaks the line; nothing is not sent."""
    panel = opened()
    panel.message.press("Enter")
    panel.message.press_sequentially("one")
    panel.message.press("Shift+Enter")
    panel.message.press_sequentially("two")

    panel.message.press("Enter")

    expect(panel.message).to_have_value("")
    assert panel.requests == [{"do": "ask", "text": "one\ntwo", "with": [], "buffers": []}]


def test_enter_that_ends_a_composition_does_not_send(opened: Opened) -> None:
    """While an input method composes, its Enter is its own."""
    panel = opened()
    panel.message.fill("にほん")

    panel.message.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    panel.message.dispatch_event("keydown", {"key": "Enter", "keyCode": 229})

    expect(panel.message).to_have_value("にほん")
    assert panel.requests == []


def test_the_message_grows_with_its_text(opened: Opened) -> None:
    """A long message is seen whole, up to a height; sent, the field is low again."""
    panel = opened()
    low = panel.message.bounding_box()
    panel.message.fill("a line\n" * 6)
    high = panel.message.bounding_box()
    panel.message.fill("a line\n" * 60)
    highest = panel.message.bounding_box()
    panel.message.press("Enter")

    assert low is not None
    assert high is not None
    assert highest is not None
    assert low["height"] < high["height"] < highest["height"] < 300
    expect(panel.message).to_have_js_property("offsetHeight", low["height"])


def test_up_recalls_earlier_questions(opened: Opened) -> None:
    """Up in an empty field goes back through what was asked, Down forth again; what is written is left alone."""
    panel = opened({"s1": turn(1), "s2": turn(2), "s3": turn(3, e=None)})

    shown = []
    for key in ("ArrowUp", "ArrowUp", "ArrowUp", "ArrowDown", "ArrowDown"):
        panel.message.press(key)
        shown.append(panel.message.input_value())
    panel.message.fill("mine")
    panel.message.press("ArrowUp")

    assert shown == ["Question 2", "Question 1", "Question 1", "Question 2", ""]
    expect(panel.message).to_have_value("mine")


def test_escape_stops_the_answer_that_runs(opened: Opened) -> None:
    """Escape says stop with the turn's id, and only where something runs."""
    panel = opened({"s1": turn(1)})
    panel.message.press("Escape")
    panel.put("s2", **turn(2, **RUNNING))
    panel.patch(order=["s1", "s2"])
    expect(panel.turn(2)).to_be_visible()

    panel.message.press("Escape")

    stops = [said for said in panel.said if said["k"] == "stop"]
    assert [said["turn"] for said in stops] == ["turn-2"]


def test_the_send_button_stops_while_there_is_nothing_to_send(opened: Opened) -> None:
    """While an answer runs the button is Stop, and Send as soon as something is written."""
    panel = opened({"s1": turn(1, **RUNNING)})
    expect(panel.button("Stop the answer")).to_be_enabled()

    panel.message.fill("next")
    expect(panel.button("Send")).to_be_enabled()
    panel.message.fill("")
    panel.button("Stop the answer").click()

    assert [said["turn"] for said in panel.said if said["k"] == "stop"] == ["turn-1"]


def test_keys_do_not_reach_the_notebook(opened: Opened) -> None:
    """What is typed in the panel is not for the notebook: no listener around sees it, shortcuts are off."""
    panel = opened({"s1": turn(1)})
    panel.page.evaluate(
        "() => { window.seen = []; document.body.addEventListener('keydown', (e) => seen.push(e.key)) }"
    )

    panel.message.press_sequentially("dd")
    panel.message.press("Escape")
    panel.turn(1).get_by_role("button", name="Ask again", exact=True).press("a")

    assert panel.page.evaluate("() => seen") == []
    expect(panel.root).to_have_attribute("data-lm-suppress-shortcuts", "true")


def test_a_draft_outlives_a_reload(opened: Opened) -> None:
    """What was written and not sent is there when the page is opened again; what was sent is not."""
    panel = opened()
    panel.message.fill("half a thought")
    panel.open()
    expect(panel.message).to_have_value("half a thought")

    panel.message.press("Enter")
    expect(panel.message).to_have_value("")
    panel.open()

    expect(panel.message).to_have_value("")


# Attaching


def test_a_screenshot_is_pasted_shown_and_sent(opened: Opened) -> None:
    """A pasted picture is a chip with a thumbnail, and goes with the question as bytes."""
    panel = opened()
    panel.paste({"shot.png": PNG})
    expect(panel.chips).to_have_count(1)
    expect(panel.chips.locator("img")).to_have_attribute("src", re.compile("^blob:"))
    panel.message.fill("What is this?")

    panel.message.press("Enter")

    expect(panel.chips).to_have_count(0)
    panel.page.wait_for_function("() => fake.requests.length === 1")
    described = {"file": 0, "name": "shot.png", "type": "image/png"}
    assert panel.requests == [{"do": "ask", "text": "What is this?", "with": [described], "buffers": [2000]}]


def test_a_picture_that_comes_with_formatted_text_is_not_attached(opened: Opened) -> None:
    """Cells of a spreadsheet bring a picture of themselves: their text is what was meant."""
    panel = opened()

    panel.paste({"image.png": PNG}, text="1\t2", html="<table><td>1<td>2</table>")

    expect(panel.chips).to_have_count(0)


def test_files_are_dropped_and_removed(opened: Opened) -> None:
    """Files dropped anywhere on the panel are attached, and taken away again by their buttons."""
    panel = opened()
    panel.drop({"a.csv": ("text/csv", 10), "paper.pdf": ("application/pdf", 20), "notes.rs": ("", 5)})
    expect(panel.chips).to_have_text(["a.csv", "paper.pdf", "notes.rs"])

    panel.button("Remove paper.pdf").click()

    expect(panel.chips).to_have_text(["a.csv", "notes.rs"])
    expect(panel.button("Remove notes.rs")).to_be_focused()


def test_files_are_chosen_by_button(opened: Opened) -> None:
    """The button opens the browser's file dialog; several files are taken."""
    panel = opened()
    with panel.page.expect_file_chooser() as chosen:
        panel.button("Attach pictures or files").click()

    files: list[FilePayload] = [{"name": name, "mimeType": "text/plain", "buffer": b"x"} for name in ("a.txt", "b.txt")]
    chosen.value.set_files(files)

    expect(panel.chips).to_have_text(["a.txt", "b.txt"])
    expect(panel.message).to_be_focused()


@pytest.mark.parametrize(
    ("name", "described", "line"),
    [
        ("film.mp4", ("video/mp4", 10), "film.mp4 cannot be sent: neither picture, PDF, WAV, MP3 nor text."),
        ("pic.svg", ("image/svg+xml", 10), None),
        ("pic.xcf", ("image/x-xcf", 10), "pic.xcf cannot be sent: neither picture, PDF, WAV, MP3 nor text."),
        ("big.csv", ("text/csv", 9_100_000), "big.csv is too large: 9.1 MB, at most 9.0 MB."),
        ("folder", ("", 0), "folder is empty, or a folder."),
    ],
)
def test_what_cannot_be_sent_is_said(opened: Opened, name: str, described: tuple[str, int], line: str | None) -> None:
    """Type and size are checked before anything is sent, with one clear line."""
    panel = opened()

    panel.drop({name: described})

    expect(panel.chips).to_have_count(1 if line is None else 0)
    if line is not None:
        expect(panel.line()).to_have_text(line)


def test_all_files_together_have_a_limit(opened: Opened) -> None:
    """A message that the server would refuse is not made."""
    panel = opened()

    panel.drop({"a.csv": ("text/csv", 6_000_000), "b.csv": ("text/csv", 6_000_000)})

    expect(panel.chips).to_have_text(["a.csv"])
    expect(panel.line()).to_contain_text("b.csv does not fit")


def test_variables_are_found_and_added_by_keyboard(opened: Opened) -> None:
    """The picker lists the namespace with types and shapes, filters, and adds what is chosen, once."""
    panel = opened()
    names = [
        {"name": "df", "type": "DataFrame", "shape": "20 × 3"},
        {"name": "sdf", "type": "Series", "shape": "20"},
        {"name": "total", "type": "int", "shape": ""},
    ]
    panel.answer_with("names", {"ok": True, "data": names})
    options = panel.page.get_by_role("option")
    for _ in range(2):
        panel.button("Add a variable").press("Enter")
        expect(options).to_have_text(["dfDataFrame · 20 × 3", "sdfSeries · 20", "totalint"])
        panel.page.keyboard.type("DF")
        expect(options).to_have_text(["dfDataFrame · 20 × 3", "sdfSeries · 20"])
        panel.page.keyboard.press("Enter")

    expect(panel.chips).to_have_text(["df"])
    expect(panel.message).to_be_focused()
    panel.message.press("Enter")
    panel.page.wait_for_function("() => fake.requests.at(-1).do === 'ask'")
    assert panel.requests[-1] == {"do": "ask", "text": "", "with": [{"variable": "df"}], "buffers": []}


def test_the_picker_says_that_it_waits(opened: Opened) -> None:
    """While a cell runs the picker says so; Escape closes it and nothing is stopped by that."""
    panel = opened({"s1": turn(1, **RUNNING)}, head={"busy": True})
    panel.answer_with("names", None)
    panel.button("Add a variable").click()
    picker = panel.page.get_by_role("dialog", name="Add a variable")
    expect(picker).to_contain_text("Waiting for the running cell …")

    panel.page.keyboard.press("Escape")

    expect(picker).to_be_hidden()
    expect(panel.button("Add a variable")).to_be_focused()
    assert [said for said in panel.said if said["k"] == "stop"] == []


# Asking


def test_an_unanswered_question_is_shown_as_waiting(opened: Opened) -> None:
    """Until the kernel has taken it, a question stands at the end of the log and says that it waits."""
    panel = opened({"s1": turn(1)})
    panel.answer_with("ask", None)
    panel.message.fill("And <b>now</b>?")
    panel.message.press("Enter")
    waiting = panel.page.get_by_role("article", name="Waiting question")
    expect(waiting).to_contain_text("And <b>now</b>?")
    expect(waiting).to_contain_text("Waiting for the kernel …")
    panel.patch(head={"busy": True})
    expect(waiting).to_contain_text("Waiting for the running cell …")

    panel.put("s2", **turn(2))
    panel.patch(order=["s1", "s2"])
    panel.answer(-1, {"ok": True})

    expect(waiting).to_have_count(0)
    expect(panel.turn(2)).to_be_visible()


def test_a_refused_question_comes_back_whole(opened: Opened) -> None:
    """Not accepted: the line is shown, text and attachments are back, in front of what was written since."""
    panel = opened()
    panel.answer_with("ask", None)
    panel.paste({"shot.png": PNG})
    panel.message.fill("What is this?")
    panel.message.press("Enter")
    panel.page.wait_for_function("() => fake.requests.length === 1")
    panel.message.fill("more")

    panel.answer(-1, {"ok": False, "line": "shot.png cannot be sent: it is broken."})

    expect(panel.line()).to_have_text("shot.png cannot be sent: it is broken.")
    expect(panel.message).to_have_value("What is this?\nmore")
    expect(panel.chips).to_have_text(["shot.png"])


def test_a_kernel_that_ended_is_said_and_nothing_is_lost(opened: Opened) -> None:
    """When the kernel goes, open questions come back and the composer says why it is off."""
    panel = opened()
    panel.answer_with("ask", None)
    panel.message.fill("Where are you?")
    panel.message.press("Enter")
    panel.page.wait_for_function("() => fake.requests.length === 1")

    panel.page.evaluate("() => fake.fire('comm:close')")

    expect(panel.line()).to_contain_text("The kernel has ended")
    expect(panel.message).to_have_value("Where are you?")
    expect(panel.message).to_be_disabled()


# Turns


def test_versions_are_stepped_through(opened: Opened) -> None:
    """The arrows pick the version before and after, and stop at the ends."""
    panel = opened({"s1": turn(1, v=2, vs=2)})
    versions = panel.turn(1).get_by_role("group", name="Versions")
    expect(versions).to_have_text("2/2")
    versions.get_by_role("button", name="Later version").click(force=True)

    versions.get_by_role("button", name="Earlier version").click()
    panel.put("s1", v=1)

    expect(versions).to_have_text("1/2")
    expect(versions.get_by_role("button", name="Earlier version")).to_have_attribute("aria-disabled", "true")
    assert panel.requests == [{"do": "pick", "slot": "s1", "v": 1, "buffers": []}]


def test_a_question_is_edited_and_asked_again(opened: Opened) -> None:
    """The editor has the question's text, waits for the kernel, and stays open where it is refused."""
    panel = opened({"s1": turn(1)})
    panel.answer_with("edit", {"ok": False, "line": "The conversation is busy."})
    panel.turn(1).get_by_role("button", name="Edit and ask again").press("Enter")
    editor = panel.page.get_by_label("Edit the message")
    expect(editor).to_have_value("Question 1")
    expect(editor).to_be_focused()
    editor.fill("Better question")
    editor.press("Enter")
    expect(panel.line()).to_have_text("The conversation is busy.")
    expect(editor).to_have_value("Better question")

    panel.answer_with("edit", {"ok": True})
    editor.press("Enter")

    expect(editor).to_have_count(0)
    expect(panel.turn(1).get_by_role("button", name="Edit and ask again")).to_be_focused()
    assert panel.requests[-1] == {"do": "edit", "slot": "s1", "text": "Better question", "buffers": []}


def test_an_edit_is_given_up_with_escape(opened: Opened) -> None:
    """Escape closes the editor; nothing is asked, and a running answer goes on."""
    panel = opened({"s1": turn(1), "s2": turn(2, **RUNNING)})
    panel.turn(1).get_by_role("button", name="Edit and ask again").click()

    panel.page.get_by_label("Edit the message").press("Escape")

    expect(panel.turn(1)).to_contain_text("Question 1")
    assert panel.requests == []
    assert [said for said in panel.said if said["k"] == "stop"] == []


def test_each_turn_has_its_actions(opened: Opened) -> None:
    """Ask again, hide, show again, continue: each says what it is to which turn."""
    panel = opened({"s1": turn(1), "s2": turn(2, hidden=True), "s3": turn(3, s="interrupted")})
    for number, name in (
        (1, "Ask again"),
        (1, "Hide from the model"),
        (2, "Show to the model again"),
        (3, "Continue the answer"),
    ):
        panel.turn(number).get_by_role("button", name=name, exact=True).click()

    told = [{"do": request["do"], "slot": request.get("slot")} for request in panel.requests]
    assert told == [
        {"do": "retry", "slot": "s1"},
        {"do": "hide", "slot": "s1"},
        {"do": "unhide", "slot": "s2"},
        {"do": "continue", "slot": None},
    ]
    expect(panel.page.get_by_text("Answer 2")).to_be_hidden()
    expect(panel.turn(1).get_by_role("button", name="Continue the answer")).to_be_hidden()


def test_a_running_turn_offers_only_its_stop(opened: Opened) -> None:
    """While it is answered a turn can be stopped, and nothing else."""
    panel = opened({"s1": turn(1, **RUNNING)})

    buttons = panel.turn(1).get_by_role("button")
    expect(buttons).to_have_count(1)
    expect(buttons).to_have_accessible_name("Stop answering")


def test_an_answer_is_copied_as_it_was_written(opened: Opened) -> None:
    """Copy gives the answer's Markdown, which the kernel has."""
    panel = opened({"s1": turn(1)})
    panel.page.evaluate("() => { fake.source = '**Answer** 1' }")

    panel.turn(1).get_by_role("button", name="Copy the answer").click()

    panel.page.wait_for_function("async () => await navigator.clipboard.readText() === '**Answer** 1'")


def test_code_is_inserted_behind_the_active_cell(opened: Opened) -> None:
    """Insert puts the code, as it is, into the notebook behind the active cell, and does not run it."""
    panel = opened({"s1": turn(1, a=[CODE])})
    panel.page.evaluate("() => fake.cells.push({}, {}, {})")

    panel.turn(1).get_by_role("button", name="Insert as cell").click()

    expect(panel.line()).to_have_text("Inserted as cell 3 of the notebook.")
    cell = panel.page.evaluate("() => fake.cells[2]")
    assert cell == {"cell_type": "code", "source": "import os\nprint(os.name)", "metadata": {"trusted": True}}


def test_code_is_inserted_behind_the_cell_run_last(opened: Opened) -> None:
    """Where no active cell is seen, it goes behind the cell that was run last."""
    panel = opened({"s1": turn(1, a=[CODE])})
    panel.page.evaluate("() => document.querySelector('.jp-NotebookPanel').remove()")
    panel.page.evaluate("() => fake.cells.push({ execution_count: 2 }, { execution_count: 1 }, {})")

    panel.turn(1).get_by_role("button", name="Insert as cell").click()

    expect(panel.line()).to_have_text("Inserted as cell 2 of the notebook.")


def test_code_is_copied_where_there_is_no_notebook(opened: Opened) -> None:
    """Where the front end lets nobody insert, the code is in the clipboard and that is said."""
    panel = opened({"s1": turn(1, a=[CODE])})
    panel.page.evaluate("() => { delete fake.model.widget_manager.context }")

    panel.turn(1).get_by_role("button", name="Insert as cell").click()

    expect(panel.line()).to_contain_text("the code is in the clipboard")
    panel.page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('import os')")


def test_a_long_question_is_folded(opened: Opened) -> None:
    """A prompt that fills the panel is shown in part until it is asked for."""
    panel = opened({"s1": turn(1, p="<p>line</p>" * 40)})
    asked = panel.page.locator(".lmp-asked")
    expect(asked).to_have_css("height", "200px")

    panel.button("Show all").click()

    expect(asked).not_to_have_css("height", "200px")
    expect(panel.button("Show less")).to_have_attribute("aria-expanded", "true")


# The log


def test_the_log_follows_the_end_only_while_the_reader_is_there(opened: Opened) -> None:
    """New text is followed at the end; who has scrolled up stays, and can jump."""
    panel = opened({f"s{number}": turn(number, a=["<p>text</p>" * 10]) for number in range(1, 8)})
    log = panel.page.get_by_role("log")
    at_end = "log => log.scrollHeight - log.scrollTop - log.clientHeight < 2"
    panel.page.wait_for_function(at_end, arg=log.element_handle())
    panel.put("s7", a=["<p>more</p>" * 20])
    expect(panel.turn(7)).to_contain_text("more")
    panel.page.wait_for_function(at_end, arg=log.element_handle())

    log.evaluate("log => { log.scrollTop = 200 }")
    expect(panel.button("Jump to latest")).to_be_visible()
    panel.put("s7", a=["<p>even more</p>" * 40])
    expect(panel.turn(7)).to_contain_text("even more")
    assert log.evaluate("log => log.scrollTop") == 200

    panel.button("Jump to latest").click()
    panel.page.wait_for_function(at_end, arg=log.element_handle())
    expect(panel.button("Jump to latest")).to_be_hidden()


def test_earlier_turns_are_asked_for(opened: Opened) -> None:
    """Only the last turns are there at first; the ones before come when they are wanted, and the reader stays."""
    panel = opened({f"s{number}": turn(number, a=["<p>text</p>" * 10]) for number in range(4, 8)}, head={"earlier": 3})
    panel.button("Show earlier turns (3)").click()
    panel.put("s3", **turn(3))
    panel.patch(order=[f"s{number}" for number in range(3, 8)], head={"earlier": None})

    expect(panel.turn(3)).to_contain_text("Answer 3")
    expect(panel.turn(4).get_by_text("Question 4")).to_be_in_viewport()
    expect(panel.page.get_by_role("button", name="Show earlier turns")).to_be_hidden()
    assert panel.requests == [{"do": "earlier", "buffers": []}]


def test_who_asks_for_earlier_turns_is_not_sent_to_the_end(opened: Opened) -> None:
    """Where all fitted into the log, the end was being followed; what comes above is what is looked at now."""
    panel = opened({"s2": turn(2)}, head={"earlier": 1})
    panel.button("Show earlier turns (1)").click()
    panel.put("s1", **turn(1, a=["<p>text</p>" * 80]))
    panel.patch(order=["s1", "s2"], head={"earlier": None})

    expect(panel.turn(1).get_by_text("Question 1")).to_be_in_viewport()
    expect(panel.turn(2)).not_to_be_in_viewport()


def test_the_log_is_busy_while_it_is_written(opened: Opened) -> None:
    """Screen readers are told of answers when they are done, not of every token."""
    panel = opened({"s1": turn(1, **RUNNING)})
    log = panel.page.get_by_role("log")
    expect(log).to_have_attribute("aria-live", "polite")
    expect(log).to_have_attribute("aria-busy", "true")

    panel.put("s1", s="complete", fig=None)

    expect(log).to_have_attribute("aria-busy", "false")


def test_turns_are_drawn_in_order_and_removed(opened: Opened) -> None:
    """Order is the kernel's: turns come, move and go without the others being drawn again."""
    panel = opened({"s1": turn(1), "s2": turn(2)})
    panel.turn(2).evaluate("node => { node.dataset.same = 'yes' }")

    panel.put("s3", **turn(3))
    panel.patch(order=["s2", "s3", "s1"])
    expect(panel.page.locator(".lmp-asked")).to_have_text(["Question 2", "Question 3", "Question 1"])
    expect(panel.turn(3)).to_contain_text("Answer 3")
    panel.patch(order=["s2"], turns={"s1": None, "s3": None})

    expect(panel.page.locator(".lmp-turn")).to_have_count(1)
    expect(panel.turn(2)).to_have_attribute("data-same", "yes")


def test_a_lost_patch_is_noticed_and_made_good(opened: Opened) -> None:
    """A number that does not follow makes the page ask; the whole state that comes is what is shown."""
    panel = opened({"s1": turn(1)})

    panel.hear({"k": "p", "q": 7, "order": ["s9"], "turns": {"s9": turn(9)}})
    panel.page.wait_for_function("() => fake.said.some(({ k }) => k === 'need')")
    expect(panel.turn(9)).to_have_count(0)
    whole = {"q": 7, "t": "panel", "head": {"name": "main"}, "order": ["s9"], "turns": {"s9": turn(9)}}
    panel.page.evaluate("whole => { fake.whole = whole; fake.fire('change:snap') }", whole)

    expect(panel.turn(9)).to_be_visible()
    expect(panel.page.locator(".lmp-turn")).to_have_count(1)


def test_what_is_not_known_is_no_matter(opened: Opened) -> None:
    """Fields, states and messages of a later version are passed over; missing ones are empty."""
    panel = opened(
        {"s1": {"n": 1, "s": "new state", "a": ["<p>text</p>"], "r": [], "later": {"x": 1}}}, head={"later": 1}
    )

    panel.hear({"k": "later", "x": 1})
    panel.hear({"k": "done", "id": 1, "ok": True})
    panel.patch(head={"window": None, "names": None, "totals": None, "more": [1]})
    panel.put("s1", p="<p>asked</p>")

    expect(panel.turn(1)).to_contain_text("asked")
    expect(panel.page.get_by_role("meter")).to_be_hidden()


def test_text_of_the_kernel_is_never_markup(opened: Opened) -> None:
    """Names, lines, marks and prompts to edit are text wherever they are shown."""
    evil = "<img src=x onerror='window.__pwned = 1'>"
    head = {
        "name": evil,
        "names": [{"name": evil, "turns": 1}],
        "model": evil,
        "models": [evil],
        "totals": evil,
        "system": evil,
        "undo": evil,
        "say": {"id": 1, "kind": "error", "text": evil},
    }
    panel = opened({"s1": turn(1, marks=[evil], foot=evil, notes=[evil], e=evil)}, head=head)
    panel.patch(head={"say": {"id": 2, "kind": "error", "text": evil}})
    panel.answer_with("names", {"ok": True, "data": [{"name": evil, "type": evil, "shape": evil}]})
    panel.turn(1).get_by_role("button", name="Edit and ask again").click()
    panel.page.get_by_label("Model", exact=True).click()
    panel.page.locator(".lmp-conversation").click()
    panel.page.keyboard.press("Escape")
    panel.button("Add a variable").click()
    expect(panel.page.get_by_role("option")).to_have_count(1)

    expect(panel.line()).to_have_text(evil)
    expect(panel.page.locator("img")).to_have_count(0)
    assert panel.page.evaluate("() => window.__pwned") is None


# The head


def test_conversations_are_switched_by_keyboard(opened: Opened) -> None:
    """The menu opens at the button, walks with arrows, switches with Enter, and gives the focus back."""
    panel = opened()
    button = panel.button("Conversation main")
    button.press("ArrowDown")
    menu = panel.page.get_by_role("menu", name="Conversations")
    expect(menu.get_by_role("menuitemradio")).to_have_text(["main2 turns", "weather12 turns"])
    expect(menu.get_by_role("menuitemradio", checked=True)).to_be_focused()

    panel.page.keyboard.press("ArrowDown")
    panel.page.keyboard.press("Enter")
    panel.patch(head={"name": "weather"})

    expect(menu).to_be_hidden()
    expect(panel.button("Conversation weather")).to_be_focused()
    assert panel.requests == [{"do": "use", "name": "weather", "buffers": []}]


def test_conversations_are_started_and_forked(opened: Opened) -> None:
    """A new one may have a name; a copy needs one, is offered one, and may end at a turn."""
    panel = opened(
        {"s1": turn(1), "s2": turn(2)}, head={"names": [{"name": "main", "turns": 2}, {"name": "main-2", "turns": 1}]}
    )
    for name, keys in (("New conversation …", "x"), ("New conversation …", ""), ("Fork this conversation …", "")):
        panel.button("Conversation main").click()
        panel.page.get_by_role("menuitem", name=name).click()
        panel.page.keyboard.type(keys)
        panel.page.keyboard.press("Enter")
    panel.turn(1).get_by_role("button", name="Fork from here").click()
    panel.page.keyboard.type("first")
    panel.page.keyboard.press("Enter")
    panel.turn(1).get_by_role("button", name="Fork from here").click()
    panel.page.keyboard.press("Escape")

    expect(panel.turn(1).get_by_role("button", name="Fork from here")).to_be_focused()
    assert panel.requests == [
        {"do": "new", "name": "x", "buffers": []},
        {"do": "new", "buffers": []},
        {"do": "fork", "name": "main-3", "buffers": []},
        {"do": "fork", "name": "first", "at": 1, "buffers": []},
    ]


def test_the_model_is_completed_or_typed(opened: Opened) -> None:
    """The field offers the known models, takes any other, and shows the one in use when it is left."""
    panel = opened()
    model = panel.page.get_by_label("Model", exact=True)
    options = panel.page.get_by_role("option")
    model.click()
    expect(options).to_have_count(3)
    model.press_sequentially("o4")
    expect(options).to_have_text(["o4-mini"])
    model.press("ArrowDown")
    model.press("Enter")
    model.fill("mine/model")
    model.press("Enter")
    panel.answer_with("model", {"ok": False, "line": "No model is called that."})
    model.fill("wrong")
    model.press("Enter")
    expect(panel.line()).to_have_text("No model is called that.")
    expect(model).to_have_value("gpt-5.4-mini")
    model.fill("left")
    panel.message.click()

    expect(model).to_have_value("gpt-5.4-mini")
    expect(options).to_have_count(0)
    assert [request["name"] for request in panel.requests] == ["o4-mini", "mine/model", "wrong"]


def test_undo_and_redo_say_what_they_do(opened: Opened) -> None:
    """Their names tell what would be taken back; where there is nothing, they do nothing."""
    panel = opened()
    panel.button("Nothing to redo").click(force=True)

    panel.button("Undo ask").click()
    panel.patch(head={"undo": None, "redo": "ask"})
    panel.button("Redo ask").click()

    assert [request["do"] for request in panel.requests] == ["undo", "redo"]
    expect(panel.button("Nothing to undo")).to_have_attribute("aria-disabled", "true")


def test_the_window_and_the_totals_are_told(opened: Opened) -> None:
    """The meter has its figures in words; without a limit there is the number alone."""
    panel = opened()
    meter = panel.page.get_by_role("meter", name="Context window")
    expect(meter).to_have_attribute("aria-valuetext", "~3.4K of 128K tokens")
    expect(panel.root).to_contain_text("2 turns · 3,400 → 900 tokens · ≥ $0.0123")

    panel.patch(head={"window": {"used": 512, "limit": None, "is_estimate": False}})

    expect(meter).to_be_hidden()
    expect(panel.root).to_contain_text("512 tokens")


def test_a_conversation_is_exported_as_a_file(opened: Opened) -> None:
    """Export asks the kernel for the text and saves it under its name."""
    panel = opened()
    panel.answer_with("export", {"ok": True, "data": {"name": "main.jsonl", "text": '{"é": 1}\n'}})
    panel.button("More").click()
    with panel.page.expect_download() as started:
        panel.page.get_by_role("menuitem", name="Export as JSONL").click()

    assert started.value.suggested_filename == "main.jsonl"
    assert json.loads(started.value.path().read_text(encoding="utf-8")) == {"é": 1}
    assert panel.requests == [{"do": "export", "form": "jsonl", "buffers": []}]


def test_the_system_prompt_is_shown_and_set(opened: Opened) -> None:
    """It is seen under the model, opened by a click, and may be emptied."""
    panel = opened(head={"system": "Be brief."})
    panel.page.get_by_role("button", name="System: Be brief.").click()
    field = panel.page.get_by_label("System prompt")
    expect(field).to_have_value("Be brief.")

    field.fill("")
    field.press("Enter")

    panel.page.wait_for_function("() => fake.requests.length === 1")
    assert panel.requests == [{"do": "system", "text": "", "buffers": []}]


def test_the_kernels_lines_are_shown_once(opened: Opened) -> None:
    """A line for everybody is shown when it is new, and not again with every patch or after it was dismissed."""
    panel = opened()
    panel.patch(head={"say": {"id": 1, "kind": "info", "text": "Saved."}})
    expect(panel.line()).to_have_text("Saved.")
    panel.button("Dismiss").click()
    panel.patch(head={"totals": "3 turns"})
    expect(panel.root).to_contain_text("3 turns")

    expect(panel.line()).to_be_hidden()


# Everybody


FULL = {
    "s1": turn(
        1,
        v=2,
        vs=3,
        marks=["stale"],
        a=[
            f"<p>A <a href='https://example.org/'>link</a></p>{CODE}",
            "<table><tbody><tr><td>1</td></tr></tbody></table>",
        ],
        r=["<p>thinking</p>"],
    ),
    "s2": turn(2, hidden=True, marks=["hidden"]),
    "s3": turn(3, s="interrupted", a=[LONG], notes=["Interrupted after 2 s"], marks=["cell gone"]),
    "s4": turn(4, **RUNNING),
}


def violations(panel: PanelPage) -> str:
    """What axe finds in the panel, as text."""
    found = Axe().run(panel.page, context="#host")
    return "" if found.violations_count == 0 else str(found.generate_report())


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(320, 900), (900, 900)])
def test_axe_finds_nothing_wrong(opened: Opened, theme: Theme, size: tuple[int, int]) -> None:
    """Names, roles, contrast and focus hold with everything on show: turns in all states, menus, forms, lists."""
    panel = opened(FULL, theme=theme, size=size, head={"system": "Be brief."}, is_calm=True)
    panel.answer_with("names", {"ok": True, "data": [{"name": "df", "type": "DataFrame", "shape": "20 × 3"}]})
    panel.answer_with("ask", None)
    panel.paste({"shot.png": ("text/plain", 20)})
    panel.hear({"k": "later"})
    panel.patch(head={"say": {"id": 1, "kind": "error", "text": "No such thing."}})
    expect(panel.line()).to_be_visible()
    assert violations(panel) == ""

    panel.button("Conversation main").click()
    assert violations(panel) == ""
    panel.page.get_by_role("menuitem", name="New conversation").click()
    assert violations(panel) == ""
    panel.page.get_by_label("Model", exact=True).click()
    assert violations(panel) == ""
    panel.button("Add a variable").click()
    expect(panel.page.get_by_role("option")).to_have_count(1)
    assert violations(panel) == ""
    panel.message.fill("waiting")
    panel.message.press("Enter")
    panel.turn(1).get_by_role("button", name="Edit and ask again").click()
    assert violations(panel) == ""


@pytest.mark.parametrize("zoom", [1, 2])
def test_nothing_is_cut_off_where_it_is_narrow(opened: Opened, zoom: int) -> None:
    """At 320 pixels, and at 640 with everything twice as large, nothing scrolls sideways but code and tables."""
    panel = opened(
        FULL,
        size=(320 * zoom, 600 * zoom),
        head={"system": "Be brief. " * 20, "name": "a-very-long-name-of-a-conversation"},
    )
    panel.page.evaluate("zoom => { document.documentElement.style.zoom = zoom }", zoom)
    panel.paste({"a-very-long-name-of-a-file-that-does-not-fit-in-any-row-at-all.txt": ("text/plain", 20)})
    panel.turn(1).get_by_role("button", name="Edit and ask again").click()

    wide = panel.page.evaluate(
        """() => {
            const edge = document.getElementById("host").getBoundingClientRect().right + 1;
            return [...document.querySelectorAll("#host *")]
                .filter((node) => !node.closest("pre, table") && node.getBoundingClientRect().right > edge)
                .map((node) => node.outerHTML.slice(0, 100));
        }"""
    )

    assert wide == []
    assert panel.page.evaluate("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert panel.page.get_by_role("log").evaluate("log => log.scrollWidth <= log.clientWidth")


def test_nothing_moves_for_those_who_want_it_calm(opened: Opened) -> None:
    """With reduced motion no part of the panel has an animation or a transition."""
    panel = opened(FULL, is_calm=True)

    moving = panel.page.evaluate(
        """() => [...document.querySelectorAll("#host *")].filter((node) => ["", "::before", "::after"].some((part) => {
            const { animationName, transitionDuration } = getComputedStyle(node, part || null);
            return animationName !== "none" || transitionDuration !== "0s";
        })).map((node) => node.className)"""
    )

    assert moving == []


def test_everything_is_reached_by_tab(opened: Opened) -> None:
    """Tab goes through all that can be used, in the order in which it is seen, with a focus that is seen."""
    panel = opened({"s1": turn(1, a=[CODE], vs=2)}, head={"redo": "ask"})
    seen = []
    panel.page.locator("body").press("Tab")
    for _ in range(25):
        name = panel.page.evaluate(
            """() => {
                const node = document.activeElement;
                const { outlineStyle, boxShadow } = getComputedStyle(node);
                const own = getComputedStyle(node.closest(".lmp-composer") ?? node).boxShadow;
                if (!node.closest("#host")) return null;
                const isSeen = outlineStyle !== "none" || boxShadow !== "none" || own !== "none";
                return `${node.getAttribute("aria-label") ?? node.textContent}${isSeen ? "" : " (not seen)"}`;
            }"""
        )
        seen += [name] if name is not None else []
        if seen and name is None:
            break
        panel.page.keyboard.press("Tab")

    assert seen == [
        "Conversation main",
        "Model",
        "Undo ask",
        "Redo ask",
        "More",
        "Conversation",
        "Copy code",
        "Insert as cell",
        "Earlier version",
        "Later version",
        "Copy the answer",
        "Ask again",
        "Edit and ask again",
        "Hide from the model",
        "Fork from here",
        "Message",
        "Attach pictures or files",
        "Add a variable",
        "Send",
    ]


def test_a_closed_view_leaves_nothing_behind(opened: Opened) -> None:
    """When the view is closed nothing of it listens, ticks or asks any more."""
    panel = opened({"s1": turn(1, **RUNNING)})

    panel.page.evaluate("() => fake.close()")
    panel.put("s1", s="complete")

    left = panel.page.evaluate("() => [...fake.listeners.values()].flat().length")
    assert left == 0
