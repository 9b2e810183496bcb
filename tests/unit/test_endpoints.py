"""Endpoints other than chat, over HTTP: what is sent, what comes of replies of every kind, the ledger's rows."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import llm_magic
from llm_magic import api
from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.backends.local import LocalBackend
from llm_magic.backends.openai import OpenAIBackend
from llm_magic.backends.pump import Pump
from llm_magic.config import Config
from llm_magic.content import AudioPart, ImagePart, Message, message
from llm_magic.endpoints.embedding import batches
from llm_magic.errors import (
    AuthenticationError,
    BackendTimeoutError,
    ConfigurationError,
    ContentError,
    Interrupted,
    LLMMagicError,
    RequestRejectedError,
    SessionBusyError,
    StreamInterruptedError,
)
from llm_magic.events import TextDelta
from llm_magic.magics.options import parse
from llm_magic.run import checked
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend
from tests.fakes.endpoints_scenarios import form_of, vector
from tests.fakes.server import Exchange, FakeServer
from tests.fakes.sessions import ledger, open_session
from tests.fakes.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llm_magic.ledger import LedgerRow

KEY = "sk-endpoints-0123456789"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
# One good call of each endpoint, by the ledger's names of it.
CALLS: dict[tuple[str, str], Callable[[str], Any]] = {
    ("embed", "embeddings"): lambda model: llm_magic.embed("one", model=model),
    ("complete", "completions"): lambda model: llm_magic.complete("one", model=model),
    ("image", "images"): lambda model: llm_magic.image("one", model=model),
    ("speak", "audio.speech"): lambda model: llm_magic.speak("one", model=model),
    ("transcribe", "audio.transcriptions"): lambda model: llm_magic.transcribe(WAV, model=model),
}
EVERY_CALL = pytest.mark.parametrize("call", CALLS.values(), ids=[kind for kind, _ in CALLS])


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    """A server for all tests of this module."""
    with FakeServer() as running:
        yield running


@pytest.fixture
def session(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """The session of the module's functions, configured for the server."""
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url}
    made = Session(config=Config(environ=environ), conversation_type=Conversation)
    monkeypatch.setattr(api, "session", lambda: made)
    server.requests.clear()
    yield made
    made.close()


def only_row(session: Session) -> LedgerRow:
    """The one row of the ledger."""
    (row,) = session.ledger.rows
    return row


def sent(server: FakeServer, place: int = -1) -> dict[str, Any]:
    """The fields of a request the server got."""
    received = server.requests[place]
    return form_of(Exchange(received=received, writer=None, bills=[], request_id=""))  # type: ignore[arg-type]  # nothing is written


# Embeddings


@pytest.mark.capability("I11")
def test_a_row_names_the_organization_it_was_billed_to(session: Session, server: FakeServer) -> None:
    """Of two that take turns, the one of this request."""
    session.config.session["organization"] = ["org-a", "org-b"]
    for _ in range(2):
        llm_magic.embed("one", model="m")

    named = [received.headers["openai-organization"] for received in server.requests]
    assert named == [row.organization for row in session.ledger.rows] == ["org-a", "org-b"]


@pytest.mark.capability("J2")
def test_texts_become_vectors_in_their_order(session: Session, server: FakeServer) -> None:
    """One text is a vector, several are rows, a Series a DataFrame with its index; whatever order the server chose."""
    one = llm_magic.embed("one", model="reversed", dimensions=3)
    several = llm_magic.embed(["b", "a", "cc"], model="reversed")
    column = pd.Series(["x", "yy"], index=pd.Index([7, 9], name="id"))
    frame = llm_magic.embed(column, model="reversed")

    assert one.shape == (3,)
    assert several.dtype == np.float32
    assert several.tolist() == [vector("b"), vector("a"), vector("cc")]
    assert frame.index.equals(column.index)
    assert frame.to_numpy().tolist() == [vector("x"), vector("yy")]
    assert sent(server, 0) == {"model": "reversed", "input": ["one"], "dimensions": 3, "encoding_format": "base64"}
    assert [row.input_tokens for row in session.ledger.rows] == [1, 3, 2]
    assert llm_magic.embed([], model="m").shape == (0, 0)


