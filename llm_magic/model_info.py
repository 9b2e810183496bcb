"""What is known of a model: its window, what it can do, what it costs. What is not known stays unknown.

Comes in: a model's name, who serves it, and what the user or the server says of it. Goes out: a :class:`ModelInfo`.
Four sources, the stronger over the weaker: what the user says (``register_model``, the setting ``model_info``), what
the server lists, our own dated table (``models.toml``), and genai-prices for windows and prices.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from . import catalog
from .errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from .counts import Usage

_MTOK = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a model can do: yes, no, or nobody knows (None).

    Attributes:
        vision: It sees pictures.
        tools: It calls functions.
        json: It answers in JSON where it is told to (``json_object``).
        typed: It keeps to a schema (``json_schema``).
        reasoning: It thinks before it answers.
        multiple_system_messages: It takes more than one system message, wherever they stand.
    """

    vision: bool | None = None
    tools: bool | None = None
    json: bool | None = None
    typed: bool | None = None
    reasoning: bool | None = None
    multiple_system_messages: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What is known of one model; None is unknown.

    Attributes:
        id: Its name, as it is asked for.
        owner: Who made it, or serves it.
        family: What it belongs to ("gpt-5", "claude").
        window: Tokens it reads and writes at most. Count.
        output_limit: Tokens it writes at most. Count.
        input_usd_per_mtok: List price of a million tokens read, in US dollars; long requests may cost more.
        output_usd_per_mtok: List price of a million tokens written, in US dollars.
        can: What it can do.
    """

    id: str
    owner: str | None = None
    family: str | None = None
    window: int | None = None
    output_limit: int | None = None
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    can: Abilities = Abilities()


_ABILITIES = tuple(field.name for field in fields(Abilities))
_COUNTS, _PRICES, _TEXTS = (
    ("window", "output_limit"),
    ("input_usd_per_mtok", "output_usd_per_mtok"),
    ("owner", "family"),
)
FACTS: tuple[str, ...] = (*_TEXTS, *_COUNTS, *_PRICES, *_ABILITIES)
# How other wrappers call the same.
_ALIASES = {
    "context_window": "window",
    "function_calling": "tools",
    "json_output": "json",
    "max_output_tokens": "output_limit",
    "structured_output": "typed",
}
_registered: dict[str, Mapping[str, Any]] = {}


def register_model(name: str, **facts: Any) -> ModelInfo:
    """Say what is known of a model; it goes before every other source.

    >>> register_model("my-finetune", window=8192, vision=False).window
    8192

    Args:
        name: As it is asked for. Said again, it replaces what was said before.
        facts: owner, family; window, output_limit (counts); input_usd_per_mtok, output_usd_per_mtok; vision, tools,
            json, typed, reasoning, multiple_system_messages. None, and what is left out, is not said.

    Raises:
        ConfigurationError: A fact is unknown, or its value does not fit.
    """
    if not name:
        raise ConfigurationError("A model needs a name.", hint="as it is asked for")
    _registered[name.lower()] = checked_facts(facts)
    return model_info(name)


def checked_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of a model by our names for them, those that are None left out.

    Raises:
        ConfigurationError: One is unknown, or its value does not fit.
    """
    found = {}
    for given, value in facts.items():
        name = _ALIASES.get(given, given)
        if name not in FACTS:
            hint = did_you_mean(given, (*FACTS, *_ALIASES), otherwise="one of " + ", ".join(FACTS))
            raise ConfigurationError(f"Unknown fact {given!r} of a model.", hint=hint)
        if value is None:
            continue
        if not _is_fit(name, value):
            wanted = "true or false" if name in _ABILITIES else "text" if name in _TEXTS else "a number above 0"
            raise ConfigurationError(f"{value!r} does not fit {given}.", hint=f"{given} is {wanted}")
        found[name] = value
    return found


def _is_fit(name: str, value: Any) -> bool:
    if name in _ABILITIES:
        return isinstance(value, bool)
    if name in _TEXTS:
        return isinstance(value, str)
    if isinstance(value, bool):
        return False
    return (isinstance(value, int) and value > 0) if name in _COUNTS else isinstance(value, int | float) and value >= 0


