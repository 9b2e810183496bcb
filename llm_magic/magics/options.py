"""From the line of a magic to options and prompt, by the table.

Text comes in; a frozen value goes out, or one :class:`ConfigurationError` that says what to type instead.
Nothing is evaluated here: the expressions of ``-i`` and ``-f`` and those in ``{{ }}`` are still text.
"""

from __future__ import annotations

import json
import keyword
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..errors import ConfigurationError
from ..parameters import checked_parameter, name_of
from ..settings import SETTINGS
from .table import OPTIONS, nearest_flag, option, usage_line
from .words import cut, read_word, skip_space

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..reply import Form
    from .table import Magic, OptionRow

AttachmentKind: TypeAlias = Literal["image", "file"]
# A word like this is an option, or means to be one; "-5", "- item", "---" and "->" begin a prompt.
FLAG = re.compile(r"--(?=\s|$)|--?[A-Za-z][^\s=]*")
_DASH_HINT = "put -- before a prompt that begins with a dash"
_PARAMETER = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What ``-i`` or ``-f`` asks to send along.

    Attributes:
        kind: Which of the two.
        source: An expression, a path or a URL, as typed.
    """

    kind: AttachmentKind
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    """What the options of one ask say; what was not given is None, empty or False.

    Attributes:
        settings: Settings of this ask by their name in the table of settings, request parameters among them.
        params: Further request parameters by their OpenAI name.
        conversation: The conversation to ask.
        attachments: Pictures and files, in the order given.
        tools: What the model may call: expressions, or names of built-in tools, in the order given.
        schema: The type of the answer: an expression.
        form: How the answer is shown.
        into: The variable that gets the reply: an identifier.
        timeout_s: Seconds for the whole answer.
        is_fresh: Without the conversation before it.
        is_kept: Added to the conversation though it is an aside.
        is_raw: ``{{ }}`` is sent as it stands.
        is_dry_run: Nothing is sent; what would be is shown.
        is_forced: Sent also where it is known that the model cannot do it.
        is_quiet: Nothing is shown.
        is_json: The answer is a JSON object.
        is_completion: The prompt is text to go on with, by the completions of before chat.
        is_background: The cell does not wait for the answer.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    conversation: str | None = None
    attachments: tuple[Attachment, ...] = ()
    tools: tuple[str, ...] = ()
    schema: str | None = None
    form: Form | None = None
    into: str | None = None
    timeout_s: float | None = None
    is_fresh: bool = False
    is_kept: bool = False
    is_raw: bool = False
    is_dry_run: bool = False
    is_forced: bool = False
    is_quiet: bool = False
    is_json: bool = False
    is_completion: bool = False
    is_background: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Options and prompt of one ask; the prompt is verbatim."""

    options: AskOptions
    prompt: str


def parse(magic: Magic, line: str, body: str | None = None) -> Parsed:
    r"""Options and prompt of ``%%chat``, ``%llm`` or ``%%llm``.

    >>> parsed = parse("llm", "-m gpt-x --stop=END Why -- and 'how'?")
    >>> dict(parsed.options.settings), dict(parsed.options.params), parsed.prompt
    ({'model': 'gpt-x'}, {'stop': ['END']}, "Why -- and 'how'?")

    Args:
        magic: Which options there are.
        line: What follows the magic's name.
        body: The cell below it, None for a line magic. The newline that IPython adds to its end is dropped.

    Raises:
        ConfigurationError: An option is unknown, given twice, or its value is missing or does not fit.
    """
    given = _Given(magic)
    place = skip_space(line, 0)
    while found := FLAG.match(line, place):
        place = found.end()
        if found[0] == "--":
            # Exactly one character divides it from the prompt, which may itself begin with white space.
            place += 1
            break
        row = given.row(found[0])
        value = ""
        if row.metavar:
            value, place = _value(row, found[0], line, place)
        elif line[place : place + 1] == "=":
            raise ConfigurationError(f"{found[0]} takes no value.", hint=f"write {found[0]} alone")
        given.add(row, found[0], value)
        place = skip_space(line, place)
    return Parsed(options=given.options(), prompt=_prompt(line[place:], body))


class _Given:
    """The options given so far."""

    def __init__(self, magic: Magic) -> None:
        self._magic = magic
        self._seen: set[str] = set()
        self._settings: dict[str, Any] = {}
        self._params: dict[str, Any] = {}
        self._attachments: list[Attachment] = []
        self._tools: list[str] = []
        self._others: dict[str, Any] = {}

    def row(self, flag: str) -> OptionRow:
        """The option's row, if this magic takes it."""
        row = option(flag)
        if row is None:
            match = nearest_flag(flag, self._magic)
            hint = (f"did you mean {match}? Else " if match else "") + _DASH_HINT
            raise ConfigurationError(f"Unknown option {cut(flag)}.", hint=hint)
        if not row.is_for(self._magic):
            raise ConfigurationError(f"{flag} is not for %%chat.", hint=row.not_for_chat)
        if row.name in self._seen and not row.is_repeatable:
            raise ConfigurationError(f"{flag} is given twice.", hint="give it once")
        self._seen.add(row.name)
        return row

    def add(self, row: OptionRow, flag: str, value: str) -> None:
        """Take one option in, with its value as typed ("" for one without)."""
        if row.metavar and not value and row.setting != "system":
            raise ConfigurationError(f"{flag} needs a value.", hint=usage_line(row))
        if row.choices and value not in row.choices:
            raise ConfigurationError(f"{cut(value)} does not fit {flag}.", hint="one of " + ", ".join(row.choices))
        if row.setting:
            setting = SETTINGS[row.setting]
            # One without a value turns over what is the case otherwise.
            self._set(row.setting, setting.parse(value) if row.metavar else not setting.default)
            return
        match row.name:
            case "image" | "file":
                self._attachments.append(Attachment(kind=row.name, source=value))
            case "tool":
                self._tools.append(value)
            case "param":
                self._add_parameter(flag, value)
            case "stop":
                if row.name in self._params and not isinstance(self._params[row.name], list):
                    raise _twice(row.name)
                self._params.setdefault(row.name, []).append(value)
            case _:
                name, read = _FIELDS[row.name]
                self._others[name] = read(value)

    def options(self) -> AskOptions:
        """All of them."""
        return AskOptions(
            settings=self._settings,
            params=self._params,
            attachments=tuple(self._attachments),
            tools=tuple(self._tools),
            **self._others,
        )

    def _add_parameter(self, flag: str, value: str) -> None:
        key, divider, text = value.partition("=")
        if not divider or not _PARAMETER.fullmatch(key):
            raise ConfigurationError(f"{flag} takes KEY=VALUE.", hint=f"for example {flag} top_p=0.5")
        key = name_of(key)
        if key in SETTINGS and not SETTINGS[key].is_parameter:
            raise ConfigurationError(f"{key!r} is not a request parameter.", hint=_instead(key))
        parsed = checked_parameter(key, _json_or_text(text))
        if key in SETTINGS:
            self._set(key, parsed)
        elif key in self._params:
            raise _twice(key)
        else:
            self._params[key] = parsed

    def _set(self, name: str, value: Any) -> None:
        if name in self._settings:
            raise _twice(name)
        self._settings[name] = value


