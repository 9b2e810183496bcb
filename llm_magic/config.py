"""The one table of settings, and the layers a value is looked up in.

The first layer that has a value wins: the cell's options, the conversation, the session (``%chat config``),
``%config LLMMagic``, the environment, the default. Traits, environment variables, ``%chat config`` and the
documentation are all made from ``SETTINGS``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .budgets import parse_budget
from .errors import ConfigurationError, did_you_mean

Kind: TypeAlias = Literal[
    "text", "address", "secret", "integer", "number", "flag", "headers", "texts", "object", "budget"
]
Origin: TypeAlias = Literal["cell", "conversation", "session", "%config", "environment", "default"]

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        name: Its name everywhere; ``LLM_MAGIC_<NAME>`` in the environment.
        kind: What its value is: text, texts (one or a list of them), address, secret (texts or functions), integer,
            number, flag, headers, object (of JSON), budget (dollars or tokens).
        default: Value where no layer has one; None means "not sent" or "not set".
        help: One line; units included.
        environment: Further environment variables, after ``LLM_MAGIC_<NAME>``, first set wins.
        is_parameter: Sent with requests under its own name where it is not None.
        choices: Allowed values, empty for any.
        minimum: Smallest allowed number, None for any.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    environment: tuple[str, ...] = ()
    is_parameter: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None

    def variables(self) -> tuple[str, ...]:
        """Environment variables that set it, first set wins."""
        return (f"LLM_MAGIC_{self.name.upper()}", *self.environment)

    def usual_variable(self) -> str:
        """The one that most people set: another package's, where there is one."""
        return next((name for name in self.environment if not name.startswith("LLM_MAGIC_")), self.variables()[0])

    def parse(self, text: str) -> Any:
        """A value from its text form.

        Raises:
            ConfigurationError: The text does not fit the kind.
        """
        if self.kind in ("text", "texts", "address", "secret", "budget"):
            return self.checked(text)
        try:
            match self.kind:
                case "integer":
                    return self.checked(int(text))
                case "number":
                    return self.checked(float(text))
                case "flag":
                    return self.checked(_flag(text))
                case _:
                    return self.checked(json.loads(text, parse_constant=_refuse_constant))
        except ValueError as exc:
            raise self._misfit(text) from exc

    def checked(self, value: Any) -> Any:
        """The value, if it fits.

        Raises:
            ConfigurationError: It does not.
        """
        if value is None:
            return None
        if self.kind == "budget":
            parse_budget(value)
            return value
        fits = {
            "text": isinstance(value, str),
            "address": isinstance(value, str),
            "texts": _all(value, lambda item: isinstance(item, str)),
            "secret": _all(value, lambda item: isinstance(item, str) or callable(item)),
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf,
            "flag": isinstance(value, bool),
            "headers": isinstance(value, Mapping) and all(isinstance(text, str) for text in value.values()),
            "object": isinstance(value, Mapping),
        }[self.kind]
        if not fits or (self.choices and value not in self.choices):
            raise self._misfit(value)
        if self.minimum is not None and value < self.minimum:
            raise self._misfit(value)
        return value

    def _misfit(self, value: object) -> ConfigurationError:
        shown = "the value" if self.kind in ("address", "secret", "headers", "object") else repr(value)
        wanted = {
            "integer": "a whole number",
            "number": "a number",
            "flag": "on or off",
            "headers": 'names and texts: {"X-Team": "biology"}',
            "object": 'a JSON object: {"http2": true}',
            "texts": "a text, or a list of texts",
        }.get(self.kind, "text")
        if self.choices:
            wanted = "one of " + ", ".join(self.choices)
        if self.minimum is not None:
            wanted += f" of at least {self.minimum:g}"
        return ConfigurationError(f"{shown} does not fit {self.name}.", hint=f"{self.name} is {wanted}")


def _all(value: Any, fits: Callable[[Any], bool]) -> bool:
    """A value fits, or it is a list of some that do."""
    return all(fits(item) for item in value) and bool(value) if isinstance(value, list | tuple) else fits(value)


def _refuse_constant(name: str) -> None:
    # Python's reader takes NaN and Infinity, which JSON does not know and no server takes.
    raise ValueError(name)


def _flag(text: str) -> bool:
    lowered = text.lower()
    if lowered not in _TRUE + _FALSE:
        raise ValueError(text)
    return lowered in _TRUE


