"""What a tool may be called."""

from __future__ import annotations

import re

from ..content import normalized_name
from ..errors import ToolError

__all__ = ["MAX_NAME", "checked_name", "normalized_name"]

MAX_NAME = 64
_NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{MAX_NAME}}}")


def checked_name(name: object) -> str:
    """The name, if the protocol allows it.

    Raises:
        ToolError: It is empty, longer than 64 characters, or has others than letters, digits, "_" and "-".
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    if name == "<lambda>":
        raise ToolError("A lambda has no name to call it by.", hint="llm_magic.tool(name=…)(function)")
    shown = repr(name) if len(repr(name)) <= MAX_NAME else repr(name)[:MAX_NAME] + " …"
    raise ToolError(
        f"{shown} cannot be the name of a tool.", hint=f'letters, digits, "_" and "-", at most {MAX_NAME} of them'
    )
