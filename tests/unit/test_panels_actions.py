"""What the panel's buttons do to the session, and what they answer when they cannot."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from PIL import Image

from llm_magic.content import ImagePart, TextPart
from llm_magic.errors import BackendError
from llm_magic.events import Completed, TextDelta
from llm_magic.files import MAX_FILE_BYTES
from llm_magic.testing import says
from tests.fakes.panels import Desk, make_desk

if TYPE_CHECKING:
    from llm_magic.testing import Script

NEVER_S = 3600.0
UNREAD = "What the panel sent cannot be read:"


def png() -> bytes:
    encoded = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(encoded, "PNG")
    return encoded.getvalue()


def prompts(desk: Desk) -> list[str]:
    """The prompts that later asks see, in order."""
    return [turn.prompt_text for turn in desk.session.current.turns]


def test_ask_is_a_turn_of_the_conversation() -> None:
    """What the panel asks is in the conversation and the ledger, as if a cell had asked it."""
    desk = make_desk(says("fine"))

    slot = desk.ask("How are you?")

    (turn,) = desk.session.current.turns
    assert (turn.prompt_text, turn.text, turn.status) == ("How are you?", "fine", "complete")
    assert desk.session.current.slots[0].id == slot
    assert [row.turn_id for row in desk.session.ledger.rows] == [turn.id]


def test_a_fresh_question_stays_one() -> None:
    """Asked without the conversation before it, a question is edited without it too."""
    desk = make_desk()
    desk.ask("one")

    slot = desk.ask("two", fresh=True)
    desk.begin("edit", slot=slot, text="three")
    desk.wait()
    desk.ask("four")

    assert [len(request.messages) for request in desk.backend.requests] == [1, 1, 1, 5]


def test_braces_are_never_evaluated() -> None:
    """What is typed in the panel is sent as it is typed."""
    desk = make_desk()
    desk.names["x"] = 1

    desk.ask("{{ x }} and {{ 1/0 }}")

    assert prompts(desk) == ["{{ x }} and {{ 1/0 }}"]


def test_variables_and_files_are_attached_in_order() -> None:
    """Variables become content as in a cell, files by what is in them whatever they are called."""
    desk = make_desk()
    desk.names["df"] = pd.DataFrame({"a": [1]})
    wanted = [
        {"variable": "df"},
        {"file": 1, "name": "/tmp/x/photo.txt", "type": "text/plain"},
        {"file": 0, "name": "n"},
    ]

    desk.ask("What is this?", **{"with": wanted}, buffers=[memoryview(b"a note"), memoryview(png())])

    text, table, picture, note = desk.session.current.turns[0].prompt[0].parts
    assert isinstance(table, TextPart)
    assert isinstance(picture, ImagePart)
    assert text == TextPart(text="What is this?")
    assert table.label.startswith("df: DataFrame")
    assert (picture.data, picture.width) == (png(), 4)
    assert note == TextPart(text="n:\na note", label="file n, 6 characters")


@pytest.mark.parametrize(
    ("fields", "buffers", "line"),
    [
        ({"text": "  "}, [], "There is nothing to ask.  Hint: write a question, or attach something."),
        ({"with": [{"variable": "dff"}]}, [], "No variable is named 'dff'.  Hint: did you mean df?"),
        ({"with": [{"variable": "bad"}]}, [], "A value of type Bad cannot be sent: _repr_llm_ failed (ValueError)."),
        (
            {"with": [{"file": 0, "name": "a.bin"}]},
            [b"\x00\x01\x02"],
            "a.bin cannot be sent: neither image, PDF, WAV, MP3 nor UTF-8 text.",
        ),
        (
            {"with": [{"file": 0, "name": "C:\\x\\big\x1b[2J.txt"}]},
            [bytes(MAX_FILE_BYTES + 1)],
            "big[2J.txt is too large: 20.0 MB, at most 20 MB.",
        ),
        ({"with": [{"file": 0, "name": "empty.txt"}]}, [b""], "empty.txt is empty."),
        ({"with": [{"file": 3, "name": "lost.txt"}]}, [b"x"], "lost.txt did not arrive.  Hint: attach it again."),
        ({"with": [{"file": -1, "name": "lost.txt"}]}, [b"x"], "lost.txt did not arrive.  Hint: attach it again."),
        ({"with": [{"variable": "df"}] * 21}, [], "21 attachments are too many: at most 20."),
        ({"text": 7}, [], f"{UNREAD} 'text' is not a text.  Hint: reload the page."),
        ({"with": "df"}, [], f"{UNREAD} 'with' is not a list.  Hint: reload the page."),
        ({"with": [{"file": True}]}, [], f"{UNREAD} 'file' is not a number.  Hint: reload the page."),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_one_line_and_leaves_nothing(
    fields: dict[str, Any], buffers: list[bytes], line: str
) -> None:
    """The page is told why, and keeps what was typed; the conversation is as it was."""

    class Bad:
        def _repr_llm_(self) -> str:
            raise ValueError

    desk = make_desk()
    desk.names |= {"df": pd.DataFrame({"a": [1]}), "bad": Bad()}

    done = desk.do("ask", buffers=buffers, **fields)

    assert (done.is_ok, done.line) == (False, line)
    assert desk.session.current.slots == ()
    assert desk.backend.requests == []


def test_an_ask_that_cannot_be_sent_is_one_line() -> None:
    """A model without its key is said at once."""
    desk = make_desk()
    desk.do("model", name="gpt-5.4-mini")

    done = desk.do("ask", text="hello")

    assert not done.is_ok
    assert done.line.startswith("No key for gpt-5.4-mini.")


def test_edit_makes_a_new_version_with_the_old_attachments() -> None:
    """An edited question is asked in its place, with what was attached to it, and both versions stay."""
    desk = make_desk(says("red"), says("blue"))
    slot = desk.ask("Which colour?", **{"with": [{"file": 0, "name": "a.png"}]}, buffers=[png()])

    desk.begin("edit", slot=slot, text="Which colour is it?")
    desk.wait()

    (kept,) = desk.session.current.slots
    assert [turn.text for turn in kept.versions] == ["red", "blue"]
    assert kept.versions[1].prompt_text == "Which colour is it?"
    assert kept.versions[1].prompt[0].parts[1] == kept.versions[0].prompt[0].parts[1]
    assert kept.current is kept.versions[1]


def test_edit_is_asked_with_the_model_of_now() -> None:
    """Retry repeats what was sent; an edited question is a question of now."""
    desk = make_desk()
    slot = desk.ask("one")
    desk.do("model", name="other")

    desk.begin("edit", slot=slot, text="two")
    desk.wait()

    assert [request.model for request in desk.backend.requests] == ["m", "other"]


def test_retry_pick_and_undo() -> None:
    """A regenerated answer is a version; an older one can be picked, and picking taken back."""
    desk = make_desk(says("one"), says("two"))
    slot = desk.ask("count")
    desk.begin("retry", slot=slot)
    desk.wait()

    assert desk.do("pick", slot=slot, v=1).line == "version 1 of turn 1 counts"
    assert desk.slot(1).current is desk.slot(1).versions[0]
    assert desk.do("undo").line == "taken back: picking a version of turn 1; version 2 counts"
    assert desk.do("redo").is_ok
    assert desk.slot(1).current is desk.slot(1).versions[0]


def test_a_failed_version_is_only_looked_at() -> None:
    """Going back to a version that failed shows it; what counts stays, and a new try shows itself."""
    desk = make_desk(says("good"), [BackendError("down")], says("new"))
    slot = desk.ask("try")
    desk.begin("retry", slot=slot)
    desk.wait()

    assert desk.do("pick", slot=slot, v=2).line == "version 2 cannot count: it is only shown"
    (row,) = desk.rows()
    assert (row["v"], row["vs"], row["s"]) == (2, 2, "failed")
    assert row["notes"] == ["failed: down", "this version does not count: version 1 does"]
    assert desk.slot(1).current is desk.slot(1).versions[0]
    desk.begin("retry", slot=slot)
    desk.wait()
    assert desk.rows()[0]["v"] == 3


def test_hide_and_unhide() -> None:
    """A hidden turn is not sent and can be taken in again."""
    desk = make_desk()
    slot = desk.ask("one")

    assert desk.do("hide", slot=slot).line == "turn 1 is hidden"
    assert desk.rows()[0]["hidden"] is True
    desk.ask("two")
    assert len(desk.backend.requests[-1].messages) == 1
    assert desk.do("unhide", slot=slot).line.startswith("turn 1 is in again")
    assert desk.rows()[0]["hidden"] is False


def test_continue_goes_on_with_the_last_answer() -> None:
    """A cut answer is gone on with in its place."""
    cut: Script = [TextDelta(text="half "), Completed(finish_reason="length")]
    desk = make_desk(cut, says("half and the rest"))
    desk.ask("tell")

    desk.begin("continue")
    desk.wait()

    assert len(desk.slot(1).versions) == 2
    assert desk.do("continue").line.startswith("Turn 1 is whole.")


def test_conversations_are_made_switched_and_forked() -> None:
    """New, use and fork are those of %chat; a name that is missing is found."""
    desk = make_desk()
    desk.ask("one")
    slot = desk.ask("two")

    assert desk.do("new", name="side").is_ok
    assert desk.session.current.name == "side"
    assert desk.do("use", name="main").is_ok
    assert desk.do("fork", at=1).line == "conversation 'main-fork' goes on from 'main'"
    assert prompts(desk) == ["one"]
    desk.do("use", name="main")
    assert desk.do("fork").line == "conversation 'main-fork-2' goes on from 'main'"
    assert prompts(desk) == ["one", "two"]
    assert desk.do("new", name="main").line == "conversation 'main' begun; the former of that name is archived"
    assert desk.do("use", name="sid").line.endswith("did you mean side?")
    desk.do("new")
    assert desk.do("hide", slot=slot).line.startswith("That turn is not in this conversation any more.")


def test_model_and_system_are_the_conversations() -> None:
    """Set in the panel, they are those of the conversation; without a name the session's model is asked again."""
    desk = make_desk()
    before = desk.state()["head"]["model"]

    desk.do("model", name=" other ")
    desk.do("system", text="Be brief.")

    assert (desk.session.current.model, desk.session.current.system) == ("other", "Be brief.")
    assert desk.state()["head"]["system"] == "Be brief."
    desk.do("model", name="")
    desk.do("system", text=" ")
    assert (desk.session.current.model, desk.session.current.system) == (None, "")
    assert desk.state()["head"]["model"] == before


