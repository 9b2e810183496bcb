"""The fast way to a frame against the plain one, and what it costs."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
from hypothesis import given, settings

from benchmarks.frames import conversation_of, ready_columns, ready_frame
from llm_magic.content import Message, TextPart, ToolCall
from llm_magic.export import COLUMNS, from_frame, to_frame
from llm_magic.slots import Conversation
from tests.fakes.conversations import conversations
from tests.fakes.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable
