"""Work with language models inside a notebook.

``%load_ext llm_magic`` gives ``%%chat``, ``%llm``, ``%%llm`` and ``%chat``; the names below are the same engine
from Python. Importing this package loads nothing heavy and starts no thread: names arrive when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .api import Conversation, ask, calls, conversation, models, on_call, usage
    from .backends.local import LocalBackend
    from .backends.openai import OpenAIBackend
    from .backends.registry import register_backend
    from .batch.mapping import amap, last_map, map  # noqa: A004  # here it is llm_magic.map
    from .engine import allow_nested
    from .errors import (
        AuthenticationError,
        BackendError,
        BackendTimeoutError,
        BudgetExceededError,
        ConfigurationError,
        ContentError,
        ContextLengthError,
        InterpolationError,
        Interrupted,
        LLMMagicError,
        MissingDependencyError,
        QuotaError,
        RateLimitedError,
        RequestRejectedError,
        SchemaError,
        SessionBusyError,
        StoreError,
        StreamInterruptedError,
        ToolError,
    )
    from .finetuning import check_jsonl
    from .jsontext import partial_json
    from .model_info import register_model
    from .panels.panel import panel
    from .providers import profiles, register_profile
    from .reply import Reply
    from .tokens import tokenize
    from .tools import tool
    from .values import register_content

# Where each public name lives.
_HOMES = {
    "AuthenticationError": "errors",
    "BackendError": "errors",
    "BackendTimeoutError": "errors",
    "BudgetExceededError": "errors",
    "ConfigurationError": "errors",
    "ContentError": "errors",
    "ContextLengthError": "errors",
    "Conversation": "api",
    "InterpolationError": "errors",
    "Interrupted": "errors",
    "LLMMagicError": "errors",
    "LocalBackend": "backends.local",
    "MissingDependencyError": "errors",
    "OpenAIBackend": "backends.openai",
    "QuotaError": "errors",
    "RateLimitedError": "errors",
    "Reply": "reply",
    "RequestRejectedError": "errors",
    "SchemaError": "errors",
    "SessionBusyError": "errors",
    "StoreError": "errors",
    "StreamInterruptedError": "errors",
    "ToolError": "errors",
    "allow_nested": "engine",
    "amap": "batch.mapping",
    "ask": "api",
    "calls": "api",
    "check_jsonl": "finetuning",
    "conversation": "api",
    "last_map": "batch.mapping",
    "map": "batch.mapping",
    "models": "api",
    "on_call": "api",
    "panel": "panels.panel",
    "partial_json": "jsontext",
    "profiles": "providers",
    "register_backend": "backends.registry",
    "register_content": "values",
    "register_profile": "providers",
    "register_model": "model_info",
    "tokenize": "tokens",
    "tool": "tools",
    "usage": "api",
}
__all__ = [
    "AuthenticationError",
    "BackendError",
    "BackendTimeoutError",
    "BudgetExceededError",
    "ConfigurationError",
    "ContentError",
    "ContextLengthError",
    "Conversation",
    "InterpolationError",
    "Interrupted",
    "LLMMagicError",
    "LocalBackend",
    "MissingDependencyError",
    "OpenAIBackend",
    "QuotaError",
    "RateLimitedError",
    "Reply",
    "RequestRejectedError",
    "SchemaError",
    "SessionBusyError",
    "StoreError",
    "StreamInterruptedError",
    "ToolError",
    "__version__",
    "allow_nested",
    "amap",
    "ask",
    "calls",
    "check_jsonl",
    "conversation",
    "last_map",
    "map",
    "models",
    "on_call",
    "panel",
    "partial_json",
    "profiles",
    "register_backend",
    "register_content",
    "register_model",
    "register_profile",
    "tokenize",
    "tool",
    "usage",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """``%load_ext llm_magic``."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """``%unload_ext llm_magic``: the magics go, connections close; conversations and ledger stay."""
    from .magics import unload

    unload(shell)