@pytest.mark.capability("J2")
@pytest.mark.parametrize("model", ["floats", "no-base64"])
def test_servers_that_send_numbers_do_too(session: Session, server: FakeServer, model: str) -> None:
    """Where base64 is not known, or refused, numbers are read; a refusal of the form is no failed request."""
    assert llm_magic.embed("ab", model=model).tolist() == vector("ab")

    assert (only_row(session).status, only_row(session).retries) == ("complete", 0)
    assert ("encoding_format" in sent(server)) == (model == "floats")


@pytest.mark.capability("J2")
def test_many_texts_go_in_batches(session: Session, server: FakeServer) -> None:
    """No request has more than 2,048 texts; the vectors are in order, the ledger has a row for each request."""
    texts = [f"{chr(97 + number % 26)}{number}" for number in range(2500)]

    found = llm_magic.embed(texts, model="m")

    assert found.tolist() == [vector(text) for text in texts]
    assert sorted(len(sent(server, place)["input"]) for place in range(2)) == [452, 2048]
    assert len(session.ledger.rows) == 2


def test_batches_hold_what_a_server_takes() -> None:
    """Texts are cut by number and by size, never left out, never reordered; one that is too long goes alone."""
    long = "word " * 100_000
    assert [len(batch) for batch in batches(["a"] * 5000)] == [2048, 2048, 904]
    assert [len(batch) for batch in batches([long, long, "a", long])] == [1, 2, 1]
    assert batches([]) == []
    assert [text for batch in batches([long * 3, "a"]) for text in batch] == [long * 3, "a"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["a", ""], "Text 2 of 2 is empty"),
        (pd.Series(["a", None], index=["x", "y"]), r"Text 2 of 2 \(index 'y'\) is missing"),
        (["a", 7], "Text 2 of 2 is a int"),
        ("  ", "Text 1 of 1 is empty"),
        (3, "A value of type int is no text"),
        (b"text", "A value of type bytes is no text"),
        (pd.DataFrame({"text": ["a"]}), r"no list of texts.*embed\(df"),
    ],
)
@pytest.mark.capability("J2")
def test_an_empty_text_is_refused_with_its_place(session: Session, texts: Any, words: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ContentError, match=words):
        llm_magic.embed(texts, model="m")

    assert session.ledger.rows == ()


@pytest.mark.capability("J2")
def test_a_known_price_is_entered(session: Session) -> None:
    """An embedding of OpenAI's has one; an unknown model has none, nor an estimate that leaves out what is billed."""
    llm_magic.embed("one", model="text-embedding-3-small")
    llm_magic.embed("one", model="m")
    llm_magic.speak("one", model="text-embedding-3-small")

    first, second, third = session.ledger.rows
    assert first.cost_usd == pytest.approx(0.02e-6)
    assert (second.cost_usd, third.cost_usd) == (None, None)


# The old completions


@pytest.mark.capability("B13", "J8")
@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([5, 6], ["5 6"]),
        ([[5], [6, 7]], ["5", "6 7"]),
    ],
)
def test_prompts_of_all_four_forms_are_completed(
    session: Session, server: FakeServer, prompt: Any, texts: list[str]
) -> None:
    """Text, texts, tokens (one prompt) and lists of tokens; ``n`` unset is not sent and means one each."""
    found = llm_magic.complete(prompt, model="reversed", echo=True)

    assert found.texts == [f"{text} … and so on (0)" for text in texts]
    assert [choice.prompt_number for choice in found] == list(range(len(texts)))
    assert (found.id, found.model, found.created) == ("cmpl-1", "reversed-2026", 1_790_000_000)
    assert sent(server) == {"model": "reversed", "prompt": prompt, "echo": True}
    assert only_row(session).output_tokens == 7 * len(texts)


@pytest.mark.capability("J8")
@pytest.mark.usefixtures("session")
def test_n_completions_of_each_prompt_are_told_apart() -> None:
    """In the order of the prompts, each with the number of its own."""
    found = llm_magic.complete(["a", "b"], model="reversed", n=2)

    assert [(choice.prompt_number, choice.text) for choice in found] == [
        (0, " … and so on (0)"),
        (0, " … and so on (1)"),
        (1, " … and so on (0)"),
        (1, " … and so on (1)"),
    ]
    assert str(found) == found.text == str(found[0]) == " … and so on (0)"
    assert len(found) == 4


