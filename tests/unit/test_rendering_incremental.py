"""Rendering while an answer arrives: what is shown is right at every moment, and costs what it must."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.rendering import IncrementalRenderer, Piece, markdown_html, markdown_pieces, pieces, tail
from llm_magic.rendering.clean import unix_lines
from llm_magic.rendering.markdown import parse, parser, render
from tests.fakes.hostile import HOSTILE
from tests.fakes.markup import ANSWERS, FIXTURES, judge, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.rules_core import StateCore

# Known from the beginning: a definition that comes after its use is what only the final rendering settles.
KNOWN = "[known]: http://example.com/known\n\n"
LISTS = (
    "- a",
    "\n- b\n",
    "\n\n",
    "  ",
    "- ",
    "1. x\n",
    "2. y\n",
    "- - z\n",
    "  - n\n",
    "   p\n",
    "-",
    "| x | `y` |\n",
    "1. ",
)
FOOTNOTES = (
    "[^1]",
    "[^b]",
    "\n[^1]: ",
    "[^b]: x\n",
    "[^1]:\n",
    "[^1]: - y\n",
    "[^b]: ```\n",
    "    more\n",
    "> [^1]: q\n",
)
HEBREW = (
    "שלום ",
    "- שלום\n",
    "- `x` שלום\n",
    "1. 12\n",
    "| שם | b |\n|---|---:|\n",
    "| א | x |\n",
    "> ",
    "\n\n",
    "  ```\n  x\n",
)
DEFINITIONS = ("[known]: http://example.com/late\n", "\n[known]: /x\n", '[known]: /x "t', "\n'title'\n")
BEGINNINGS = {"tbody": "<table", "ul": "<ul", "ol": "<ol", "code": '<div class="highlight"><pre><code>'}
LONG = {
    "prose": "Some words, and *more* of them; `code` too. " * 700,
    "paragraphs": "Some words, and *more* of them; `code` too.\n\n" * 700,
    "list": "- item with *some* words that say `x` things\n" * 700,
    "loose list": "- item with *some* words that say `x` things\n\n" * 700,
    "nested list": "1. x\n" + "   - item with *some* words that say `x`\n" * 700,
    "table": "| a | b |\n|---|--:|\n" + "| cell with `x` | 12 |\n" * 1_300,
    "quote": "> Some words, and *more* of them; `code` too.\n" * 700,
    "code": "```python\n" + "value = compute(1)  # why\n" * 1_200,
    "open code": "````\n" + "```\n" * 7_500,
    "definitions": "[a]: http://example.com/a\n" * 1_200,
    "unclosed": "*a_" * 10_000,
    "mix": "".join(ANSWERS.values()) * 7,
}
HUGE = {
    "code": "```python\n" + "value = compute(1) < 2  # why\n" * 6_900,
    "table": "| a | b |\n|---|--:|\n" + "| cell with `x` | 12 |\n" * 8_700,
    "list": "- item with *some* words that say `x` things\n" * 4_500,
    "numbered": "1. item with *some* words\n\n   and more\n" * 5_000,
}


@contextlib.contextmanager
def small_limits() -> Iterator[None]:
    """Short texts are treated as long ones: lists and tables are frozen and cut at once, no tail waits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "FREEZE_CHARACTERS", 20)
        patch.setattr(tail, "PATIENCE_CHARACTERS", 10**9)
        patch.setattr(pieces, "PIECE_CHARACTERS", 10)
        yield


def frames(text: str, sizes: list[int], *, highlight: bool = True) -> Iterator[tuple[str, str, IncrementalRenderer]]:
    """After each chunk: the text so far, the HTML of the pieces told so far, and the renderer."""
    renderer = IncrementalRenderer(highlight=highlight)
    kept: list[Piece] = []
    at = turn = 0
    while at < len(text):
        chunk = text[at : at + sizes[turn % len(sizes)]]
        at, turn = at + len(chunk), turn + 1
        renderer.feed(chunk)
        start, changed = renderer.pieces()
        assert start <= len(kept)
        kept[start:] = changed
        assert_pieces_stand(kept)
        yield text[:at], "".join(piece.html for piece in kept), renderer


def assert_pieces_stand(kept: list[Piece]) -> None:
    """Every piece goes on in an element of its kind that the last whole piece before it left open."""
    opener = ""
    for piece in kept:
        assert piece.html
        if piece.context:
            assert opener.startswith(BEGINNINGS[piece.context])
        else:
            opener = piece.html


