"""The story of one notebook over the whole protocol: tools, types, a second provider, a column, speech, the bill."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fakes.pages import TurnPage
from tests.fakes.server import FakeServer
from tests.kernel.conftest import CANARY, Chat
from tests.kernel.harness import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel
SETUP = '''
import llm_magic
import pandas as pd
from PIL import Image
from pydantic import BaseModel

ordered = []

def order(item: str, count: int = 1) -> str:
    """Order something from the store."""
    ordered.append((item, count))
    return f"{count} × {item} ordered"

@llm_magic.tool(read_only=True)
def stock(item: str) -> int:
    """How many of an item there are."""
    return {"lamp": 3}.get(item, 0)

class Invoice(BaseModel):
    number: str
    total: float
    paid: bool = False

first, second, third = (Image.new("RGB", (40, 30), color) for color in ("red", "green", "blue"))
notes = pd.DataFrame({"text": ["a storm", "calm seas", "fog"]}, index=[10, 20, 30])
'''
CALLS = [["stock", {"item": "lamp"}], ["order", {"item": "lamp", "count": 2}]]
INVOICES = [
    {"number": "2026-1", "total": 12.5, "paid": True},
    {"number": "2026-2", "total": 7.0, "paid": False},
    {"number": "2026-3", "total": 99.9, "paid": False},
]


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeServer]:
    """A second server, as the one of a user who has models at home."""
    with FakeServer() as server:
        yield server


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory, ollama: FakeServer) -> Iterator[Chat]:
    """A kernel of a user with a key, and with Ollama."""
    with FakeServer() as server:
        environ = {
            "OPENAI_API_KEY": CANARY,
            "OPENAI_BASE_URL": server.url,
            "LLM_MAGIC_MODEL": "echo",
            "OLLAMA_HOST": ollama.url.removesuffix("/v1"),
        }
        with Kernel(tmp_path_factory.mktemp("kernel"), environ=environ) as kernel:
            kernel.run("%load_ext llm_magic").checked()
            kernel.run(SETUP, cell_id="setup").checked()
            yield Chat(kernel=kernel, server=server)


@pytest.mark.capability("D19")
def test_two_functions_one_question(chat: Chat) -> None:
    """One is allowed with a button while the cell blocks, the other is read-only and runs; both are in the answer."""
    code = f"%%chat -m calls --tool stock --tool order --raw\n{json.dumps(CALLS)}"
    request_id = chat.kernel.submit(code, cell_id="tools")
    page = TurnPage.of_cell(chat.kernel, request_id)
    page.say("hello")
    page.see(lambda page: page.turn["s"] == "asking")
    page.say("permit", turn=page.turn["w"], call=page.turn["asks"][0]["call"], answer="yes")
    outcome = chat.kernel.finish(request_id).checked()

    assert chat.kernel.value("_reply.text") == "I have: 3; 2 × lamp ordered"
    assert chat.kernel.value("ordered") == [("lamp", 2)]
    assert "2 × lamp ordered" in str(outcome.bundles)


@pytest.mark.capability("C8", "E12")
def test_pictures_become_a_table(chat: Chat) -> None:
    """What three pictures say, as rows of a type."""
    said = json.dumps({"items": INVOICES})
    chat.run(
        f"%%llm -m typed -i first -i second -i third --schema list[Invoice] --into found --raw\n{json.dumps([said])}",
        "typed",
    ).checked()

    assert chat.kernel.value("found.data.to_dict('records')") == INVOICES
    assert chat.kernel.value("(list(found.data.columns), type(found.parsed[0]).__name__)") == (
        ["number", "total", "paid"],
        "Invoice",
    )
    (sent,) = [request.body for request in chat.server.requests if request.body["model"] == "typed"]
    kinds = [part["type"] for part in sent["messages"][-1]["content"]]
    assert kinds.count("image_url") == 3
    assert sent["response_format"]["type"] == "json_schema"


@pytest.mark.capability("A36")
def test_another_provider_by_one_option(chat: Chat, ollama: FakeServer) -> None:
    """The server at home is asked, without the key of the other."""
    chat.run("%%llm -m ollama/echo\nWho is there?", "ollama").checked()

    (request,) = ollama.requests
    assert (request.body["model"], request.path) == ("echo", "/v1/chat/completions")
    assert CANARY not in str(request.headers)
    assert chat.kernel.value("_reply.text") == "Who is there?"


@pytest.mark.capability("J2", "J5")
def test_a_column_and_a_recording(chat: Chat) -> None:
    """A Series is embedded row by row with its index; what was spoken is text."""
    chat.run('vectors = llm_magic.embed(notes["text"], model="text-embedding-3-small")', "embed").checked()
    chat.run("import io, wave\nbuffer = io.BytesIO()", "buffer").checked()
    chat.run(
        'with wave.open(buffer, "wb") as sound:\n    sound.setparams((1, 2, 8000, 0, "NONE", ""))\n'
        '    sound.writeframes(b"\\0\\0" * 800)\nopen("talk.wav", "wb").write(buffer.getvalue());',
        "record",
    ).checked()
    chat.run('said = llm_magic.transcribe("talk.wav", model="gpt-4o-transcribe")', "transcribe").checked()

    assert chat.kernel.value("(len(vectors), list(vectors.index))") == (3, [10, 20, 30])
    assert chat.kernel.value("bool(said)")


@pytest.mark.capability("D19", "I9")
def test_each_request_has_its_price(chat: Chat) -> None:
    """One row for each, rounds of tools too; what has no known price says so."""
    rows = chat.kernel.value(
        "llm_magic.usage('session')[['kind', 'round', 'api', 'backend', 'status', 'total_tokens']].to_dict('records')"
    )

    asked = [(row["kind"], row["round"], row["api"]) for row in rows]
    assert asked == [
        ("chat", 1, "chat"),
        ("chat", 2, "chat"),
        ("aside", 1, "chat"),
        ("aside", 1, "chat"),
        ("embed", 1, "embeddings"),
        ("transcribe", 1, "audio.transcriptions"),
    ]
    assert {row["status"] for row in rows} == {"complete"}
    assert all(row["total_tokens"] > 0 for row in rows)
    assert [row["backend"] for row in rows].count("ollama") == 1
    total = chat.run("%chat", "total").checked()
    assert "6 requests" in total.stdout + str(total.bundles)
