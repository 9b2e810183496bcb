"""What a page makes of patches, in a bare Chromium: the DOM is the renderer's HTML, whatever it came in."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.rendering import IncrementalRenderer, Piece, markdown_pieces, pieces
from llm_magic.views.feed import Feed
from llm_magic.views.widgets import live_type
from tests.fakes.hostile import HOSTILE
from tests.fakes.markup import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

# A widget's model in the page, as much of it as the store uses; frames come when they are wanted.
_MODEL = """
() => {
  let waiting = [];
  window.requestAnimationFrame = (draw) => waiting.push(draw);
  window.drawFrame = () => waiting.splice(0).forEach((draw) => draw());
  const listeners = {};
  window.said = [];
  window.model = {
    state: {},
    get: (name) => model.state[name],
    on: (name, hear) => ((listeners[name] ??= []).push(hear)),
    off: () => {},
    send: (message) => said.push(message),
    fire: (name, ...args) => (listeners[name] ?? []).forEach((hear) => hear(...args)),
  };
}
"""
_OPEN = """
async ([source, snap]) => {
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  model.state.snap = snap;
  const widget = module.default();
  widget.initialize({ model });
  document.body.replaceChildren();
  window.views = [];
  window.addView = () => {
    const el = document.createElement("div");
    document.body.append(el);
    views.push(el);
    return widget.render({ model, el });
  };
  addView();
}
"""
# What a view shows of the answer, without what the view itself adds; and what the HTML would be by itself.
_CHECK = """
(steps) => {
  // Blanks between blocks, rows and items are nothing that is shown.
  const packed = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const blanks = [];
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (!node.data.trim() && !node.parentElement?.closest("pre")) blanks.push(node);
    }
    for (const node of blanks) if (!isBetweenWords(node)) node.remove();
    root.normalize?.();
    return root;
  };
  const TEXTS = "p, h1, h2, h3, h4, h5, h6, td, th, summary, li > :not(ul, ol)";
  const isBetweenWords = (node) => node.parentElement?.closest(TEXTS);
  const shown = (el) => {
    const answer = el.querySelector(".llm-magic-answer").cloneNode(true);
    for (const buttons of answer.querySelectorAll(".llm-magic-code-actions")) buttons.remove();
    for (const lines of answer.querySelectorAll(".llm-magic-lines")) lines.replaceWith(...lines.childNodes);
    // What has formulas tells the typesetter which of its text is none.
    for (const block of answer.querySelectorAll(":scope > .mathjax_ignore")) {
      block.classList.remove("mathjax_ignore", "tex2jax_ignore");
      if (!block.className) block.removeAttribute("class");
    }
    return packed(answer).innerHTML;
  };
  const parsed = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    packed(template.content);
    return template.innerHTML;
  };
  const difference = (one, other) => {
    let at = 0;
    while (one[at] === other[at]) at += 1;
    return [one, other].map((html) => html.slice(Math.max(0, at - 60), at + 60));
  };
  const wrong = [];
  for (const [patch, html] of steps) {
    model.fire("msg:custom", patch);
    drawFrame();
    for (const el of views) if (shown(el) !== parsed(html)) wrong.push(difference(shown(el), parsed(html)));
  }
  return wrong;
}
"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """An empty page with a model."""
    opened = browser.new_page()
    opened.goto("about:blank")
    opened.evaluate(_MODEL)
    yield opened
    opened.close()


class Sender:
    """Feeds a page as the live view does, and keeps what it must show after each patch."""

    def __init__(self) -> None:
        self.feed = Feed("view")
        self.feed.turn("turn", w="turn", s="running")
        self.feed.patch()
        self.steps: list[tuple[dict[str, Any], str]] = []
        self._shown: list[Piece] = []

    def send(self, start: int, changed: list[Piece], **fields: Any) -> None:
        """A patch with these pieces."""
        self._shown[start:] = changed
        self.feed.pieces("turn", "a", changed, start=start)
        self.feed.turn("turn", **fields)
        if (patch := self.feed.patch()) is not None:
            self.steps.append((patch, "".join(piece.html for piece in self._shown)))

    def stream(self, text: str, sizes: list[int]) -> None:
        """A text in chunks, then whole."""
        renderer = IncrementalRenderer()
        at = turn = 0
        while at < len(text):
            size = sizes[turn % len(sizes)]
            renderer.feed(text[at : at + size])
            at, turn = at + size, turn + 1
            self.send(*renderer.pieces())
        self.send(0, markdown_pieces(text), s="complete", foot="done")


def opened(page: Page, sender: Sender) -> None:
    """Open a widget in the page, at the beginning of what is sent."""
    page.evaluate(_OPEN, [live_type()._esm, json.loads(json.dumps(sender.feed.snapshot()))])


@pytest.mark.parametrize("name", ANSWERS)
def test_the_page_shows_what_was_rendered(page: Page, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every patch the answer's DOM is the HTML of all pieces, nothing more and nothing less."""
    monkeypatch.setattr(pieces, "PIECE_CHARACTERS", 60)
    sender = Sender()
    opened(page, sender)
    chance = random.Random(name)
    sender.stream(ANSWERS[name], [chance.randrange(1, 60) for _ in range(20)])

    assert page.evaluate(_CHECK, sender.steps) == []


