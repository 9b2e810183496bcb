"""The values of a provider's profile: its place, its keys' variables, and its quirks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

# How a server is told that the last message is the beginning of the answer; what each means is told in OpenAIBackend.
PrefixForm: TypeAlias = Literal["plain", "prefix", "continue_final_message"]
Way: TypeAlias = Literal["ask", PrefixForm]
LimitName: TypeAlias = Literal["max_tokens", "max_completion_tokens"]
SystemMessages: TypeAlias = Literal["kept", "merged", "moved"]
Names: TypeAlias = Literal["sent", "dropped", "prefixed"]
Blank: TypeAlias = Literal["sent", "spaced", "skipped"]
CallIds: TypeAlias = Literal["any", "nine"]
ModelNames: TypeAlias = Literal["plain", "mixed", "maker", "own"]
TextCalls: TypeAlias = Literal["none", "llama", "hermes"]
Tested: TypeAlias = Literal["no", "fixture", "local"]
PREFIX_FORMS: tuple[str, ...] = get_args(PrefixForm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How a server departs from OpenAI's; the defaults are what every server takes.

    Attributes:
        limit_name: How the limit of an answer's tokens is called.
        has_stream_options: ``stream_options`` may be sent; where not, usage comes by itself or not at all.
        renamed: Parameters it knows by another name (seed → random_seed).
        refused: Parameters it refuses; they are left out, and that is told.
        roles: Roles it knows by another name (developer → system).
        system_messages: What becomes of several system messages: kept as they are; merged into one, which has to be
            the first, and refused where they do not stand together; or moved to the front and merged.
        names: What becomes of authors' names: sent, dropped, or prefixed to the text ("Reviewer said: ").
        blank: What becomes of messages without text: sent; spaced, with one space for content; skipped where nothing
            else is in them. A message that only calls tools has one space for content unless they are sent.
        strips_last: White space at the end of a last message of the assistant's is taken off.
        reasoning_field: How a thought is sent back beside the tool calls it led to; "" where it is not.
        call_ids: What an id of a tool call may be: any text, or nine letters and digits.
        unsigned_call: Sent as the signature of tool calls that have none; "" where signatures are not sent.
        continues: How it goes on with a partial answer; see ``OpenAIBackend``.
        stop_tokens: Tokens of the model's own that may stand at an answer's end, and are taken off.
        begins_thinking: Answers begin inside a thought, without an opening ``<think>``, or do not; None where the
            model's name says so.
        text_calls: In whose form tool calls may stand in the text, because the server does not take them out; they
            are looked for where tools are sent.
    """

    limit_name: LimitName = "max_tokens"
    has_stream_options: bool = True
    renamed: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    system_messages: SystemMessages = "kept"
    names: Names = "sent"
    blank: Blank = "sent"
    strips_last: bool = False
    reasoning_field: str = ""
    call_ids: CallIds = "any"
    unsigned_call: str = ""
    continues: Way = "ask"
    stop_tokens: tuple[str, ...] = ()
    begins_thinking: bool | None = None
    text_calls: TextCalls = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One provider, or one kind of server.

    Attributes:
        name: What it is called in ``-m NAME/MODEL``, ledger and error messages.
        title: What it is called elsewhere.
        base_url: Where it is asked; "" where it has no address of its own.
        key_variables: Environment variables of the key, the first set one wins.
        needs_key: Nothing is sent without a key.
        url_variables: Environment variables of another address, the first set one wins: a host, a host with its port,
            or an address, with or without the path of ``base_url``.
        hosts: Further hosts it is known by; one that begins with a dot ends other names.
        aliases: Further names.
        prefixes: How names of models begin that are asked here without being told to; letter case counts.
        model_names: What a slash in a model's name is: "plain" names have none; "mixed" ones may begin with a maker's
            (and so with another profile's) name; "maker" ones all do. "own" ones are given by the user, and say
            nothing of the model behind them.
        model: Asked where no model is named; "" for the common default.
        provider: Provider id of the price list, None where it has none.
        quirks: How its servers depart from OpenAI's.
        tested: "fixture": answers written by hand from its documentation are read by the contract test; "local": so
            is a real server's.
        source: Where its documentation is.
    """

    name: str
    title: str
    base_url: str = ""
    key_variables: tuple[str, ...] = ()
    needs_key: bool = True
    url_variables: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    model_names: ModelNames = "plain"
    model: str = ""
    provider: str | None = None
    quirks: Quirks = field(default_factory=Quirks)
    tested: Tested = "no"
    source: str = ""

    def key(self, environ: Mapping[str, str]) -> tuple[str, str | None]:
        """The key and the variable it is in, or would be; None and "" where there is none."""
        for variable in self.key_variables:
            if value := environ.get(variable):
                return variable, value
        return next(iter(self.key_variables), ""), None

    def url(self, environ: Mapping[str, str]) -> str:
        """Where it is asked: by its variables, else its own address."""
        text = next((value for name in self.url_variables if (value := environ.get(name))), "")
        return _completed(text, self.base_url) if text else self.base_url

    def is_at(self, host: str) -> bool:
        """It is served by this host. A server of one's own is known by no host: many kinds share localhost."""
        if not host or not self.needs_key:
            return False
        return host == urlsplit(self.base_url).hostname or any(
            host.endswith(item) if item.startswith(".") else host == item for item in self.hosts
        )

    def model_here(self, rest: str) -> str:
        """A model's name as the server knows it, from what follows "NAME/"."""
        return f"{self.name}/{rest}" if self.model_names == "maker" and "/" not in rest else rest


def _completed(text: str, own: str) -> str:
    """An address from a variable: what it leaves out is as in the provider's own.

    >>> _completed("0.0.0.0:8080", "http://localhost:11434/v1"), _completed("https://gpu", "http://localhost:11434/v1")
    ('http://127.0.0.1:8080/v1', 'https://gpu/v1')
    """
    text = text.strip().rstrip("/")
    known = urlsplit(own)
    has_scheme = "://" in text
    parts = urlsplit(text if has_scheme else f"{known.scheme}://{text}")
    # A server that listens on all addresses is asked on this machine's own.
    host = "127.0.0.1" if parts.hostname in ("0.0.0.0", "::") else (parts.hostname or "")  # noqa: S104  # read, not bound
    host = f"[{host}]" if ":" in host else host
    port = parts.netloc.rpartition("]")[2].rpartition("@")[2].partition(":")[2]
    if not port and not has_scheme and known.port:
        port = str(known.port)
    login = parts.netloc.rpartition("@")[0]
    place = (f"{login}@" if login else "") + host + (f":{port}" if port else "")
    return f"{parts.scheme}://{place}{parts.path or known.path}"
