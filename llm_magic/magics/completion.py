"""What Tab offers in ``%%chat``, ``%llm``, ``%%llm`` and ``%chat``, by the table.

One matcher is added to IPython's own completer; where it offers something, IPython's other offers are left
out. No server is asked: models are those that are known already.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from ..errors import ConfigurationError
from ..settings import SETTINGS
from . import cursor
from .command_table import COMMANDS
from .table import OPTIONS, flags
from .words import quote, read_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from IPython.core.completer import IPCompleter
    from IPython.core.interactiveshell import InteractiveShell

    from .command_table import CommandRow
    from .table import Completes, OptionRow

IDENTIFIER = "llm_magic.completion"
_PRIORITY = 100.0
_MAX_FILES = 500
_COMMANDS = tuple(row.name for row in COMMANDS if row.name)
_PARAMETERS = tuple(f"{row.name}=" for row in SETTINGS.values() if row.is_parameter)
# Of IPython's own matchers, those that do not belong in an expression.
_NOT_IN_EXPRESSIONS = [
    f"IPCompleter.{name}_matcher"
    for name in ("file", "magic", "magic_config", "magic_color", "custom_completer", "latex_name")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where offers come from. Each is called when Tab is pressed, and must not wait for a server.

    Attributes:
        models: Names of models that are known.
        conversations: Names of conversations.
        kept: Names of conversations of former sessions.
        versions: How many versions each turn of the current conversation has, in order.
        namespace: Names and values for ``{{ }}``.
    """

    models: Callable[[], Iterable[str]]
    conversations: Callable[[], Iterable[str]]
    kept: Callable[[], Iterable[str]]
    versions: Callable[[], Sequence[int]]
    namespace: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What may stand in place of what is typed.

    Attributes:
        typed: The end of the text that is replaced.
        texts: Replacements, each with its kind as front ends name it ("function", "path" …), in order.
    """

    typed: str
    texts: tuple[tuple[str, str], ...]


def install(shell: InteractiveShell, sources: Sources) -> None:
    """Offer completions in a shell; once, also where it is done twice."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    offers = Offers(sources, _Python(shell, sources.namespace))

    @context_matcher(priority=_PRIORITY, identifier=IDENTIFIER)  # type: ignore[untyped-decorator]  # half typed
    def match(context: Any) -> dict[str, Any]:
        lines = context.full_text.split("\n")[: context.cursor_line + 1]
        offer = offers.at_end("\n".join([*lines[:-1], lines[-1][: context.cursor_position]]))
        completions = [SimpleCompletion(text=text, type=kind) for text, kind in offer.texts]
        return {
            "completions": completions,
            "matched_fragment": offer.typed,
            "suppress": True,
            "ordered": True,
        }

    uninstall(shell)
    shell.Completer.custom_matchers.append(match)


def uninstall(shell: InteractiveShell) -> None:
    """Take the completions back."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if getattr(matcher, "matcher_identifier", "") != IDENTIFIER]


class Offers:
    """What Tab offers.

    Args:
        sources: Where offers come from.
        python: Offers for an expression that is being typed.
    """

    def __init__(self, sources: Sources, python: Callable[[str], Offer]) -> None:
        self._sources = sources
        self._python = python
        self._by_kind: Mapping[Completes, Callable[[str], Offer]] = {
            "": lambda typed: Offer(typed=typed, texts=()),
            "models": lambda typed: _words(typed, sources.models()),
            "conversations": lambda typed: _words(typed, sources.conversations()),
            "kept": lambda typed: _words(typed, sources.kept()),
            "files": _files,
            "values": self._values,
            "tools": self._tools,
            "names": lambda typed: _beginning(typed, _public(sources.namespace()), "instance"),
            "parameters": lambda typed: _beginning(typed, _PARAMETERS, "param"),
            "settings": _settings,
            "commands": lambda typed: _beginning(typed, (*_COMMANDS, *flags()), "keyword"),
            "turns": self._turns,
            "versions": self._versions,
            "turns and versions": lambda typed: (self._versions if "." in typed else self._turns)(typed),
        }

    def at_end(self, text: str) -> Offer:
        """What is offered at the end of a text, a cell up to the cursor."""
        place = cursor.place_in(text)
        match place:
            case None:
                return Offer(typed="", texts=())
            case cursor.ExpressionPlace():
                return self._python(place.typed)
            case cursor.FlagPlace():
                return _flags(place)
            case cursor.CommandPlace():
                return _beginning(place.typed, _COMMANDS, "keyword")
            case cursor.ValuePlace():
                return self._value(place.row, place.typed)
            case cursor.ArgumentPlace():
                return self._argument(place)
            case _:
                assert_never(place)

    def _argument(self, place: cursor.ArgumentPlace) -> Offer:
        if place.position == 0:
            return self._value(place.row, place.typed)
        return (
            _beginning(place.typed, (place.row.keyword,), "keyword")
            if place.position == 1
            else self._turns(place.typed)
        )

    def _value(self, row: OptionRow | CommandRow, typed: str) -> Offer:
        if row.choices:
            return _beginning(typed, row.choices, "keyword")
        return self._by_kind[row.completes](typed)

    def _turns(self, typed: str) -> Offer:
        return _beginning(typed, map(str, range(1, len(self._sources.versions()) + 1)), "text")

    def _versions(self, typed: str) -> Offer:
        """Versions of the turns that have several."""
        has = enumerate(self._sources.versions(), start=1)
        names = [f"{turn}.{version}" for turn, many in has if many > 1 for version in range(1, many + 1)]
        return _beginning(typed, names, "text")

    def _values(self, typed: str) -> Offer:
        """Expressions and files: what ``-i`` and ``-f`` take."""
        files = _files(typed)
        if typed.startswith(("'", '"')):
            return files
        names = self._python(typed)
        # Both kinds replace all that is typed, so that one list can hold them.
        head = typed[: len(typed) - len(names.typed)]
        return Offer(typed=typed, texts=(*((head + text, kind) for text, kind in names.texts), *files.texts))

    def _tools(self, typed: str) -> Offer:
        """Functions, of those names that are the user's own; behind a dot whatever Python offers."""
        if not typed.isidentifier() and typed:
            return self._python(typed)
        # With Tab, and not with %load_ext: what makes tools is as large as the rest of what that loads.
        from ..tools.builtins import BUILTINS

        names = self._sources.namespace()
        mine = [name for name in _public(names) if callable(names[name])]
        return _beginning(typed, [*mine, *(name for name in BUILTINS if name not in names)], "function")


