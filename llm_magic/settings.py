"""The one table of settings. Traits, environment variables, ``%chat config`` and the documentation are made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import ConfigurationError, did_you_mean
from .setting import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        name="begins_thinking",
        kind="flag",
        default=None,
        help="answers begin inside a thought, without an opening <think> (default: by the model's name)",
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
        kind="facts",
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
# What other wrappers call them.
OTHER_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("key", "openai_api_key"), "api_key"),
    **dict.fromkeys(("api_base", "openai_api_base"), "base_url"),
    **dict.fromkeys(("default_headers", "extra_headers"), "headers"),
    "org": "organization",
    "proxies": "proxy",
    "retry": "max_retries",
}


def setting(name: str) -> Setting:
    """The setting with this name.

    Raises:
        ConfigurationError: There is none; the hint names the nearest.
    """
    if name in SETTINGS:
        return SETTINGS[name]
    # By its letters alone, api_base would be an api_key.
    near = f"did you mean {OTHER_NAMES[name]}?" if name in OTHER_NAMES else None
    hint = near or did_you_mean(name, SETTINGS, otherwise="%chat config lists them")
    raise ConfigurationError(f"Unknown setting {name!r}.", hint=hint)
