"""What stands between two pieces of one answer: nothing, a space, a line break."""

from __future__ import annotations

import re

from .folding import Folded, is_spaced

FENCE = re.compile(r"[ \t]{0,3}(`{3,}|~{3,})[^\n`]*")
_BLOCK = re.compile(r"(?: {2,}|\t)?(?:#{1,6} |[-*+] |\d+[.)] |```|~~~|> )")
_TELLING = 24


def glue(former: str, rest: str, *, space: str = "", is_new_line: bool = False) -> str:
    """What must stand between a text and what follows it, so that both read as one.

    Nothing, where what follows brings it: a model that goes on letter by letter does. One that begins a message
    leaves out the space or the line break before it.

    Args:
        former: The text so far, without white space at its end.
        rest: What follows.
        space: The white space that was at the end.
        is_new_line: What follows stood on a new line of code.
    """
    if not former or not rest or rest[0] in "\r\n":
        return ""
    if rest[0].isspace() and space:
        space = space[: space.rfind("\n") + 1]  # the line's own indent came again
    if open_fence(former):
        return space or _glue_of_code(former, rest, is_new_line=is_new_line)
    if _BLOCK.match(rest) or (former.endswith("|") and rest.startswith("|")):
        return space or "\n"
    if rest[0].isspace():
        return ""
    if _is_begun_anew(former, rest):
        return "\n\n"
    return space or (" " if _is_new_word(former, rest) else "")


def _glue_of_code(former: str, rest: str, *, is_new_line: bool) -> str:
    """A line break before what can only begin a line."""
    if FENCE.match(rest) or (rest.startswith(("  ", "\t")) and not rest.lstrip().startswith(("#", "//"))):
        return "\n"
    is_open = former[-1] in "([{,.=+-*/&|<>" or not (rest[0].isalnum() or rest[0] in "_\"'#@")
    return "\n" if is_new_line and not is_open else ""


def _is_begun_anew(former: str, rest: str) -> bool:
    """The answer begins like the former one, and is another."""
    beginning = Folded(rest[: 2 * _TELLING]).text[:_TELLING]
    return len(beginning) == _TELLING and Folded(former[: 2 * _TELLING]).text.startswith(beginning)


def _is_new_word(former: str, rest: str) -> bool:
    """The text ends with a whole word or sign, and the next word came without its space.

    A chat model begins no message with a space, and a word that was cut it begins again: so two words it is, but
    where both together are a word that was used before.
    """
    last, first = re.search(r"\w+\Z", former), re.match(r"\w+", rest)
    if first is None:
        return False
    if last is None:
        return former[-1] in ".,;:!?" and is_spaced(rest[0]) and not rest[0].isdigit()
    is_number = former[-1].isdigit() and rest[0].isdigit()
    if is_number or not (is_spaced(former[-1]) and is_spaced(rest[0])):
        return False
    used = re.findall(r"\w+", former[: last.start()].lower())
    return (last[0] + first[0]).lower() not in used


def open_fence(text: str) -> str:
    """The line that opened the code block in which the text ends, without its indent; "" where it ends in none."""
    opened, line_of = "", ""
    for line in text.split("\n"):
        fence = FENCE.match(line)
        if fence is None:
            continue
        if not opened:
            opened, line_of = fence[1], line.strip()
        elif fence[1].startswith(opened) and line.strip() == fence[1]:
            opened, line_of = "", ""
    return line_of