def assert_every_frame_is_right(text: str, sizes: list[int]) -> None:
    """What is shown is always what the text so far renders to."""
    for so_far, html, renderer in frames(text, sizes, highlight=False):
        # A line's end may be cut in two: its first half waits for the second.
        if not so_far.endswith("\r"):
            assert html == unsettled(so_far), so_far
        assert renderer.html() == html


def unsettled(text: str) -> str:
    """The text as it is shown while more of it may come: footnotes stand where they are written."""
    environment: dict[str, Any] = {}
    return render(parse(unix_lines(text), environment), environment, highlight=False)


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    """The length of every text that is parsed meanwhile."""
    lengths: list[int] = []

    def count(state: StateCore) -> None:
        lengths.append(len(state.src))

    ruler = parser().core.ruler
    ruler.push("count", count)
    try:
        yield lengths
    finally:
        ruler.disable("count")


SIZES = st.lists(st.sampled_from([1, 1, 2, 3, 5, 8, 20]), min_size=1, max_size=6)


@settings(deadline=None)
@given(texts(), SIZES)
def test_every_frame_shows_the_text_so_far(text: str, sizes: list[int]) -> None:
    """Closed blocks and tail together are the full rendering, after every chunk, however the text is cut."""
    assert_every_frame_is_right(KNOWN + text, sizes)


@settings(deadline=None)
@given(texts(*DEFINITIONS), SIZES)
def test_definitions_are_remembered(text: str, sizes: list[int]) -> None:
    """A definition holds for all that follows, the first of its name wins, and its title may come a line later."""
    assert_every_frame_is_right(KNOWN + text, sizes)


@pytest.mark.parametrize(
    "text",
    [
        '[a]: /x\n"a title\nthat ends\nhere"\n\n[a] and\n',
        'Words.\n\n[a]: /x\n"no title\n\n[a] and\n',
        "> [a]: /x\n- item\n- [a]\n\nwords\n",
        "- [a]: /x\n\n  words\n- [a]\n\n[b]: /y\n\n[b]\n",
        "# Title\n[a]: /x\n[b]: /y\n[a]: /z\n'title\nends'\n[a] [b]\n",
        "[a]: /x\n```\n[a]\n```\n[a]\n",
    ],
)
def test_a_definition_may_be_followed_by_its_title(text: str) -> None:
    """Until a line shows that it is none, text behind a definition is kept with it."""
    assert_every_frame_is_right(text, [1])


@settings(deadline=None)
@given(texts(*FOOTNOTES), SIZES)
def test_footnotes_are_shown_where_they_are_written(text: str, sizes: list[int]) -> None:
    """Until a text is whole, its footnotes stand in it as the model wrote them; then they are numbered at its end."""
    with small_limits():
        assert_every_frame_is_right(KNOWN + text, sizes)
    assert judge(markdown_html(text)).faults == []


@settings(max_examples=150, deadline=None)
@given(text=st.lists(st.sampled_from(HEBREW + LISTS), max_size=30).map("".join), sizes=SIZES)
def test_what_runs_from_right_to_left_does_so_at_once(text: str, sizes: list[int]) -> None:
    """Lists and tables that are frozen go on in the direction they began with, and so does what is in them."""
    with small_limits():
        assert_every_frame_is_right(text, sizes)


@settings(max_examples=150, deadline=None)
@given(text=st.lists(st.sampled_from(LISTS), max_size=30).map("".join), sizes=SIZES)
def test_long_lists_and_tables_are_frozen_without_a_trace(text: str, sizes: list[int]) -> None:
    """Items and rows that are frozen look as if the whole had been rendered, also when a list turns out to be loose."""
    with small_limits():
        assert_every_frame_is_right(text, sizes)