_ROWS = (
    Setting(
        name="model",
        kind="text",
        default=None,
        help="the model to ask (default: gpt-5.4-mini; without a key the local smollm2-135m-instruct)",
        environment=("OPENAI_MODEL",),
    ),
    Setting(
        name="system",
        kind="text",
        default=None,
        help='the system prompt (default: none; local: "You are a helpful assistant.")',
    ),
    Setting(
        name="temperature",
        kind="number",
        default=None,
        help="sampling temperature",
        is_parameter=True,
        minimum=0,
    ),
    Setting(name="top_p", kind="number", default=None, help="nucleus sampling", is_parameter=True, minimum=0),
    Setting(
        name="max_tokens",
        kind="integer",
        default=None,
        help="most tokens to answer",
        is_parameter=True,
        minimum=1,
    ),
    Setting(name="seed", kind="integer", default=None, help="seed of the sampling", is_parameter=True),
    Setting(
        name="response_format",
        kind="object",
        default=None,
        help="the form of the answer, a JSON object; --schema is simpler",
        is_parameter=True,
    ),
    Setting(
        name="api_key",
        kind="secret",
        default=None,
        help="the key, or a list of keys used in turn, each the key itself or env:NAME; never shown",
        environment=("LLM_MAGIC_API_KEYS", "OPENAI_API_KEY", "MBODI_API_KEY"),
    ),
    Setting(
        name="base_url",
        kind="address",
        default=None,
        help="address of an OpenAI-compatible server",
        environment=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    ),
    Setting(
        name="profile",
        kind="text",
        default=None,
        help="the provider or kind of server that is asked: openai, ollama, vllm … (llm_magic.profiles() lists them)",
    ),
    Setting(
        name="profiles",
        kind="text",
        default=None,
        help="a TOML file of profiles of your own (default: profiles.toml in your configuration folder)",
    ),
    Setting(
        name="system_messages",
        kind="text",
        default=None,
        help="several system messages: kept, merged, or moved to the front and merged (default: the profile's)",
        choices=("kept", "merged", "moved"),
    ),
    Setting(
        name="names",
        kind="text",
        default=None,
        help="authors' names: sent, dropped, or prefixed to their text (default: the profile's)",
        choices=("sent", "dropped", "prefixed"),
    ),
    Setting(
        name="roles",
        kind="text",
        default=None,
        help="roles by the names the server has for them: system=developer,user=human (default: the profile's)",
    ),
    Setting(
        name="stop_tokens",
        kind="text",
        default=None,
        help="tokens taken off an answer's end, divided by spaces: <|eot_id|> </s> (default: the profile's)",
    ),
    Setting(
        name="text_calls",
        kind="text",
        default=None,
        help="whose form of tool calls is looked for in the text: none, llama, hermes (default: the profile's)",
        choices=("none", "llama", "hermes"),
    ),
    Setting(
        name="author",
        kind="text",
        default=None,
        help="your name, sent with what you ask: letters, digits, _ and -",
    ),
    Setting(
        name="organization",
        kind="texts",
        default=None,
        help="organization billed, or a list used in turn",
        environment=("OPENAI_ORG_ID",),
    ),
    Setting(name="project", kind="text", default=None, help="project billed", environment=("OPENAI_PROJECT_ID",)),
    Setting(
        name="headers",
        kind="headers",
        default=None,
        help="further request headers, a JSON object; values may be env:NAME",
    ),
    Setting(name="user_agent", kind="text", default=None, help="the User-Agent header; empty to tell nothing"),
    Setting(name="proxy", kind="address", default=None, help="a proxy; empty for none (default: that of HTTPS_PROXY)"),
    Setting(name="max_connections", kind="integer", default=None, help="connections open at once", minimum=1),
    Setting(name="max_redirects", kind="integer", default=3, help="redirects that are followed", minimum=0),
    Setting(
        name="http_options", kind="object", default=None, help="further arguments of the HTTP client, a JSON object"
    ),
    Setting(
        name="queries_per_second",
        kind="number",
        default=None,
        help="requests begun a second at most, fractions allowed",
        minimum=0.001,
    ),
    Setting(
        name="first_byte_timeout_s",
        kind="number",
        default=120.0,
        help="seconds to wait for the first byte",
        minimum=0.001,
    ),
    Setting(
        name="stall_timeout_s",
        kind="number",
        default=600.0,
        help="seconds to wait between bytes",
        minimum=0.001,
    ),
    Setting(
        name="budget",
        kind="budget",
        default=None,
        help='most to spend in this session, in US dollars or tokens (0.50, "20000tok")',
    ),
    Setting(
        name="overflow",
        kind="text",
        default="error",
        help="what a request does that is too long for the model: error, or drop_oldest leaves out the oldest turns",
        choices=("error", "drop_oldest"),
    ),
    Setting(
        name="model_info",
        kind="object",
        default=None,
        help='what is known of the model, over our own table: {"window": 8192, "vision": false}',
    ),
    Setting(name="max_retries", kind="integer", default=2, help="retries before the first token", minimum=0),
    Setting(
        name="tool_permission",
        kind="text",
        default="ask",
        help="tools that change something: ask before each call, auto (run what was handed over), or never run any",
        choices=("ask", "auto", "never"),
    ),
    Setting(
        name="tool_rounds",
        kind="integer",
        default=8,
        help="how often results of tools go back to the model within a turn",
        minimum=0,
    ),
    Setting(
        name="tool_timeout_s",
        kind="number",
        default=120.0,
        help="seconds one call of a tool may take",
        minimum=0.001,
    ),
    Setting(name="max_in_flight", kind="integer", default=2, help="requests under way at once", minimum=1),
    Setting(
        name="max_image_edge_px",
        kind="integer",
        default=2048,
        help="longest side of a picture that is sent, in pixels",
        minimum=1,
    ),
    Setting(
        name="detail",
        kind="text",
        default="auto",
        help="how closely a model looks at pictures",
        choices=("auto", "low", "high", "original"),
    ),
    Setting(
        name="inline_images",
        kind="flag",
        default=False,
        help="fetch pictures given by an address here and send them, instead of letting the server fetch them",
    ),
    Setting(name="frame_rows", kind="integer", default=20, help="rows of a DataFrame that are sent", minimum=1),
    Setting(
        name="frame_columns",
        kind="integer",
        default=30,
        help="columns of a DataFrame that are sent",
        minimum=1,
    ),
    Setting(
        name="frame_bytes",
        kind="integer",
        default=8000,
        help="bytes of a DataFrame that are sent",
        minimum=100,
    ),
    Setting(name="footer", kind="flag", default=True, help="a line under an answer: model, tokens, cost if known"),
    Setting(
        name="view",
        kind="text",
        default="auto",
        help="how answers are shown",
        choices=("auto", "plain", "static", "live"),
    ),
    Setting(
        name="cache",
        kind="flag",
        default=False,
        help="answer what was asked before, word for word, from this session's answers, for nothing",
    ),
    Setting(name="stream", kind="flag", default=True, help="show an answer while it arrives"),
    Setting(
        name="store",
        kind="text",
        default="on",
        help="where conversations and the ledger are kept: on (in your data folder), off, memory, or a path",
    ),
    Setting(
        name="local_model",
        kind="text",
        default=None,
        help="path of a GGUF file for the local model",
    ),
)
SETTINGS: Mapping[str, Setting] = {row.name: row for row in _ROWS}


