"""``complete()``: the completions of before chat, which servers of one's own still have. A prompt is gone on with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..counts import Usage
from ..errors import ConfigurationError, ContentError
from ..tokens import count_text
from .desk import Desk, Endpoint, Said, Sending, blocking, on_engine, usage_of, whole_params

if TYPE_CHECKING:
    from ..backends.base import Backend
    from ..backends.posting import Posted

COMPLETIONS = Endpoint(kind="complete", api="completions", path="/completions", feature="text completions")
# Text, several texts, tokens (one prompt), or several prompts of tokens.
Prompt: TypeAlias = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """How one prompt went on.

    Attributes:
        text: The text, with the prompt before it where ``echo`` was asked for.
        prompt_number: Which prompt, counted from 0.
        finish_reason: stop, length …, as the server says; None where it does not.
        logprobs: As the server sent them, None where not asked for.
        prompt_logprobs: Those of the prompt (vLLM), as the server sent them; None where not asked for.
    """

    text: str
    prompt_number: int = 0
    finish_reason: str | None = None
    logprobs: Any = None
    prompt_logprobs: Any = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Completions(Sequence[Completion]):
    """How prompts went on: ``n`` for each prompt, in the order of the prompts. Its text is the first one's.

    Attributes:
        choices: All of them.
        id: The server's id ("cmpl-…"), "" where it sends none.
        model: The model that answered, "" where the server does not say.
        created: When, in seconds since 1970; None where the server does not say.
        usage: Tokens, as the server says; None where it does not.
    """

    choices: tuple[Completion, ...]
    id: str = ""
    model: str = ""
    created: int | None = None
    usage: Usage | None = None

    def __len__(self) -> int:
        return len(self.choices)

    def __getitem__(self, place: Any) -> Any:
        return self.choices[place]

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The text of the first."""
        return self.choices[0].text

    @property
    def texts(self) -> list[str]:
        """The text of each."""
        return [choice.text for choice in self.choices]


async def acomplete(
    prompt: Prompt,
    *,
    model: str | None = None,
    n: int | None = None,
    backend: Backend | None = None,
    timeout_s: float | None = None,
    **params: Any,
) -> Completions:
    """Let a model go on with text.

    Args:
        prompt: A text; several texts; a prompt as token ids; or several of those.
        model: The model; None takes the one that is chatted with.
        n: How many completions of each prompt; None lets the server choose, which means one.
        backend: Asked instead of the configured one.
        timeout_s: Seconds for the request as a whole, None for no limit.
        params: Further request parameters by their name: max_tokens, temperature, top_p, stop, suffix, echo, best_of,
            logprobs, seed, logit_bias, presence_penalty, frequency_penalty, user; guided_choice and prompt_logprobs of
            vLLM; whatever else the server knows.

    Raises:
        LLMMagicError: The prompt is none, nobody can be asked, or the request failed.
    """
    prompts = prompts_of(prompt)
    if n is not None and (not isinstance(n, int) or n < 1):
        raise ConfigurationError(f"{n!r} does not fit n.", hint="a whole number of at least 1")
    desk = Desk(COMPLETIONS, model=model, backend=backend, timeout_s=timeout_s)
    sent = [list(one) if not isinstance(one, str) else one for one in prompts]
    is_many = not isinstance(prompt, str) and not isinstance(prompt[0], int)
    body = whole_params({"prompt": sent if is_many else sent[0], "n": n, **params})

    def estimate() -> Usage:
        tokens = sum(count_text(one, desk.model).tokens if isinstance(one, str) else len(one) for one in prompts)
        return Usage(input_tokens=tokens, total_tokens=tokens)

    def read(posted: Posted) -> Said[Completions]:
        return _read(posted, n_prompts=len(prompts), n=n or 1, model=desk.model, sent=estimate())

    return await on_engine(desk.send(Sending(body=body, read=read, estimate=estimate)))


complete = blocking(acomplete)


def prompts_of(prompt: Any) -> list[str | Sequence[int]]:
    """The prompts that one argument means: a list of numbers is one prompt, a list of texts or of lists is several.

    Raises:
        ContentError: It is none of these, or empty.
    """
    if isinstance(prompt, str):
        found: list[Any] = [prompt]
    elif isinstance(prompt, Iterable) and not isinstance(prompt, bytes | Mapping):
        items = list(prompt)
        found = [items] if items and all(_is_token(item) for item in items) else items
    else:
        found = []
    if found and all(isinstance(item, str) for item in found):
        return found
    if found and all(isinstance(item, Sequence) and item and all(_is_token(one) for one in item) for item in found):
        return found
    raise ContentError(
        f"A {type(prompt).__name__} like this cannot be completed.",
        hint="give text, a list of texts, token ids, or a list of lists of token ids",
    )


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _read(posted: Posted, *, n_prompts: int, n: int, model: str, sent: Usage) -> Said[Completions]:
    wanted = "completion" if n_prompts * n == 1 else f"{n_prompts * n} completions"
    reply = posted.json(wanted)
    try:
        rows = sorted(enumerate(reply["choices"]), key=lambda row: row[1].get("index", row[0]))
        choices = tuple(
            Completion(
                text=str(row["text"]),
                prompt_number=place // n,
                finish_reason=row.get("finish_reason"),
                logprobs=row.get("logprobs"),
                prompt_logprobs=row.get("prompt_logprobs"),
            )
            for place, (_, row) in enumerate(rows)
        )
    except (KeyError, TypeError, AttributeError) as exc:
        raise posted.strange(wanted) from exc
    if len(choices) != n_prompts * n:
        raise posted.strange(wanted)
    usage = usage_of(reply.get("usage"))
    counted = usage or _counted(choices, model, sent)
    value = Completions(
        choices=choices,
        id=str(reply.get("id") or ""),
        model=str(reply.get("model") or ""),
        created=reply.get("created"),
        usage=usage,
    )
    return Said(value=value, usage=counted, model=reply.get("model"), finish_reason=choices[0].finish_reason)


def _counted(choices: tuple[Completion, ...], model: str, sent: Usage) -> Usage:
    answered = sum(count_text(choice.text, model).tokens for choice in choices)
    total = sent.input_tokens + answered
    return Usage(input_tokens=sent.input_tokens, output_tokens=answered, total_tokens=total, is_estimate=True)