@pytest.mark.parametrize(
    "text",
    [
        "- a a a a\n- b b b b\n- c c c c\n- d d d d\n\n- e\n- f\n",
        "- a a a a\n\n- b b b b\n- c c c c\n- d d d d\n- e\n- f\n",
        "- a a a a\n- b b b b\n- c c c c\n- d d d d\n\n---\n\nwords\n",
        "4. a a a\n5. b b b\n6. c c c\n   - d\n\n   e\n7. f\n\n\nwords\n",
        "- a a a a\n- b b b b\n- ```\n  x\n  ```\n- ```\n  y\n  ```\n\n- ```\n  z\n  ```\n",
        "| a | b |\n|---|--:|\n| 1 | `2` |\n| 3 | 4 |\n| 5 | 6 | x6 and y6\n| 7\n| 8 | 9\n\nwords\n",
        "- [a]: http://example.com\n- b b b b\n- c c c c\n- d d d d\n- [a]\n",
    ],
)
def test_frozen_items_and_rows_look_as_if_drawn_anew(text: str) -> None:
    """A list that turns out to be loose, or to be over; rows with too few cells and too many; definitions in items."""
    with small_limits():
        assert_every_frame_is_right(text, [1])
        assert_every_frame_is_right(text, [7])


@pytest.mark.parametrize("name", ANSWERS)
def test_typical_answers_stream_exactly(name: str) -> None:
    """Typical answers are shown right at every character."""
    with small_limits():
        assert_every_frame_is_right(ANSWERS[name], [1])


@settings(deadline=None)
@given(texts(*HOSTILE, max_size=8) | st.text(), SIZES)
def test_final_is_the_full_rendering(text: str, sizes: list[int]) -> None:
    """However a text was cut, at the end it is rendered as a whole; every frame before was harmless."""
    renderer = IncrementalRenderer()
    for _, html, last in frames(text, sizes):
        assert judge(html).faults == []
        renderer = last

    assert renderer.final() == markdown_html(text)


@pytest.mark.parametrize("name", LONG)
def test_long_answers_cost_a_few_renderings(name: str) -> None:
    """30 kB in 2,000 frames: all that is parsed on the way is a multiple of the text that does not grow with it."""
    text = LONG[name][:30_000]
    work = []
    for length in (15_000, 30_000):
        with counted() as lengths:
            for _ in frames(text[:length], [15]):
                pass
        work.append(sum(lengths) / length)

    assert work[1] < 40
    assert work[1] < 1.5 * work[0]


def test_a_mixed_answer_costs_less_than_ten_renderings() -> None:
    """Where blocks are as long as they usually are, streaming parses each character a few times."""
    text = LONG["mix"][:30_000]

    with counted() as lengths:
        for _ in frames(text, [15]):
            pass

    assert sum(lengths) < 10 * len(text)


@pytest.mark.parametrize("name", ["prose", "list", "loose list", "nested list", "quote", "code"])
def test_long_tails_lose_no_text(name: str) -> None:
    """A tail that waits for its next parse shows its text meanwhile."""
    for so_far, html, _ in frames(LONG[name][:6_000], [97]):
        assert _letters(so_far.removeprefix("```python")) == _letters(judge(html).text)


@pytest.mark.parametrize(("name", "closer"), [("prose", ""), ("quote", ""), ("table", ""), ("code", "\n```")])
def test_long_tails_close_where_they_end(name: str, closer: str) -> None:
    """However long a block grew, what comes after its end is a block of its own at once."""
    renderer = IncrementalRenderer()
    for chunk in (LONG[name][:6_000], LONG[name][6_000:6_100], f"{closer}\n\n", "The *end*"):
        renderer.feed(chunk)
        shown = renderer.html()

    assert shown == renderer.final()


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_open_block_changes_a_little_at_a_time(name: str) -> None:
    """Of one open block of 200 kB each frame tells a few kB, no piece but the last few changes, and the end none."""
    renderer = IncrementalRenderer()
    kept: list[Piece] = []
    told = []
    for chunk in _chunks(HUGE[name], 100):
        renderer.feed(chunk)
        start, changed = renderer.pieces()
        assert len(kept) - start <= 1
        kept[start:] = changed
        told.append(sum(len(piece.html) for piece in changed))

    assert max(told) < 8_000
    assert max(len(piece.html) for piece in kept) < 4_000
    assert renderer.final_pieces()[: len(kept) - 1] == kept[:-1]
    assert renderer.html() == renderer.final() == "".join(piece.html for piece in renderer.final_pieces())


