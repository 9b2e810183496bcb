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
    from .backends.azure import AzureOpenAIBackend
    from .backends.local import LocalBackend
    from .backends.openai import OpenAIBackend
    from .backends.registry import load_backend, register_backend
    from .batch.mapping import amap, last_map, map  # noqa: A004  # here it is llm_magic.map
    from .endpoints.completing import acomplete, complete
    from .endpoints.embedding import aembed, embed
    from .endpoints.pictures import aimage, image
    from .endpoints.sounds import aspeak, atranscribe, speak, transcribe
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
    "AzureOpenAIBackend": "backends.azure",
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
    "acomplete": "endpoints.completing",
    "aembed": "endpoints.embedding",
    "aimage": "endpoints.pictures",
    "allow_nested": "engine",
    "amap": "batch.mapping",
    "ask": "api",
    "aspeak": "endpoints.sounds",
    "atranscribe": "endpoints.sounds",
    "calls": "api",
    "check_jsonl": "finetuning",
    "complete": "endpoints.completing",
    "conversation": "api",
    "embed": "endpoints.embedding",
    "image": "endpoints.pictures",
    "last_map": "batch.mapping",
    "load_backend": "backends.registry",
    "map": "batch.mapping",
    "models": "api",
    "on_call": "api",
    "panel": "panels.panel",
    "partial_json": "jsontext",
    "profiles": "providers",
    "register_backend": "backends.registry",
    "register_content": "values",
    "register_model": "model_info",
    "register_profile": "providers",
    "speak": "endpoints.sounds",
    "tokenize": "tokens",
    "tool": "tools",
    "transcribe": "endpoints.sounds",
    "usage": "api",
}
__all__ = [
    "AuthenticationError",
    "AzureOpenAIBackend",
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
    "acomplete",
    "aembed",
    "aimage",
    "allow_nested",
    "amap",
    "ask",
    "aspeak",
    "atranscribe",
    "calls",
    "check_jsonl",
    "complete",
    "conversation",
    "embed",
    "image",
    "last_map",
    "load_backend",
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
    "speak",
    "tokenize",
    "tool",
    "transcribe",
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
