"""The whole public API, used as its types allow: checked by mypy, not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import llm_magic
from llm_magic import Conversation, LocalBackend, OpenAIBackend, Reply
from llm_magic.events import TextDelta
from llm_magic.testing import ScriptedBackend, check_backend, says

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def conversations() -> None:
    """From Python."""
    chat = Conversation(system="Be brief.", model="m", backend=OpenAIBackend(api_key="k"))
    reply: Reply = chat.ask("text", object(), temperature=0.5, keep=False)
    text: str = reply.text
    tokens: int = reply.usage.output_tokens
    cost: float | None = reply.cost_usd
    reason: str | None = reply.finish_reason
    data: Any = reply.data if reply.parsed else chat.ask("text", schema=list[int], keep=False).data
    again: Reply = chat.retry(1) or chat.go_on(max_tokens=500)
    copy: Conversation = chat.fork(at=1)
    undone: bool = copy.undo() is not None and copy.redo() is not None
    first, last = copy.numbered(1), copy.slots[-1]
    copy.pick(first, first.version(1))
    copy.hide(first, last)
    copy.unhide(first)
    copy.move(last, first)
    stale: frozenset[str] = copy.stale()
    parent: str | None = copy.parent
    frame: pd.DataFrame = chat.to_frame()
    same: Conversation = Conversation.from_frame(frame)
    line: str = Conversation.from_dict(same.to_dict()).to_jsonl() + chat.to_markdown()
    for event in Conversation.from_jsonl(line).stream("go"):
        print(event, text, tokens, cost, reason, data, again, undone, stale, parent)


async def awaited() -> None:
    """On a loop."""
    chat = Conversation(backend=ScriptedBackend([says("hello")]), model="m")
    reply: Reply = await chat.aask("a")
    async for event in chat.astream("b", stop=["END"]):
        snapshot: str | None = event.snapshot if isinstance(event, TextDelta) else None
        so_far: Any = llm_magic.partial_json(snapshot or "")
        print(event, reply, so_far)
    column: pd.DataFrame = await llm_magic.amap(["a"], model="m")
    await check_backend(LocalBackend, model="local")
    print(column)


def module() -> None:
    """Module level."""
    current: Conversation = llm_magic.conversation()
    reply: Reply = llm_magic.ask("a")
    table: pd.DataFrame = llm_magic.usage(scope="all")
    end = llm_magic.on_call(lambda event: event.latency_s, content=True)
    end()
    happened: pd.DataFrame = llm_magic.calls()
    llm_magic.panel()
    offered: pd.DataFrame = llm_magic.models("gpt", refresh=True)
    problems: pd.DataFrame = llm_magic.check_jsonl(current.to_jsonl(), model="gpt-4.1-mini")
    llm_magic.register_content(dict, lambda value: str(value))
    window: int | None = llm_magic.register_model("mine", window=8192, vision=False).window
    ids: list[int] = llm_magic.tokenize("text", "gpt-5.4-mini")
    print(window, ids)
    llm_magic.register_backend("mine", ScriptedBackend)
    profile = llm_magic.register_profile(
        "lab", like="vllm", base_url="http://gpu7:8000/v1", quirks={"names": "dropped"}
    )
    providers: pd.DataFrame = llm_magic.profiles()
    print(profile.quirks.names, providers)
    azure = llm_magic.AzureOpenAIBackend(azure_endpoint="https://x", api_version="1", api_key=["k", lambda: "k2"])
    described: dict[str, Any] = azure.to_config()
    written: str = OpenAIBackend.from_config(described).to_toml()
    loaded: str = llm_magic.load_backend(described).name
    print(written, loaded, OpenAIBackend(organization=("a", "b"), queries_per_second=0.5, profile="ollama"))
    llm_magic.allow_nested()

    @llm_magic.tool(read_only=True, timeout_s=2.0)
    def double(number: int) -> int:
        return 2 * number

    print(llm_magic.tool(len).name, double(4))
    try:
        print(current, reply, table, offered, problems, happened)
    except llm_magic.LLMMagicError as exc:
        print(exc.message, exc.hint)


def columns(table: pd.DataFrame) -> None:
    """Many at once."""
    moods: pd.DataFrame = llm_magic.map(table["text"], system="One word.", in_flight=8, temperature=0)
    filled: pd.DataFrame = llm_magic.map(table, template="{{ text }}", on_error="raise", progress=False)
    before: pd.DataFrame | None = llm_magic.last_map()
    print(moods, filled, before)


def endpoints(table: pd.DataFrame) -> None:
    """What servers have beside chat."""
    vector: NDArray[np.float32] = llm_magic.embed("a", dimensions=256)
    rows: NDArray[np.float32] = llm_magic.embed(["a", "b"], model="m")
    frame: pd.DataFrame = llm_magic.embed(table["text"], timeout_s=10)
    text: str = llm_magic.complete([[1, 2], [3]], model="m", max_tokens=5).text
    sound: bytes = llm_magic.speak("a", voice="nova", format="wav").data
    said: str = llm_magic.transcribe("talk.mp3", language="en")
    language: str | None = llm_magic.transcribe(b"", model="m").language
    print(vector, rows, frame, text, sound, said, language, llm_magic.image("a", n=2))


async def awaited_endpoints() -> None:
    """On a loop."""
    rows: NDArray[np.float32] = await llm_magic.aembed(["a"])
    text: str = (await llm_magic.acomplete("a", model="m")).texts[0]
    print(rows, text, await llm_magic.aimage("a"), await llm_magic.aspeak("a"), await llm_magic.atranscribe(b""))
