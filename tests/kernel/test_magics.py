"""The magics in a real kernel against a real server: a user's story, the double-display rules, every command."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.server import FakeServer
    from tests.kernel.conftest import Chat, StartKernel

pytestmark = pytest.mark.kernel
COUNT = "len(get_ipython()._llm_magic.session.current.slots)"


def roles(chat: Chat, number: int = -1) -> list[str]:
    """Roles of the messages of a request."""
    return [message["role"] for message in chat.server.requests[number].body["messages"]]


@pytest.mark.capability("C7")
def test_chat_is_remembered_and_shown_once(chat: Chat) -> None:
    """%%chat shows one safe display, returns nothing, and the next turn sees it."""
    chat.begin()
    first = chat.run("%%chat\nhello **there**", "a").checked()

    assert first.result is None
    (bundle,) = first.bundles
    assert "<strong>there</strong>" in bundle["text/html"]
    assert set(bundle) == {"text/html", "text/plain"}
    chat.run("%%chat\nand now", "b").checked()
    assert roles(chat) == ["user", "assistant", "user"]


def test_running_a_cell_again_adds_a_version(chat: Chat) -> None:
    """The same cell asks with what came before it, and its slot gets a second version."""
    chat.begin()
    for code, cell in (("one", "a"), ("two", "b"), ("one, changed", "a")):
        chat.run(f"%%chat\n{code}", cell).checked()

    assert roles(chat) == ["user"]
    assert chat.kernel.value(COUNT) == 2
    shown = chat.run("%chat", "c").bundles[-1]["text/plain"]
    assert "one, changed" in shown
    assert "2 versions" in shown
    assert "stale" in shown


def test_twenty_orders_of_ten_cells_leave_ten_slots(chat: Chat) -> None:
    """Run All, in any order, any number of times: as many slots as asking cells."""
    chat.begin()
    cells = [f"cell-{number}" for number in range(10)]
    order = random.Random(7)  # an order, not a secret

    for _ in range(20):
        order.shuffle(cells)
        for cell in cells:
            chat.run(f"%%chat --quiet\nask from {cell}", cell).checked()

    assert chat.kernel.value(COUNT) == 10


def test_asides_see_the_conversation_and_are_not_added(chat: Chat) -> None:
    """x = %llm returns a Reply, shows nothing that stays, sees the conversation and its function's locals."""
    chat.begin()
    chat.run("%%chat\nremember this", "a").checked()
    code = """
def foods(cities):
    found = []
    for city in cities:
        reply = %llm one food of {{ city.upper() }}
        found.append(reply.text)
    return found
found = foods(["Lima", "Oslo"])
"""
    outcome = chat.run(code, "b").checked()

    assert outcome.bundles == ()
    assert chat.kernel.value("found") == ["one food of LIMA", "one food of OSLO"]
    assert roles(chat) == ["user", "assistant", "user"]
    assert chat.kernel.value(COUNT) == 1
    fresh = chat.run("%llm --fresh alone?", "c").checked()
    assert roles(chat) == ["user"]
    assert fresh.result is not None
    assert "alone?" in fresh.result["text/html"]


def test_llm_cell_keeps_only_where_told(chat: Chat) -> None:
    """%%llm shows its answer and sets --into and _reply; --keep adds the turn."""
    chat.begin()
    shown = chat.run("%%llm --into note\na long question", "a").checked()
    assert shown.result is None
    assert len(shown.bundles) == 1
    assert chat.kernel.value("(note.text, _reply.text)") == ("a long question",) * 2
    assert chat.kernel.value(COUNT) == 0

    chat.run("%%llm --keep\nkept", "b").checked()
    assert chat.kernel.value(COUNT) == 1


