"""What is known of models by name."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from llm_magic.catalog import (
    DEFAULT_MODEL,
    context_window,
    cost_usd,
    is_same_model,
    known_models,
    normalized_model,
    provider_of,
    rejects_sampling,
    thinks_in_tags,
)
from llm_magic.counts import Usage

USAGE = Usage(input_tokens=1_000_000, output_tokens=100_000, total_tokens=1_100_000)


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "openai/o3"])
def test_reasoning_models_refuse_sampling(model: str) -> None:
    """By their names, dated and routed ones too."""
    assert rejects_sampling(model)


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-5-chat-latest", "gpt-5.4-mini", "gpt-5.1", "o200k", "olmo", "claude-x"]
)
def test_others_take_sampling_until_they_refuse(model: str) -> None:
    """What is not known is tried."""
    assert not rejects_sampling(model)


@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("deepseek-r1:7b", True),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", True),
        ("Qwen/QwQ-32B", True),
        ("qwen3-235b-a22b-thinking-2507", True),
        ("qwen3-8b", False),
        ("deepseek-chat", False),
        ("gpt-4o", False),
    ],
)
def test_families_that_begin_inside_a_thought_are_known(model: str, *, thinks: bool) -> None:
    """Only those: an answer of another model begins with its answer."""
    assert thinks_in_tags(model) is thinks


def test_prices_are_those_of_the_table() -> None:
    """Cached tokens cost less, a date is a name of the model, a router's price is the maker's."""
    price = cost_usd(USAGE, "gpt-4o", provider="openai")
    cached = cost_usd(Usage(input_tokens=1_000_000, cached_tokens=900_000, output_tokens=100_000), "gpt-4o")

    assert price == pytest.approx(3.5)
    assert cached is not None
    assert price is not None
    assert 0 < cached < price
    assert cost_usd(USAGE, "gpt-4o-2024-08-06") == price
    assert cost_usd(USAGE, "openai/gpt-4o") == price
    assert cost_usd(USAGE, "claude-sonnet-4-5") is not None
    assert cost_usd(USAGE, "ft:gpt-4o-mini-2024-07-18:acme::x") == pytest.approx(0.42)  # tuned models cost more
    assert cost_usd(USAGE, "gpt-4o", at=datetime(2025, 6, 1, tzinfo=UTC)) == price


@pytest.mark.parametrize("model", ["gpt-99", "echo", "llama3.2", "gpt-oss-20b", ""])
def test_an_unknown_price_is_none_and_never_zero(model: str) -> None:
    """Models anyone may serve have no price where the server is not known."""
    assert cost_usd(USAGE, model) is None


def test_counts_that_contradict_each_other_have_no_price() -> None:
    """More cached tokens than tokens: no guess."""
    assert cost_usd(Usage(input_tokens=1, cached_tokens=5, output_tokens=1), "gpt-4o") is None


def test_a_provider_decides_over_the_name() -> None:
    """An open model has the price of who serves it; an unknown provider has none."""
    assert cost_usd(USAGE, "llama-3.3-70b-versatile", provider="groq") is not None
    assert cost_usd(USAGE, "gpt-4o", provider="nobody") is None


def test_context_windows_are_known_or_none() -> None:
    """Dated names have the window of their model."""
    assert context_window("gpt-4o") == 128_000
    assert context_window("gpt-4o-2024-08-06") == 128_000
    assert context_window("gpt-99") is None
    assert context_window("llama3.2") is None


def test_models_of_a_provider_are_known() -> None:
    """The default model among them; nobody's are none."""
    assert DEFAULT_MODEL in known_models("openai")
    assert known_models("nobody") == ()


def test_hosts_tell_providers() -> None:
    """A proxy or one's own server does not."""
    assert provider_of("https://api.openai.com/v1") == "openai"
    assert provider_of("http://127.0.0.1:11434/v1") is None
    assert provider_of("https://proxy.example.org/api.openai.com") is None


def test_prices_are_loaded_when_they_are_asked_for() -> None:
    """Importing the module loads no table."""
    code = "import sys, llm_magic.catalog; print('genai_prices' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "False"


@pytest.mark.capability("E20")
def test_azures_names_are_the_makers() -> None:
    """Without their dot there, with it here; its prices too."""
    assert normalized_model("gpt-35-turbo-16k") == "gpt-3.5-turbo-16k"
    assert cost_usd(USAGE, "gpt-35-turbo") == cost_usd(USAGE, "gpt-3.5-turbo") is not None


@pytest.mark.capability("E16")
@pytest.mark.parametrize(
    ("requested", "answered"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-35-turbo", "gpt-3.5-turbo-0125"),
        ("openai/gpt-4o", "gpt-4o"),
        ("llama3.2", "llama3.2:3b"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
        ("mistral-small-latest", "mistral-small-2506"),
        ("gemini-flash-latest", "gemini-3.8-flash"),
        ("models/gemini-3-flash", "gemini-3-flash-preview"),
        ("openrouter/auto", "anthropic/claude-x"),
        ("GPT-4o", "gpt-4o"),
    ],
)
def test_names_of_one_model_are_known_as_such(requested: str, answered: str) -> None:
    """Aliases, dates, makers, letter case."""
    assert is_same_model(requested, answered)


@pytest.mark.capability("E16")
@pytest.mark.parametrize(
    ("requested", "answered"),
    [("gpt-4o", "gpt-4o-mini"), ("gpt-4o", "gpt-5"), ("llama3.2", "llama3"), ("a", "b"), ("gpt-4o-mini", "gpt-4o")],
)
def test_other_models_are_others(requested: str, answered: str) -> None:
    """A smaller one too."""
    assert not is_same_model(requested, answered)
