"""What a provider would refuse of messages meant for fine-tuning: JSON Lines checked without asking anybody.

Comes in: the text of a file. Goes out: a DataFrame of problems, each with its line and message. The rules of one
example are in ``finetuning_rules.py``; here are the file, its size, and what is said of it.

Sources: OpenAI's guides to supervised and vision fine-tuning, ``FineTuneChatRequestInput`` in the description of its
API, and the data checker of its cookbook; read in November 2026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import StoreError
from .finetuning_rules import RULES, Finding, example_findings
from .frames import typed_frame
from .jsonl import numbered_lines
from .jsontext import strict_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from .frames import ColumnKind

COLUMNS: Mapping[str, ColumnKind] = {
    "line": "count",
    "message": "count",
    "severity": "text",
    "what": "text",
    "found": "text",
    "hint": "text",
}
_LEAST_EXAMPLES = 10
_MOST_EXAMPLES_WITH_PICTURES = 50_000
_MOST_BYTES = 512_000_000
_MOST_PLACES = 5
_REFUSED = "refused"


def check_jsonl(text: str | bytes, *, model: str | None = None) -> pd.DataFrame:
    """Check JSON Lines against what OpenAI takes for supervised fine-tuning of chat models.

    Args:
        text: The lines, one example each; bytes are checked for UTF-8 too.
        model: Which model is to be tuned, for the limit of tokens of an example; None takes 65,536, which most have.

    Returns:
        One row per problem, in the order of lines: line, message (Int64, from 1; missing where the file or the whole
        example is meant), severity ("refused": the file is not taken; "warning": it is, and something is lost or
        unwise), what, found (what stands there, if that can be said in a word), hint (string).
    """
    rows = [
        {
            "line": line,
            "message": finding.message,
            "severity": RULES[finding.rule].severity,
            "what": RULES[finding.rule].what,
            "found": finding.found or None,
            "hint": RULES[finding.rule].hint,
        }
        for line, finding in _findings(text, model)
    ]
    return typed_frame(COLUMNS, rows)


def verdict(text: str) -> list[str]:
    """What a provider would refuse: one line of text for each kind of problem, or one that says there is none."""
    frame = check_jsonl(text)
    refused = frame[frame["severity"] == _REFUSED]
    number = sum(1 for _ in numbered_lines(text))
    if not len(refused):
        return [f"{number} {'example' if number == 1 else 'examples'} for fine-tuning, nothing a provider would refuse"]
    return [
        f"refused for fine-tuning: {what} ({_places(rows, has_lines=number > 1)}); {rows['hint'].iloc[0]}"
        for what, rows in refused.groupby("what", sort=False)
    ]


def _findings(text: str | bytes, model: str | None) -> Iterator[tuple[int | None, Finding]]:
    size = len(text)
    if isinstance(text, bytes):
        lines = text.decode("utf-8", "replace")
        if (number := _undecodable(text)) is not None:
            yield number, Finding(rule="not_utf8")
    else:
        lines = text
    examples = pictured = 0
    for number, line in numbered_lines(lines):
        examples += 1
        try:
            data: Any = strict_value(line, f"Line {number}", hint="", is_standard=True)
        except StoreError as exc:
            yield number, Finding(rule="not_json", found=exc.message.removeprefix(f"Line {number} ").rstrip("."))
            continue
        findings, has_pictures = example_findings(data, line, model)
        pictured += has_pictures
        for finding in findings:
            yield number, finding
    if examples < _LEAST_EXAMPLES:
        yield None, Finding(rule="few_examples", found=str(examples))
    if pictured > _MOST_EXAMPLES_WITH_PICTURES:
        yield None, Finding(rule="many_pictured_examples", found=f"{pictured:,}")
    if size > _MOST_BYTES:
        yield None, Finding(rule="large_file", found=f"{size / 1e6:,.0f} MB")


def _undecodable(text: bytes) -> int | None:
    """Number of the first line that is not UTF-8."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as exc:
        return text.count(b"\n", 0, exc.start) + 1
    return None


def _places(rows: pd.DataFrame, *, has_lines: bool) -> str:
    """Where the problems of one kind are, and what stands there."""
    places = []
    for line, message, found in zip(
        rows["line"].tolist(), rows["message"].tolist(), rows["found"].tolist(), strict=True
    ):
        names = {"line": line if has_lines else None, "message": message}
        place = " ".join(f"{name} {value}" for name, value in names.items() if isinstance(value, int))
        places.append(": ".join(text for text in (place, found) if isinstance(text, str) and text))
    shown = "; ".join(list(dict.fromkeys(filter(None, places)))[:_MOST_PLACES])
    return shown + ("; …" if len(places) > _MOST_PLACES else "") or "the example"