@pytest.mark.parametrize("form", ["md", "json", "jsonl", "csv"])
def test_export_gives_what_a_saved_file_would_hold(form: str) -> None:
    """The page makes a download of it, under the conversation's name."""
    desk = make_desk(says("an answer"))
    desk.ask("a question")
    desk.session.current.name = "my ../talk"

    data = desk.do("export", form=form).data

    assert data["name"] == f"my-..-talk.{form}"
    assert "a question" in data["text"]
    assert "an answer" in data["text"]
    if form == "json":
        assert json.loads(data["text"])["name"] == "my ../talk"


def test_names_are_listed_for_the_picker() -> None:
    """The user's variables, not IPython's."""
    desk = make_desk()
    desk.names |= {"df": pd.DataFrame({"a": [1]}), "In": [], "_x": 1}

    assert desk.do("names").data == [{"name": "df", "type": "DataFrame", "shape": "1 × 1"}]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("format", {}),
        ("pick", {"slot": "nowhere", "v": 1}),
        ("pick", {}),
        ("retry", {"slot": None}),
        ("edit", {"slot": 3}),
        ("export", {"form": "exe"}),
        ("use", {}),
        ("fork", {"at": 7}),
        ("model", {"name": ["m"]}),
        ("continue", {}),
    ],
)
def test_what_makes_no_sense_is_one_line(name: str, fields: dict[str, Any]) -> None:
    """A page of another version, or a turn that is gone: one line, no exception, nothing changed."""
    desk = make_desk()

    done = desk.do(name, **fields)

    assert not done.is_ok
    assert done.line
    assert "\n" not in done.line
    assert desk.session.current.slots == ()


def test_whatever_breaks_is_answered(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A page never waits for ever; what broke is in the log."""
    desk = make_desk()

    def breaks() -> None:
        raise RuntimeError("pipes burst")

    monkeypatch.setattr(desk.board, "show_earlier", breaks)

    assert desk.do("earlier").line == "That failed: RuntimeError: pipes burst"
    assert "pipes burst" in caplog.text


def test_edit_while_the_first_answer_is_under_way_waits_its_turn() -> None:
    """A turn without an answer cannot be edited yet, and says so."""
    desk = make_desk([NEVER_S])
    slot = desk.begin("ask", text="long")

    done = desk.do("edit", slot=slot, text="other")

    assert done.line == "That turn is being answered.  Hint: stop it first."
    desk.session.cancel()
    desk.wait()
