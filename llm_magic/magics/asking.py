"""How a magic asks: its text becomes parts, a fitting view shows the ask, the reply goes where it was told to."""

from __future__ import annotations

import typing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import api, interpolation, rendering
from ..asks import Ask
from ..background import Background
from ..content import Message, Part, TextPart
from ..errors import ConfigurationError, Interrupted, ToolError, did_you_mean
from ..interrupts import deferred, linger
from ..reply import Reply
from ..run import checked
from ..schemas import schema_of
from ..slots import Cell
from ..tools import builtin, toolset
from ..tools.builtins import BUILTINS
from ..values import file_parts, image_parts, to_parts
from ..views.static import Display
from ..watch import watch
from .dry_run import plan_bundle
from .scope import scope
from .showing import Showing, Views
from .words import cut

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..frontend import Frontend
    from ..run import Run
    from ..schemas import Schema
    from ..session import Session
    from ..turns import Turn
    from ..values import Limits
    from .options import AskOptions, Parsed

# What types are written with, for those who have not imported it.
_TYPING = {name: getattr(typing, name) for name in ("Annotated", "Any", "Literal", "Optional", "Union")}


class Asker:
    """Asks for the magics of one shell.

    Args:
        shell: Whose namespace is read and written.
        session: Whose conversations are asked.

    Attributes:
        views: What shows the asks.
        background: The asks that go on when their cell has ended.
    """

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self.shell = shell
        self.session = session
        self.views = Views(shell, session)
        self.background = Background()

    def frontend(self) -> Frontend:
        """Which front end the running cell belongs to."""
        return self.views.frontend()

    def cell(self) -> Cell | None:
        """The running cell, None where the front end tells none."""
        here = self.frontend()
        if here.cell_id is None or here.run_id is None:
            return None
        return Cell(cell_id=here.cell_id, run_id=here.run_id, source=here.source)

    def ask(self, parsed: Parsed, *, is_kept: bool, is_status: bool) -> Reply | None:
        """Ask what a cell or line says.

        Returns:
            The reply, None for a dry run and where the cell does not wait for it.

        Raises:
            LLMMagicError: It cannot be sent, failed, or broke off; what arrived is kept.
            Interrupted: The user interrupted; what arrived is kept.
        """
        options = parsed.options
        if options.is_background and is_status:
            hint = "%llm gives the reply back: use %%llm --background"
            raise ConfigurationError("--background is not for %llm.", hint=hint)
        ask = self._ask(parsed, is_kept=is_kept)
        if options.is_dry_run:
            self.display(plan_bundle(self.session, self.session.plan(ask)))
            return None
        showing = Showing(
            form=options.form or "markdown",
            into=options.into,
            is_quiet=options.is_quiet,
            is_status=is_status,
            # Where nobody watches, the notebook and its kernel would end without the answer.
            is_blocking=not options.is_background or self.frontend().path == "final",
        )
        if showing.is_blocking:
            return self.show(ask, showing)
        self.leave(ask, showing)
        return None

    def show(self, ask: Ask, showing: Showing | None = None) -> Reply:
        """Ask, show it, and set ``_reply`` and the variable that was named; also when the answer broke off."""
        how = showing or Showing()
        ask = replace(ask, is_watched=True, is_attended=True)
        runs: list[Run] = []

        def start() -> Run:
            runs.append(self.session.ask(ask))
            return runs[0]

        try:
            outcome = watch(start, lambda run: self.views.view(run, how))
        finally:
            if not how.is_quiet:
                self.tell()
            # An interrupt leaves by an exception, and the partial answer is wanted all the same.
            if runs and runs[0].is_finished:
                reply = self._reply(runs[0].outcome().turn, how)
        checked(outcome)
        return reply

    def leave(self, ask: Ask, showing: Showing) -> None:
        """Ask, and let it go on when the cell has ended; then set ``_reply`` and the variable that was named.

        Raises:
            LLMMagicError: It cannot be sent. What comes later is told by the view.
            Interrupted: The user interrupted the cell while it asked.
        """
        with deferred() as interrupts:
            # A page can be asked also when the cell has ended.
            run = self.session.ask(replace(ask, is_attended=True))
            view = self.views.view(run, showing)
            self.background.follow(run, view, lambda outcome: self._reply(outcome.turn, showing))
        if not showing.is_quiet:
            self.tell()
        if interrupts.count:
            run.cancel()
            raise Interrupted("the answer is being closed; %chat shows what is kept")

    def tell(self) -> None:
        """Print what the user is to be told once: where things are kept, and what there is of before."""
        for line in self.session.lines():
            print(rendering.plain_text(line))

    def display(self, bundle: dict[str, str]) -> None:
        """Show something that is whole."""
        if self.frontend().path in ("plain", "print"):
            print(bundle["text/plain"])
        else:
            Display().show(bundle)

    def download(self) -> None:
        """Get the local model's weights, with a progress line."""
        from ..backends import weights

        try:
            path = weights.download(progress=_progress)
        except KeyboardInterrupt:
            linger()
            raise Interrupted("nothing is kept of the download; it starts anew the next time") from None
        print(f"\rThe local model is ready: {rendering.plain_text(str(path))}")

    def _ask(self, parsed: Parsed, *, is_kept: bool) -> Ask:
        options = parsed.options
        conversation = self._conversation(options.conversation)
        target = conversation or self.session.current
        limits = api.limits_for(self.session, target, options.settings)
        names = scope(self.shell)
        parts = self._prompt(parsed, names, limits)
        for attachment in options.attachments:
            to_attached = image_parts if attachment.kind == "image" else file_parts
            parts += to_attached(self._source(attachment.source, names), limits=limits)
        return Ask(
            prompt=(Message(role="user", parts=parts),),
            conversation=conversation,
            is_kept=is_kept or options.is_kept,
            is_fresh=options.is_fresh or options.is_completion,
            is_completion=options.is_completion,
            cell=self.cell(),
            settings=options.settings,
            params=options.params,
            timeout_s=options.timeout_s,
            tools=toolset([self._tool(text, names) for text in options.tools]),
            schema=_schema(options, names),
            is_forced=options.is_forced,
        )

    def _prompt(self, parsed: Parsed, names: dict[str, Any], limits: Limits) -> tuple[Part, ...]:
        if parsed.options.is_raw:
            return (TextPart(text=parsed.prompt),) if parsed.prompt.strip() else ()
        parts = interpolation.interpolate(
            parsed.prompt, names, convert=lambda value, name: to_parts(value, limits=limits, name=name)
        )
        hint = interpolation.single_brace_hint(parsed.prompt, names)
        if hint and not parsed.options.is_quiet:
            print(hint)
        is_blank = all(isinstance(part, TextPart) and not part.text.strip() for part in parts)
        return () if is_blank else parts

    def _source(self, text: str, names: dict[str, Any]) -> Any:
        """What ``-i`` or ``-f`` names: the value of an expression, else the text itself, a path or URL."""
        try:
            return eval(compile(text, "<option>", "eval"), dict(names))  # noqa: S307  # the user's own code, in the user's own kernel
        except (SyntaxError, NameError, AttributeError):
            # plot.png reads as an attribute of plot, ./plot.png does not parse: both are paths.
            return text

    def _tool(self, text: str, names: dict[str, Any]) -> Any:
        """What ``--tool`` names: the value of an expression, else a built-in tool."""
        try:
            return eval(compile(text, "<option>", "eval"), dict(names))  # noqa: S307  # the user's own code, in the user's own kernel
        except (SyntaxError, NameError, AttributeError) as exc:
            if (ours := builtin(text, self.shell.user_ns)) is not None:
                return ours
            hint = did_you_mean(text, [*names, *BUILTINS], otherwise="define the function first")
            raise ToolError(f"There is no tool {text}.", hint=hint) from exc

    def _reply(self, turn: Turn, showing: Showing) -> Reply:
        reply = Reply(
            turn=turn,
            form=showing.form,
            has_footer=self.session.config.get("footer"),
            schema=self.session.types.of(turn.settings),
        )
        self.shell.user_ns.update({"_reply": reply} | ({showing.into: reply} if showing.into else {}))
        return reply

    def _conversation(self, name: str | None) -> Any:
        if name is None:
            return None
        if any(c.name == name for c in self.session.conversations):
            return self.session.named(name)
        return self.session.add(name)


def _schema(options: AskOptions, names: dict[str, Any]) -> Schema | None:
    """The type that ``--schema`` names: the value of an expression; where that is text, the name in it."""
    if options.schema is None:
        return schema_of(dict) if options.is_json else None
    if options.is_json:
        raise ConfigurationError("The ask has --schema and --json.", hint="leave one of them out")
    text = options.schema
    try:
        value = eval(compile(text, "<option>", "eval"), {**_TYPING, **names})  # noqa: S307  # the user's own code
        value = names.get(value, value) if isinstance(value, str) else value
    except NameError as exc:
        hint = did_you_mean(exc.name or text, names, otherwise="define the type first")
        raise ConfigurationError(f"No type named {exc.name!r} for --schema.", hint=hint) from exc
    except Exception as exc:
        says = f"--schema {cut(text)} cannot be evaluated: {type(exc).__name__}: {exc}"
        raise ConfigurationError(says, hint='quote an expression with spaces: --schema "Invoice | None"') from exc
    return schema_of(value)


def _progress(done: int, total: int) -> None:
    print(f"\rlocal model: {done / 1e6:.0f} of {total / 1e6:.0f} MB", end="", flush=True)