@pytest.mark.capability("K2")
@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("%%time\n%%chat\nunder time", "under time"),
        ("%%chat a question on the line", "a question on the line"),
        ("%%chat -m echo the first line\nand the second", "the first line\nand the second"),
        ("get_ipython().run_cell_magic('chat', '', 'by hand')", "by hand"),
        ("%%chat\nkeeps; its semicolon;", "keeps; its semicolon;"),
        (
            "%%chat\nkeeps {single} braces and $dollars and 'quotes'",
            "keeps {single} braces and $dollars and 'quotes'",
        ),
        ("%%chat --raw\n{{ not evaluated }}", "{{ not evaluated }}"),
        ("import asyncio\nawait asyncio.sleep(0)\nx = %llm in an async cell", "in an async cell"),
    ],
)
def test_chat_takes_its_prompt_in_every_surrounding(chat: Chat, code: str, answer: str) -> None:
    """The prompt arrives verbatim, whatever it stands in."""
    chat.run(code, "a").checked()

    assert chat.server.requests[-1].body["messages"][-1]["content"] == answer
    assert chat.kernel.value("_reply.text") == answer


def test_capture_and_semicolon_silence(chat: Chat) -> None:
    """%%capture takes the display, and a semicolon after %llm silences its Out."""
    captured = chat.run("%%capture found\n%%chat\nunder capture", "a").checked()
    assert captured.bundles == ()
    assert chat.kernel.value("[sorted(o.data) for o in found.outputs]") == [["text/html", "text/plain"]]

    silent = chat.run("%llm quietly;", "b").checked()
    assert silent.result is None
    assert chat.kernel.value("_reply.text").startswith("quietly")


def test_empty_prompt_is_one_line(chat: Chat) -> None:
    """An empty body asks nothing."""
    before = len(chat.server.requests)

    line = chat.one_line(chat.run("%%chat\n   \n", "a"))

    assert "The prompt is empty" in line
    assert len(chat.server.requests) == before


@pytest.mark.capability("C3", "C8")
def test_frames_and_pictures_are_sent_in_order(chat: Chat) -> None:
    """{{ df }} becomes text and {{ img }} a picture, in the order written."""
    chat.begin()
    chat.run(
        "import pandas as pd\nfrom PIL import Image\ndf = pd.DataFrame({'a': [1, 2]})\n"
        "img = Image.new('RGBA', (9000, 10), (1, 2, 3, 100))",
        "a",
    ).checked()
    chat.run("%%chat\nlook at {{ img }} and at {{ df }}, please", "b").checked()

    content = chat.server.requests[-1].body["messages"][-1]["content"]
    assert [part["type"] for part in content][:2] == ["text", "image_url"]
    assert content[1]["image_url"]["url"].startswith("data:image/png;base64,")
    rest = "".join(part["text"] for part in content[2:])
    assert "a" in rest
    assert rest.endswith(", please")


def test_pictures_and_files_are_attached(chat: Chat, tmp_path: Path) -> None:
    """-i and -f take expressions, paths and URLs, and come after the prompt in their order."""
    chat.begin()
    (tmp_path / "notes.txt").write_text("a note")
    chat.run(f"from PIL import Image\nimg = Image.new('L', (4, 4))\nimg.save(r'{tmp_path}/dot.png')", "a").checked()
    line = f"-i img -i {tmp_path}/dot.png -i https://example.org/far.png --detail low -f {tmp_path}/notes.txt"
    chat.run(f"%%chat {line}\nlook", "b").checked()

    text, *pictures, note = chat.server.requests[-1].body["messages"][-1]["content"]
    assert text["text"] == "look"
    assert [part["image_url"]["url"].partition("/")[0] for part in pictures[:2]] == ["data:image", "data:image"]
    assert pictures[2]["image_url"] == {"url": "https://example.org/far.png", "detail": "low"}
    assert "a note" in note["text"]
    assert "nowhere.png" in chat.one_line(chat.run("%%chat -i nowhere.png\nlook", "c"))


