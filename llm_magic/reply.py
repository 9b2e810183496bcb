"""Reply: an answer as a value, and how an answer is shown once it is whole.

The bundle made here is what a notebook keeps: safe HTML and safe plain text, never raw Markdown.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from . import rendering
from .errors import ContentError
from .frames import fields_frame
from .logprobs import logprobs_frame
from .money import dollars
from .schemas import plain_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from .content import Part, ToolCall
    from .counts import Usage
    from .schemas import Schema
    from .turns import Step, Turn

CALLS_NOTHING = "the model says that it calls a tool, and names none"
# "data" is what Markdown is where JSON was asked for: a table of fields where the answer has any.
Form: TypeAlias = Literal["text", "markdown", "json", "code", "data"]
_JSON_FORMS = ("json_schema", "json_object")
_FENCE = re.compile(
    r"^ {0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, as ``%llm`` and ``Conversation.ask`` return it.

    ``str(reply)`` is the text; shown in a notebook, it is the safe HTML of the answer.

    Attributes:
        turn: Everything that is known of the ask and its answer.
        form: How it is shown: text, markdown, json or code.
        has_footer: Shown with a line that tells model, tokens and cost.
        schema: The type that was asked for; None where none was, or this session does not know it any more.
    """

    turn: Turn
    form: Form = "markdown"
    has_footer: bool = True
    schema: Schema | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.turn.text

    def __repr__(self) -> str:
        text = plain_answer(self.turn, form=self.form, has_footer=False, has_steps=False)
        return rendering.plain_text(text)

    def _repr_mimebundle_(self, **_include_exclude: object) -> dict[str, str]:
        return answer_bundle(self.turn, form=self.form, has_footer=self.has_footer)

    @property
    def text(self) -> str:
        """The answer's text, exactly as it came; "" where the model refused."""
        return self.turn.text

    @property
    def others(self) -> tuple[Reply, ...]:
        """Further answers of the same request, where several were asked for (``n`` > 1); their usage is this one's."""
        return tuple(replace(self, turn=turn) for turn in self.turn.others)

    @property
    def data(self) -> Any:
        """The answer as the type that was asked for; a list of objects as a DataFrame.

        Its columns are the objects' fields, with the same dtypes also when it is empty (string, Int64, Float64,
        boolean, datetime64; object for all else); nested objects are dicts. Where no type was asked for, or it is not
        known any more, as after a restart: the answer read as JSON, with or without a code fence around it.

        Raises:
            ContentError: It is not JSON, or does not fit (``SchemaError``).
        """
        if self.schema is None or not self.schema.is_rows:
            return self.parsed
        return fields_frame(self.schema.columns, self.schema.rows(self.parsed))

    @property
    def parsed(self) -> Any:
        """As ``data``, but a list of objects is that list.

        Raises:
            ContentError: As for ``data``.
        """
        return plain_data(self.turn) if self.schema is None else self.schema.parse(self.turn.text)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The answer's content in order."""
        return self.turn.messages()[-1].parts

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Functions the model wanted called."""
        return self.turn.tool_calls

    @property
    def reasoning(self) -> str:
        """What the model thought aloud, "" where it did not."""
        return self.turn.reasoning

    @property
    def usage(self) -> Usage:
        """Tokens of the request."""
        return self.turn.usage

    @property
    def cost_usd(self) -> float | None:
        """Price in US dollars, None where no price is known."""
        return self.turn.cost_usd

    @property
    def model(self) -> str:
        """The model that answered; where the server does not say, the one that was asked."""
        return self.turn.model or self.turn.requested_model

    @property
    def cached(self) -> bool:
        """The answer is a former one of this session, which cost nothing; see the setting ``cache``."""
        return self.turn.is_cached

    @property
    def finish_reason(self) -> str | None:
        """stop, length, tool_calls, content_filter or unknown."""
        return self.turn.finish_reason

    @property
    def logprobs(self) -> pd.DataFrame | None:
        """Log probabilities of the whole answer, one row per token; None where they were not asked for, or not sent.

        Columns: token (string); logprob, the natural logarithm, and prob, between 0 and 1 (Float64); alternatives
        (object: a list of pairs of token and logprob, the likeliest first). ``turn.logprobs`` has all that was sent.
        """
        return None if self.turn.logprobs is None else logprobs_frame(self.turn.logprobs)

    @property
    def service_tier(self) -> str | None:
        """The tier the server billed, None where it does not say."""
        return self.turn.service_tier

    @property
    def request_id(self) -> str | None:
        """The server's id of the request."""
        return self.turn.request_id

    @property
    def latency_s(self) -> float | None:
        """From asking to the end, in seconds."""
        return self.turn.latency_s

    @property
    def ttft_s(self) -> float | None:
        """From asking to the first piece of the answer, in seconds."""
        return self.turn.ttft_s