def _value(row: OptionRow, flag: str, line: str, place: int) -> tuple[str, int]:
    """An option's value and where it ends; the place is where the flag ends."""
    if line[place : place + 1] == "=":
        if not flag.startswith("--"):
            raise ConfigurationError(f"{flag} takes its value after a space.", hint=f"write {usage_line(row)}")
        word = read_word(line, place + 1)
        return word.text, word.end
    start = skip_space(line, place)
    if start == len(line):
        raise ConfigurationError(f"{flag} needs a value.", hint=usage_line(row))
    if FLAG.match(line, start):
        hint = f"a value that begins with a dash is written --{row.name}=VALUE"
        raise ConfigurationError(f"{flag} needs a value.", hint=hint)
    word = read_word(line, start)
    return word.text, word.end


def _prompt(first: str, body: str | None) -> str:
    if body is None:
        return first
    rest = body.removesuffix("\n")
    return f"{first}\n{rest}" if first and rest else first or rest


def _given(_: str) -> bool:
    return True


def _identifier(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ConfigurationError(f"{cut(text)} is not a variable's name.", hint="--into takes a name such as answer")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ConfigurationError(
            f"{cut(text)} does not fit --timeout.", hint="--timeout is a number of seconds above 0"
        )
    return seconds


def _json_or_text(text: str) -> Any:
    try:
        # Infinity and NaN are Python's additions, 1e999 becomes one of them: no server reads them.
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return text


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _twice(name: str) -> ConfigurationError:
    return ConfigurationError(f"The parameter {name!r} is given twice.", hint="give it once")


def _instead(name: str) -> str:
    row = SETTINGS[name]
    if row.kind == "secret":
        return f"set {row.usual_variable()} in the environment, outside the notebook"
    own = [usage_line(option) for option in OPTIONS if option.setting == name]
    return "write " + " or ".join([*own, f"%chat config {name}=VALUE"])


# Options that are neither settings nor parameters: the field each fills, and how its value is read.
_FIELDS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "conversation": ("conversation", str),
    "schema": ("schema", str),
    "json": ("is_json", _given),
    "as": ("form", str),
    "into": ("into", _identifier),
    "timeout": ("timeout_s", _seconds),
    "fresh": ("is_fresh", _given),
    "keep": ("is_kept", _given),
    "raw": ("is_raw", _given),
    "complete": ("is_completion", _given),
    "dry-run": ("is_dry_run", _given),
    "force": ("is_forced", _given),
    "quiet": ("is_quiet", _given),
    "background": ("is_background", _given),
}