def test_local_model_is_not_downloaded_by_itself(start_kernel: StartKernel) -> None:
    """Without a key and without the weights, %%chat says in one line how to get them."""
    kernel = start_kernel()
    kernel.run("%load_ext llm_magic").checked()

    ((name, text, traceback),) = kernel.run("%%chat\nhello", cell_id="a").errors

    assert name == "RequestRejectedError"
    assert "The local model is not on this machine." in text
    assert "%chat local download" in text
    assert len(traceback) == 1


def test_options_hold_for_their_cell_only(chat: Chat) -> None:
    """Parameters go on the wire under their names, for one cell."""
    chat.run(
        "%%chat --temperature 0.5 --max-tokens 7 --seed 3 --stop END -p top_p=0.9 -s 'Be brief'\nhi", "a"
    ).checked()
    body = chat.server.requests[-1].body
    assert (body["temperature"], body["seed"], body["stop"], body["top_p"]) == (0.5, 3, ["END"], 0.9)
    assert body["max_tokens"] == 7
    assert body["messages"][0] == {"role": "system", "content": "Be brief"}

    chat.run("%%chat\nhi again", "b").checked()
    body = chat.server.requests[-1].body
    assert {"temperature", "seed", "stop", "top_p", "max_tokens"}.isdisjoint(body)
    assert body["messages"][0]["role"] != "system"


def test_conversations_are_begun_used_and_listed(chat: Chat) -> None:
    """new, use, list: a cell's turn stays where it was asked, and a name begun again is archived."""
    chat.run("%chat new trees", "n1").checked()
    chat.run("%%chat\nabout trees", "ta").checked()
    chat.run("%chat new birds", "n2").checked()
    chat.run("%%chat\nabout birds", "tb").checked()
    chat.run("%%chat\nabout trees again", "ta").checked()
    table = chat.run("t = %chat list\n[(n, int(k)) for n, k in zip(t['name'], t['turns'])]", "c").checked().result
    assert table is not None
    assert "('trees', 1)" in table["text/plain"]
    assert "('birds', 1)" in table["text/plain"]

    chat.run("%chat new trees", "n1").checked()
    chat.run("%%chat\nabout trees anew", "ta").checked()
    assert roles(chat) == ["user"]
    assert (
        chat.kernel.value("[c.name for c in get_ipython()._llm_magic.session.conversations if c.is_archived][-1]")
        == "trees~1"
    )
    chat.run("%chat use birds", "d").checked()
    chat.run("%%chat\nmore birds", "e").checked()
    assert len(roles(chat)) == 3


def test_retry_adds_a_version_as_it_was_sent(chat: Chat) -> None:
    """%chat retry sends what was sent, evaluated values included."""
    chat.begin()
    chat.run("x = 1", "x")
    chat.run("%%chat --temperature 0.25\nvalue {{ x }}", "a").checked()
    chat.run("x = 2", "x")

    chat.run("%chat retry", "b").checked()

    body = chat.server.requests[-1].body
    assert body["messages"][-1]["content"] == "value 1"
    assert body["temperature"] == 0.25
    assert "2 versions" in chat.run("%chat", "c").bundles[-1]["text/plain"]