@pytest.mark.capability("B13")
@pytest.mark.usefixtures("session")
def test_every_parameter_of_the_old_endpoint_is_sent(server: FakeServer) -> None:
    """Those of the API, and those of vLLM; None is not sent; log probabilities come back as they are."""
    params: dict[str, Any] = {
        "best_of": 2,
        "echo": False,
        "frequency_penalty": 0.1,
        "logit_bias": {"7": -1},
        "logprobs": 1,
        "max_tokens": 5,
        "n": 1,
        "presence_penalty": 0.2,
        "seed": 3,
        "stop": ["END"],
        "temperature": 0,
        "top_p": 0.9,
        "user": "u",
        "suffix": "end",
        "guided_choice": ["a", "b"],
        "prompt_logprobs": 1,
    }

    found = llm_magic.complete("a", model="m", stream_options=None, **params)

    assert sent(server) == {"model": "m", "prompt": "a", **params}
    assert found[0].logprobs["token_logprobs"] == [-0.5]
    assert found[0].prompt_logprobs == [None, {"7": {"logprob": -0.25}}]


@pytest.mark.capability("B14", "J8")
@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        ([], {}, "cannot be completed"),
        ([[]], {}, "cannot be completed"),
        (["a", 5], {}, "cannot be completed"),
        ({"a": 1}, {}, "A dict like this"),
        ("a", {"n": 0}, "does not fit n"),
        ("a", {"stream": True}, "does not stream"),
    ],
)
def test_what_cannot_be_completed_is_refused(
    session: Session, prompt: Any, options: dict[str, Any], words: str
) -> None:
    """Before anything is sent."""
    with pytest.raises(LLMMagicError, match=words):
        llm_magic.complete(prompt, model="m", **options)

    assert session.ledger.rows == ()


@pytest.mark.capability("B14", "J1")
def test_an_aside_can_be_a_completion(session: Session, server: FakeServer) -> None:
    """Text to go on with: streamed, no system prompt, no conversation; a view, a turn and a row like any aside's."""
    session.config.session |= {"system": "Be brief.", "max_tokens": 9}
    ask = Ask(prompt=(message("user", "Once upon"),), is_kept=False, is_completion=True, settings={"model": "m"})

    run = session.ask(ask)

    assert "".join(event.text for event in run if isinstance(event, TextDelta)) == " … and so on (0)"
    turn = run.outcome().turn
    assert (turn.text, turn.finish_reason, turn.system) == (" … and so on (0)", "stop", None)
    assert server.requests[-1].path == "/v1/completions"
    options = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 9}
    assert sent(server) == {"model": "m", "prompt": "Once upon", **options}
    row = only_row(session)
    assert (row.kind, row.api, row.output_tokens, row.is_estimate) == ("aside", "completions", 7, False)
    assert session.current.slots == ()


@pytest.mark.capability("B13", "J1")
def test_an_aside_takes_the_parameters_of_completions(session: Session, server: FakeServer) -> None:
    """Those of vLLM, too; log probabilities are as many as are asked for, which chat says otherwise."""
    typed = parse("llm", "-p best_of=2 -p echo=true -p logprobs=2 -p suffix=end -p prompt_logprobs=1 --complete Once")
    params = {**typed.options.params, "guided_choice": ["a"]}
    ask = Ask(prompt=(message("user", "Once"),), is_kept=False, is_completion=True, params=params)

    session.ask(replace(ask, settings={"model": "m", "stream": False})).outcome()

    options = {"best_of": 2, "echo": True, "logprobs": 2, "suffix": "end", "prompt_logprobs": 1}
    assert sent(server) == {"model": "m", "prompt": "Once", **options, "guided_choice": ["a"]}
    with pytest.raises(ConfigurationError, match=r"2 does not fit logprobs.*top_logprobs"):
        session.ask(replace(ask, is_completion=False, settings={"model": "m"}))


