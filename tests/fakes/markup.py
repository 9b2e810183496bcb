"""What the rendering tests share: typical answers, pieces of Markdown to build texts of, and a judge of HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from hypothesis import strategies as st

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
ANSWERS = {path.stem: path.read_text() for path in sorted((FIXTURES / "answers").glob("*.md"))}

# Written down here once more, on purpose: a test that read the renderer's own lists would pass when they grow.
ELEMENTS = frozenset(
    """
    a blockquote br code details div em h1 h2 h3 h4 h5 h6 hr li ol p pre s small span strong summary sup table tbody td
    th thead tr ul
    """.split()
)
VOID = frozenset({"br", "hr"})
CLASSES = frozenset(
    """
    c highlight k llm-magic llm-magic-footer llm-magic-image llm-magic-notice llm-magic-reasoning m mathjax_ignore
    llm-magic-tool llm-magic-tool-asking llm-magic-tool-denied llm-magic-tool-done llm-magic-tool-failed
    llm-magic-tool-idle llm-magic-tool-running llm-magic-tool-started llm-magic-tool-state mathjax_process nc nf s
    tex2jax_ignore tex2jax_process
    """.split()
)
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

PIECES = (
    "word",
    "a few words ",
    "text. ",
    " ",
    "  ",
    "    ",
    "\t",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "- ",
    "- item\n",
    "\n- item\n",
    "* star\n",
    "1. one\n",
    "2. two\n",
    "  - nested\n",
    "- ```\n  code\n  ```\n",
    "- [ ] ",
    "[x] ",
    "> ",
    "\n> quote\n",
    "# ",
    "## title\n",
    "===\n",
    "---\n",
    "***\n",
    "```",
    "```py\n",
    "\n```\n",
    "~~~\n",
    "| a | b |\n|---|---:|\n",
    "| 1 | 2 |\n",
    "|",
    "*",
    "**",
    "_",
    "~~",
    "`",
    "[",
    "]",
    "(",
    ")",
    "](http://example.com/a)",
    "![",
    "[known]",
    "<http://example.com>",
    "<",
    ">",
    "&amp;",
    "&",
    ";",
    "\\",
    "$",
    "$$",
    "$$\n",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "x^2",
    "5",
    "1",
    ".",
    ",",
    "-",
    "+",
    ":",
    "!",
    '"',
    "'",
    "\x00",
    "\u202e",
    "é",
    "日本",
    "😀",
)


def texts(*more: str, max_size: int = 40) -> st.SearchStrategy[str]:
    """Texts of pieces of Markdown, where constructs meet, open and break off."""
    return st.lists(st.sampled_from(PIECES + more), max_size=max_size).map("".join)


class Judge(HTMLParser):
    """Reads HTML as it is written and lists all that is not allowed in it.

    Attributes:
        faults: What is wrong, in order; empty for safe HTML.
        text: The text that a reader sees.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ELEMENTS:
            self.faults.append(f"<{tag}>")
        self.faults += [f"<{tag} {name}={value!r}>" for name, value in attrs if not _is_allowed(tag, name, value or "")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> out of place")

    def handle_data(self, data: str) -> None:
        self.text += data
        self.faults += [f"bare {char!r}" for char in data if char in BIDI_CONTROLS or _is_control(char)]

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.faults.append(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self.faults.append(f"<?{data}>")

    def unknown_decl(self, data: str) -> None:
        self.faults.append(f"<![{data}]>")

    def close(self) -> None:
        super().close()
        self.faults += [f"<{tag}> never closed" for tag in self._open]


def judge(html: str) -> Judge:
    """The verdict on a piece of HTML."""
    verdict = Judge()
    verdict.feed(html)
    verdict.close()
    return verdict


def _is_allowed(tag: str, name: str, value: str) -> bool:
    match tag, name:
        case _, "class":
            return set(value.split()) <= CLASSES
        case "a", "href":
            return value.lower().startswith(("http://", "https://", "mailto:"))
        case "a", "rel":
            return value == "noopener noreferrer"
        case "a", "target":
            return value == "_blank"
        case "ol", "start":
            return value.isdecimal()
        case "td" | "th", "align":
            return value in ("left", "center", "right")
        case _, "dir":
            return value in ("ltr", "rtl") and tag not in ("a", "code", "em", "li", "span", "strong")
        case _:
            return False


def _is_control(char: str) -> bool:
    return (char < " " and char not in "\n\t") or "\x7f" <= char <= "\x9f"
