"""What is known of models is told, what is not stays unknown, and what the user says goes before it all."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic import catalog, model_info
from llm_magic.counts import Usage
from llm_magic.errors import ConfigurationError
from llm_magic.model_info import FACTS, Abilities, ModelInfo, abilities, checked_facts, cost_usd, listed_facts

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def nothing_registered() -> Iterator[None]:
    kept = dict(model_info._registered)
    yield
    model_info._registered.clear()
    model_info._registered.update(kept)


@pytest.mark.capability("A8", "I12", "I14")
def test_the_default_model_is_known() -> None:
    """All of it: window, limits, abilities, prices."""
    info = model_info.model_info(catalog.DEFAULT_MODEL)

    assert info.owner == "openai"
    assert (info.window, info.output_limit) == (400_000, 128_000)
    assert (info.input_usd_per_mtok, info.output_usd_per_mtok) == (0.75, 4.5)
    assert info.can.vision is info.can.tools is info.can.typed is info.can.reasoning is True


@pytest.mark.capability("I12")
@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("gpt-4-0613", None, {"vision": False, "tools": True, "typed": False, "json": False}),
        ("gpt-3.5-turbo", None, {"vision": False, "typed": False, "json": True}),
        ("o1-mini", None, {"tools": False, "multiple_system_messages": False}),
        ("openai/gpt-5.6-sol", "openrouter", {"vision": True, "tools": True}),
        ("gpt-4o-2024-05-13", None, {"typed": False}),
        ("gpt-4o-2024-08-06", None, {"typed": True}),
        ("ft:gpt-4o-2024-08-06:lab::id", None, {"vision": True}),
        ("gpt-5.4-pro", None, {"tools": None}),
        ("claude-opus-4-8", "anthropic", {"typed": False, "vision": True}),
        ("claude-opus-4-8", "openrouter", {"typed": None, "vision": True}),
        ("claude-3-5-haiku-latest", None, {"vision": None}),
        ("deepseek-chat", "deepseek", {"typed": False, "json": True, "vision": False}),
        ("gemini-2.5-flash-image", None, {"tools": None}),
        ("grok-4-fast-non-reasoning", None, {"reasoning": False}),
        ("smollm2-135m-instruct", None, {"vision": False, "tools": None}),
        ("qwen3:8b", None, {"vision": None, "tools": None, "typed": None}),
        ("", None, {"vision": None}),
    ],
)
def test_abilities_have_three_answers(model: str, provider: str | None, expected: dict[str, bool | None]) -> None:
    """Yes, no, and nobody knows."""
    can = abilities(model, provider)

    assert {name: getattr(can, name) for name in expected} == expected


@pytest.mark.capability("I12")
def test_an_unknown_model_is_unknown() -> None:
    """Nothing is made up for it."""
    assert model_info.model_info("never-heard-of") == ModelInfo(id="never-heard-of")


@pytest.mark.capability("I12")
def test_what_the_user_says_goes_first() -> None:
    """Over the server's list, which goes over the table; what is not said stays."""
    listed = {"window": 1000, "vision": False, "owner": "me"}
    info = model_info.model_info("gpt-4o", listed=listed, facts={"window": 500})

    assert (info.window, info.owner, info.can.vision, info.can.tools) == (500, "me", False, True)

    made = model_info.register_model("GPT-4o", tools=False, context_window=77)
    assert (made.can.tools, made.can.vision, made.window) == (False, True, 77)
    assert abilities("openai/gpt-4o", listed=listed).tools is False
    assert model_info.register_model("gpt-4o", vision=False).can == Abilities(
        vision=False, tools=True, json=True, typed=True, reasoning=False, multiple_system_messages=True
    )


@pytest.mark.capability("I12", "I13")
@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"vison": True}, "did you mean vision"),
        ({"window": 0}, "a number above 0"),
        ({"window": True}, "a number above 0"),
        ({"vision": "yes"}, "true or false"),
        ({"family": 3}, "text"),
        # What AutoGen has retired was never taken here.
        ({"model_capabilities": {"vision": True}}, "Unknown fact"),
        ({"input_usd_per_mtok": -1.0}, "a number"),
    ],
)
def test_facts_are_checked(facts: dict[str, Any], said: str) -> None:
    """An unknown fact names the nearest, a value that does not fit says what would."""
    with pytest.raises(ConfigurationError, match=said):
        model_info.register_model("mine", **facts)

    with pytest.raises(ConfigurationError, match="needs a name"):
        model_info.register_model("")


