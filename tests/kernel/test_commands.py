"""The commands of ``%chat`` in a real kernel against a real server: what is sent after each, and what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kernel.conftest import Chat

pytestmark = pytest.mark.kernel


def ask(chat: Chat, *cells: str) -> None:
    """Each cell asks its own name."""
    for cell in cells:
        chat.run(f"%%chat\nask {cell}", cell).checked()


def sent(chat: Chat) -> list[str]:
    """The prompts of the last request, in order."""
    messages = chat.server.requests[-1].body["messages"]
    return [message["content"] for message in messages if message["role"] == "user"]


def said(chat: Chat, line: str) -> str:
    """What a command printed: one line."""
    text = chat.run(f"%chat {line}", "command").checked().stdout
    assert text.count("\n") == 1
    return text.rstrip("\n")


def shown(chat: Chat, line: str = "") -> str:
    """What a command displayed, as text."""
    return str(chat.run(f"%chat {line}", "command").checked().bundles[-1]["text/plain"])


def was_asked_of(chat: Chat, number: int, model: str) -> None:
    """Let the only version of a turn have been asked of another model."""
    chat.kernel.run(
        "from dataclasses import replace\n"
        "talk = get_ipython()._llm_magic.session.current\n"
        f"slot = talk.numbered({number})\n"
        f"changed = replace(slot, versions=(replace(slot.versions[0], requested_model={model!r}),))\n"
        "talk.slots = tuple(changed if other is slot else other for other in talk.slots)"
    ).checked()


def test_undo_and_redo_change_what_is_sent(chat: Chat) -> None:
    """An ask taken back is not sent; a re-run taken back lets the former version count; a new ask clears redo."""
    chat.begin()
    ask(chat, "a", "b")
    chat.run("%%chat\nask a, changed", "a").checked()

    assert said(chat, "undo") == "taken back: turn 1 asked again; version 1 counts"
    ask(chat, "c")
    assert sent(chat) == ["ask a", "ask b", "ask c"]
    assert said(chat, "redo") == "nothing to redo"
    assert said(chat, "undo") == "taken back: turn 3, 'ask c'; %chat redo brings it back"
    assert "2 turns" in shown(chat)
    assert said(chat, "redo") == "made again: turn 3 asked; version 1 counts"


def test_ledger_keeps_what_was_taken_back(chat: Chat) -> None:
    """Undo is no refund: the row of the ask stays."""
    chat.begin()
    ask(chat, "a")
    count = "len(get_ipython()._llm_magic.session.ledger.rows)"
    before = chat.kernel.value(count)

    said(chat, "undo")

    assert chat.kernel.value(count) == before


def test_pick_hide_move_change_what_is_sent(chat: Chat) -> None:
    """Versions, gaps and order of the row are those of the next request."""
    chat.begin()
    ask(chat, "a", "b", "c")
    chat.run("%%chat\nask b, changed", "b").checked()

    assert said(chat, "pick 2.1") == "version 1 of turn 2 counts"
    assert said(chat, "hide 1") == "turn 1 is hidden · 2 stale turns: %chat refresh"
    assert said(chat, "move 3 before 2") == "turn 3 is turn 2 now · 2 stale turns: %chat refresh"
    ask(chat, "d")
    assert sent(chat) == ["ask c", "ask b", "ask d"]
    assert said(chat, "unhide 1").startswith("turn 1 is in again")
    assert "There is no turn 9" in chat.one_line(chat.run("%chat hide 9", "e"))
    assert "There is no version 3" in chat.one_line(chat.run("%chat pick 1.3", "e"))


def test_show_shows_every_version_with_its_prompt(chat: Chat) -> None:
    """N shows what counts and lists the versions; N.v shows any of them, failed ones too."""
    chat.begin()
    ask(chat, "a")
    chat.run("%%chat -m no-retry-500\nask a, and fail", "a")
    chat.run("%%chat\nask a once more", "a").checked()

    text = shown(chat, "show 1")
    assert text.startswith("ask a once more\n\nask a once more")
    assert "1.1 · complete · " in text
    assert "1.2 · failed: ask a, and fail" in text
    assert "1.3 · complete · " in text
    assert "counts" in text
    assert shown(chat, "show 1.1").startswith("ask a\n\nask a")
    failed = shown(chat, "show 1.2")
    assert failed.startswith("ask a, and fail\n\n[failed: ")
    assert "1.3" not in failed
    assert "cannot count" in chat.one_line(chat.run("%chat pick 1.2", "e"))


def test_prune_hides_deleted_cells(chat: Chat) -> None:
    """A turn whose cell was deleted is hidden by one change."""
    chat.begin()
    ask(chat, "a", "b")
    chat.run("pass", "x", metadata={"deletedCells": ["a"]}).checked()

    assert said(chat, "prune") == "hidden, cell gone: turn 1 · 1 stale turn: %chat refresh"
    ask(chat, "c")
    assert sent(chat) == ["ask b", "ask c"]
    assert said(chat, "prune") == "no turn's cell is gone"


def test_fork_goes_on_differently(chat: Chat) -> None:
    """A fork at 1 sends turn 1 only, takes over the cells left behind, and leaves its parent as it was."""
    chat.run("%chat new trunk", "n").checked()
    ask(chat, "root", "leaf", "twig")

    assert said(chat, "fork branch at 1") == "conversation 'branch' goes on from 1 turn of 'trunk'"
    ask(chat, "twig")
    assert sent(chat) == ["ask root", "ask twig"]
    assert shown(chat).startswith("Conversation 'branch' (forked from 'trunk') · 2 turns")
    assert said(chat, "fork branch at 1") == "conversation 'branch' goes on from 1 turn of 'branch~1'"
    assert said(chat, "use trunk") == "conversation 'trunk': 3 turns"
    assert "There is no turn 7" in chat.one_line(chat.run("%chat fork x at 7", "e"))


def test_refresh_asks_stale_turns_again_in_order(chat: Chat) -> None:
    """Plan first, then each turn under its number, with what it was asked with and what stands before it now."""
    chat.begin()
    ask(chat, "a")
    chat.run("%%chat --temperature 0.25 -s 'Be brief'\nask b", "b").checked()
    ask(chat, "c")
    assert said(chat, "refresh") == "nothing is stale: nothing to ask again"
    chat.run("%%chat\nask a, changed", "a").checked()
    before = len(chat.server.requests)
    line = "2 stale turns; turns 2 and 3 to ask again: 2 requests, ~"

    assert said(chat, "refresh plan").startswith(line)
    assert len(chat.server.requests) == before
    chat.run("%chat config temperature=0.75", "t").checked()
    outcome = chat.run("%chat refresh", "command").checked()
    chat.run("%chat config temperature=", "t").checked()

    first, second, third = outcome.stdout.splitlines()
    assert first.startswith(line)
    assert first.endswith("price unknown")
    assert (second, third) == ("turn 2: ask b", "turn 3: ask c")
    assert [bundle["text/plain"].partition("\n")[0] for bundle in outcome.bundles] == ["ask b", "ask c"]
    bodies = [request.body for request in chat.server.requests[before:]]
    assert [len(body["messages"]) for body in bodies] == [4, 5]
    assert [body.get("temperature") for body in bodies] == [0.25, None]
    assert bodies[0]["messages"][0] == {"role": "system", "content": "Be brief"}
    assert sent(chat) == ["ask a, changed", "ask b", "ask c"]
    assert said(chat, "refresh") == "nothing is stale: nothing to ask again"
    assert said(chat, "undo").startswith("taken back: turn 3 asked again; version 1 counts · 1 stale turn")


def test_refresh_stops_at_a_failure(chat: Chat) -> None:
    """What was asked before it is kept, what comes after it is not asked, and the error is one line."""
    chat.begin()
    ask(chat, "a", "b", "c", "d")
    # Turn 3 was asked of a model that has stopped to answer by now.
    was_asked_of(chat, 3, "no-retry-500")
    ask(chat, "a")
    before = len(chat.server.requests)

    outcome = chat.run("%chat refresh", "command")

    assert "RequestRejectedError" in chat.one_line(outcome)
    last = outcome.stdout.splitlines()[-1]
    assert last == "refresh stopped at turn 3, 1 of 3 asked again before it; %chat refresh goes on"
    assert len(chat.server.requests) - before == 2
    assert said(chat, "refresh plan").startswith("2 stale turns; turns 3 and 4 to ask again")


def test_refresh_stops_at_an_interrupt(chat: Chat) -> None:
    """One line; the turns before it are whole, what had come is kept, the turns after it are not asked."""
    chat.begin()
    ask(chat, "a", "b", "c", "d", "a")
    # A model that needs half an hour.
    was_asked_of(chat, 3, "tokens-20000@10")

    request = chat.kernel.submit("%chat refresh", cell_id="command")
    chat.server.wait_until(lambda: chat.server.requests[-1].body["model"] == "tokens-20000@10")
    chat.kernel.interrupt()
    outcome = chat.kernel.finish(request)

    line = chat.one_line(outcome)
    assert line.startswith("Interrupted: ")
    assert line.endswith("; refresh stopped at turn 3, 1 of 3 asked again before it")
    versions = "[len(s.versions) for s in get_ipython()._llm_magic.session.current.slots]"
    assert chat.kernel.value(versions) == [2, 2, 2, 1]


def test_run_all_with_every_command_is_harmless(chat: Chat) -> None:
    """A notebook that holds these commands runs again and again: as many turns as asking cells, and no error."""
    chat.run("%chat new all", "n").checked()
    cells = {
        "all-a": "%%chat\nask a",
        "all-b": "%%chat\nask b",
        "1": "%chat hide 1",
        "2": "%chat pick 2.1",
        "3": "%chat undo",
        "4": "%chat redo",
        "5": "%chat move 2 before 1",
        "6": "%chat prune",
        "all-c": "%%chat\nask c",
        "7": "%chat show 1.1",
        "8": "%chat unhide 1",
        "9": "%chat fork twin at 2",
        "all-d": "%%chat\nask d",
        "10": "%chat list",
        "11": "%chat refresh plan",
        "12": "%chat refresh",
    }

    for _ in range(3):
        for cell, code in cells.items():
            chat.run(code, cell).checked()

    assert chat.kernel.value("len(get_ipython()._llm_magic.session.current.slots)") == 3
