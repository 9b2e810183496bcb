"""Parameters of a request: the names other libraries have for them, what may be sent, and how sampling is said in them.

Comes in: names and values as users give them. Goes out: OpenAI's names and values that fit, or one clear line. What is
not known is sent as it is: servers of one's own know more parameters than anybody lists.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from .errors import ConfigurationError, did_you_mean, nearest
from .kinds import is_number
from .settings import OTHER_NAMES, SETTINGS

Strategy: TypeAlias = Literal["greedy", "top_p", "top_k"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)
# What other wrappers, servers and papers call it → what OpenAI, or else most servers, do; or the setting that is meant:
# sent as a parameter, a key would be in the request's body.
ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("max_new_tokens", "max_completion_tokens", "max_output_tokens", "num_predict"), "max_tokens"),
    **dict.fromkeys(("stop_words", "stop_sequences"), "stop"),
    **dict.fromkeys(("repeat_penalty", "rep_penalty"), "repetition_penalty"),
    "random_seed": "seed",
    **dict.fromkeys(("timeout", "request_timeout"), "timeout_s"),
    **OTHER_NAMES,
}
# OpenAI's own parameters of Chat Completions. Source: API reference, create chat completion.
_OPENAI = (
    *("audio", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "metadata", "modalities", "n"),
    *("parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_retention"),
    *("reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store"),
    *("stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity"),
    "web_search_options",
)
# What servers of open models, and routers, take beside them.
_OTHERS = (
    *("top_k", "min_p", "top_a", "typical_p", "repetition_penalty", "mirostat", "mirostat_tau", "mirostat_eta"),
    *("guided_choice", "guided_grammar", "guided_json", "guided_regex", "structured_outputs", "ignore_eos"),
    *("min_tokens", "bad_words", "length_penalty", "best_of", "echo", "prompt_logprobs", "skip_special_tokens"),
    *("chat_template", "chat_template_kwargs", "cache_prompt", "grammar", "json_schema", "n_probs", "keep_alive"),
    *("num_ctx", "think", "thinking", "reasoning", "reasoning_format", "enable_thinking", "safe_prompt", "transforms"),
    *("provider", "route", "models", "plugins", "extra_body"),
)
KNOWN: tuple[str, ...] = (*_OPENAI, *_OTHERS, "json_mode", "sampling")
# What this package decides itself, with the reason.
_REFUSED: Mapping[str, str] = {
    "stream": "set with %chat config stream=off or --no-stream",
    "messages": "the conversation makes them",
    "functions": "it is retired: use tools",
    "function_call": "it is retired: use tool_choice",
    "timeout_s": "write --timeout SECONDS, in Python timeout_s=SECONDS",
    **dict.fromkeys(("extra_query", "default_query"), "give a backend: OpenAIBackend(default_query={…})"),
}
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repetition_penalty": (0, math.inf),
    "top_k": (-1, math.inf),
    "min_p": (0, 1),
    "top_logprobs": (0, math.inf),
}
_FLAGS = ("parallel_tool_calls", "logprobs", "store")
_TEXTS = ("user", "service_tier", "reasoning_effort", "verbosity", "safety_identifier")
_TABLES = ("logit_bias", "metadata", "prediction", "stream_options", "extra_body")
_RAW = "extra_body."
# Options of an ask beside its parameters.
_OPTIONS = ("schema", "tools", "keep", "fresh", "timeout_s", "force", "json_output", "budget", "backend")
_SHOWN = 60
# Those of the names above that mean a setting, for who misspells them.
_OF_SETTINGS = tuple(name for name, own in ALIASES.items() if own not in KNOWN)
# A name shorter than this, or with more letters wrong, is a name of its own.
_SHORTEST_TYPO, _MOST_WRONG = 6, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        strategy: greedy: always the likeliest; top_p: among those that make up ``top_p`` of the probability; top_k:
            among the ``top_k`` likeliest.
        temperature: How even the choice is; 0.0 where it is greedy.
        top_p: Share of the probability, 0 to 1; 1.0 means all.
        top_k: How many; None where all.
    """

    strategy: Strategy
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None


