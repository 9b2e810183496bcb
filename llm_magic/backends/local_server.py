"""The local model's own process: llama.cpp's server, until stdin closes. Run by path, never imported.

In: one line of JSON on stdin (see ``ServerSettings`` in ``child.py``). Out: one line of JSON on stdout, the
address. All that llama.cpp writes goes to stderr, a log that this process removes when it ends as it should.
When the parent dies, however it dies, the system closes the pipe, and this process ends.
"""

import contextlib
import json
import os
import signal
import sys
from typing import Any


def serve(settings: dict[str, Any]) -> object:
    """Load the model and serve it on 127.0.0.1, on a port of the system's choice.

    Returns:
        The running server; it runs in threads of its own, as long as this object lives.
    """
    # Isolated mode hides user and extra folders: the parent says where it found the package.
    sys.path.append(settings["home"])
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["model_path"]
    params.model_alias = {settings["model_name"]}
    params.chat_template = settings["chat_template"]
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["context_tokens"] * settings["slots"]  # it is divided among the slots
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = settings["threads"]
    if settings["temperature"] is not None:
        params.sampling.temp = settings["temperature"]
    if settings["max_tokens"] is not None:
        params.n_predict = settings["max_tokens"]
    if settings["embeds"]:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.n_ubatch = params.n_batch  # a text is embedded in one piece
    params.cache_ram_mib = 128  # its default keeps 8 GB of old prompts
    params.verbosity = 2  # warnings and errors: no line per request
    # Its defaults are open to every page in every browser of this machine.
    params.port = 0
    params.api_keys = [settings["api_key"]]
    params.cors_origins = "http://127.0.0.1"
    params.ui = False
    params.offline = True
    return xllamacpp.Server(params)


def main() -> None:
    """Serve until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else writes to stdout ends in the log
    settings = json.loads(sys.stdin.buffer.readline())
    server = serve(settings)
    answers.write(json.dumps({"address": server.listening_address}) + "\n")  # type: ignore[attr-defined]  # a compiled class without types
    answers.close()
    while sys.stdin.buffer.read(4096):
        pass
    # It ended well, however its parent ended: nobody will look for the reason of anything.
    with contextlib.suppress(OSError):  # Windows does not remove what is open; the next start will
        os.unlink(settings["log"])  # noqa: PTH108  # pathlib would have to be imported
    os._exit(0)  # at once: nobody is left to wait for requests under way


if __name__ == "__main__":
    main()
