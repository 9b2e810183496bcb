"""What is known of models by name: where they are served, what they cost, what they read and refuse.

Names only, no connection. Prices and context windows come from genai-prices, which is offline and dated; what
it does not know is None, never 0.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from . import providers

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
# Names behind which any model may answer.
_ROUTERS = frozenset(("auto", "router", "compound", "compound-mini", "default", "local-model"))
# What providers put behind a model's name: a date, a tag, a way of running it.
_EDITION = re.compile(r"([-@:](\d{8}|\d{4}-\d{2}-\d{2}|\d{4}|latest|preview|stable|free)(?!\w))+")


def provider_of(base_url: str) -> str | None:
    """The provider behind an address, for prices; None where it is not known: a proxy, a server of one's own."""
    found = providers.at(base_url)
    return found.provider if found else None


def normalized_model(model: str) -> str:
    """A model's name without what differs between two names of the same model.

    >>> normalized_model("openai/GPT-4o-2024-08-06"), normalized_model("gpt-35-turbo"), normalized_model("models/gemma")
    ('gpt-4o', 'gpt-3.5-turbo', 'gemma')
    """
    return _EDITION.sub("", _bare(model))


def is_same_model(requested: str, answered: str) -> bool:
    """Both names may well be of one model: an alias and its dated edition, with and without the maker's name.

    >>> is_same_model("gpt-4o", "gpt-4o-2024-08-06"), is_same_model("gpt-35-turbo", "gpt-3.5-turbo-0125")
    (True, True)
    >>> is_same_model("gpt-4o", "gpt-4o-mini"), is_same_model("openrouter/auto", "openai/gpt-5.4")
    (False, True)
    """
    mine, theirs = normalized_model(requested), normalized_model(answered)
    if mine in _ROUTERS or mine == theirs:
        return True
    if requested.endswith("-latest"):  # a name for whichever of the family is the newest
        return mine.partition("-")[0] == theirs.partition("-")[0]
    # A version of its own behind the same name: "claude-x" and "claude-x-2", "llama3.2:3b" and "llama3.2".
    rest = theirs.removeprefix(mine) if theirs.startswith(mine) else mine.removeprefix(theirs)
    return rest not in (mine, theirs) and re.fullmatch(r"[-:@][\d.:@_-]+\w?", rest) is not None


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
    # Azure writes names without their dot.
    return model.lower().rpartition("/")[2].removeprefix("ft:").replace("gpt-35", "gpt-3.5")
