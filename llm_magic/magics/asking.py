"""How a magic asks: its text becomes parts, a fitting view watches the ask, the reply goes where it was told to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import api, frontend, interpolation, rendering
from ..asks import Ask, Plan
from ..content import Message, Part, TextPart
from ..errors import Interrupted
from ..interrupts import linger
from ..reply import Reply, dollars
from ..run import checked
from ..slots import Cell
from ..values import file_parts, image_parts, to_parts
from ..views.channel import channel_of
from ..views.live import LiveView
from ..views.plain import PlainView, TerminalStatus
from ..views.static import Display, StaticStatus, StaticView
from ..watch import View, watch
from .scope import scope

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..frontend import Kind
    from ..reply import Form
    from ..run import Run
    from ..session import Session
    from ..values import Limits
    from .options import Parsed

# How long a display waits for a page to show its widget, where front ends have widgets, and where that is not known.
KNOWN_PATIENCE_S, UNKNOWN_PATIENCE_S = 3.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How one ask is shown.

    Attributes:
        form: The form of the answer.
        is_quiet: Not at all.
        is_status: Only a line while it runs.
    """

    form: Form = "markdown"
    is_quiet: bool = False
    is_status: bool = False


class Asker:
    """Asks for the magics of one shell.

    Args:
        shell: Whose namespace is read and written.
        session: Whose conversations are asked.
    """

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        self.shell = shell
        self.session = session
        self._status: tuple[str | None, Display] = (None, Display())
        self._is_deaf = False

    def frontend(self) -> frontend.Frontend:
        """Which front end the running cell belongs to."""
        return frontend.detect(self.shell, view=self.session.config.get("view"), secret=self.session.secret)

    def cell(self) -> Cell | None:
        """The running cell, None where the front end tells none."""
        here = self.frontend()
        if here.cell_id is None or here.run_id is None:
            return None
        return Cell(cell_id=here.cell_id, run_id=here.run_id, source=here.source)

    def ask(self, parsed: Parsed, *, is_kept: bool, is_status: bool) -> Reply | None:
        """Ask what a cell or line says.

        Returns:
            The reply, None for a dry run.

        Raises:
            LLMMagicError: It cannot be sent, failed, or broke off; what arrived is kept.
            Interrupted: The user interrupted; what arrived is kept.
        """
        options = parsed.options
        ask = self._ask(parsed, is_kept=is_kept)
        if options.is_dry_run:
            self.display(plan_bundle(self.session.plan(ask)))
            return None
        showing = Showing(form=options.form or "markdown", is_quiet=options.is_quiet, is_status=is_status)
        return self.show(ask, showing, into=options.into)

    def show(self, ask: Ask, showing: Showing | None = None, *, into: str | None = None) -> Reply:
        """Ask, show it, and set ``_reply`` and the variable that was named; also when the answer broke off."""
        showing = showing or Showing()
        has_footer = self.session.config.get("footer")
        runs: list[Run] = []

        def start() -> Run:
            runs.append(self.session.ask(ask))
            return runs[0]

        try:
            outcome = watch(start, lambda run: self._view(run, showing, has_footer=has_footer))
        finally:
            if not showing.is_quiet:
                self.tell()
            # An interrupt leaves by an exception, and the partial answer is wanted all the same.
            if runs and runs[0].is_finished:
                reply = Reply(turn=runs[0].outcome().turn, form=showing.form, has_footer=has_footer)
                self.shell.user_ns.update({"_reply": reply} | ({into: reply} if into else {}))
        checked(outcome)
        return reply

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
            is_fresh=options.is_fresh,
            cell=self.cell(),
            settings=options.settings,
            params=options.params,
            timeout_s=options.timeout_s,
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

    def _conversation(self, name: str | None) -> Any:
        if name is None:
            return None
        if any(c.name == name for c in self.session.conversations):
            return self.session.named(name)
        return self.session.add(name)

    def _view(self, run: Run, showing: Showing, *, has_footer: bool) -> View | None:
        here = self.frontend()
        waiting = f"asking {run.plan.request.model}"
        is_text = here.path in ("plain", "print")
        is_updated = here.path in ("static", "live")
        if showing.is_quiet:
            return None
        if showing.is_status:
            if is_text:
                return TerminalStatus(waiting)
            return StaticStatus(waiting, self._shared(here.run_id)) if is_updated else None
        if is_text:
            return PlainView(form=showing.form, has_footer=has_footer)
        if here.path == "live" and not self._is_deaf:
            return self._live_view(run, here.kind, showing, has_footer=has_footer)
        return StaticView(waiting=waiting, form=showing.form, has_footer=has_footer, is_live=is_updated)

    def _live_view(self, run: Run, kind: Kind, showing: Showing, *, has_footer: bool) -> LiveView:
        # Where widgets are known to be, no page means that nobody looks now; elsewhere, that there are no widgets.
        is_known = kind == "jupyter"
        return LiveView(
            run,
            waiting=f"asking {run.plan.request.model}",
            channel=channel_of(self.shell),
            form=showing.form,
            has_footer=has_footer,
            patience_s=KNOWN_PATIENCE_S if is_known else UNKNOWN_PATIENCE_S,
            on_deaf=None if is_known else self._note_deaf,
        )

    def _note_deaf(self) -> None:
        self._is_deaf = True

    def _shared(self, run_id: str | None) -> Display:
        if run_id is None or self._status[0] != run_id:
            self._status = (run_id, Display())
        return self._status[1]


def plan_bundle(plan: Plan) -> dict[str, str]:
    """What ``--dry-run`` shows: who would be asked what, how many tokens, at which price."""
    from .. import catalog, tokens
    from ..counts import Usage

    request = plan.request
    counted = tokens.count_messages(request.messages, request.model)
    usage = Usage(input_tokens=counted.tokens, total_tokens=counted.tokens)
    cost = 0.0 if plan.info.is_local else catalog.cost_usd(usage, request.model, provider=plan.info.provider)
    sign = "~" if counted.is_estimate else ""
    price = "price unknown" if cost is None else "free" if plan.info.is_local else f"{dollars(cost)} for the input"
    lines = [
        "Nothing was sent. This would be:",
        f"model: {request.model} ({plan.info.name}, {plan.info.base_url})",
        f"tokens: {sign}{counted.tokens} in, {price}",
        f"parameters: {', '.join(f'{k}={v!r}' for k, v in request.params.items()) or 'none'}",
        *(_message_line(message) for message in request.messages),
    ]
    text = rendering.plain_text("\n".join(lines))
    return {"text/plain": text, "text/html": rendering.answer_html(rendering.preformatted_html(text))}


def _message_line(message: Message) -> str:
    parts = [part.text if isinstance(part, TextPart) else f"[{part.label}]" for part in message.parts]
    return f"{message.role}: {''.join(parts)}"


def _progress(done: int, total: int) -> None:
    print(f"\rlocal model: {done / 1e6:.0f} of {total / 1e6:.0f} MB", end="", flush=True)