def plain_data(turn: Turn) -> Any:
    """The JSON of an answer, out of what a typed answer is wrapped in on the wire.

    Raises:
        ContentError: It is not JSON.
    """
    wanted = turn.settings.get("response_format")
    return parse_json(turn.text) if wanted is None else plain_value(turn.text, wanted)


def form_of(form: Form, settings: Mapping[str, Any]) -> Form:
    """How an answer is shown that was asked for with these request parameters, if nothing else is wished."""
    wanted = settings.get("response_format")
    is_data = form == "markdown" and isinstance(wanted, dict) and wanted.get("type") in _JSON_FORMS
    return "data" if is_data else form


def parse_json(text: str) -> Any:
    """JSON out of an answer: the whole text, or its only fenced block.

    Raises:
        ContentError: Neither is JSON.
    """
    candidates = [text, *(body for _, body in fenced(text))]
    for candidate in candidates:
        try:
            return json.loads(candidate)
        except ValueError:
            continue
    raise ContentError("The answer is not JSON.", hint="its text is in .text")


def fenced(text: str) -> list[tuple[str, str]]:
    r"""The fenced code blocks of an answer: (language, code) in order.

    >>> fenced("Here:\n```py\nx = 1\n```\nDone.")
    [('py', 'x = 1\n')]
    """
    return [(match[2], match[3]) for match in _FENCE.finditer(text)]


def footer(turn: Turn) -> str:
    """The line under an answer: model, tokens, cost if known; no times, so that a re-run changes nothing else."""
    model = turn.model or turn.requested_model
    if turn.backend == "local":
        model += " (local model on this machine)"
    pieces = [model]
    if turn.usage.total_tokens:
        sign = "~" if turn.usage.is_estimate else ""
        pieces.append(f"{sign}{turn.usage.input_tokens} → {sign}{turn.usage.output_tokens} tokens")
    if turn.is_cached:
        pieces.append("cached, free")
    if turn.cost_usd:
        pieces.append(dollars(turn.cost_usd))
    return " · ".join(pieces)


def remarks(turn: Turn) -> list[str]:
    """What the reader must know beside the answer: how it ended where not well, notices."""
    lines = [*turn.notices, *(step.error for step in turn.steps if step.error and step.reason != "tools")]
    match turn.status:
        case "interrupted" if not (turn.text or turn.refusal or turn.reasoning or turn.tool_calls or turn.steps):
            lines.append("interrupted: nothing had arrived")
        case "interrupted":
            lines.append("interrupted: what had arrived is kept")
        case "truncated":
            lines.append("truncated: what had arrived is kept")
        case "failed":
            lines.append(f"failed: {turn.error or 'nothing arrived'}")
        case "complete":
            # An answer that came whole, and does not fit the type that was asked for.
            lines += [*([turn.error] if turn.error else []), *_of_complete(turn)]
    return lines


def _of_complete(turn: Turn) -> list[str]:
    """What is not as it might be of an answer that came whole."""
    lines = []
    if turn.finish_reason == "length":
        lines.append("cut off: the limit of tokens was reached")
    elif turn.finish_reason == "content_filter":
        lines.append("cut off by the provider's content filter")
    if turn.tool_calls:
        names = ", ".join(call.name for call in turn.tool_calls)
        lines.append(f"the model asked to call {names}; nothing was called")
    elif turn.finish_reason == "tool_calls":
        # Where tools were handed over, it has been said on the way.
        lines += [CALLS_NOTHING] if CALLS_NOTHING not in turn.notices else []
    elif not (turn.text or turn.refusal):
        lines.append("(empty reply)")
    return lines


def answer_bundle(turn: Turn, *, form: Form = "markdown", has_footer: bool = True) -> dict[str, str]:
    """What is displayed and kept of an answer: safe ``text/html`` and safe ``text/plain``."""
    return {
        "text/html": html_answer(turn, form=form, has_footer=has_footer),
        "text/plain": rendering.plain_text(plain_answer(turn, form=form, has_footer=has_footer)),
    }


def html_answer(turn: Turn, *, form: Form = "markdown", has_footer: bool = True) -> str:
    """The answer as safe HTML, with the pictures it is about, reasoning folded, remarks and footer."""
    pieces = [rendering.pictures_html(turn.prompt)]
    if thoughts := _thoughts(turn):
        pieces.append(rendering.reasoning_html(*thoughts))
    pieces.extend(piece.html for piece in answer_pieces(turn, form=form))
    pieces.extend(rendering.notice_html(line) for line in remarks(turn))
    if has_footer:
        pieces.append(rendering.footer_html(footer(turn)))
    return rendering.answer_html("".join(pieces))


