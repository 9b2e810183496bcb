"""Two pieces of one answer made one text: what came after the break, without what it repeats of what came before.

Comes in: the text so far, and, piece by piece, what a model goes on with. Goes out: what is to be added. Nothing that
is new may be lost and nothing old may come twice, so what may be a repetition is held back until that is certain.
"""

from __future__ import annotations

from .asked import TAG, Asked, anchor_of
from .joint import Joint, State, cut_prefix

__all__ = ["TAG", "Asked", "Joint", "State", "anchor_of", "cut_prefix"]