def name_of(name: str) -> str:
    """A parameter's own name, by any name it has.

    >>> name_of("max_new_tokens"), name_of("stop_words"), name_of("top_p")
    ('max_tokens', 'stop', 'top_p')
    """
    return ALIASES.get(name, name)


def by_own_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with parameters by their own names.

    Raises:
        ConfigurationError: One is given by two names.
    """
    out: dict[str, Any] = {}
    for name, value in options.items():
        if name_of(name) in out:
            raise ConfigurationError(f"The parameter {name_of(name)!r} is given twice.", hint="give it once")
        out[name_of(name)] = value
    return out


def checked_parameter(name: str, value: Any) -> Any:
    """A request parameter's value, if it may be sent; None is not sent.

    Args:
        name: Its own name, or ``extra_body.NAME`` for any name as it is.
        value: JSON.

    Raises:
        ConfigurationError: This package decides it itself, its name looks misspelt, or the value does not fit.
    """
    if name == "n":
        return _checked_n(value)
    if name == "max_tokens" and is_number(value) and value < 1:
        raise ConfigurationError(
            f"max_tokens={value} leaves no room for an answer.", hint="leave it out, or give at least 1"
        )
    if name in SETTINGS and SETTINGS[name].is_parameter:
        return SETTINGS[name].checked(value)
    check_is_parameter(name)
    if name not in KNOWN and not name.startswith(_RAW) and (meant := nearest_parameter(name)) is not None:
        raise ConfigurationError(
            f"The parameter {name!r} is not known.", hint=f"did you mean {meant}? Else write {_RAW}{name}"
        )
    if callable(value):
        # What only options of ours take, schema and tools: their names are misspelt.
        raise ConfigurationError(
            f"The parameter {name!r} is not known, and a {type(value).__name__} is no JSON.",
            hint=did_you_mean(name, (*_OPTIONS, *KNOWN)),
        )
    return _checked_value(name, value)


def check_is_parameter(name: str) -> None:
    """Refuse what is no parameter of a request but a setting of ours, by any name: a key is sent in no body.

    Raises:
        ConfigurationError: It is one.
    """
    own = name_of(name)
    if own in _REFUSED or (own in SETTINGS and own not in KNOWN and not SETTINGS[own].is_parameter):
        hint = _REFUSED.get(own) or f"it is a setting: %chat config {own}=VALUE"
        raise ConfigurationError(f"The parameter {name!r} cannot be set.", hint=hint)


def _checked_n(value: Any) -> int | None:
    if value is None or (value == 1 and not isinstance(value, bool)):
        return None  # what every ask has
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{value!r} does not fit n.", hint="n is how many answers to ask for: 1, 2, 3 …")
    return value


def nearest_parameter(name: str) -> str | None:
    """The known parameter or setting that a name seems to misspell; None where it is a name of its own.

    >>> nearest_parameter("presence_penality"), nearest_parameter("user_agnt"), nearest_parameter("enable_search")
    ('presence_penalty', 'user_agent', None)
    """
    match = nearest(name, (*KNOWN, *SETTINGS, *_OF_SETTINGS))
    return match if match is not None and _is_typo(name, match) else None


def expanded(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by OpenAI's names: shorthands (sampling, json_mode) written out, raw ones put beside, None left out.

    Args:
        params: Checked, by their own names.

    Raises:
        ConfigurationError: Two of them contradict each other.
    """
    out = {name: value for name, value in params.items() if value is not None and not _is_neutral(name, value)}
    if out.pop("json_mode", False):
        given = out.setdefault("response_format", {"type": "json_object"})
        if given != {"type": "json_object"}:
            raise ConfigurationError("json_mode and response_format are both given.", hint="give one of them")
    if (strategy := out.pop("sampling", None)) is not None:
        out |= _sampling_of_strategy(strategy, out)
    raw = {name: out.pop(name) for name in list(out) if name.startswith(_RAW)}
    if raw:
        extra = {name.removeprefix(_RAW): value for name, value in raw.items()}
        out["extra_body"] = {**out.get("extra_body", {}), **extra}
    return out