@pytest.mark.capability("B14", "J1")
def test_what_is_no_completion_is_refused(session: Session) -> None:
    """A kept turn, a picture, a backend that has none: one line, and nothing is sent."""
    part = ImagePart(data=b"x", media_type="image/png")
    kept = Ask(prompt=(message("user", "a"),), is_completion=True, settings={"model": "m"})
    for ask, words in (
        (kept, "is no turn of a conversation"),
        (replace(kept, is_kept=False, prompt=(Message(role="user", parts=(part,)),)), "goes on with text"),
        (replace(kept, is_kept=False, backend=ScriptedBackend()), "'scripted' has no text completions"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            session.ask(ask)
    missing = replace(kept, is_kept=False, settings={"model": "missing"})
    with pytest.raises(RequestRejectedError, match="has no text completions"):
        checked(session.ask(missing).outcome())
    assert parse("llm", "--complete Once").options.is_completion
    with pytest.raises(ConfigurationError, match="use %%llm --complete"):
        parse("chat", "--complete Once")


# Pictures


def picture(colour: tuple[int, int, int]) -> Image.Image:
    """Eight pixels square, of one colour."""
    return Image.new("RGB", (8, 8), colour)


@pytest.mark.capability("J3")
def test_words_become_a_picture(session: Session, server: FakeServer) -> None:
    """A PIL image of the size that was wanted; a list where a number was."""
    one = llm_magic.image("a red square", model="m", size="6x4", quality="low")
    two = llm_magic.image("a red square", model="m", n=2)

    assert isinstance(one, Image.Image)
    assert (one.size, one.getpixel((0, 0))) == ((6, 4), (255, 0, 0))
    assert [found.size for found in two] == [(8, 8), (8, 8)]
    assert sent(server, 0) == {"model": "m", "prompt": "a red square", "size": "6x4", "quality": "low"}
    first = session.ledger.rows[0]
    assert (first.input_tokens, first.output_tokens, first.is_estimate) == (9, 272, False)


@pytest.mark.capability("J3")
@pytest.mark.usefixtures("session")
def test_pictures_become_a_picture(server: FakeServer) -> None:
    """One, or several, and a mask, go as files of a form to the other endpoint."""
    drawn = llm_magic.image("bluer", model="m", image=picture((0, 0, 250)), mask=Image.new("RGBA", (8, 8)))
    llm_magic.image("both", model="m", image=[picture((0, 0, 9)), picture((9, 0, 0))])

    red, green, blue = drawn.getpixel((0, 0))
    assert (red < 20, green < 20, blue > 230) == (True, True, True)
    assert [received.path for received in server.requests] == ["/v1/images/edits"] * 2
    first, second = sent(server, 0), sent(server, 1)
    assert first["prompt"] == "bluer"
    assert [(name, kind) for name, _, kind in (*first["image"], *first["mask"])] == [
        ("image-1.jpeg", "image/jpeg"),
        ("mask.png", "image/png"),
    ]
    assert [name for name, _, _ in second["image[]"]] == ["image-1.jpeg", "image-2.jpeg"]


@pytest.mark.capability("J3")
def test_an_address_is_fetched_only_if_that_is_wanted(session: Session) -> None:
    """Nothing is fetched by itself; with fetch=True it is, without the key, and what is no picture is said so."""
    with Target() as target:
        model = f"url-{target.host.rpartition(':')[2]}"
        with pytest.raises(ContentError, match=r"an address of 127\.0\.0\.1"):
            llm_magic.image("a", model=model)
        assert target.visits == []

        with pytest.raises(ContentError, match="cannot be read"):
            llm_magic.image("a", model=model, fetch=True)

        assert target.visits == ["GET /picture.png HTTP/1.1"]
    assert [(row.status, row.total_tokens > 0) for row in session.ledger.rows] == [("failed", True), ("complete", True)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"prompt": "a", "mask": picture((0, 0, 0))}, "A mask needs the picture"),
        ({"prompt": "a", "image": "https://example.invalid/a.png"}, "cannot be an address"),
    ],
)
def test_what_cannot_be_drawn_is_refused(session: Session, options: dict[str, Any], words: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ContentError, match=words):
        llm_magic.image(model="m", **options)

    assert session.ledger.rows == ()


# Sound