@pytest.mark.capability("B10", "A18", "A1")
def test_settings_are_shown_with_their_origin_and_no_key(chat: Chat) -> None:
    """system, model, config: read and set; the key is only "set", and is never taken in a notebook."""
    chat.begin()
    chat.run("%chat system Answer in French", "a").checked()
    chat.run("%chat model other-model", "b").checked()
    chat.run("%chat config temperature=0.1", "c").checked()
    chat.run("%%chat\nhi", "d").checked()
    body = chat.server.requests[-1].body
    assert (body["model"], body["temperature"], body["messages"][0]["content"]) == (
        "other-model",
        0.1,
        "Answer in French",
    )

    shown = chat.run("t = %chat config\nt.to_string()", "e").checked().result
    assert shown is not None
    assert "canary" not in shown["text/plain"]
    assert chat.kernel.value("t.loc['temperature', 'origin']") == "session"
    assert chat.kernel.value("t.loc['sampling', 'value']") == "top_p, temperature 0.1, top_p 1"
    chat.run("%chat config profile=ollama", "p").checked()
    chat.run("t = %chat config", "p2").checked()
    assert chat.kernel.value("t.loc['profile', 'value']") == '"ollama"'
    assert "did you mean ollama?" in chat.one_line(chat.run("%chat config profile=olama", "p3"))
    assert "did you mean window?" in chat.one_line(chat.run('%chat config model_info={"windw": 1}', "p4"))
    assert chat.kernel.value("str(get_ipython().run_line_magic('chat', 'config profile'))") == "ollama"
    chat.run("%chat config profile=groq", "p").checked()
    assert chat.one_line(chat.run("%llm --fresh hi", "p3")).startswith("AuthenticationError: No key for other-model.")
    chat.run("%chat config profile=", "p").checked()
    chat.run("%chat config temperature=", "c").checked()
    assert "cannot be set in a notebook" in chat.one_line(chat.run("%chat config api_key=sk-x", "f"))
    chat.run("%chat config api_key=env:NOBODYS_KEY\n%chat config user_agent=''", "f").checked()
    assert "The variable NOBODYS_KEY is not set" in chat.one_line(chat.run("%%chat\nhi", "f"))
    chat.run("%chat config api_key=", "f").checked()
    chat.run("%%chat\nhi", "f").checked()
    assert chat.server.requests[-1].headers["user-agent"] == ""
    chat.run("%chat config user_agent=", "f").checked()
    assert "did you mean temperature?" in chat.one_line(chat.run("%chat config temprature=1", "g"))
    chat.run("%config LLMMagic.seed = 11", "h").checked()
    chat.run("%%chat\nhi", "i").checked()
    assert chat.server.requests[-1].body["seed"] == 11
    chat.run("%config LLMMagic.seed = None", "h").checked()


@pytest.mark.capability("I1", "I15")
def test_tables_have_their_columns(chat: Chat, tmp_path: Path) -> None:
    """usage, frame, models, tokens give DataFrames; save and load lose nothing."""
    chat.begin()
    chat.run("%%chat\nhello", "a").checked()
    chat.run("u = %chat usage\nf = %chat frame\nm = %chat models\nt = %chat tokens some text", "b").checked()
    assert chat.kernel.value("(u['status'].iloc[-1], int(u['output_tokens'].iloc[-1]))") == ("complete", 1)
    assert chat.kernel.value("list(f['role'])") == ["user", "assistant"]
    assert chat.kernel.value("len(m) > 0 and list(m.columns)[:5]") == [
        "id",
        "owner",
        "created",
        "window",
        "output_limit",
    ]
    assert chat.kernel.value("list(t['what'])") == ["turn 1", "prompt", "frame"]
    assert chat.kernel.value("int(t['tokens'].iloc[1])") >= 2

    for suffix in ("json", "jsonl", "csv", "parquet"):
        path = tmp_path / f"talk.{suffix}"
        chat.run(f"%chat save {path}\n%chat load {path}", "c").checked()
        assert chat.kernel.value("get_ipython()._llm_magic.session.current.turns[-1].text") == "hello"
    assert "did you mean" in chat.one_line(chat.run("%chat lod x", "d"))


def test_saved_messages_are_checked_and_foreign_ones_loaded(chat: Chat, tmp_path: Path) -> None:
    """save says what a provider would refuse; load takes one of several, and says what it does not keep."""
    chat.begin()
    chat.run("%%chat\nhello", "checked").checked()
    saved = chat.run(f"%chat save {tmp_path}/talk.jsonl", "b").checked()
    assert saved.stdout.splitlines()[-1] == "1 example for fine-tuning, nothing a provider would refuse"

    path = tmp_path / "train.jsonl"
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]
    path.write_text("".join(json.dumps({"messages": talk[:number]}) + "\n" for number in (1, 2)), encoding="utf-8")
    assert "2 conversations, at lines 1, 2" in chat.one_line(chat.run(f"%chat load {path}", "c"))
    loaded = chat.run(f"%chat load {path} at 2", "d").checked()
    assert loaded.stdout.splitlines() == [
        f"conversation 'train': 1 turn from {path}",
        "not kept from the file: 'weight'",
    ]


