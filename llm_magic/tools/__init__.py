"""Tools: functions of the user's that a model may ask to have called.

A function (or method, pydantic model, schema) comes in and is a :class:`Tool`: what the model is told of it, and how it
is called. A model's call comes in, is checked, runs, and becomes a result. Whether a call may run is not decided
here, and nothing here knows a conversation, a backend or a view.
"""

from .builtins import builtin
from .calls import Bound, checked
from .definition import Identity, RunsOn, Tool
from .making import as_tool, tool, toolset
from .names import normalized_name
from .running import run

__all__ = [
    "Bound",
    "Identity",
    "RunsOn",
    "Tool",
    "as_tool",
    "builtin",
    "checked",
    "normalized_name",
    "run",
    "tool",
    "toolset",
]