def sampling_params(
    strategy: Strategy, *, temperature: float | None = None, top_p: float | None = None, top_k: int | None = None
) -> dict[str, Any]:
    """A sampling strategy as request parameters.

    >>> sampling_params("greedy"), sampling_params("top_k", top_k=40)
    ({'temperature': 0.0}, {'top_k': 40})

    Raises:
        ConfigurationError: The strategy is unknown, or a value does not fit it.
    """
    match strategy:
        case "greedy":
            if temperature:
                raise ConfigurationError(f"sampling=greedy has no temperature of {temperature}.", hint="leave it out")
            return {"temperature": 0.0}
        case "top_p":
            found = {"temperature": temperature, "top_p": 0.95 if top_p is None else top_p}
            return {name: value for name, value in found.items() if value is not None}
        case "top_k":
            if not isinstance(top_k, int) or top_k < 1:
                raise ConfigurationError("sampling=top_k needs top_k.", hint="for example top_k=40")
            found = {"temperature": temperature, "top_k": top_k}
            return {name: value for name, value in found.items() if value is not None}
        case _:
            raise ConfigurationError(f"{strategy!r} is no sampling strategy.", hint="one of " + ", ".join(STRATEGIES))


def sampling_of(params: Mapping[str, Any]) -> Sampling:
    """The sampling strategy that request parameters mean; what is not said is the protocol's own default.

    >>> sampling_of({"temperature": 0}).strategy, sampling_of({"top_p": 0.9}), sampling_of({"top_k": 40}).strategy
    ('greedy', Sampling(strategy='top_p', temperature=1.0, top_p=0.9, top_k=None), 'top_k')
    """
    temperature, top_p, top_k = (params.get(name) for name in ("temperature", "top_p", "top_k"))
    if temperature == 0:
        return Sampling(strategy="greedy", temperature=0.0)
    return Sampling(
        strategy="top_k" if top_k is not None and top_k > 0 else "top_p",
        temperature=1.0 if temperature is None else temperature,
        top_p=1.0 if top_p is None else top_p,
        top_k=top_k if top_k is not None and top_k > 0 else None,
    )


def _sampling_of_strategy(strategy: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    if strategy == "greedy":
        return {"temperature": 0.0}  # over a temperature of the session's, which is not meant any more
    given = {name: params[name] for name in ("temperature", "top_p", "top_k") if name in params}
    return sampling_params(strategy, **given)


def _is_neutral(name: str, value: Any) -> bool:
    """The value asks for nothing: some servers refuse even that."""
    return (name == "repetition_penalty" and value == 1) or (name == "stop" and value in ([], ()))


def _checked_value(name: str, value: Any) -> Any:
    if value is None or (name == "logprobs" and is_number(value) and value >= 0):
        return value  # a completion of before chat says how many
    wanted = ""
    if name in _NUMBERS:
        least, most = _NUMBERS[name]
        if not (is_number(value) and least <= value <= most):
            wanted = f"a number from {least:g}" + (f" to {most:g}" if most < math.inf else "")
    elif name in _FLAGS and not isinstance(value, bool):
        wanted = "true or false"
    elif name in _TEXTS and not isinstance(value, str):
        wanted = "text"
    elif name in _TABLES and not isinstance(value, Mapping):
        wanted = "a table of names and values"
    elif name == "stop" and not (isinstance(value, str) or _is_list_of_text(value)):
        wanted = "text, or a list of texts"
    elif name == "sampling" and value not in STRATEGIES:
        wanted = "one of " + ", ".join(STRATEGIES)
    if wanted:
        raise ConfigurationError(f"{repr(value)[:_SHOWN]} does not fit {name}.", hint=f"{name} is {wanted}")
    return value


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _is_typo(name: str, known: str) -> bool:
    """At most two letters are wrong, missing or too many, and the words are as many: top_n is no misspelt top_p."""
    if name.count("_") != known.count("_") or min(len(name), len(known)) < _SHORTEST_TYPO:
        return False
    return _distance(name, known) <= _MOST_WRONG


def _distance(one: str, other: str) -> int:
    """How many letters have to be changed, taken or added to make one text of the other."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        former, row[0] = row[0], number
        for place, wanted in enumerate(other, start=1):
            former, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, former + (letter != wanted))
    return row[-1]