def test_dry_run_sends_nothing(chat: Chat) -> None:
    """--dry-run shows model, tokens and messages, and sends nothing."""
    before = len(chat.server.requests)

    outcome = chat.run("%%chat --dry-run\nwould you?", "a").checked()

    assert "would you?" in outcome.bundles[-1]["text/plain"]
    assert "tokens" in outcome.bundles[-1]["text/plain"]
    assert len(chat.server.requests) == before


def test_budgets_windows_and_what_a_model_cannot_do(chat: Chat) -> None:
    """A budget is set, told, kept and lifted; a picture is refused to a model that does not see, and can be forced."""
    chat.begin()
    assert chat.run("%chat budget 20tok", "a").checked().stdout.startswith("budget of this session: ")
    assert "of 20 tokens spent" in chat.kernel.value("get_ipython().run_line_magic('chat', 'budget')")
    assert "BudgetExceededError" in chat.one_line(chat.run("%%chat\nhello", "b"))
    assert chat.run("%chat budget none", "c").checked().stdout == "no budget\n"
    assert "is no budget" in chat.one_line(chat.run("%chat budget lots", "d"))

    look = "-m gpt-3.5-turbo -i np.zeros((9, 9, 3), np.uint8)"
    chat.run("import numpy as np", "e").checked()
    assert "does not see pictures" in chat.one_line(chat.run(f"%llm {look} What is it?", "f"))
    dry = chat.run(f"%llm --dry-run {look} What is it?", "f").checked()
    assert "it would not be sent: gpt-3.5-turbo does not see pictures" in dry.bundles[-1]["text/plain"]
    chat.run(f"%llm --force {look} What is it?", "f").checked()

    chat.run('%chat config model_info={"window": 4000}', "g").checked()
    assert "tokens of 4,000, " in chat.run("%chat tokens how many?", "h").checked().stdout
    chat.run("%chat config model_info=none", "g").checked()


@pytest.mark.capability("A41")
def test_unload_takes_everything_back(start_kernel: StartKernel, fake_server: FakeServer) -> None:
    """%unload_ext removes magics and hooks and closes clients, %reload_ext brings them back, conversations stay."""
    kernel = start_kernel(environ={"OPENAI_BASE_URL": fake_server.url, "LLM_MAGIC_MODEL": "echo"})
    clients = "[c.is_closed() for c in __import__('gc').get_objects() if type(c).__name__ == 'AsyncOpenAI']"
    before = "sorted(get_ipython().magics_manager.magics['cell']), len(get_ipython().input_transformers_cleanup)"
    clean = kernel.value(before)
    kernel.run("%load_ext llm_magic").checked()
    assert kernel.value(before) != clean
    kernel.run("from llm_magic import conversation; first = conversation()")
    kernel.run("%reload_ext llm_magic").checked()
    assert kernel.value("get_ipython()._llm_magic.session.current is first")
    kernel.run("%llm --quiet hello").checked()
    assert kernel.value(clients) == [False]
    kernel.run("%unload_ext llm_magic").checked()
    assert kernel.value(before) == clean
    assert kernel.value(f"all({clients})")