@pytest.mark.capability("J4")
@pytest.mark.parametrize(("name", "media_type"), [("mp3", "audio/mpeg"), ("wav", "audio/wav")])
def test_text_becomes_sound(session: Session, server: FakeServer, name: Any, media_type: str) -> None:
    """An Audio that plays in a notebook, with the server's bytes and their kind; nobody knows its price."""
    sound = llm_magic.speak("Hello", model="m", voice="nova", format=name, speed=1.5)

    assert (sound.data, sound.mimetype) == (f"{name}:nova:Hello".encode(), media_type)
    assert f"data:{media_type};base64," in sound._repr_html_()  # type: ignore[no-untyped-call]  # IPython's is
    assert sent(server) == {"model": "m", "input": "Hello", "voice": "nova", "response_format": name, "speed": 1.5}
    row = only_row(session)
    assert (row.input_tokens, row.is_estimate, row.cost_usd) == (1, True, None)


@pytest.mark.capability("J5")
def test_sound_becomes_text(session: Session, server: FakeServer, tmp_path: Path) -> None:
    """Of a path, bytes, an AudioPart or an Audio; the text is a str with more to it."""
    from IPython.display import Audio

    path = tmp_path / "Talk.MP3"
    path.write_bytes(b"ID3 sound")

    of_path = llm_magic.transcribe(path, model="m", language="de", prompt="Ada")
    of_bytes = llm_magic.transcribe(WAV, model="m", response_format="verbose_json")
    of_part = llm_magic.transcribe(AudioPart(data=WAV, format="wav"), model="m")
    of_audio = llm_magic.transcribe(Audio(data=b"\xff\xfb\x90 sound"), model="m")  # type: ignore[no-untyped-call]  # IPython's is

    assert of_path == "talk.mp3, audio/mpeg, 9 bytes, de"
    assert sent(server, 0)["prompt"] == "Ada"
    assert of_bytes.startswith("sound.wav, audio/wav, 16 bytes")
    assert (of_bytes.language, of_bytes.duration_s, len(of_bytes.segments)) == ("english", 1.5, 1)
    assert (of_part.segments, of_part.language) == ((), None)
    assert of_audio.startswith("sound.mp3")
    row = session.ledger.rows[0]
    assert (row.input_tokens, row.output_tokens, row.is_estimate) == (14, 5, False)
    assert of_part.usage is not None
    assert of_part.usage.input_audio_tokens == 14


@pytest.mark.capability("J5")
def test_a_transcription_billed_by_seconds_has_no_price(session: Session) -> None:
    """Seconds are told as such; tokens are estimated and flagged, and the price stays unknown."""
    said = llm_magic.transcribe(WAV, model="seconds")

    assert (said.duration_s, said.usage) == (3, None)
    assert (only_row(session).is_estimate, only_row(session).cost_usd) == (True, None)


@pytest.mark.capability("J5")
def test_what_cannot_be_transcribed_is_refused(session: Session, tmp_path: Path) -> None:
    """Format, size and absence are told in one line, before anything is sent."""
    (tmp_path / "notes.txt").write_text("text")
    with (tmp_path / "long.wav").open("wb") as file:
        file.truncate(25_000_001)

    for source, words in (
        (tmp_path / "notes.txt", "in no format that can be transcribed"),
        (tmp_path / "long.wav", r"25\.0 MB; 25 MB can be sent"),
        (b"RIFF0000WAVE" + bytes(25_000_000), "25 MB can be sent"),
        (tmp_path / "none.wav", "cannot be read: No such file"),
        (b"neither", "in no format"),
        (AudioPart(data=b"", format="wav"), "is empty"),
        (3, "type int is no sound"),
    ):
        with pytest.raises(ContentError, match=words):
            llm_magic.transcribe(source, model="m")
    with pytest.raises(ConfigurationError, match="no response_format"):
        llm_magic.transcribe(WAV, model="m", response_format="srt")
    with pytest.raises(ConfigurationError, match="no format for speech"):
        llm_magic.speak("a", model="m", format="pcm")  # type: ignore[arg-type]  # what a user may try
    with pytest.raises(ContentError, match="nothing to say"):
        llm_magic.speak(" ", model="m")
    assert session.ledger.rows == ()


# What is true of all


@pytest.mark.parametrize(("names", "call"), CALLS.items(), ids=[kind for kind, _ in CALLS])
def test_each_request_has_its_row(session: Session, names: tuple[str, str], call: Callable[[str], Any]) -> None:
    """Exactly one, which says what it was, how it went and that no conversation saw it."""
    call("429-then-ok@0.01")

    row = only_row(session)
    assert (row.kind, row.api) == names
    assert (row.status, row.retries, row.requested_model) == ("complete", 1, "429-then-ok@0.01")
    assert (row.backend, row.conversation, row.round) == ("openai", "", 1)
    assert row.request_id is not None
    assert session.current.slots == ()
    assert list(session.calls.to_frame()["kind"]) == ["started", "ended"]


