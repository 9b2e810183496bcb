"""What is known of models by name: where they are served, what they cost, what they read and refuse.

Names only, no connection. Prices and context windows come from genai-prices, which is offline and dated; what
it does not know is None, never 0.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genai_prices.types import Provider

    from .counts import Usage

DEFAULT_MODEL = "gpt-5.4-mini"
LOCAL_MODEL = "smollm2-135m-instruct"
# Models that refuse temperature, top_p and the like. Source: OpenAI, reasoning guide ("parameters not
# supported") and the guides to gpt-5 and gpt-5.6; gpt-5.1 to 5.5 take them at their default effort, so they
# are asked.
_REJECTS_SAMPLING = re.compile(r"o\d+(-.*)?|gpt-5(-(?!chat).*)?|gpt-5\.6(-.*)?|codex-.*")
# Families whose chat templates open <think> in the prompt, so that answers begin inside a thought. Source:
# the tokenizer_config.json of DeepSeek-R1 and its distillations, QwQ, and the Thinking editions of Qwen3.
_THINKS_IN_TAGS = re.compile(r"deepseek[-_.]?r1|r1[-_]distill|\bqwq\b|qwen3.*thinking", re.IGNORECASE)
# Closed models have one maker and one list price, wherever they are asked through.
_MAKERS: Mapping[str, re.Pattern[str]] = {
    "openai": re.compile(r"(gpt-(?!oss)|o\d|chatgpt-|text-embedding-)"),
    "anthropic": re.compile(r"claude-"),
    "google": re.compile(r"gemini-"),
}
# Hosts → provider ids of genai-prices.
_PROVIDERS: Mapping[str, str] = {
    "api.anthropic.com": "anthropic",
    "api.cerebras.ai": "cerebras",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks",
    "api.groq.com": "groq",
    "api.llama.com": "meta",
    "api.mistral.ai": "mistral",
    "api.openai.com": "openai",
    "api.perplexity.ai": "perplexity",
    "api.together.xyz": "together",
    "api.x.ai": "x-ai",
    "generativelanguage.googleapis.com": "google",
    "openrouter.ai": "openrouter",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where models of one name prefix are served.

    Attributes:
        prefix: How their names begin; letter case counts.
        base_url: Where they are asked.
        key_variable: Environment variable of the key.
        provider: Provider id, for name and prices.
    """

    prefix: str
    base_url: str
    key_variable: str
    provider: str


_routes = {
    route.prefix: route
    for route in (
        Route(
            prefix="gemini-",
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            key_variable="GEMINI_API_KEY",
            provider="google",
        ),
        Route(
            prefix="claude-",
            base_url="https://api.anthropic.com/v1",
            key_variable="ANTHROPIC_API_KEY",
            provider="anthropic",
        ),
        Route(
            prefix="Llama-",
            base_url="https://api.llama.com/compat/v1",
            key_variable="LLAMA_API_KEY",
            provider="meta",
        ),
        Route(prefix="grok-", base_url="https://api.x.ai/v1", key_variable="XAI_API_KEY", provider="x-ai"),
    )
}


def route(model: str) -> Route | None:
    """Where a model is served by its name; None where its name says nothing. The longest prefix wins.

    >>> route("claude-sonnet-4-5").key_variable, route("gpt-5.4-mini")
    ('ANTHROPIC_API_KEY', None)
    """
    fitting = [item for prefix, item in _routes.items() if model.startswith(prefix)]
    return max(fitting, key=lambda item: len(item.prefix), default=None)


def register_route(prefix: str, *, base_url: str, key_variable: str, provider: str = "") -> Route:
    """Ask models whose names begin with a prefix at an address of their own.

    A rule of the same prefix is replaced.

    Raises:
        ConfigurationError: The prefix is empty.
    """
    if not prefix:
        raise ConfigurationError("A route needs a prefix.", hint="the beginning of the models' names")
    _routes[prefix] = Route(
        prefix=prefix, base_url=base_url, key_variable=key_variable, provider=provider or prefix.strip("-/")
    )
    return _routes[prefix]


def provider_of(base_url: str) -> str | None:
    """The provider behind an address; None where it is not known: a proxy, a server of one's own."""
    return _PROVIDERS.get(urlsplit(base_url).hostname or "")


def rejects_sampling(model: str) -> bool:
    """The model refuses temperature and its like.

    >>> rejects_sampling("o4-mini"), rejects_sampling("gpt-5-chat-latest"), rejects_sampling("gpt-5.4-mini")
    (True, False, False)
    """
    return _REJECTS_SAMPLING.fullmatch(_bare(model)) is not None


def thinks_in_tags(model: str) -> bool:
    """The model's answers begin inside a thought, without an opening ``<think>``."""
    return _THINKS_IN_TAGS.search(model) is not None


def cost_usd(usage: Usage, model: str, *, provider: str | None = None, at: datetime | None = None) -> float | None:
    """What a request costs, in US dollars; None where no price is known.

    Args:
        usage: Its tokens.
        model: The model, as asked for or as it named itself.
        provider: Who serves it; None where unknown, then only models with one maker have a price.
        at: When it was asked; None means now.
    """
    provider = provider or _maker(model)
    if provider is None:
        return None
    import genai_prices

    tokens = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        output_tokens=usage.output_tokens,
        output_audio_tokens=usage.output_audio_tokens,
    )
    try:
        price = genai_prices.calc_price(
            tokens, _named(model, provider), provider_id=provider, genai_request_timestamp=at
        )
    except (LookupError, ValueError):
        # ValueError: counts that contradict each other, such as more cached tokens than tokens.
        return None
    return float(price.total_price)


def context_window(model: str, *, provider: str | None = None) -> int | None:
    """How many tokens a model reads and writes at most; None where unknown."""
    provider = provider or _maker(model)
    served_by = _provider(provider) if provider else None
    if provider is None or served_by is None:
        return None
    from genai_prices import data

    found = served_by.find_model(_named(model, provider), all_providers=data.providers)
    return found.context_window if found else None


def prices_per_mtok(model: str, *, provider: str | None = None) -> tuple[float | None, float | None]:
    """List prices of a million tokens read and written, in US dollars, for ordinary requests; None where unknown."""
    provider = provider or _maker(model)
    served_by = _provider(provider) if provider else None
    if provider is None or served_by is None:
        return None, None
    from genai_prices import data

    found = served_by.find_model(_named(model, provider), all_providers=data.providers)
    if found is None:
        return None, None
    prices = found.get_prices(datetime.now(UTC))
    return _base_price(prices.input_mtok), _base_price(prices.output_mtok)


def _base_price(price: object) -> float | None:
    # Where long requests cost more, that of the others.
    price = getattr(price, "base", price)
    return None if price is None else float(price)  # type: ignore[arg-type]  # a Decimal


def known_models(provider: str) -> tuple[str, ...]:
    """Names of a provider's models, as far as prices are known; nothing for an unknown provider."""
    served_by = _provider(provider)
    return tuple(model.id for model in served_by.models) if served_by else ()


@functools.cache
def _provider(provider: str) -> Provider | None:
    from genai_prices import data

    return next((item for item in data.providers if item.id == provider), None)


def _maker(model: str) -> str | None:
    bare = _bare(model)
    return next((maker for maker, names in _MAKERS.items() if names.match(bare)), None)


def _named(model: str, provider: str) -> str:
    """A model's name as the provider's own price list has it: makers' lists know no route before it."""
    return model.lower().rpartition("/")[2] if provider in _MAKERS else model


def _bare(model: str) -> str:
    return model.lower().rpartition("/")[2].removeprefix("ft:")