def setting(name: str) -> Setting:
    """The setting with this name.

    Raises:
        ConfigurationError: There is none; the hint names the nearest.
    """
    if name in SETTINGS:
        return SETTINGS[name]
    raise ConfigurationError(
        f"Unknown setting {name!r}.", hint=did_you_mean(name, SETTINGS, otherwise="%chat config lists them")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A setting's value and where it comes from."""

    value: Any
    origin: Origin


@dataclass(slots=True, kw_only=True)
class Config:
    """The layers below conversation and cell. Values are checked when they are set.

    Attributes:
        session: Set by ``%chat config``.
        traits: Set by ``%config LLMMagic`` or a configuration file.
        environ: Where environment variables are read, at each look-up.
    """

    session: dict[str, Any] = field(default_factory=dict)
    traits: dict[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={shown(name, value)}' for name, value in self.session.items())})"

    def look_up(self, name: str, *upper: tuple[Origin, Mapping[str, Any]]) -> Value:
        """A setting's value and origin.

        Args:
            name: The setting.
            upper: Layers over the session's, the strongest first.

        Raises:
            ConfigurationError: No such setting, or the environment's value does not fit.
        """
        row = setting(name)
        for origin, layer in (*upper, ("session", self.session), ("%config", self.traits)):
            if layer.get(name) is not None:
                return Value(value=layer[name], origin=origin)
        for variable in row.variables():
            if text := self.environ.get(variable):
                try:
                    return Value(value=row.parse(text), origin="environment")
                except ConfigurationError as exc:
                    raise ConfigurationError(f"{variable}: {exc.message}", hint=exc.hint) from exc
        return Value(value=row.default, origin="default")

    def get(self, name: str, *upper: tuple[Origin, Mapping[str, Any]]) -> Any:
        """A setting's value alone; see :meth:`look_up`."""
        return self.look_up(name, *upper).value


def public(name: str, value: Any) -> Any:
    """A value without what may be secret in it: a key is only set, headers are their names, addresses have no key."""
    if value is None:
        return None
    match SETTINGS[name].kind:
        case "secret":
            return "set (hidden)"
        case "headers" | "object" if not SETTINGS[name].is_parameter:
            return dict.fromkeys(value, "(hidden)") if isinstance(value, Mapping) else "(hidden)"
        case "address":
            return _without_credentials(str(value))
        case _:
            return value


def shown(name: str, value: Any) -> str:
    """A value as it may be printed; see :func:`public`."""
    if value is None or SETTINGS[name].kind == "secret":
        return "not set" if value is None else str(public(name, value))
    return json.dumps(public(name, value), default=str, ensure_ascii=False)


def _without_credentials(url: str) -> str:
    # Not parsed: what is no address may hold a key all the same.
    scheme, mark, rest = url.rpartition("://")
    return scheme + mark + rest.partition("?")[0].partition("#")[0].rpartition("@")[2]