@pytest.mark.capability("A18", "A30")
@pytest.mark.parametrize("name", ["api_key", "key", "timeout", "base_url"])
def test_a_setting_is_no_parameter_of_an_endpoint(session: Session, server: FakeServer, name: str) -> None:
    """So that no key is sent in a body: it is refused by name."""
    with pytest.raises(ConfigurationError, match=f"'{name}' cannot be set"):
        llm_magic.embed("a", model="m", **{name: KEY})

    assert (server.requests, session.ledger.rows) == ([], ())


@EVERY_CALL
@pytest.mark.parametrize(
    ("model", "kind", "words", "is_billed"),
    [
        ("500", RequestRejectedError, r"The server failed .*HTTP 500", False),
        ("missing", RequestRejectedError, r"127\.0\.0\.1:\d+ has no ", False),
        ("error-in-reply", LLMMagicError, "overloaded|holds no", True),
        ("broken-json", LLMMagicError, "holds no|broke off", True),
    ],
)
@pytest.mark.capability("B14")
def test_a_failed_request_is_told_and_entered(
    session: Session, call: Callable[[str], Any], model: str, kind: type[Exception], words: str, *, is_billed: bool
) -> None:
    """One line, of the tree; the row says failed, with tokens only where the server may bill them."""
    session.config.session["max_retries"] = 0

    with pytest.raises(kind, match=words) as caught:
        call(model)

    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)
    row = only_row(session)
    assert (row.status, row.is_estimate) == ("failed", is_billed)
    assert (row.cost_usd is None) == is_billed


@pytest.mark.parametrize(
    "call",
    [
        lambda: llm_magic.embed(["a", "b"], model="wrong-count"),
        lambda: llm_magic.embed(["a", "b"], model="twice"),
        lambda: llm_magic.complete(["a", "b"], model="wrong-count"),
        lambda: llm_magic.image("a", model="wrong-count", n=2),
        lambda: llm_magic.speak("a", model="json"),
        lambda: llm_magic.speak("a", model="empty"),
        lambda: llm_magic.transcribe(WAV, model="no-text"),
    ],
)
def test_a_reply_that_does_not_hold_what_was_asked_is_refused(session: Session, call: Callable[[], Any]) -> None:
    """Too few, twice the same, or something else: an error, never a part of it taken for the whole."""
    with pytest.raises(RequestRejectedError, match="holds no"):
        call()

    assert only_row(session).status == "failed"


@EVERY_CALL
def test_missing_usage_is_estimated_and_flagged(session: Session, call: Callable[[str], Any]) -> None:
    """Where the server reports none, the tokens are ours."""
    call("no-usage")

    row = only_row(session)
    assert row.is_estimate
    assert row.total_tokens > 0
    assert row.cost_usd is None


@EVERY_CALL
@pytest.mark.capability("B14")
def test_a_backend_without_it_says_so(session: Session, call: Callable[[str], Any]) -> None:
    """One line that names backend and feature; nothing is entered, since nothing was sent."""
    chat = session.current
    assert isinstance(chat, Conversation)
    chat.backend = ScriptedBackend()

    with pytest.raises(ConfigurationError, match="The backend 'scripted' has no "):
        call("m")

    assert session.ledger.rows == ()


@pytest.mark.capability("A29", "B14")
def test_who_is_asked_without_a_model(server: FakeServer) -> None:
    """OpenAI's own models by default; a server of one's own needs a name, no key is an error or the local model's."""
    with pytest.MonkeyPatch.context() as patch:
        for environ, kind, words in (
            (
                {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url},
                ConfigurationError,
                "model is required for pictures",
            ),
            ({}, ConfigurationError, "The backend 'local' has no pictures"),
        ):
            made = Session(config=Config(environ=environ), conversation_type=Conversation)
            patch.setattr(api, "session", lambda made=made: made)
            with pytest.raises(kind, match=words):
                llm_magic.image("a")
        with pytest.raises(AuthenticationError, match="No key for text-embedding"):
            llm_magic.embed("a", model="text-embedding-3-small")
        asked = OpenAIBackend(base_url=server.url, api_key=KEY)
        assert llm_magic.embed("a", backend=asked).shape == (4,)
        made.run(asked.aclose())
    assert not LocalBackend().has_path("/images/generations")