@pytest.mark.parametrize("size", [20, 100, 400])
def test_a_huge_open_block_costs_what_prose_costs(size: int) -> None:
    """Code, a table and a list that stay open are parsed no more than twice as often as paragraphs of usual length.

    The sizes are those of frames at 100 to 2,000 tokens a second.
    """
    prose = (LONG["prose"][:500] + "\n\n") * 60
    work = {}
    for name, text in (HUGE | {"prose": prose}).items():
        with counted() as lengths:
            for _ in frames(text[:30_000], [size]):
                pass
        work[name] = sum(lengths)

    assert max(work.values()) < 2 * work["prose"], work


def test_words_are_not_parsed_again() -> None:
    """Words after words in an open paragraph, heading or item cost no parsing at all."""
    for start in ("Some words", "## A title", "- item\n- one more", "> quoted words"):
        renderer = IncrementalRenderer()
        renderer.feed(start)
        renderer.pieces()

        with counted() as lengths:
            for _ in range(50):
                renderer.feed(" and more, of them.")
                shown = renderer.html()

        assert lengths == []
        assert shown == renderer.final()


def test_blocks_close_as_soon_as_they_can() -> None:
    """A block is handed over, once, with the line that ends it."""
    renderer = IncrementalRenderer()
    given_out = []
    for line in ("# Title\n", "Some\n", "words.\n", "\n", "```py\n", "return\n", "```\n", "- a\n", "\n", "Last.\n"):
        renderer.feed(line)
        start, changed = renderer.pieces()
        given_out.append((start, [piece.html.split(">")[0] for piece in changed]))

    assert given_out == [
        (0, ["<h1"]),
        (1, ["<p"]),
        (1, ["<p"]),
        (1, ["<p"]),
        (2, ['<div class="highlight"']),
        (2, ['<div class="highlight"']),
        (2, ['<div class="highlight"']),
        (3, ["<ul"]),
        (3, ["<ul"]),
        (3, ["<ul", "<p"]),
    ]


def test_html_takes_nothing_from_the_next_pieces() -> None:
    """Asking how it stands leaves the blocks that closed for who asks what changed."""
    renderer = IncrementalRenderer()
    renderer.feed("# a\n\nb")

    assert renderer.html() == "<h1>a</h1>\n<p>b</p>\n"
    assert renderer.pieces() == (0, [Piece(html="<h1>a</h1>\n"), Piece(html="<p>b</p>\n")])
    assert renderer.pieces() == (1, [Piece(html="<p>b</p>\n")])


def test_code_is_highlighted_when_its_block_closes() -> None:
    """While a fence is open its code is plain; closed, it has its colours."""
    renderer = IncrementalRenderer()
    renderer.feed("```py\nreturn 1\n")
    assert renderer.html() == '<div class="highlight"><pre><code>return 1\n</code></pre></div>\n'

    renderer.feed("```\n")

    assert '<span class="k">return</span>' in renderer.html()


def test_cut_characters_and_line_ends_wait_for_their_other_half() -> None:
    """Neither half of a character nor half a line's end is shown."""
    renderer = IncrementalRenderer()
    shown = []
    for chunk in ("a \ud83d", "\ude00 b\r", "\nc"):
        renderer.feed(chunk)
        shown.append(renderer.html())

    assert shown == ["<p>a</p>\n", "<p>a 😀 b</p>\n", "<p>a 😀 b\nc</p>\n"]
    assert renderer.final() == shown[-1]


def test_fixtures_are_typical_and_hostile_enough() -> None:
    """The tests above have something to chew on."""
    assert len(set(HOSTILE)) >= 400
    assert len(ANSWERS) >= 10
    assert FIXTURES.is_dir()


@pytest.mark.parametrize("text", [*ANSWERS.values(), *HOSTILE])
def test_pieces_of_a_whole_text_are_its_html(text: str) -> None:
    """Block by block, a text is what it is as a whole."""
    assert "".join(piece.html for piece in markdown_pieces(text)) == markdown_html(text)


def _chunks(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def test_what_follows_a_long_block_does_not_go_on_in_it() -> None:
    """A paragraph behind a long list is a block of its own from its first character on."""
    renderer = IncrementalRenderer()
    for text in (*["- item with *some* words\n"] * 300, "\n", "T"):
        renderer.feed(text)
        _, pieces = renderer.pieces()

    assert [piece.context for piece in pieces[-2:]] == ["ul", ""]
    assert pieces[-1].html == "<p>T</p>\n"


def _letters(text: str) -> str:
    return "".join(char for char in text if char.isalpha())