def answer_pieces(turn: Turn, *, form: Form = "markdown") -> list[rendering.Piece]:
    """What the model said and called, in order, as pieces of safe HTML; without reasoning, remarks and footer."""
    form = form_of(form, turn.settings)
    pieces = [piece for step in _rounds(turn) for piece in _step_pieces(step, form)]
    if turn.text and form == "data":
        pieces.append(rendering.Piece(html=_data_html(turn)))
    elif turn.text:
        is_markdown = form == "markdown"
        pieces += (
            rendering.markdown_pieces(turn.text) if is_markdown else [rendering.Piece(html=_form_html(turn.text, form))]
        )
    if turn.refusal:
        pieces.append(rendering.Piece(html=rendering.notice_html("The model refused:")))
        pieces += rendering.markdown_pieces(turn.refusal)
    pieces += (rendering.Piece(html=rendering.call_html(rendering.called(call, None))) for call in turn.tool_calls)
    return pieces


def reasoning_pieces(turn: Turn) -> list[rendering.Piece]:
    """What the model thought aloud, over all requests, as pieces of safe HTML."""
    return [piece for thought in _thoughts(turn) for piece in rendering.markdown_pieces(thought, highlight=False)]


def plain_answer(turn: Turn, *, form: Form = "markdown", has_footer: bool = True, has_steps: bool = True) -> str:
    """The answer as text, with remarks and footer; not yet made safe for a terminal.

    Args:
        turn: The turn.
        form: How the answer is shown.
        has_footer: The last line tells model, tokens and cost.
        has_steps: What was said and called before the answer stands before it.
    """
    pieces = [line for step in _rounds(turn) for line in _step_lines(step)] if has_steps else []
    pieces += [_form_text(turn.text, form_of(form, turn.settings))] if turn.text else []
    if turn.refusal:
        pieces.append(f"The model refused: {turn.refusal}")
    if has_steps:
        pieces.extend(f"[{rendering.call_text(rendering.called(call, None))}]" for call in turn.tool_calls)
    pieces.extend(f"[{line}]" for line in remarks(turn))
    if has_footer:
        pieces.append(f"[{footer(turn)}]")
    return "\n".join(pieces)


def _rounds(turn: Turn) -> list[Step]:
    """The requests before the last that are shown: what a try said that could not stand is void."""
    return [step for step in turn.steps if step.reason == "tools"]


def _thoughts(turn: Turn) -> list[str]:
    return [text for text in (*(step.reasoning for step in turn.steps), turn.reasoning) if text]


def _calls(step: Step) -> list[rendering.ShownCall]:
    # An answer that was stopped has not all of them.
    results = {result.call_id: result for result in step.results}
    return [rendering.called(call, results.get(call.id)) for call in step.tool_calls]


def _step_pieces(step: Step, form: Form) -> list[rendering.Piece]:
    if not step.text:
        said = []
    elif form == "text":
        said = [rendering.Piece(html=rendering.preformatted_html(step.text))]
    else:
        # Asked for as JSON or code, that is said of the answer.
        said = rendering.markdown_pieces(step.text)
    return [*said, *(rendering.Piece(html=rendering.call_html(call)) for call in _calls(step))]


def _step_lines(step: Step) -> list[str]:
    return [*([step.text] if step.text else []), *(f"[{rendering.call_text(call)}]" for call in _calls(step))]


def _data_html(turn: Turn) -> str:
    try:
        value = plain_data(turn)
    except ContentError:
        # What the model wrote is shown; that it does not fit is told by the ask.
        return rendering.preformatted_html(turn.text)
    table = rendering.fields_html(value)
    return table or rendering.code_html(json.dumps(value, indent=2, ensure_ascii=False), "json")


def _form_html(text: str, form: Form) -> str:
    match form:
        case "markdown":
            return rendering.markdown_html(text)
        case "text" | "data":
            return rendering.preformatted_html(text)
        case "json":
            return rendering.code_html(_form_text(text, form), "json")
        case "code":
            blocks = fenced(text) or [("", text)]
            return "".join(rendering.code_html(code, language) for language, code in blocks)


def _form_text(text: str, form: Form) -> str:
    if form in ("json", "data"):
        try:
            return json.dumps(parse_json(text), indent=2, ensure_ascii=False)
        except ContentError:
            # Not JSON after all: what the model wrote is shown, and .data says so when it is asked for.
            return text
    if form == "code":
        return "\n".join(code for _, code in fenced(text)) or text
    return text
