"""The commands of ``%chat``: each a function from what was typed to what it gives back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .. import api, continuation, jsonl, providers, rendering, repeats, saving
from ..config import public, shown
from ..errors import ConfigurationError
from ..model_info import checked_facts
from ..revising import REVISIONS, revise
from ..settings import setting as setting_row
from ..wording import count
from . import dry_run, overview
from .help import help_text
from .listing import changed_at, conversations_frame
from .refresh import plan_refresh, refresh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from ..archive import Scope
    from ..session import Session
    from .asking import Asker
    from .command_lines import Command
# Settings whose empty text says something: no proxy at all, no User-Agent.
_MAY_BE_EMPTY = ("proxy", "user_agent")
_NOTHING = ("", "none", "None")


class Commands:
    """The commands of ``%chat`` on one session.

    Args:
        asker: Asks for ``retry``, and knows the shell, the session and the front end.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._session: Session = asker.session
        self._table: Mapping[str, Callable[[Command], Any]] = {
            "": self._show,
            "show": self._show,
            "new": self._new,
            "use": self._use,
            "list": self._list,
            "fork": self._fork,
            "retry": self._retry,
            "continue": self._continue,
            "refresh": self._refresh,
            "stop": self._stop,
            "system": self._system,
            "model": self._model,
            "budget": self._budget,
            "models": self._models,
            "tokens": self._tokens,
            "usage": self._usage,
            "resume": self._resume,
            "forget": self._forget,
            "frame": self._frame,
            "config": self._config,
            "save": self._save,
            "load": self._load,
            "panel": self._panel,
            "local": self._local,
            "help": self._help,
            **dict.fromkeys(REVISIONS, self._revise),
        }

    def run(self, command: Command) -> Any:
        """Do a command; what it returns is what the magic returns. What it changed is written down."""
        try:
            return self._table[command.name](command)
        finally:
            self._session.keep_all()
            self._asker.tell()

    def _show(self, command: Command) -> None:
        if command.number is None:
            self._asker.display(overview.bundle(self._session))
        else:
            self._asker.display(overview.turn_bundle(self._session.current, *command.numbers))

    def _revise(self, command: Command) -> None:
        self._say(revise(self._session, command.name, *command.numbers))

    def _new(self, command: Command) -> None:
        cell = self._asker.cell()
        made = self._session.new(command.argument, cell_id=cell.cell_id if cell else None)
        self._say(f"conversation {made.name!r} begun")

    def _use(self, command: Command) -> None:
        used = self._session.use(command.argument or "")
        self._say(f"conversation {used.name!r}: {count(len(used.slots), 'turn')}")

    def _fork(self, command: Command) -> None:
        cell = self._asker.cell()
        made = self._session.fork(command.argument or "", at=command.number, cell_id=cell.cell_id if cell else None)
        parent = self._session.parent_name(made)
        self._say(f"conversation {made.name!r} goes on from {count(len(made.slots), 'turn')} of {parent!r}")

    def _list(self, _command: Command) -> pd.DataFrame:
        return conversations_frame(self._session)

    def _retry(self, command: Command) -> None:
        ask = repeats.again(self._session.current, command.number)
        self._asker.show(ask)

    def _continue(self, _command: Command) -> None:
        conversation = self._session.current
        turn = conversation.slots[-1].current if conversation.slots else None
        if turn is not None and not continuation.is_partial(turn):
            # No error: the command may stay in a notebook whose turns are asked from the beginning by Run All.
            self._say(f"turn {len(conversation.slots)} is whole: %chat retry asks it again")
        else:
            self._asker.show(repeats.onward(conversation))

    def _refresh(self, command: Command) -> None:
        conversation = self._session.current
        plan = plan_refresh(self._session, conversation)
        self._say(str(plan))
        if command.argument is None:
            refresh(self._asker, conversation, plan, self._say)

    def _stop(self, command: Command) -> None:
        runs = self._session.watchers.runs
        if command.number is not None:
            conversation = self._session.current
            slot = conversation.numbered(command.number)
            ours = [run for run in runs if run.plan.conversation is conversation and run.plan.slot is not None]
            runs = tuple(run for run in ours if run.plan.slot is not None and run.plan.slot.id == slot.id)
        stopped = [run for run in runs if self._session.stop(run.turn_id)]
        self._asker.background.wait(stopped)
        self._say(f"{count(len(stopped), 'answer')} stopped" if stopped else "nothing is being answered")

    def _system(self, command: Command) -> str | None:
        if command.argument is not None:
            self._session.current.system = _unquoted(command.argument)
            self._say("system prompt set" if self._session.current.system else "no system prompt")
            return None
        value: str | None = self._session.look_up(self._session.current)("system").value
        return value

    def _model(self, command: Command) -> str | None:
        if command.argument is not None:
            self._session.current.model = command.argument
            self._say(f"model {command.argument}")
            return None
        return self._session.resolve(self._session.look_up(self._session.current)).model

    def _budget(self, command: Command) -> str | None:
        config = self._session.config
        if command.argument is None:
            return self._session.gate.told()
        if command.argument.lower() == "none":
            config.session.pop("budget", None)
        else:
            # Set again by a cell that is run again, it counts what has been spent since the session began, as before.
            config.session["budget"] = setting_row("budget").parse(command.argument)
        told = self._session.gate.told()
        self._say("no budget" if told is None else f"budget of this session: {told}")
        return None

    def _models(self, command: Command) -> pd.DataFrame:
        return api.models_frame(self._session, command.argument or "")

    def _tokens(self, command: Command) -> pd.DataFrame:
        plan, measured = dry_run.survey(self._session, command.argument)
        self._say(dry_run.tokens_line(plan, measured))
        return dry_run.tokens_frame(measured, has_prompt=command.argument is not None)

    def _usage(self, command: Command) -> pd.DataFrame:
        # The parser lets nothing else through.
        return api.usage_frame(self._session, cast("Scope", command.argument or "notebook"))

    def _resume(self, command: Command) -> None:
        resumed = self._session.resume(command.argument)
        when = changed_at(resumed).astimezone().strftime("%Y-%m-%d %H:%M")
        self._say(f"conversation {resumed.name!r}: {count(len(resumed.slots), 'turn')}, last changed {when}")

    def _forget(self, command: Command) -> None:
        self._say(f"forgotten: {self._session.forget(command.argument)}")

    def _frame(self, _command: Command) -> pd.DataFrame:
        from .. import export

        return export.to_frame(self._session.current)

    def _config(self, command: Command) -> Any:
        if command.argument is None:
            return overview.config_frame(self._session)
        name, equals, text = command.argument.partition("=")
        row = setting_row(name.strip())
        if not equals:
            value = self._session.look_up(self._session.current)(row.name).value
            return "not set" if row.kind == "secret" and value is None else public(row.name, value)
        if row.kind == "secret" and not text.strip().startswith("env:") and text.strip() not in _NOTHING:
            raise ConfigurationError(
                f"{row.name} cannot be set in a notebook, where it would be saved.",
                hint=f"set {row.usual_variable()} in the environment, or {row.name}=env:NAME",
            )
        is_value = text.strip() in ('""', "''") and row.name in _MAY_BE_EMPTY
        text = _unquoted(text.strip())
        if text in _NOTHING and not is_value:
            self._session.config.session.pop(row.name, None)
            self._say(f"{row.name} is back to {shown(row.name, self._session.config.get(row.name))}")
            return None
        value = row.parse(text)
        self._check_known(row.name, value)
        self._session.config.session[row.name] = value
        self._say(f"{row.name} = {shown(row.name, self._session.config.session[row.name])}")
        return None

    def _check_known(self, name: str, value: Any) -> None:
        """Refuse now what the next ask would refuse."""
        if name == "profile":
            providers.read_file(self._session.look_up(self._session.current)("profiles").value)
            providers.named(value)
        elif name == "model_info":
            checked_facts(value)

    def _save(self, command: Command) -> None:
        path = Path(command.argument or "").expanduser()
        saving.save(self._session.current, path)
        self._say(f"saved {count(len(self._session.current.slots), 'turn')} to {path}")
        if path.suffix.lower() == ".jsonl":
            from .. import finetuning

            for line in finetuning.verdict(path.read_text(encoding="utf-8")):
                self._say(line)

    def _load(self, command: Command) -> None:
        path = Path(command.argument or "").expanduser()
        loaded = saving.load(path, line=command.number, cls=api.Conversation)
        self._session.adopt(loaded)
        self._say(f"conversation {loaded.name!r}: {count(len(loaded.slots), 'turn')} from {path}")
        for notice in jsonl.unkept(loaded):
            self._say(notice)

    def _panel(self, _command: Command) -> None:
        from ..panels.panel import show

        show(self._asker.shell, self._session)

    def _local(self, command: Command) -> None:
        from ..backends import weights

        if command.argument == "download":
            self._asker.download()
        elif command.argument == "stop":
            self._session.run(self._session.registry.stop("local"))
            self._say("the local model is stopped; the next ask starts it again")
        else:
            chosen = self._session.config.get("local_model")
            if chosen:
                self._say(f"the local model is {chosen}, by the setting local_model")
                return
            path = weights.installed()
            self._say(
                f"weights: {path}"
                if path
                else "weights: not on this machine; %chat local download gets them once, 98 MB"
            )

    def _help(self, command: Command) -> None:
        self._say(help_text(command.argument))

    def _say(self, text: str) -> None:
        print(rendering.plain_text(text))


def _unquoted(text: str) -> str:
    """Text as the user meant it: one pair of quotes around all of it is taken off."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text