def _flags(place: cursor.FlagPlace) -> Offer:
    rows = [row for row in OPTIONS if row.is_for(place.magic) and (row.is_repeatable or row.name not in place.given)]
    names = [f"--{row.name}" for row in rows]
    if place.typed:
        names += [f"-{row.letter}" for row in rows if row.letter]
    return _beginning(place.typed, names, "keyword")


def _beginning(typed: str, names: Iterable[str], kind: str) -> Offer:
    return Offer(typed=typed, texts=tuple((name, kind) for name in names if name.startswith(typed)))


def _words(typed: str, names: Iterable[str]) -> Offer:
    begun = _meant(typed)
    return Offer(typed=typed, texts=tuple((quote(name), "text") for name in names if name.startswith(begun)))


def _settings(typed: str) -> Offer:
    name, equals, value = typed.partition("=")
    if not equals:
        return _beginning(name, [f"{known}=" for known in SETTINGS], "param")
    row = SETTINGS.get(name)
    choices: Sequence[str] = () if row is None else ("on", "off") if row.kind == "flag" else row.choices
    return _beginning(value, choices, "keyword")


def _files(typed: str) -> Offer:
    """Files and folders whose path begins with what is typed; hidden ones only where a dot is typed."""
    # The folder stays as typed, "~" and "./" included: what is offered begins with it.
    meant = _meant(typed)
    cut = max(meant.rfind("/"), meant.rfind(os.sep)) + 1
    folder, begun = meant[:cut], meant[cut:]
    try:
        found = sorted(path for path in Path(folder).expanduser().iterdir() if path.name.startswith(begun))
        shown = [path for path in found if begun or not path.name.startswith(".")][:_MAX_FILES]
        texts = [quote(folder + path.name + ("/" if path.is_dir() else "")) for path in shown]
    except (OSError, RuntimeError, ValueError):
        # No such folder, no such user, no path at all.
        texts = []
    return Offer(typed=typed, texts=tuple((text, "path") for text in texts))


def _meant(typed: str) -> str:
    """A word that may not be finished, without the quotes around it or the one that opens it."""
    try:
        return read_word(typed, 0).text
    except ConfigurationError:
        return typed.lstrip("'\"")


def _public(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("_"))


class _Python:
    """Offers for Python that is being typed, by a completer of IPython's own kind.

    Not the shell's own: that one is at work on the whole cell when it asks us.
    """

    def __init__(self, shell: InteractiveShell, namespace: Callable[[], Mapping[str, Any]]) -> None:
        self._shell = shell
        self._namespace = namespace
        self._completer: IPCompleter | None = None

    def __call__(self, typed: str) -> Offer:
        from IPython.core.completer import provisionalcompleter, rectify_completions

        names = dict(self._namespace())
        if not typed:
            mine = _public(name for name in names if name not in self._shell.user_ns_hidden)
            return Offer(typed="", texts=tuple((name, "instance") for name in mine))
        completer = self._ready()
        completer.namespace = names
        with provisionalcompleter():
            found = list(rectify_completions(typed, completer.completions(typed, len(typed))))
        start = found[0].start if found else len(typed)
        return Offer(typed=typed[start:], texts=tuple((one.text, one.type or "") for one in found))

    def _ready(self) -> IPCompleter:
        if self._completer is None:
            from IPython.core.completer import IPCompleter

            made = IPCompleter(shell=self._shell, namespace={}, global_namespace={}, parent=self._shell)  # type: ignore[no-untyped-call]  # half typed
            made.disable_matchers = _NOT_IN_EXPRESSIONS
            self._completer = made
        return self._completer
