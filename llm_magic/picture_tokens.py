"""What a picture costs in tokens, by the rule of the model's family.

Comes in: a picture's size and detail, and the model's name. Goes out: a count, and whether a document of the model's
maker gives it. Nothing is decoded here: a picture of unknown size is taken for one of 1024 × 1024 pixels, flagged.

Sources, as of 2026-11: OpenAI, "Images and vision" (model sizing behavior, calculating costs); Anthropic, "Vision"
(resolution and token cost) and "Coordinates and bounding boxes" (how Claude resizes images); Google, "Understand and
count tokens" and "Media resolution".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .content import Detail, ImagePart

_UNKNOWN_EDGE_PX = 1024
# What OpenAI's tiles fit the short side into, and how large a picture may be that Gemini takes in one piece.
_SHORT_PX, _SMALL_PX = 768, 384
_DETAILS: tuple[Detail, ...] = ("low", "high", "original", "auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureCount:
    """The tokens of one picture.

    Attributes:
        tokens: Count, > 0.
        is_estimate: The picture's size is unknown, or nothing the model's maker says covers it.
    """

    tokens: int
    is_estimate: bool


class _Rule(Protocol):
    def tokens(self, width: int, height: int, detail: Detail) -> int:
        """Tokens of a picture of this size, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tiles:
    """OpenAI's older rule: fitted into 2048 × 2048, the short side to 768, then so much a tile of 512."""

    base: int
    tile: int

    def tokens(self, width: int, height: int, detail: Detail) -> int:
        if detail == "low":
            return self.base
        width, height = _fitted(width, height, 2048)
        if min(width, height) > _SHORT_PX:
            scale = _SHORT_PX / min(width, height)
            width, height = (_SHORT_PX, int(height * scale)) if width < height else (int(width * scale), _SHORT_PX)
        return self.base + self.tile * _cover(width, height, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """How large a picture may be; None for any number of patches."""

    edge_px: int
    patches: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Patches:
    """OpenAI's newer rule: patches of 32 × 32 pixels, shrunk until they fit, times a factor."""

    limits: Mapping[Detail, _Limit]
    factor: float

    def tokens(self, width: int, height: int, detail: Detail) -> int:
        limit = self.limits[detail]
        width, height = _fitted(width, height, limit.edge_px)
        if limit.patches is not None and _cover(width, height, 32) > limit.patches:
            shrink = math.sqrt(32 * 32 * limit.patches / (width * height))
            wide, high = width * shrink / 32, height * shrink / 32
            shrink *= min(max(1, math.floor(wide)) / wide, max(1, math.floor(high)) / high)
            # What is a whole number but for the last bit must not be rounded down to the one below.
            width, height = int(width * shrink + 1e-6), int(height * shrink + 1e-6)
        # A factor of 1.2 is a bit less in binary, and its products must not be rounded up for that.
        return math.ceil(round(_cover(width, height, 32) * self.factor, 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claude:
    """Patches of 28 × 28 pixels, of the largest size that keeps the aspect ratio and both limits."""

    edge_px: int
    patches: int

    def tokens(self, width: int, height: int, detail: Detail) -> int:  # noqa: ARG002  # Claude knows no detail
        if self._fits(width, height):
            return _cover(width, height, 28)
        long, ratio = max(width, height), min(width, height) / max(width, height)
        fitting, too_long = 1, long
        while too_long - fitting > 1:
            middle = (fitting + too_long) // 2
            if self._fits(middle, max(1, round(middle * ratio))):
                fitting = middle
            else:
                too_long = middle
        return _cover(fitting, max(1, round(fitting * ratio)), 28)

    def _fits(self, width: int, height: int) -> bool:
        return max(width, height) <= self.edge_px and _cover(width, height, 28) <= self.patches


class _GeminiTiles:
    """Gemini before 3: 258 for a small picture, else for each tile of two thirds of its short side."""

    def tokens(self, width: int, height: int, detail: Detail) -> int:  # noqa: ARG002  # sent as no detail at all
        if max(width, height) <= _SMALL_PX:
            return 258
        return 258 * _cover(width, height, min(768, max(256, int(min(width, height) / 1.5))))


class _GeminiBudget:
    """Gemini 3 and later: so many tokens at most, whatever the size."""

    def tokens(self, width: int, height: int, detail: Detail) -> int:  # noqa: ARG002  # it is scaled to its budget
        return {"low": 280, "high": 1120, "original": 2240, "auto": 1120}[detail]


def _limits(low: _Limit, high: _Limit, original: _Limit, auto: _Limit) -> Mapping[Detail, _Limit]:
    return dict(zip(_DETAILS, (low, high, original, auto), strict=True))


_SMALL, _HIGH = _Limit(edge_px=512, patches=None), _Limit(edge_px=2048, patches=2500)
_LARGE, _WHOLE = _Limit(edge_px=6000, patches=10_000), _Limit(edge_px=65_535, patches=None)
_ONE = _Limit(edge_px=2048, patches=6144)
# Of these the guide gives the factor, and no longer the budget: 1536 is that of its edition of 2026-03.
_FORMER = _Limit(edge_px=2048, patches=1536)
_SNAPSHOT = r"(-\d{4}-\d\d-\d\d|-latest)?"


def _patches(factor: float, *limits: _Limit) -> _Patches:
    return _Patches(limits=_limits(*(limits if len(limits) > 1 else limits * 4)), factor=factor)


# Names, the rule, and whether the maker's guide gives it for them; the first that fits counts.
_FAMILIES: tuple[tuple[re.Pattern[str], _Rule, bool], ...] = tuple(
    (re.compile(names), rule, is_documented)
    for names, rule, is_documented in (
        (rf"gpt-5\.6(-sol|-terra|-luna)?{_SNAPSHOT}", _patches(1.2, _SMALL, _HIGH, _WHOLE, _WHOLE), True),
        (rf"gpt-5\.5{_SNAPSHOT}", _patches(1.2, _SMALL, _HIGH, _LARGE, _LARGE), True),
        (rf"gpt-5\.4(-mini|-nano)?{_SNAPSHOT}", _patches(1.2, _ONE, _HIGH, _LARGE, _HIGH), True),
        (rf"gpt-5\.2{_SNAPSHOT}", _patches(1.2, _ONE), True),
        (rf"gpt-5-mini{_SNAPSHOT}", _patches(1.2, _FORMER), False),
        (rf"gpt-5-nano{_SNAPSHOT}", _patches(1.5, _FORMER), False),
        (rf"gpt-4\.1-mini{_SNAPSHOT}", _patches(1.62, _ONE), True),
        (rf"gpt-4\.1-nano{_SNAPSHOT}", _patches(2.46, _FORMER), False),
        (rf"o4-mini{_SNAPSHOT}", _patches(1.72, _FORMER), False),
        (rf"gpt-5(\.1)?{_SNAPSHOT}", _Tiles(base=70, tile=140), True),
        (rf"gpt-4o-mini{_SNAPSHOT}", _Tiles(base=2833, tile=5667), True),
        (rf"(gpt-4o|gpt-4\.1|gpt-4\.5(-preview)?){_SNAPSHOT}", _Tiles(base=85, tile=170), True),
        (rf"(o1|o1-pro|o3){_SNAPSHOT}", _Tiles(base=75, tile=150), True),
        (rf"computer-use-preview{_SNAPSHOT}", _Tiles(base=65, tile=129), True),
        # What the guide does not name is taken for its nearest relative, and flagged.
        (r"(gpt-5\.[6-9]|gpt-[6-9]).*", _patches(1.2, _SMALL, _HIGH, _WHOLE, _WHOLE), False),
        (r"gpt-5\.5.*", _patches(1.2, _SMALL, _HIGH, _LARGE, _LARGE), False),
        (r"gpt-5\.4.*", _patches(1.2, _ONE, _HIGH, _LARGE, _HIGH), False),
        (r"gpt-5\.[23].*", _patches(1.2, _ONE), False),
        (r"gpt-5.*", _Tiles(base=70, tile=140), False),
        (r"o\d.*", _Tiles(base=75, tile=150), False),
        (r"gemini-(pro|[12]([.-].*)?)(-.*)?", _GeminiTiles(), True),
        (r"gemini-.*", _GeminiBudget(), False),
    )
)
_CLAUDE, _CLAUDE_HIGH = _Claude(edge_px=1568, patches=1568), _Claude(edge_px=2576, patches=4784)
_CLAUDE_HIGH_FROM = (4, 7)
_VERSION = re.compile(r"(?<!\d)\d{1,2}(?!\d)")
_OTHERS = _Tiles(base=85, tile=170)


def picture_tokens(part: ImagePart, model: str) -> PictureCount:
    """The tokens of a picture.

    >>> from llm_magic.content import ImagePart
    >>> picture_tokens(ImagePart(data=b"…", width=1024, height=1024, detail="high"), "gpt-5.4")
    PictureCount(tokens=1229, is_estimate=False)

    Args:
        part: The picture; its detail counts as far as the model knows any.
        model: The model's name; a route ("openai/") before it is passed over. One whose rule is not known is taken
            for an older one of OpenAI's.
    """
    rule, is_documented = _rule(model.lower().rpartition("/")[2].removeprefix("ft:").partition(":")[0])
    has_size = bool(part.width and part.height)
    width, height = (part.width, part.height) if has_size else (_UNKNOWN_EDGE_PX, _UNKNOWN_EDGE_PX)
    is_fixed = isinstance(rule, _Tiles) and part.detail == "low"
    return PictureCount(
        tokens=rule.tokens(width, height, part.detail), is_estimate=not (is_documented and (has_size or is_fixed))
    )


def _rule(name: str) -> tuple[_Rule, bool]:
    if name.startswith("claude-"):
        version = tuple(int(number) for number in _VERSION.findall(name)[:2])
        is_high = bool(version) and version >= _CLAUDE_HIGH_FROM
        return (_CLAUDE_HIGH if is_high else _CLAUDE), bool(version)
    fitting = ((rule, is_documented) for names, rule, is_documented in _FAMILIES if names.fullmatch(name))
    return next(fitting, (_OTHERS, False))


def _fitted(width: int, height: int, edge_px: int) -> tuple[int, int]:
    """The size within a square, never enlarged, in whole pixels."""
    scale = min(1.0, edge_px / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _cover(width: int, height: int, side_px: int) -> int:
    """How many squares cover a picture."""
    return -(-width // side_px) * -(-height // side_px)