@pytest.mark.capability("A27", "A28")
def test_each_can_be_awaited_and_blocks_in_a_running_loop(session: Session) -> None:
    """All at once on a running loop, and each blocking inside one."""

    async def both() -> tuple[list[Any], list[Any]]:
        awaited = await asyncio.gather(
            llm_magic.aembed("ab", model="m"),
            llm_magic.acomplete("a", model="m"),
            llm_magic.aimage("a", model="m"),
            llm_magic.aspeak("a", model="m"),
            llm_magic.atranscribe(WAV, model="m"),
        )
        return list(awaited), [call("m") for call in CALLS.values()]

    awaited, blocked = asyncio.run(both())

    assert [type(value) for value in awaited] == [type(value) for value in blocked]
    assert awaited[0].tolist() == vector("ab")
    assert len(session.ledger.rows) == 10


def test_blocking_inside_an_answer_is_refused(session: Session) -> None:
    """On the engine's own thread it would wait for itself; the async form answers there."""

    async def inside() -> Any:
        with pytest.raises(SessionBusyError):
            llm_magic.embed("a", model="m")
        return await llm_magic.aembed("a", model="m")

    assert session.run(inside()).tolist() == vector("a")


@pytest.mark.capability("K1")
@EVERY_CALL
def test_an_interrupt_closes_the_connection(session: Session, server: FakeServer, call: Callable[[str], Any]) -> None:
    """One line; the server sees the connection close, the row says interrupted, and the next call works."""

    def interrupt() -> None:
        server.wait_until(lambda: bool(server.requests))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted):
        call("silent")
    thread.join()

    server.wait_until(lambda: server.requests[0].disconnected_at is not None)
    # The row is entered on the engine's loop, which the cell does not wait for.
    server.wait_until(lambda: bool(session.ledger.rows))
    assert only_row(session).status == "interrupted"
    call("m")


def test_a_time_limit_holds(session: Session) -> None:
    """For the request as a whole; it may be billed."""
    with pytest.raises(BackendTimeoutError, match=r"within 0\.05 s"):
        llm_magic.embed("a", model="silent", timeout_s=0.05)

    assert (only_row(session).status, only_row(session).is_estimate) == ("failed", True)


@pytest.mark.capability("A21")
def test_requests_wait_for_their_place(session: Session, server: FakeServer) -> None:
    """With two places, eight requests go two by two."""

    async def eight() -> None:
        await asyncio.gather(*(llm_magic.aembed("a", model="late@0.02") for _ in range(8)))

    asyncio.run(eight())

    assert len(session.ledger.rows) == 8
    spans = [(received.at, received.finished_at or received.at) for received in server.requests]
    most = max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)
    # The server may note the end of one just after the next has come.
    assert most <= 3


def test_a_row_is_in_the_store_when_the_call_returns(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also the row of one that failed."""
    made = open_session(tmp_path / "store.db")
    monkeypatch.setattr(api, "session", lambda: made)
    backend = OpenAIBackend(base_url=server.url, api_key=KEY)

    llm_magic.embed("a", model="m", backend=backend)
    with pytest.raises(RequestRejectedError):
        llm_magic.embed("a", model="broken-json", backend=backend)

    assert [row.status for row in ledger(tmp_path / "store.db")] == ["complete", "failed"]
    made.run(backend.aclose())
    made.close()


def test_a_broken_reply_is_told(monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    """A connection that is lost in the middle of a reply: one line, billed, entered."""

    async def lost(_pump: Pump, *, timeout_s: float) -> bytes | None:
        raise ConnectionResetError(timeout_s)

    monkeypatch.setattr(Pump, "read", lost)

    with pytest.raises(StreamInterruptedError):
        llm_magic.embed("a", model="m")

    assert only_row(session).is_estimate


def test_pictures_that_are_none_are_told(session: Session) -> None:
    """Bytes that are no picture: paid for, and said so."""
    with pytest.raises(ContentError, match="cannot be read"):
        llm_magic.image("a", model="no-picture")

    assert only_row(session).status == "complete"