def model_info(
    model: str,
    *,
    provider: str | None = None,
    listed: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> ModelInfo:
    """Everything that is known of a model.

    Args:
        model: Its name; a route ("openai/") before it is passed over.
        provider: Who serves it, as ``catalog.provider_of`` says; None where unknown.
        listed: What the server's list of models says of it, see :func:`listed_facts`.
        facts: What the user says of it, checked.
    """
    known = _facts(model, provider, listed or {}, facts or {})
    if "window" not in known:
        known["window"] = catalog.context_window(model, provider=provider)
    prices = catalog.prices_per_mtok(model, provider=provider)
    known = dict(zip(_PRICES, prices, strict=True)) | known
    return ModelInfo(
        id=model,
        can=Abilities(**{name: known.pop(name) for name in _ABILITIES if name in known}),
        **known,
    )


def abilities(
    model: str,
    provider: str | None = None,
    *,
    listed: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Abilities:
    """What a model can do; as :func:`model_info`, without looking up prices."""
    known = _facts(model, provider, listed or {}, facts or {})
    return Abilities(**{name: known[name] for name in _ABILITIES if name in known})


def cost_usd(usage: Usage, model: str, *, provider: str | None = None, at: datetime | None = None) -> float | None:
    """What a request costs, in US dollars, by the user's own prices, else the list's; None where none is known.

    Args:
        usage: Its tokens.
        model: The model, as asked for or as it named itself.
        provider: Who serves it, None where unknown.
        at: When it was asked; None means now.
    """
    known = _said(model)
    if any(price in known for price in _PRICES):
        return priced(usage, ModelInfo(id=model, **{price: known[price] for price in _PRICES if price in known}))
    return catalog.cost_usd(usage, model, provider=provider, at=at)


def priced(usage: Usage, info: ModelInfo) -> float | None:
    """What tokens cost at a model's own prices; None where one is needed and not known."""
    total = 0.0
    bought = ((usage.input_tokens, info.input_usd_per_mtok), (usage.output_tokens, info.output_usd_per_mtok))
    for tokens, price in bought:
        if tokens and price is None:
            return None
        total += tokens * (price or 0.0) / _MTOK
    return total


def listed_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a server's list says of a model beyond its name, whichever server it is.

    OpenRouter and Together tell ``context_length`` and ``pricing``, vLLM ``max_model_len``, Groq ``context_window``,
    Mistral ``max_context_length`` and ``capabilities``, llama.cpp ``meta``; what does not fit is passed over.

    Args:
        row: One model of ``/models``.
    """
    meta, pricing, top = (_part(row, name) for name in ("meta", "pricing", "top_provider"))
    windows = (
        *(row.get(name) for name in ("context_length", "max_model_len", "context_window", "max_context_length")),
        *(meta.get(name) for name in ("n_ctx", "n_ctx_train")),
    )
    limits = (row.get("max_completion_tokens"), row.get("max_output_tokens"), top.get("max_completion_tokens"))
    found: dict[str, Any] = {
        "owner": row.get("owned_by") or row.get("organization"),
        "window": next((value for value in windows if _is_fit("window", value)), None),
        "output_limit": next((value for value in limits if _is_fit("output_limit", value)), None),
        "input_usd_per_mtok": _price(pricing, "prompt", "input"),
        "output_usd_per_mtok": _price(pricing, "completion", "output"),
        **_listed_abilities(row),
    }
    return {name: value for name, value in found.items() if value is not None and _is_fit(name, value)}


def _listed_abilities(row: Mapping[str, Any]) -> dict[str, Any]:
    can, params = _part(row, "capabilities"), row.get("supported_parameters")
    modalities = _part(row, "architecture").get("input_modalities", row.get("input_modalities"))
    found = {"vision": can.get("vision"), "tools": can.get("function_calling")}
    if isinstance(modalities, list):
        found["vision"] = "image" in modalities
    if isinstance(params, list):
        found |= {
            "tools": "tools" in params,
            "json": "response_format" in params,
            "typed": "structured_outputs" in params,
            "reasoning": "reasoning" in params,
        }
    return found


def _price(pricing: Mapping[str, Any], per_token: str, per_mtok: str) -> float | None:
    """A price a million tokens: servers that speak of prompt and completion mean one token, as text."""
    try:
        price = float(pricing[per_token]) * _MTOK if per_token in pricing else float(pricing[per_mtok])
    except (KeyError, TypeError, ValueError):
        return None
    # -1 is how a router says that it depends.
    return round(price, 9) if price >= 0 else None


def _part(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _facts(model: str, provider: str | None, listed: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**_tabled(model, provider), **listed, **_said(model), **facts}


def _said(model: str) -> Mapping[str, Any]:
    """What the user has registered of a model, by its whole name or without the route before it."""
    return _registered.get(model.lower()) or _registered.get(_bare(model), {})


def _tabled(model: str, provider: str | None) -> dict[str, Any]:
    bare = _bare(model)
    row: Mapping[str, Any] = next((row for names, row in _table() if names.fullmatch(bare)), {})
    there: Mapping[str, Any] = row.get("at", {}).get(provider, {})
    return {**{name: value for name, value in row.items() if name in FACTS}, **there}


@functools.cache
def _table() -> tuple[tuple[re.Pattern[str], Mapping[str, Any]], ...]:
    import tomllib
    from importlib import resources

    text = resources.files(__package__).joinpath("models.toml").read_text(encoding="utf-8")
    return tuple((re.compile(row["match"]), row) for row in tomllib.loads(text)["family"])


def _bare(model: str) -> str:
    return model.lower().rpartition("/")[2].removeprefix("ft:").partition(":")[0]
