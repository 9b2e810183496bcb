"""Pieces: blocks are cut where nobody sees it, and the same way while they grow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.rendering import Piece, code_html, markdown_html, markdown_pieces, pieces
from tests.fakes.hostile import HOSTILE
from tests.fakes.markup import ANSWERS, judge, texts

ROW = "| cell with `x` | 12 |\n"
BLOCKS = {
    "code": "```\n" + "if a < b & c:\n" * 700 + "```\n",
    "table": "| a | b |\n|---|--:|\n" + ROW * 300,
    "wide head": f"| {'a' * 9_000} | b |\n|---|--:|\n" + ROW * 100,
    "list": "- item with *some* words\n" * 300,
    "nested list": ("3. x\n" + "   - y\n" * 200) * 5,
    "loose list": "- item with *some* words\n\n  ```\n  </li>\n  ```\n" * 100,
}
NOTES = "".join(f"x[^{number}] " for number in range(300))
NOTES += "".join(f"\n[^{number}]: some *words*" for number in range(300))
WRAPS = {"tbody": ("<table><tbody>", "</tbody></table>"), "ul": ("<ul>", "</ul>"), "ol": ("<ol>", "</ol>")}
WRAPS |= {"code": ("<pre><code>", "</code></pre>"), "": ("", "")}


@pytest.mark.parametrize("text", [*ANSWERS.values(), *HOSTILE, *BLOCKS.values(), NOTES])
def test_pieces_of_a_whole_text_are_its_html(text: str) -> None:
    """Piece by piece, a text is what it is as a whole."""
    assert "".join(piece.html for piece in markdown_pieces(text)) == markdown_html(text)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_long_block_is_cut_between_its_elements(name: str) -> None:
    """Between its first and its last piece, a block has pieces that are whole where they go on, and none is long."""
    first, *others = pieces.cut(markdown_html(BLOCKS[name]))

    assert first.context == ""
    assert len(others) >= 2
    assert len({piece.context for piece in others}) == 1
    for piece in others[:-1]:
        before, after = WRAPS[piece.context]
        assert judge(before + piece.html + after).faults == []
        assert pieces.PIECE_CHARACTERS <= len(piece.html) < 2 * pieces.PIECE_CHARACTERS


@pytest.mark.parametrize("text", ["> - item\n" * 900, "words " * 900, f"```py\n{'return 1 ' * 600}\n```\n"])
def test_other_blocks_are_one_piece(text: str) -> None:
    """Quotes, paragraphs and highlighted code are not cut."""
    assert markdown_pieces(text) == [Piece(html=markdown_html(text))]


@given(
    html=texts("<li>", "- <b>\n", max_size=60).map(markdown_html) | st.sampled_from([code_html(ROW * 3)]),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
)
def test_a_growing_block_is_cut_as_the_whole(html: str, sizes: list[int]) -> None:
    """Where a piece ends depends on nothing that comes after it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE_CHARACTERS", 10)
        cutter = pieces.Cutter()
        # The first text has at least the opening tags.
        at = html.find("\n", 40) + 1 or len(html)
        cutter.add(html[:at])
        turn = 0
        while at < len(html):
            # A tag that is cut in two would be another one.
            end = html.find("\n", at + sizes[turn % len(sizes)]) + 1 or len(html)
            cutter.add(html[at:end])
            at, turn = end, turn + 1

        assert cutter.cut + cutter.rest() == pieces.cut(html)
