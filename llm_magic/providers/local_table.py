"""The profiles of servers of one's own: no key is needed, and any model may be behind them. Rows only."""

from __future__ import annotations

from .profile import Profile, Quirks

# The ends of turns of Llama, ChatML and the SentencePiece families, where a server lets them through.
STOP_TOKENS = ("<|eot_id|>", "<|eom_id|>", "<|im_end|>", "</s>")
_OLD_ROLE = {"developer": "system"}

LOCAL: tuple[Profile, ...] = (
    Profile(
        name="ollama",
        title="Ollama",
        base_url="http://localhost:11434/v1",
        key_variables=("OLLAMA_API_KEY",),
        needs_key=False,
        url_variables=("OLLAMA_HOST",),
        quirks=Quirks(
            renamed={"repetition_penalty": "repeat_penalty"},
            roles=_OLD_ROLE,
            names="prefixed",
            stop_tokens=STOP_TOKENS,
        ),
        tested="fixture",
        source="https://docs.ollama.com/api/openai-compatibility",
    ),
    Profile(
        name="vllm",
        title="vLLM",
        base_url="http://localhost:8000/v1",
        key_variables=("VLLM_API_KEY",),
        needs_key=False,
        url_variables=("VLLM_BASE_URL",),
        model_names="mixed",
        quirks=Quirks(roles=_OLD_ROLE, continues="continue_final_message", stop_tokens=STOP_TOKENS),
        tested="fixture",
        source="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    ),
    Profile(
        name="lmstudio",
        title="LM Studio",
        base_url="http://localhost:1234/v1",
        key_variables=("LM_API_TOKEN", "LMSTUDIO_API_KEY"),
        needs_key=False,
        url_variables=("LMSTUDIO_BASE_URL",),
        aliases=("lm-studio",),
        model_names="mixed",
        quirks=Quirks(
            renamed={"repetition_penalty": "repeat_penalty"},
            roles=_OLD_ROLE,
            names="prefixed",
            stop_tokens=STOP_TOKENS,
        ),
        tested="fixture",
        source="https://lmstudio.ai/docs/developer/openai-compat/chat-completions",
    ),
    Profile(
        name="llamacpp",
        title="llama.cpp server",
        base_url="http://localhost:8080/v1",
        key_variables=("LLAMACPP_API_KEY",),
        needs_key=False,
        url_variables=("LLAMACPP_BASE_URL",),
        aliases=("llama.cpp", "llama-cpp"),
        model_names="mixed",
        quirks=Quirks(
            renamed={"repetition_penalty": "repeat_penalty"},
            roles=_OLD_ROLE,
            names="prefixed",
            continues="plain",
            stop_tokens=STOP_TOKENS,
        ),
        tested="local",
        source="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
    ),
)
