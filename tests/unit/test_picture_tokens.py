"""Pictures cost what the guides of the models' makers say, and where they say nothing, the count is flagged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.content import Detail, ImagePart
from llm_magic.picture_tokens import picture_tokens

MODELS = (
    *("gpt-5.6-sol", "gpt-5.5", "gpt-5.4-mini", "gpt-5.2", "gpt-5-nano", "gpt-4o", "o3", "gpt-6-astra", "o4-mini"),
    *("claude-opus-4-8", "claude-sonnet-4-5", "gemini-2.5-flash", "gemini-3.8-flash", "pixtral-12b", ""),
)


def picture(width: int, height: int, detail: Detail = "auto") -> ImagePart:
    return ImagePart(data=b"x", width=width, height=height, detail=detail)


@pytest.mark.capability("I5")
@pytest.mark.parametrize(
    ("model", "part", "tokens"),
    [
        # The guide's own examples.
        ("gpt-5.4", picture(1024, 1024, "high"), 1229),
        ("gpt-5.4", picture(2048, 2048, "high"), 3000),
        ("gpt-4.1-mini", picture(1024, 1024), 1659),
        ("gpt-4o", picture(1024, 1024, "high"), 765),
        ("gpt-4o", picture(2048, 4096, "high"), 1105),
        ("gpt-4o", picture(4096, 8192, "low"), 85),
        ("claude-sonnet-4-5", picture(1075, 1520), 33 * 47),
        ("claude-opus-4-8", picture(1075, 1520), 39 * 55),
        ("gemini-2.5-flash", picture(960, 540), 6 * 258),
        # Bills that were published: 128 × 64 pixels, and 4000 × 2500 in full.
        ("o4-mini", picture(128, 64), 14),
        ("gpt-4.1-nano", picture(128, 64), 20),
        ("gpt-4o-mini", picture(128, 64, "low"), 2833),
        ("gpt-4o-mini", picture(128, 64, "high"), 8500),
        ("gpt-4.1-2025-04-14", picture(128, 64, "high"), 255),
        ("gpt-5.6-sol", picture(4000, 2500), 11850),
        # Each family's tiles and details.
        ("gpt-5.1", picture(512, 512), 210),
        ("o1", picture(512, 512), 225),
        ("computer-use-preview", picture(512, 512), 194),
        ("gpt-4o", picture(1, 1), 255),
        ("gpt-4o", picture(2048, 1), 765),
        ("gpt-4o", picture(1024, 1024, "original"), 765),
        ("gpt-5.4-mini", picture(4000, 4000, "low"), 4916),
        ("gpt-5.4-mini", picture(4000, 4000, "auto"), 3000),
        ("gpt-5.4-mini", picture(4000, 4000, "original"), 12000),
        ("gpt-5.5", picture(4000, 4000, "auto"), 12000),
        ("gpt-5.5", picture(4000, 4000, "low"), 308),
        ("gpt-5.6-luna", picture(4000, 4000), 18750),
        ("o4-mini", picture(1800, 2400), 2498),
        ("claude-fable-5", picture(5000, 5000), 69 * 69),
        ("gemini-2.0-flash", picture(384, 384), 258),
        ("gemini-2.5-pro", picture(1536, 1536), 4 * 258),
        ("gemini-3.8-flash", picture(100, 100, "low"), 280),
        ("openai/gpt-4o", picture(512, 512), 255),
        ("ft:gpt-4o-2024-08-06:lab::id", picture(512, 512), 255),
    ],
)
def test_a_picture_costs_what_its_family_charges(model: str, part: ImagePart, tokens: int) -> None:
    """By tiles, by patches or by budget, and by the detail that is asked for."""
    assert picture_tokens(part, model).tokens == tokens


@pytest.mark.capability("I5")
@pytest.mark.parametrize(
    ("model", "part", "is_estimate"),
    [
        ("gpt-4o", picture(10, 10), False),
        ("gpt-4o", ImagePart(url="https://host/a.png"), True),
        ("gpt-4o", ImagePart(url="https://host/a.png", detail="low"), False),
        ("gpt-5.4", ImagePart(url="https://host/a.png", detail="low"), True),
        ("gpt-6-astra", picture(10, 10), True),
        ("gpt-5.4-pro", picture(10, 10), True),
        ("gemini-3.8-flash", picture(10, 10), True),
        ("claude-opus-4-8", picture(10, 10), False),
        ("claude-next", picture(10, 10), True),
        ("llava", picture(10, 10), True),
    ],
)
def test_what_no_guide_says_is_flagged(model: str, part: ImagePart, *, is_estimate: bool) -> None:
    """An unknown size or an unknown rule makes an estimate."""
    assert picture_tokens(part, model).is_estimate is is_estimate


@given(
    st.integers(1, 70_000),
    st.integers(1, 70_000),
    st.sampled_from(["low", "high", "auto", "original"]),
    st.sampled_from(MODELS),
)
def test_any_picture_has_a_price_within_bounds(width: int, height: int, detail: Detail, model: str) -> None:
    """Whatever its shape: at least a token, and no more than the largest picture of the family."""
    counted = picture_tokens(picture(width, height, detail), model)
    most = {"gpt-5.5": 12_000, "gpt-5.4-mini": 12_000, "gpt-5.2": 7373, "claude-sonnet-4-5": 1568}

    assert 1 <= counted.tokens <= most.get(model, 10_000_000)