@pytest.mark.capability("A3", "K12")
def test_loading_imports_nothing_heavy_and_starts_no_thread(start_kernel: StartKernel) -> None:
    """%load_ext llm_magic loads none of openai, pandas, PIL, anywidget, numpy, and starts no thread."""
    kernel = start_kernel()
    kernel.run("import sys, threading; before = threading.active_count()")
    kernel.run("%load_ext llm_magic").checked()

    heavy = ("openai", "pandas", "PIL", "anywidget", "numpy", "genai_prices", "markdown_it", "nh3", "pydantic", "jiter")
    assert kernel.value(f"[m for m in {heavy} if m in sys.modules]") == []
    assert kernel.value("threading.active_count() - before") == 0
    # Of our own, what reads lines and knows cells: the engine and all behind it wait for the first ask.
    ours = ("session", "engine", "tools", "values", "config", "backends", "endpoints", "batch", "typed", "schemas")
    assert kernel.value(f"[m for m in {ours} if f'llm_magic.{{m}}' in sys.modules]") == []


@pytest.mark.capability("A7", "A27", "A28")
def test_a_cell_awaits_while_the_kernels_loop_goes_on(chat: Chat) -> None:
    """Top-level await lets other tasks of the kernel's own loop run; asking there and then blocks and answers, too."""
    code = """
import asyncio, llm_magic
ticks = 0
async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0)
ticking = asyncio.ensure_future(tick())
talk = llm_magic.conversation()
awaited = await talk.aask("one", keep=False)
streamed = [event async for event in talk.astream("two", keep=False)]
ticking.cancel()
blocked = llm_magic.ask("three", keep=False)
"""
    chat.run(code, "await").checked()

    assert chat.kernel.value("(awaited.text, blocked.text)") == ("one", "three")
    assert chat.kernel.value("''.join(getattr(event, 'text', '') for event in streamed)") == "two"
    assert chat.kernel.value("ticks") > 1


def test_asyncio_is_unpatched_after_a_chat(chat: Chat) -> None:
    """The kernel's asyncio is its own: nothing nests until allow_nested() is called."""
    chat.run("%%chat\nhi", "a").checked()

    assert chat.kernel.value("__import__('asyncio').run.__module__") == "asyncio.runners"
    assert (
        chat.kernel.value(
            "'nest_asyncio2' in __import__('sys').modules and hasattr(__import__('asyncio'), '_nest_patched')"
        )
        is False
    )


@pytest.mark.capability("J1")
def test_a_completion_is_shown_as_it_comes(chat: Chat) -> None:
    """%%llm --complete goes on with text at the old endpoint; its row says so."""
    chat.begin()
    chat.run("%%chat\nhello", "a").checked()

    chat.run("import llm_magic").checked()
    shown = chat.run("%%llm --complete --max-tokens 5 -m m\nOnce upon", "b").checked()

    assert "… and so on (0)" in shown.bundles[-1]["text/plain"]
    assert chat.server.requests[-1].path == "/v1/completions"
    assert chat.kernel.value("list(llm_magic.usage('session')['api'])[-2:]") == ["chat", "completions"]


def test_an_interrupted_column_stops_the_cell(chat: Chat) -> None:
    """map() shows one display, ends with one line when it is interrupted, and what was done is kept."""
    chat.begin()
    chat.run("import llm_magic").checked()
    code = "llm_magic.map(['a', 'b', 'c'], template='{{ value }}', model='late@600', in_flight=2, temperature=0)"
    before = len(chat.server.requests)
    request_id = chat.kernel.submit(code, cell_id="column")
    drawn = chat.kernel.wait_for(lambda message: message.type == "display_data", parent_id=request_id)
    assert "0 of 3 rows" in drawn.content["data"]["text/plain"]
    chat.server.wait_until(lambda: len(chat.server.requests) == before + 2)

    chat.kernel.interrupt()
    outcome = chat.kernel.finish(request_id)

    assert outcome.status == "error"
    assert chat.kernel.value("list(llm_magic.last_map()['status'])") == ["interrupted", "interrupted", "not asked"]
    told = "[(row.kind, row.cell_id is None) for row in get_ipython()._llm_magic.session.ledger.rows[-2:]]"
    assert chat.kernel.value(told) == [("map", False)] * 2