@pytest.mark.capability("I12")
def test_facts_of_other_wrappers_are_understood() -> None:
    """The names AutoGen uses mean the same."""
    given = {"vision": True, "function_calling": False, "json_output": True, "structured_output": None, "family": "x"}

    assert checked_facts(given) == {"vision": True, "tools": False, "json": True, "family": "x"}


def test_registered_prices_count() -> None:
    """A model whose prices the user gave costs that, and one of which half is missing nothing known."""
    usage = Usage(input_tokens=1_000_000, output_tokens=500_000, total_tokens=1_500_000)
    model_info.register_model("mine", input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)
    model_info.register_model("half", input_usd_per_mtok=1.0)

    assert cost_usd(usage, "mine", provider="openai") == 2.0
    assert cost_usd(usage, "half") is None
    assert cost_usd(Usage(input_tokens=5, total_tokens=5), "half") == 0.000005
    assert cost_usd(usage, "never-heard-of") is None
    assert cost_usd(usage, "gpt-4o") == catalog.cost_usd(usage, "gpt-4o")


OPENROUTER = {
    "id": "maker/model",
    "context_length": 4096,
    "pricing": {"prompt": "0.0000025", "completion": "0.00001"},
    "architecture": {"input_modalities": ["text", "image"]},
    "top_provider": {"max_completion_tokens": 1024},
    "supported_parameters": ["tools", "response_format"],
}


@pytest.mark.capability("I15", "J7")
@pytest.mark.parametrize(
    ("row", "facts"),
    [
        (
            OPENROUTER,
            {"window": 4096, "output_limit": 1024, "input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0}
            | {"vision": True, "tools": True, "json": True, "typed": False, "reasoning": False},
        ),
        ({"id": "router", "pricing": {"prompt": "-1", "completion": "-1"}}, {}),
        (
            {"id": "together", "context_length": 8, "pricing": {"input": 0.2, "output": 0.6}, "organization": "Meta"},
            {"window": 8, "input_usd_per_mtok": 0.2, "output_usd_per_mtok": 0.6, "owner": "Meta"},
        ),
        ({"id": "vllm", "max_model_len": 32768, "owned_by": "vllm"}, {"window": 32768, "owner": "vllm"}),
        (
            {"id": "groq", "context_window": 131072, "max_completion_tokens": 32768},
            {"window": 131072, "output_limit": 32768},
        ),
        ({"id": "llama.cpp", "meta": {"n_ctx_train": 2048, "n_params": 1}}, {"window": 2048}),
        (
            {"id": "mistral", "max_context_length": 9, "capabilities": {"vision": False, "function_calling": True}},
            {"window": 9, "vision": False, "tools": True},
        ),
        ({"id": "llama.cpp", "capabilities": ["completion"], "meta": None, "context_length": "long"}, {}),
        ({"id": "ollama", "created": 1, "owned_by": "library"}, {"owner": "library"}),
    ],
)
def test_what_servers_list_is_used(row: dict[str, Any], facts: dict[str, Any]) -> None:
    """Each in its own words; what cannot be read is passed over."""
    assert listed_facts(row) == facts


@pytest.mark.capability("I14")
def test_the_table_is_dated_sourced_and_sound() -> None:
    """Each family's facts are facts we know, and the file says of when."""
    import datetime as dt
    import tomllib
    from importlib import resources

    text = resources.files("llm_magic").joinpath("models.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)

    assert isinstance(table["as_of"], dt.date)
    assert "Source" in text
    for row in table["family"]:
        facts = {name: value for name, value in row.items() if name not in ("match", "at")}
        assert checked_facts(facts) == facts
        for there in row.get("at", {}).values():
            assert checked_facts(there) == there


def test_abilities_load_no_prices() -> None:
    """What a model can do is looked up before an ask: it costs no import of the price list."""
    code = (
        "import sys\nfrom llm_magic.model_info import abilities\n"
        "print(abilities('gpt-4o').vision, 'genai_prices' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.split() == ["True", "False"]
    assert set(FACTS) > {"window", "vision"}
