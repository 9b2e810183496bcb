"""Pictures named by an address, sent as data."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.backends.base import Request
from llm_magic.backends.inlining import Pictures
from llm_magic.backends.openai import OpenAIBackend
from llm_magic.config import Config
from llm_magic.content import ImagePart, Message, TextPart, message
from llm_magic.engine import shared_engine
from llm_magic.errors import RequestRejectedError
from llm_magic.magics.options import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.server import FakeServer

PNG = b"\x89PNG\r\n\x1a\n rest"
PAGES = {
    "/a.png": PNG,
    "/b.jpg": b"\xff\xd8\xff rest",
    "/c.gif": b"GIF89a rest",
    "/d.webp": b"RIFF....WEBP rest",
    "/page": b"<html>no picture</html>",
    "/large": PNG + b"x" * 5000,
}


class Album(ThreadingHTTPServer):
    """A server of pictures; remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.hold = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # the standard library's name
        album = self.server
        assert isinstance(album, Album)
        album.seen.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        if self.path == "/slow":
            album.hold.wait(30)
        if self.path in ("/moved", "/to-file"):
            self.send_response(302)
            self.send_header("Location", "/a.png" if self.path == "/moved" else "file:///etc/passwd")
            self.end_headers()
            return
        data = PAGES.get(self.path)
        self.send_response(200 if data else 404)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(data or b"")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def album() -> Iterator[Album]:
    """The pictures."""
    with Album() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.hold.set()
        server.shutdown()
        thread.join()


def inlined(pictures: Pictures, *urls: str, **limits: Any) -> tuple[Message, ...]:
    """A message with pictures, after."""
    backend = OpenAIBackend(base_url="http://127.0.0.1:9/v1", api_key="sk-canary", headers={"X-Api-Key": "canary"})
    messages = (
        message("system", "s"),
        Message(role="user", parts=(TextPart(text="see"), *(ImagePart(url=url, detail="low") for url in urls))),
    )
    return shared_engine().run(pictures.inlined(messages, backend.connection.fetch, **limits))


@pytest.mark.capability("C11")
def test_pictures_are_fetched_and_sent_as_data(album: Album) -> None:
    """All kinds the protocol takes, a redirect followed; detail is kept. Neither key nor headers go there."""
    album.seen.clear()
    paths = ("/a.png", "/b.jpg", "/c.gif", "/d.webp", "/moved")

    system, user = inlined(Pictures(), *(album.url + path for path in paths))

    assert system == message("system", "s")
    assert [
        (part.media_type, part.data, part.url, part.detail) for part in user.parts if isinstance(part, ImagePart)
    ] == [
        ("image/png", PNG, "", "low"),
        ("image/jpeg", PAGES["/b.jpg"], "", "low"),
        ("image/gif", PAGES["/c.gif"], "", "low"),
        ("image/webp", PAGES["/d.webp"], "", "low"),
        ("image/png", PNG, "", "low"),
    ]
    assert "canary" not in str(album.seen)
    assert not any("authorization" in headers for _, headers in album.seen)


def test_a_picture_is_fetched_once(album: Album) -> None:
    """Later turns send it again; what was fetched does not travel with a backend."""
    album.seen.clear()
    pictures = Pictures()

    for _ in range(2):
        inlined(pictures, album.url + "/a.png", album.url + "/a.png")

    assert [path for path, _ in album.seen] == ["/a.png"]
    assert not pickle.loads(pickle.dumps(pictures))._kept


@pytest.mark.capability("C11")
@pytest.mark.parametrize(
    ("path", "limits", "words"),
    [
        ("/none", {}, r"cannot be fetched \(HTTP 404\)"),
        ("/page", {}, "is no PNG, JPEG, GIF or WebP"),
        ("/large", {"limit_bytes": 1000}, "more than 0.001 MB"),
        ("/slow", {"timeout_s": 0.05}, "within 0.05 s"),
        ("/to-file", {}, "cannot be fetched"),
    ],
)
def test_what_is_no_picture_is_an_error(album: Album, path: str, limits: dict[str, Any], words: str) -> None:
    """One line that names the address, without what may be secret in it."""
    with pytest.raises(RequestRejectedError, match=words) as caught:
        inlined(Pictures(), f"{album.url}{path}", **limits)

    assert album.url + path in caught.value.message
    assert "inline_images=off" in (caught.value.hint or "")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a.png", "http://127.0.0.1:9/a?token=canary"])
def test_only_the_web_is_asked(url: str) -> None:
    """Nothing of this machine is read; what follows the address is not shown."""
    with pytest.raises(RequestRejectedError) as caught:
        inlined(Pictures(), url)

    assert "canary" not in str(caught.value)


@pytest.mark.capability("C11")
def test_the_option_reaches_the_wire(album: Album, fake_server: FakeServer) -> None:
    """By setting, by option; without it the address is sent."""
    assert parse("llm", "--inline-images hi").options.settings == {"inline_images": True}
    assert Config(environ={"LLM_MAGIC_INLINE_IMAGES": "on"}).get("inline_images") is True
    asked = Message(role="user", parts=(TextPart(text="hi"), ImagePart(url=album.url + "/a.png")))

    async def ask() -> None:
        backend = OpenAIBackend(base_url=fake_server.url, api_key="k")
        try:
            for inlines in (True, False):
                request = Request(model="echo", messages=(asked,), are_images_inlined=inlines)
                async for _ in backend.stream(request):
                    await asyncio.sleep(0)
        finally:
            await backend.aclose()

    shared_engine().run(ask())

    first, second = (item.body["messages"][0]["content"][1]["image_url"]["url"] for item in fake_server.requests)
    assert re.match("data:image/png;base64,", first)
    assert second == album.url + "/a.png"