def test_open_blocks_are_continued_in_their_elements(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go on in their table, items in their list, lines in their code, in every view alike."""
    monkeypatch.setattr(pieces, "PIECE_CHARACTERS", 60)
    text = (
        "| a | b |\n|---|--:|\n" + "| one & `x` | 12 |\n" * 40 + "\n"
        "- item *one*\n- [ ] two\n" * 20 + "\n1. first\n2. second\n" * 20 + "\n"
        "```\n" + "if a < b && c:\n\n  pass\n" * 40 + "```\n\nThe end.\n"
    )
    sender = Sender()
    opened(page, sender)
    page.evaluate("() => addView()")
    sender.stream(text, [7, 30, 1, 90])

    assert page.evaluate(_CHECK, sender.steps) == []
    assert page.evaluate("() => views[1].querySelectorAll('tbody tr').length") == 40


def test_hostile_texts_are_shown_as_rendered(page: Page) -> None:
    """What a model writes adds nothing to the page but what the renderer lets through."""
    sender = Sender()
    opened(page, sender)
    sender.stream("\n\n".join(text for text in HOSTILE if text.strip() and "\r" not in text), [400])

    assert page.evaluate(_CHECK, sender.steps) == []
    assert page.evaluate("() => window.__pwned") is None


def test_a_selection_survives_the_text_that_follows(page: Page) -> None:
    """Words that are added to an open paragraph leave what is selected before them selected."""
    sender = Sender()
    opened(page, sender)
    sender.send(0, [Piece(html="<p>Some words</p>\n")])
    assert page.evaluate(_CHECK, sender.steps) == []
    page.evaluate("() => getSelection().selectAllChildren(views[0].querySelector('.llm-magic-answer p'))")
    sender.steps.clear()

    for added in ("Some words and", "Some words and &lt;more&gt;", "Some words and &lt;more&gt; of"):
        sender.send(0, [Piece(html=f"<p>{added}</p>\n")])

    assert page.evaluate(_CHECK, sender.steps) == []
    assert page.evaluate("() => String(getSelection())").startswith("Some words")


def test_what_is_missing_is_asked_for(page: Page) -> None:
    """After a lost patch the page asks for the whole, takes no other patch until then, and is right after it."""
    sender = Sender()
    opened(page, sender)
    page.evaluate("() => said.splice(0)")
    for text in ("<p>one</p>\n", "<p>one two</p>\n", "<p>one two three</p>\n"):
        sender.send(0, [Piece(html=text)])
    first, _lost, third = sender.steps

    assert page.evaluate(_CHECK, [first]) == []
    page.evaluate("(patch) => model.fire('msg:custom', patch)", third[0])
    assert page.evaluate("() => said.map(({ k, q }) => [k, q])") == [["need", 2]]
    page.evaluate(
        "(whole) => { model.state.snap = whole; model.fire('change:snap'); }",
        json.loads(json.dumps(sender.feed.snapshot())),
    )

    assert page.evaluate(_CHECK, [({"k": "same"}, third[1])]) == []


def test_a_later_page_begins_with_the_whole(page: Page) -> None:
    """A page that opens in the middle of an answer shows all of it, and goes on."""
    early = Sender()
    early.send(
        0, [Piece(html="<p>one</p>\n"), Piece(html="<ul>\n<li>a</li>\n"), Piece(html="<li>b</li>\n", context="ul")]
    )
    early.steps.clear()
    opened(page, early)
    early.send(2, [Piece(html="<li>b</li>\n</ul>\n", context="ul"), Piece(html="<p>end</p>\n")])

    assert page.evaluate(_CHECK, early.steps) == []


_USED = {"model": "m", "in": 12_000, "out": 900, "cached": 8000, "reasoning": 300, "cost": "$0.02", "est": False}


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ({"model": "m", "age": 1.24, "est": True}, r"m · \d+\.\d s"),
        (_USED | {"age": 62}, r"m · 12,000 \(8,000 cached\) → 900 \(300 reasoning\) tokens · 1 min \d+ s · \$0\.02"),
        (_USED | {"age": 10, "first": 1}, r"m · 12,000 .* → 900 .* tokens · \d+ tokens/s · \d+\.\d s · \$0\.02"),
        (_USED | {"age": 1, "est": True}, r"m · ~12,000 \(8,000 cached\) → ~900 \(~300 reasoning\) tokens · .*"),
        (
            {"model": "<b>m", "out": 5, "age": 0, "cost": "price unknown"},
            r"<b>m · 5 tokens · \d+\.\d s · price unknown",
        ),
    ],
)
def test_the_bar_says_what_is_known(page: Page, figures: dict[str, Any], says: str) -> None:
    """Cached and reasoning tokens apart, what is estimated marked, what is not known left out."""
    sender = Sender()
    opened(page, sender)
    sender.send(0, [], fig=figures)
    page.evaluate(_CHECK, sender.steps)

    shown = page.evaluate("() => views[0].querySelector('.llm-magic-figures').textContent")

    assert re.fullmatch(says, shown), shown


def test_one_view_is_small() -> None:
    """Script and style of a live view, sent with each, are at most 30 kB."""
    assert len((live_type()._esm + live_type()._css).encode()) <= 30_000
