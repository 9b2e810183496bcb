"""The corpus of hostile texts: what a model, or a server, might say to act on the page that shows it.

The texts are in ``tests/fixtures/hostile/payloads.json``, by class. Script sets ``window.__pwned``; whatever is fetched
is fetched from ``attacker.invalid``, which :func:`aimed_at` makes a host that listens.

| class      | texts | what they try                                                                       |
|------------|------:|-------------------------------------------------------------------------------------|
| script     |    18 | script elements in every spelling                                                   |
| handlers   |    23 | event handlers on elements                                                          |
| frames     |    13 | iframe, srcdoc, object, embed, frameset                                             |
| svg        |    14 | scripts, animations, uses and images of SVG                                         |
| mathml     |     7 | links, scripts and sizes of MathML                                                  |
| tex        |    47 | TeX macros that link, define, load, style, number, move; formulas outside of ours   |
| style      |    14 | style elements and attributes: covering, restyling, fetching, spying                |
| forms      |     7 | forms, buttons, fields, dialogs                                                     |
| head       |    12 | meta, base, link, title: what rules the page                                        |
| links      |    45 | javascript, vbscript, data, blob, file, relative and broken links                   |
| references |    12 | the same by reference                                                               |
| autolinks  |     9 | the same in angle brackets, and bare                                                |
| images     |    26 | Markdown and HTML images, which tell another host what was said                     |
| media      |    11 | video, audio, posters, backgrounds, source sets                                     |
| commands   |     9 | attributes by which a front end runs its commands, and buttons like ours            |
| names      |    14 | ids, names and classes of the front end and of ours; clobbering                     |
| unicode    |    18 | zero width, bidirectional, look-alike, private and unpaired characters              |
| entities   |    14 | entities, double, unended, numbered                                                 |
| mutation   |    27 | what changes its meaning when it is parsed again: noscript, svg/style, listing …    |
| code       |    21 | fences and code spans: info strings, closing tags, languages                        |
| structures |    21 | tables, lists, headings, quotes, footnotes, tasks, front matter                     |
| cuts       |    20 | constructs that never end, and the second halves of others                          |
| terminal   |    16 | control sequences: title, clipboard, links, cursor, colours, devices                |
| sizes      |    21 | what is deep, long or empty                                                         |
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_FILE = Path(__file__).resolve().parents[1] / "fixtures" / "hostile" / "payloads.json"
_HOST = "attacker.invalid"

PAYLOADS: Mapping[str, list[str]] = json.loads(_FILE.read_text())
"""The texts by class."""

HOSTILE: list[str] = [text for texts in PAYLOADS.values() for text in texts]

_LINE_CHARACTERS = 200


def aimed_at(host: str, texts: Iterable[str] = HOSTILE) -> list[str]:
    """The texts with a host that listens in place of the one that cannot exist."""
    return [text.replace(_HOST, host) for text in texts]


def lines(texts: Iterable[str] = HOSTILE) -> list[str]:
    """The texts that can stand where one line is expected: a name, an id, a reason."""
    return [text for text in texts if text.strip() and len(text) <= _LINE_CHARACTERS and len(text.splitlines()) == 1]


def some(count: int) -> list[str]:
    """As many texts of each class, those of each spread over it."""
    return [text for texts in PAYLOADS.values() for text in texts[:: max(1, len(texts) // count)][:count]]


def batches(texts: Iterable[str], *, swallows: Iterable[str], size: int) -> Iterator[str]:
    """Texts joined to longer ones, in order.

    Args:
        texts: What is joined, as paragraphs.
        swallows: Those of them that would hide what follows, as an open fence does: each ends its batch.
        size: At most how many are joined.
    """
    ends = set(swallows)
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size or text in ends:
            yield "\n\n".join(batch)
            batch = []
    if batch:
        yield "\n\n".join(batch)
